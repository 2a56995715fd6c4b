"""Find the trusted base branch, from sources that no candidate can write.

Only branches count: a tag of the same name is ignored, though git would prefer it. Unless 'planner.base' is
set, the policies of the branches with usual names tell the base, and they must agree: a new branch with
another usual name cannot replace the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.policy.policy import Policy

_REMOTES = "refs/remotes/"
_USUAL = (
    f"{refnames.HEADS}main",
    f"{refnames.HEADS}master",
    f"{_REMOTES}origin/HEAD",
    f"{_REMOTES}origin/main",
    f"{_REMOTES}origin/master",
)
# Returns the policy of a commit, or None if it has none.
PolicyOf = Callable[[str], Policy | None]


def find_branch_tip(repo: Repository, name: str) -> str | None:
    """Return the commit of a branch by its name, local or as last fetched; None if it does not exist."""
    full = name.startswith((refnames.HEADS, _REMOTES))
    candidates = (name,) if full else (refnames.HEADS + name, _REMOTES + name)
    refs = history.resolve_refs(repo.git, *candidates)
    return next((refs[ref] for ref in candidates if ref in refs), None)


def branch_tips(repo: Repository, branch: str) -> list[str]:
    """Return the tips of a branch, local and as last fetched; none for the planner's own branches.

    Only the remotes that share the branch count: a candidate could make refs of any other remote.
    """
    if branch.startswith((refnames.PLAN, refnames.ITER, refnames.TOURNAMENT)):
        return []
    shared = ("origin", repo.config("planner.remote"), repo.config(f"branch.{branch}.remote"))
    candidates = [refnames.HEADS + branch, *(f"{_REMOTES}{remote}/{branch}" for remote in shared if remote)]
    refs = history.resolve_refs(repo.git, *candidates)
    return list(dict.fromkeys(refs[ref] for ref in candidates if ref in refs))


def find_base_branch(repo: Repository, policy_of: PolicyOf) -> tuple[str, list[str]] | None:
    """Find the base branch and its tips, local and as last fetched.

    Args:
        repo: the repository.
        policy_of: returns the policy of a commit.

    Returns:
        The short name and the tips; None if nothing is configured and no branch has a usual name.

    Raises:
        PlannerError: E_BASE if 'planner.base' names no branch, or if the candidates disagree.
    """
    own = repo.config("planner.base")
    if own is not None:
        tip = find_branch_tip(repo, own)
        if tip is None:
            raise PlannerError(
                "E_BASE",
                f"'planner.base' is '{own}', which is no branch of this repository",
                hint="fetch it, or name another one with 'git config planner.base BRANCH'",
            )
        return _base_and_tips(repo, refnames.short_name(own), tip, policy_of(tip))
    refs = history.resolve_refs(repo.git, *_USUAL)
    tips = {ref: refs[ref] for ref in _USUAL if ref in refs}
    policies = {oid: policy_of(oid) for oid in dict.fromkeys(tips.values())}
    # Branches without a policy count only if none has one.
    says = {
        ref: policy.base if policy is not None else _short_branch(repo, ref)
        for ref, oid in tips.items()
        if (policy := policies[oid]) is not None or not any(policies.values())
    }
    if len(set(says.values())) > 1:
        raise _ambiguous_base_error(says)
    if not says:
        return None
    ref, branch = next(iter(says.items()))
    return _base_and_tips(repo, branch, tips[ref], policies[tips[ref]])


def _base_and_tips(repo: Repository, branch: str, tip: str, policy: Policy | None) -> tuple[str, list[str]]:
    branch = policy.base if policy is not None else branch
    return branch, branch_tips(repo, branch) or [tip]


def _short_branch(repo: Repository, ref: str) -> str:
    if ref.endswith("/HEAD"):
        target = repo.git.run("symbolic-ref", "--quiet", ref).stdout.decode(errors="surrogateescape").strip()
        ref = target or ref
    return ref.removeprefix(refnames.HEADS).removeprefix(f"{_REMOTES}origin/")


def _ambiguous_base_error(says: dict[str, str]) -> PlannerError:
    lines: Sequence[str] = [f"'{ref.split('/', 2)[2]}' says '{branch}'" for ref, branch in says.items()]
    return PlannerError(
        "E_BASE",
        "ambiguous base branch: the candidates' policies name different bases",
        hint="set it with 'git config planner.base BRANCH'",
        details=lines,
    )
