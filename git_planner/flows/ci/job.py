"""Do the work of a CI job for a pull or merge request: check it, show the review, measure a record again.

Nothing of the request is run, except by 'verify'. Names and texts of the request are data: they reach git as
refs that git has checked, and people as escaped Markdown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.errors import PlannerError
from git_planner.flows.approval.reviewed_branch import read_approval
from git_planner.flows.iterations.review_branch import trailer_values
from git_planner.flows.records.ledger import LedgerReader, plan_names
from git_planner.flows.records.standing import check_range
from git_planner.flows.review.approving.approve import with_approval
from git_planner.flows.review.proposed import render_proposed
from git_planner.flows.review.review import Review, review
from git_planner.gitio import history
from git_planner.gitio.repository import Repository, open_repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.decide import sentence
from git_planner.rules.approval.subject import APPROVED
from git_planner.rules.ci.change_request import REMOTE, ChangeRequest, Host, from_github, from_gitlab
from git_planner.rules.ci.job_report import JobFacts, render_report
from git_planner.rules.guard.guard import CheckFinding
from git_planner.rules.printable import printable_path
from git_planner.rules.records.row import RecordRow

_MAX_EVENT = 32 * 1024 * 1024
_MARKS = {"github": "GITHUB_ACTIONS", "gitlab": "GITLAB_CI"}
_REPORT, _RESULT = "git-planner-review.md", "git-planner.env"
_MAX_REVIEWS, _MAX_RECORDS = 3, 3
_CHANGES = "openspec/changes/"


@dataclass(frozen=True, slots=True)
class JobReport:
    """The report of a CI job: its facts and its Markdown, and the file that it was written to."""

    facts: JobFacts
    body: str
    file: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            "schema": "git-planner/ci-report@1",
            "ok": self.facts.ok,
            "base": self.facts.base,
            "tip": self.facts.request.tip,
            "findings": [finding.document() for finding in self.facts.findings],
            "records": [row.id for row in self.facts.records],
            "body": self.body,
            "file": self.file,
        }


def open_request(
    repo: Repository, host: Host, environ: Mapping[str, str]
) -> tuple[Repository, ChangeRequest]:
    """Read the request of this CI job, and give the job's clone the branches that reviews read.

    Raises:
        PlannerError: E_USAGE outside of such a job, E_UNKNOWN_REF, E_GIT.
    """
    if environ.get(_MARKS[host]) != "true":
        raise PlannerError(
            "E_USAGE",
            f"this is no job of {host}: '{_MARKS[host]}' is not 'true'",
            hint=f"print the workflow that runs it with 'git planner ci {host}'",
        )
    request = from_github(environ, _read_event(environ)) if host == "github" else from_gitlab(environ)
    _prepare_clone(repo, request)
    return open_repository(repo.place), request


def report_on(repo: Repository, request: ChangeRequest, verified: str) -> JobReport:
    """Check a request against its base, and render what people need to judge it.

    Args:
        repo: the clone, as `open_request` has prepared it.
        request: the request.
        verified: the result of a job that ran 'verify', else ''.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_NO_BASE, E_BASE, E_POLICY.
    """
    base = repo.resolve(request.base)
    # A branch of a plan is no base of code: there the policy's own base decides, and what plans may hold.
    is_of_plan = request.target.startswith(refnames.PLAN)
    head = request.target if is_of_plan else request.head or "merge-queue"
    checked = check_range(repo, f"{base}..{request.tip}", base=None if is_of_plan else base, head=head)
    names, remarks = _reviewed_names(repo, request, base)
    reviews = list(_proposed_approvals(repo, request, base, names, remarks))
    missing: list[CheckFinding] = []
    for name in names:
        try:
            shown = with_approval(repo, review(repo, name))
        except PlannerError as error:
            remarks.append(f"'{name}' cannot be shown: {error.message}")
            continue
        reviews.append(shown.body)
        missing += _missing_approval(shown)
    facts = JobFacts(
        request=request,
        base=checked.base or base,
        findings=(*checked.findings, *missing),
        records=_records(repo, request, names),
        verified=verified,
        reviews=reviews,
        remarks=remarks,
    )
    return JobReport(facts, redact.mask_text(render_report(facts)))


def _missing_approval(shown: Review) -> Iterator[CheckFinding]:
    """Yield an error for an iteration whose directive needs an approval and has none.

    What is only proposed has none yet: there the review says so.
    """
    if shown.approval is None or shown.approval.ok or refnames.parse_iteration(shown.name) is None:
        return
    message = f"the directive '{shown.name}' {sentence(shown.approval)}"
    yield CheckFinding("error", "approval", message, None, None, f"git plan review {shown.name} --open")


def write_report(host: Host, report: JobReport, environ: Mapping[str, str]) -> JobReport:
    """Write a report where the hosting site shows it: the job's summary, or a file that the job keeps.

    Raises:
        PlannerError: E_UNWRITABLE.
    """
    path = _output_file(host, environ, "GITHUB_STEP_SUMMARY", _REPORT)
    if path is None:
        return report
    _put(host, path, report.body)
    return JobReport(report.facts, report.body, str(path))


def verify(repo: Repository, host: Host, request: ChangeRequest, progress: Progress) -> tuple[str, str]:
    """Measure the iteration of a request again; tell the next job the result.

    Returns:
        The result, a key of VERIFIED, and one sentence.
    """
    from git_planner.flows.records.verify import verify_record

    result, why = "none", f"'{request.head}' is no branch of an iteration"
    if refnames.parse_iteration(request.head) is not None:
        try:
            done = verify_record(repo, request.head, plan=None, progress=progress)
            result = {True: "holds", False: "differs", None: "unmeasured"}[done.holds]
            why = f"record {done.record.id}: {done.why}"
        except PlannerError as error:
            result, why = "none" if error.code == "E_NO_RECORD" else "unmeasured", error.message
    path = _output_file(host, os.environ, "GITHUB_OUTPUT", _RESULT)
    if path is not None:
        _put(host, path, f"{'result' if host == 'github' else 'GIT_PLANNER_VERIFIED'}={result}\n")
    return result, why


def _read_event(environ: Mapping[str, str]) -> Any:
    path = environ.get("GITHUB_EVENT_PATH", "")
    try:
        return json.loads(atomic_file.read(path, _MAX_EVENT))
    except (OSError, ValueError, RecursionError) as error:
        raise PlannerError(
            "E_USAGE",
            f"the event of this job cannot be read from '{path[:200]}': {str(error)[:200]}",
            hint="run it in a job of GitHub Actions",
        ) from None


def _prepare_clone(repo: Repository, request: ChangeRequest) -> None:
    """Make the branches of plans and iterations local, and name the request's own as it does.

    A fork may have a branch of the same name as this repository: what is shown must be the fork's.
    """
    repo.resolve(request.tip)
    specs = [f"+{REMOTE}{prefix}*:{refnames.HEADS}{prefix}*" for prefix in (refnames.PLAN, refnames.ITER)]
    repo.git.line("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", ".", *specs)
    if _is_shown(request.head):
        repo.git.line("update-ref", refnames.HEADS + request.head, request.tip)
    if request.trunk and repo.config("planner.base") is None:
        repo.git.line("config", "planner.base", REMOTE + request.trunk)


def _is_shown(head: str) -> bool:
    plan = head.removeprefix(refnames.PLAN)
    return (
        head.startswith(refnames.PROPOSALS)
        or (plan != head and refnames.is_plan_name(plan))
        or refnames.parse_iteration(head) is not None
    )


def _reviewed_names(repo: Repository, request: ChangeRequest, base: str) -> tuple[list[str], list[str]]:
    """Return the names of what a request brings for a review, with remarks."""
    if _is_shown(request.head):
        return [request.head], []
    changes = history.changes(repo.git, base, request.tip, [f":(top,glob){_CHANGES}*/**"])
    specs = dict.fromkeys(change.path.split("/")[2] for change in changes if change.path.startswith(_CHANGES))
    runs = [
        name
        for name in trailer_values(repo, base, request.tip, "Planner-Run")
        if refnames.parse_iteration(name) is not None
    ]
    known = [name for name in runs if repo.maybe(refnames.HEADS + name) is not None]
    remarks = [f"it says that it comes from {name}" for name in runs[:_MAX_REVIEWS]]
    return [*known[:_MAX_REVIEWS], *list(specs)[:_MAX_REVIEWS]], remarks


def _proposed_approvals(
    repo: Repository, request: ChangeRequest, base: str, names: list[str], remarks: list[str]
) -> Iterator[str]:
    """Yield the reviews of what a merge would approve; add what is named elsewhere, and remarks.

    A directive is shown as the approval holds it: its own branch may show another one.
    """
    specs = [f":(top,glob).plans/*/{APPROVED}/*.json"]
    for change in history.changes(repo.git, base, request.tip, specs)[:_MAX_REVIEWS]:
        where = printable_path(change.path)
        approval = read_approval(repo, f"{request.tip}:{change.path}") if change.status == "A" else None
        if approval is None:
            remarks.append(f"'{where}' is no new, valid approval: look at the difference")
        elif approval["kind"] != "directive":
            names.append(str(approval["name"]))
        else:
            try:
                yield render_proposed(repo, approval, where)
            except PlannerError as error:
                remarks.append(f"{error.message}{': ' + error.details[0] if error.details else ''}")


def _records(repo: Repository, request: ChangeRequest, names: Sequence[str]) -> list[RecordRow]:
    """Return the newest records of the tip, and of the iterations that are shown."""
    commits = {request.tip}
    for name in names:
        with suppress(PlannerError):
            commits.add(repo.resolve(refnames.HEADS + name))
    return list(_rows_of(repo, commits))[-_MAX_RECORDS:]


def _rows_of(repo: Repository, commits: set[str]) -> Iterator[RecordRow]:
    return (row for row in LedgerReader(repo).read(*plan_names(repo)) if row.commit in commits)


def _output_file(host: Host, environ: Mapping[str, str], variable: str, name: str) -> Path | None:
    if host == "github":
        return Path(environ[variable]) if environ.get(variable) else None
    folder = environ.get("CI_PROJECT_DIR")
    return Path(folder) / name if folder else None


def _put(host: Host, path: Path, text: str) -> None:
    try:
        if host == "github":
            # Made by the runner for this step; each step may add to it.
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        else:
            # Replaces what the request may have put there, a link for example.
            atomic_file.write(path, text.encode())
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE", f"'{path}' cannot be written: {error.strerror or error}", hint="see the job's log"
        ) from None
