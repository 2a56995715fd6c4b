"""Check guard, scope and documents over a range of commits, for CI and servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.guard import staged
from git_planner.flows.guard.compare_trees import GuardChecker, GuardDifference
from git_planner.flows.guard.ref_updates import (
    RefUpdateGuard,
    newer_base_commits,
    parse_ref_updates,
    state_differences,
)
from git_planner.gitio import history
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.guard import scope
from git_planner.rules.guard.guard import CHECK_SCHEMA, CheckFinding, ref_kind
from git_planner.rules.policy.policy import pathspecs
from git_planner.rules.printable import printable_path

_FIXES = {
    "guard": "revert the change, or propose it to the base branch with 'git planner guard propose'",
    "start-up": "revert the change, or allow it in the policy with 'unguard'",
    "shadow": "rename it, so that it shadows no standard module, or allow it in the policy with 'unguard'",
    "runner": "restore the test configuration of the base branch",
    "attributes": "remove the line of '.gitattributes' that matches guarded paths",
    "case": "give the file a name that differs in more than its case",
    "state": "start anew with 'git iterate'; the first commit of an iteration is immutable",
}
_WITHOUT_SCOPE = ("plan", "tournament", "proposal")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of a check. `base` is the trusted commit, None if each ref had its own."""

    range: str
    base: str | None
    findings: tuple[CheckFinding, ...]

    @property
    def ok(self) -> bool:
        """True if there is no finding of severity 'error'."""
        return not any(finding.severity == "error" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            "schema": CHECK_SCHEMA,
            "range": self.range,
            "base": self.base,
            "ok": self.ok,
            "findings": [finding.document() for finding in self.findings],
        }


def check_range(
    repo: Repository, range_: str | None = None, *, base: str | None = None, head: str | None = None
) -> CheckReport:
    """Check every commit of a range, and its end, against the trusted base.

    Args:
        repo: the repository.
        range_: 'A..B'; None for the commits of HEAD that are not on the base branch.
        base: the trusted branch or commit (default: the base branch).
        head: the name of the branch of B, which decides what it may hold (default: as git resolves B).

    Raises:
        PlannerError: E_UNKNOWN_REF, E_USAGE, E_NO_BASE, E_POLICY.
    """
    checker = GuardChecker(repo, base)
    start, tip = _range_ends(checker, range_)
    kind = ref_kind(refnames.HEADS + (head or _branch_name(repo, range_) or ""))
    findings: list[CheckFinding] = []
    commits = history.commits(repo.git, start, tip)
    anchor: str | None = None
    # Newest first, so that a finding that persists is reported for the tip.
    reported: set[tuple[str, str]] = set()
    for commit in dict.fromkeys((tip, *reversed(commits))):
        commit_findings, by = _check_commit(checker, commit)
        anchor = anchor or by
        findings += [
            finding for finding in commit_findings if (finding.code, finding.message) not in reported
        ]
        reported |= {(finding.code, finding.message) for finding in commit_findings}
    if anchor is not None:
        findings += _check_scope(checker, anchor, tip) if kind not in _WITHOUT_SCOPE else []
        findings += _check_documents(repo, anchor, tip)
        findings += _check_index_flags(checker, anchor)
    if kind == "proposal":
        findings = [_review_warning(finding) for finding in findings]
    return CheckReport(f"{start}..{tip}", anchor, tuple(findings))


def check_received(repo: Repository, lines: str) -> CheckReport:
    """Check the ref updates of a push, as a server's pre-receive hook reads them.

    Args:
        repo: the receiving repository.
        lines: 'old new ref', one per line.
    """
    checker = GuardChecker(repo)
    findings: list[CheckFinding] = []
    for move in parse_ref_updates(lines):
        kind = ref_kind(move.ref)
        if kind in ("free", "proposal") or (move.new is None and kind != "start"):
            continue
        try:
            RefUpdateGuard(checker).check([move])
        except PlannerError as error:
            findings += _error_findings(error, move.ref, move.new)
            continue
        existing = [f"^{oid}" for oid in history.list_refs(repo, refnames.HEADS).values()]
        arrived = repo.git.line("rev-list", str(move.new), *existing, "--not", "--all").split()
        anchor = next(checker.anchors(str(move.new)), None)
        for commit in arrived if kind != "start" else ():
            if commit != move.new:
                findings += _check_commit(checker, commit)[0]
        if anchor is not None:
            findings += _check_documents(repo, anchor, str(move.new))
    return CheckReport("received", None, tuple(findings))


def check_staged(repo: Repository) -> CheckReport:
    """Run the pre-commit checks on the staged changes and return their report."""
    findings: list[CheckFinding] = []
    for check in (staged.check_guard, staged.check_documents):
        try:
            check()
        except PlannerError as error:
            findings += _error_findings(error, None, None)
    return CheckReport("staged", repo.maybe("HEAD"), tuple(findings))


def _range_ends(checker: GuardChecker, range_: str | None) -> tuple[str, str]:
    repo = checker.repo
    if range_ is None:
        tip = repo.resolve("HEAD")
        return next(checker.anchors(tip), checker.base_tips(tip)[0]), tip
    start, dots, end = range_.partition("..")
    if not dots or not start or end.startswith("."):
        raise PlannerError(
            "E_USAGE", f"'{range_}' is not a range", hint="write it as A..B, as in 'main..HEAD'"
        )
    return repo.resolve(start), repo.resolve(end or "HEAD")


def _branch_name(repo: Repository, range_: str | None) -> str | None:
    end = (range_ or "..HEAD").partition("..")[2] or "HEAD"
    result = repo.git.run("rev-parse", "--symbolic-full-name", "--verify", "--quiet", end)
    name = result.stdout.decode(errors="replace").strip()
    return refnames.short_name(name) if name.startswith(refnames.HEADS) else None


def _check_commit(checker: GuardChecker, commit: str) -> tuple[list[CheckFinding], str | None]:
    """Return the findings of one commit, and the base commit it was compared with."""
    anchor, differences = checker.find_anchor(commit)
    by = anchor or next(checker.anchors(commit), None)
    if by is None:
        message = "it has no commit in common with the base branch"
        return [CheckFinding("error", "trust", message, None, commit, "start it from the base branch")], None
    if anchor is not None and _has_older_base(checker, commit, anchor):
        message = "its guarded paths are those of an older base than its iteration started from"
        return [CheckFinding("error", "trust", message, None, commit, "start it from the base branch")], by
    both = [*differences, *state_differences(checker, commit)]
    return [_difference_finding(difference, commit) for difference in both], by


def _has_older_base(checker: GuardChecker, commit: str, anchor: str) -> bool:
    """Return whether a commit branched off the base before its iteration did."""
    start = checker.repo.git.line("rev-list", "-1", commit, "--", f":(top,literal){refnames.STATE_FILE}")
    if not start:
        return False
    began = next(checker.anchors(start), None)
    return began is not None and began != anchor and anchor not in newer_base_commits(checker, start, commit)


def _difference_finding(difference: GuardDifference, commit: str | None) -> CheckFinding:
    return CheckFinding(
        "error",
        difference.code,
        difference.message,
        printable_path(difference.path),
        commit,
        _FIXES[difference.code],
    )


def _check_scope(checker: GuardChecker, base: str, tip: str) -> Iterator[CheckFinding]:
    policy, git = checker.rule_at(base).policy, checker.repo.git
    if policy is None or not (policy.allow or policy.forbid):
        return

    def matching(patterns: tuple[str, ...]) -> set[str]:
        return {
            printable_path(change.path) for change in history.changes(git, base, tip, pathspecs(patterns))
        }

    changed = [
        printable_path(change.path)
        for change in history.changes(git, base, tip)
        if change.path != refnames.STATE_FILE
    ]
    allowed = matching(policy.allow) if policy.allow else None
    forbidden = matching(policy.forbid) if policy.forbid else set()
    violation = scope.check_scope(changed, allowed, forbidden)
    for message in violation[1] if violation else ():
        fix = "keep to the scope of the policy, or change it on the base branch"
        yield CheckFinding("error", "scope", message, message.split(": ", 1)[1], tip, fix)


def _check_documents(repo: Repository, base: str, tip: str) -> Iterator[CheckFinding]:
    specs = pathspecs((*staged.DOCUMENTS, refnames.STATE_FILE, refnames.POLICY_FILE))
    changed = [change for change in history.changes(repo.git, base, tip, specs) if change.status != "D"]
    contents = read_objects(repo.git, (change.new for change in changed)) if changed else iter(())
    for change, data in zip(changed, contents, strict=True):
        try:
            if change.new_mode not in ("100644", "100755") or data is None:
                raise PlannerError("E_SCHEMA", f"'{printable_path(change.path)}' is not an ordinary file")
            staged.check_document(change.path, data)
        except PlannerError as error:
            message = "; ".join((error.message, *error.details))
            fix = error.hint or "see its schema with 'git planner schema'"
            yield CheckFinding("error", "document", message, printable_path(change.path), tip, fix)


def _check_index_flags(checker: GuardChecker, base: str) -> Iterator[CheckFinding]:
    """Yield guarded files whose index flags make git ignore changes in the working tree."""
    repo = checker.repo
    if repo.bare:
        return
    sparse = repo.config("core.sparseCheckout") == "true"
    for line in repo.git.names("ls-files", "-v", "-z", "--", *pathspecs(checker.rule_at(base).patterns)):
        mark, _, path = line.partition(" ")
        flag = "assume-unchanged" if mark.islower() else "skip-worktree" if mark == "S" else None
        if flag is not None and not (sparse and flag == "skip-worktree"):
            fix = f"git update-index --no-{flag} -- PATH"
            yield CheckFinding(
                "error", "index-flags", f"{flag}: {printable_path(path)}", printable_path(path), None, fix
            )


def _review_warning(finding: CheckFinding) -> CheckFinding:
    """Return a guard finding as a warning for the reviewer of a proposal branch."""
    if finding.code not in ("guard", "start-up", "shadow", "runner", "attributes", "case"):
        return finding
    fix = "review it: after the merge, earlier results count as measured by another instrument"
    return CheckFinding("warning", finding.code, finding.message, finding.path, finding.commit, fix)


def _error_findings(error: PlannerError, ref: str | None, commit: str | None) -> Iterator[CheckFinding]:
    codes = {"E_GUARD": "guard", "E_SCHEMA": "document", "E_JSON": "document", "E_POLICY": "document"}
    if error.code not in codes:
        raise error
    code, where = codes[error.code], f" ({ref})" if ref else ""
    details: Iterable[str] = [line for line in error.details if not line.startswith("guarded by ")] or [""]
    for line in details:
        message = f"{error.message}: {line}" if line else error.message
        path = line.split(": ", 1)[1] if ": " in line and code == "guard" else None
        yield CheckFinding("error", code, message + where, path, commit, error.hint or "")
