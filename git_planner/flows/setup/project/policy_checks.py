"""Findings about a policy: what it guards, and whether it is the committed one."""

from __future__ import annotations

from collections.abc import Iterator

from git_planner.errors import PlannerError
from git_planner.gitio import export
from git_planner.gitio.content.pathspec import matcher
from git_planner.gitio.repository import Repository
from git_planner.rules.diagnostic import Diagnostic
from git_planner.rules.policy.policy import Policy, pathspecs
from git_planner.rules.refnames import POLICY_FILE
from git_planner.rules.setup.test_files import is_test_file

_MAX_SHOWN = 3


def missing_policy(repo: Repository, error: PlannerError) -> Diagnostic:
    """Return the finding about a policy that cannot be read from HEAD."""
    if error.code != "E_NO_POLICY":
        return Diagnostic("error", "policy-invalid", error.message, POLICY_FILE, str(error.hint))
    is_uncommitted = repo.top is not None and (repo.top / POLICY_FILE).is_file()
    message, fix = f"there is no '{POLICY_FILE}'", "git planner init"
    if is_uncommitted:
        is_ignored = is_policy_ignored(repo)
        message = f"'{POLICY_FILE}' is not committed" + (", and git ignores it" if is_ignored else "")
        fix = (
            f"commit it on the base branch: git add {'-f ' if is_ignored else ''}{POLICY_FILE} && git commit"
        )
    return Diagnostic("error", "policy-missing", message, POLICY_FILE, fix)


def is_policy_ignored(repo: Repository) -> bool:
    """Return whether git ignores the policy file, so that 'git add' needs '-f'; a tracked file is not."""
    return repo.top is not None and repo.git.run("check-ignore", "-q", "--", POLICY_FILE).status == 0


def policy_findings(repo: Repository, policy: Policy | None) -> Iterator[Diagnostic]:
    """Find guard patterns without files, test files without guard, and a policy that is edited only."""
    head = repo.maybe("HEAD")
    if policy is None or head is None:
        return
    paths = repo.git.names("ls-tree", "-r", "-z", "--name-only", "--full-tree", head)
    # In a project that has no tests yet, a pattern may be meant for those to come.
    if any(map(is_test_file, paths)):
        yield from _unmatched_patterns(repo, policy, head, paths)
    yield from _unguarded_tests(repo, policy, head, paths)
    if repo.top is not None and (repo.top / POLICY_FILE).is_file():
        edited = repo.git.run("diff", "--quiet", "HEAD", "--", str(repo.top / POLICY_FILE)).status == 1
        if edited:
            yield Diagnostic(
                "warning",
                "policy-edited",
                f"'{POLICY_FILE}' is edited and not committed; only the committed one counts",
                POLICY_FILE,
                f"commit it on the base branch: git add {POLICY_FILE} && git commit",
            )


def _unmatched_patterns(
    repo: Repository, policy: Policy, head: str, paths: list[str]
) -> Iterator[Diagnostic]:
    # The name of a file may stand there to keep it from being made.
    for pattern in (pattern for pattern in policy.guard if set(pattern) & set("*?[")):
        if not _matching(repo, (pattern,), head, paths):
            yield Diagnostic(
                "warning",
                "guard-unmatched",
                f"'guard' has '{pattern}', which matches no file of HEAD",
                POLICY_FILE,
                f"name the folder of the tests in '{POLICY_FILE}'",
            )


def _unguarded_tests(repo: Repository, policy: Policy, head: str, paths: list[str]) -> Iterator[Diagnostic]:
    tests = [path for path in paths if is_test_file(path)] if policy.correctness is not None else []
    guarded = _matching(repo, policy.protected, head, paths) if tests else set()
    unguarded = [path for path in tests if path not in guarded]
    if unguarded:
        shown = ", ".join(f"'{path}'" for path in unguarded[:_MAX_SHOWN])
        rest = len(unguarded) - _MAX_SHOWN
        yield Diagnostic(
            "warning",
            "tests-unguarded",
            f"no pattern guards the tests {shown}{f' and {rest} more' if rest > 0 else ''}",
            POLICY_FILE,
            f"add them to 'guard' in '{POLICY_FILE}'",
        )


def _matching(repo: Repository, patterns: tuple[str, ...], head: str, paths: list[str]) -> set[str]:
    """Return the paths that patterns match; git is asked about those whose meaning is not simple."""
    specs = pathspecs(patterns)
    matches = matcher(tuple(specs))
    if matches is None:
        return set(export.entries(repo, head, specs))
    return {path for path in paths if matches(path)}
