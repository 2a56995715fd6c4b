"""Render the report of a CI job as Markdown: checks, evidence, reviews. Pure.

Every text of others is on one line and escaped; a review is rendered by its own rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from git_planner.rules.ci.change_request import ChangeRequest
from git_planner.rules.documents.escape_markdown import bound_body, code_span, escape_line
from git_planner.rules.guard.guard import CheckFinding
from git_planner.rules.records.row import RecordRow

# The first line of the comment, by which it is known again.
MARKER = "<!-- git-planner: report -->"
VERIFIED = {
    "holds": "measured again in this run: **the record holds**",
    "differs": "measured again in this run: **the record does not hold**",
    "unmeasured": "it could not be measured again, see the log of this run",
    "none": "it has no record to measure again",
}
_MAX_FINDINGS, _MAX_REASON = 50, 400


@dataclass(frozen=True, slots=True)
class JobFacts:
    """Facts of a report: findings of the check, records of the tip, result of a new measurement, reviews.

    `reviews` are Markdown texts, rendered already; `remarks` are sentences on what could not be shown.
    """

    request: ChangeRequest
    base: str
    findings: Sequence[CheckFinding]
    records: Sequence[RecordRow] = ()
    verified: str = ""
    reviews: Sequence[str] = ()
    remarks: Sequence[str] = field(default=())

    @property
    def ok(self) -> bool:
        """True if no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def is_worth_a_comment(self) -> bool:
        """True if there is more to tell than that an ordinary change breaks no rule."""
        return bool(self.findings or self.records or self.reviews or self.remarks or self.verified)


def render_report(facts: JobFacts) -> str:
    """Render the report, with the marker of the comment as its first line."""
    request = facts.request
    head = code_span(request.head) if request.head else "the merge queue"
    lines = [
        MARKER,
        f"## git-planner: {'checks passed' if facts.ok else '**refused**'}",
        "",
        f"- Change: {head} at `{request.tip[:12]}`{', from a fork' if request.fork else ''}",
        f"- Checked against: {code_span(request.target)} at `{facts.base[:12]}`",
        f"- Guard, scope and documents: {_outcome(facts.findings)}",
    ]
    lines += [f"- Record {_record(row)}" for row in facts.records]
    if facts.verified in VERIFIED:
        lines.append(f"- Evidence: {VERIFIED[facts.verified]}")
    lines += [f"- {escape_line(remark, _MAX_REASON)}" for remark in facts.remarks]
    if request.link.startswith("https://"):
        lines.append(f"- Run: {request.link}")
    lines += _findings(facts.findings)
    body = "\n".join([*lines, "", *("---\n\n" + review.rstrip("\n") + "\n" for review in facts.reviews)])
    return bound_body(body, "cut: the rest is what 'git plan review' prints in a clone")


def _outcome(findings: Sequence[CheckFinding]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    counts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return ", ".join(counts) or "ok"


def _findings(findings: Sequence[CheckFinding]) -> list[str]:
    lines = []
    for finding in findings[:_MAX_FINDINGS]:
        where = f" in `{finding.commit[:12]}`" if finding.commit else ""
        lines.append(f"- **{finding.severity}**: {escape_line(finding.message, _MAX_REASON)}{where}")
        if finding.fix:
            lines.append(f"  - do: {escape_line(finding.fix, _MAX_REASON)}")
    if len(findings) > _MAX_FINDINGS:
        lines.append(f"- and {len(findings) - _MAX_FINDINGS} more")
    return ["", "### Findings", "", *lines] if lines else []


def _record(row: RecordRow) -> str:
    value = (
        ""
        if row.value is None
        else f", {escape_line(row.metric or 'value', 80)} {row.value:g} {escape_line(row.unit, 40)}"
    )
    delta = "" if row.delta is None else f" ({row.delta:+g})"
    reason = f": {escape_line(row.reason, 80)}" if row.reason else ""
    return f"{code_span(row.id)} of `{row.commit[:12]}`: **{row.verdict}**{reason}{value.rstrip()}{delta}"
