"""Guard, scope and documents over a range of commits, as CI and servers ask; the same verdict everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.guard import staged
from git_planner.flows.guard.compare_trees import GuardChecker, GuardDifference, printable_path
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

_FIXES = {
    "guard": "take the change back, or propose it to the base branch with 'git planner guard propose'",
    "start-up": "take it back; a policy can let it go with 'unguard'",
    "shadow": "give it a name that no standard module has, or let it go in the policy with 'unguard'",
    "runner": "keep the parts about tests as the base branch has them",
    "attributes": "take the line of '.gitattributes' that matches guarded paths back",
    "case": "give the file a name that differs in more than its case",
    "state": "start anew with 'git iterate'; the first commit of an iteration is written once",
}
_WITHOUT_SCOPE = ("plan", "tournament", "proposal")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found. `base` is the trusted commit, None where each ref had its own."""

    range: str
    base: str | None
    findings: tuple[CheckFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that must not be."""
        return not any(finding.severity == "error" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """The verdict as JSON."""
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
        range_: 'A..B'; what HEAD has beyond the base branch when None.
        base: what is trusted: a branch or commit; else the base branch that the policy there names.
        head: the name of the branch that B is of, which says what may be on it; else it is asked of git.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_USAGE, E_NO_BASE, E_POLICY.
    """
    checker = GuardChecker(repo, base)
    start, tip = _range_ends(checker, range_)
    kind = ref_kind(refnames.HEADS + (head or _branch_name(repo, range_) or ""))
    findings: list[CheckFinding] = []
    commits = history.commits(repo.git, start, tip)
    anchor: str | None = None
    # From the end to the start, so that what stays in the end is told of the end.
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
    """Check the moves of refs that a push asks for, as a server's pre-receive hook is told them.

    Args:
        repo: the repository that receives.
        lines: 'old new ref', one a line.
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
        existing = [f"^{oid}" for oid in history.refs(repo.git, refnames.HEADS).values()]
        arrived = repo.git.line("rev-list", str(move.new), *existing, "--not", "--all").split()
        anchor = next(checker.anchors(str(move.new)), None)
        for commit in arrived if kind != "start" else ():
            if commit != move.new:
                findings += _check_commit(checker, commit)[0]
        if anchor is not None:
            findings += _check_documents(repo, anchor, str(move.new))
    return CheckReport("received", None, tuple(findings))


def check_staged(repo: Repository) -> CheckReport:
    """The hooks' checks on what is staged, as a verdict."""
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
    return name.removeprefix(refnames.HEADS) if name.startswith(refnames.HEADS) else None


def _check_commit(checker: GuardChecker, commit: str) -> tuple[list[CheckFinding], str | None]:
    """What is wrong with one commit, and the commit of the base that it is held against."""
    anchor, differences = checker.find_anchor(commit)
    by = anchor or next(checker.anchors(commit), None)
    if by is None:
        message = "it has no commit in common with the base branch"
        return [CheckFinding("error", "trust", message, None, commit, "start it from the base branch")], None
    if anchor is not None and _has_older_base(checker, commit, anchor):
        message = "its guarded paths are those of an older base than its iteration began with"
        return [CheckFinding("error", "trust", message, None, commit, "start it from the base branch")], by
    both = [*differences, *state_differences(checker, commit)]
    return [_difference_finding(difference, commit) for difference in both], by


def _has_older_base(checker: GuardChecker, commit: str, anchor: str) -> bool:
    """Whether a commit of a known iteration left the base branch before its iteration did."""
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
            fix = error.hint or "see its form with 'git planner schema'"
            yield CheckFinding("error", "document", message, printable_path(change.path), tip, fix)


def _check_index_flags(checker: GuardChecker, base: str) -> Iterator[CheckFinding]:
    """Guarded files that git was told not to look at, so that what lies on the disk may be another thing."""
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
    """On a branch that proposes a change of the guard, that change is what a reviewer has to look at."""
    if finding.code not in ("guard", "start-up", "shadow", "runner", "attributes", "case"):
        return finding
    fix = "review it: once merged, results from before count as another instrument's"
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
