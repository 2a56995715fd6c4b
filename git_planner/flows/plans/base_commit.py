"""Base commit of an iteration: the commit it starts from and is checked against."""

from __future__ import annotations

import re
from dataclasses import dataclass

from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.plans.best_place import check_best
from git_planner.flows.plans.blocked_names import check_names
from git_planner.gitio.history import list_refs
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Base:
    """The trusted commit of an iteration, the name it was found by, and the policy it holds.

    `notes` are for people: what was set aside.
    """

    oid: str
    ref: str
    policy: Policy
    notes: tuple[str, ...] = ()


def find_base(repo: Repository, plan: str, from_ref: str | None) -> Base:
    """Return the commit that the next iteration of a plan starts from.

    Args:
        repo: the repository.
        plan: the plan's name.
        from_ref: a branch, tag or commit to start from (default: the plan's rolling best, then the remote's
            as last fetched, then the policy's base).

    Raises:
        PlannerError: E_BEST_MOVED, E_BLOCKED, E_UNKNOWN_REF, E_UNBORN, E_BASE, E_NO_POLICY, E_POLICY; E_GUARD
            when the base branch does not contain the guarded files of the named commit.
    """
    check_names(repo, plan)
    if from_ref is not None:
        return _named_base(repo, plan, from_ref)
    check_best(repo, plan)
    best = refnames.best_ref(plan)
    here = repo.maybe(best)
    oid_or_none, notes = (here, ()) if here is not None else _remote_best(repo, best)
    if oid_or_none is not None:
        return Base(oid_or_none, refnames.short_name(best), policy_at(repo, oid_or_none))
    # HEAD may be a candidate, and a candidate must not choose its own base, so HEAD is the last resort.
    base_branch = GuardChecker(repo).base_branch
    branch = base_branch[0] if base_branch is not None else policy_at(repo, repo.resolve("HEAD")).base
    for ref in (refnames.HEADS + branch, f"refs/remotes/origin/{branch}"):
        oid = repo.maybe(ref)
        if oid is not None:
            return Base(oid, branch, policy_at(repo, oid), notes)
    raise PlannerError(
        "E_UNKNOWN_REF",
        f"the base branch '{branch}' that '{refnames.POLICY_FILE}' names does not exist",
        hint="name a start with '--from', or set 'base' in the policy",
    )


def _remote_best(repo: Repository, best: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the remote's rolling best as last fetched, the only one in a fresh clone, or why not."""
    name = f"{read_settings(repo).remote}/{refnames.short_name(best)}"
    oid = repo.maybe(f"refs/remotes/{name}")
    if oid is not None:
        try:
            _check_vouched(repo, name, oid)
        except PlannerError as error:
            details = f": {', '.join(error.details[:3])}" if error.details else ""
            return None, (f"set aside: {error.message}{details} ({error.code})",)
    return oid, ()


def _named_base(repo: Repository, plan: str, from_ref: str) -> Base:
    oid = repo.resolve(from_ref)
    _check_vouched(repo, from_ref, oid)
    ref, policy = _short_name(repo, from_ref, oid), policy_at(repo, oid)
    if ref == policy.base and repo.maybe(refnames.best_ref(plan)) is not None:
        # 'heads/main' means the same to git, and records that the base was chosen although a best exists.
        ref = f"heads/{ref}"
    return Base(oid, ref, policy)


def _check_vouched(repo: Repository, name: str, oid: str) -> None:
    """Refuse a start whose guarded files are not the base branch's: they would check the iteration."""
    checker = GuardChecker(repo)
    try:
        anchor, differences = checker.find_anchor(oid)
    except PlannerError as error:
        # Without a base branch there is nothing to compare with.
        if error.code == "E_NO_BASE":
            return
        raise
    if anchor is None and differences:
        raise PlannerError(
            "E_GUARD",
            f"'{name}' has other guarded files than the base branch",
            hint="merge it into the base branch first; 'git planner guard propose' makes a branch for that",
            details=[change.message for change in differences],
        )


def resolve_base(repo: Repository, ref: str) -> str | None:
    """Return the commit that a base's name resolves to now; None if it does not exist."""
    for full in (refnames.HEADS + ref, f"refs/remotes/origin/{ref}"):
        oid = repo.maybe(full)
        if oid is not None:
            return oid
    return repo.maybe(ref)


def taken_numbers(repo: Repository, prefix: str) -> set[int]:
    """Return the numbers in use by local and remote branches 'iter/NNNN-…' or 'plan/NNNN-…'.

    Args:
        prefix: 'iter/' or 'plan/'.
    """
    refs = list_refs(repo, refnames.HEADS + prefix, f"refs/remotes/*/{prefix}**")
    matches = (re.search(rf"/{prefix}(\d{{4,9}})-", ref) for ref in refs)
    return {int(match[1]) for match in matches if match}


def _short_name(repo: Repository, name: str, oid: str) -> str:
    result = repo.git.run(
        "rev-parse", "--verify", "--quiet", "--symbolic-full-name", "--end-of-options", name
    )
    full = result.stdout.decode(errors="replace").strip()
    if result.status == 0 and full.startswith(refnames.HEADS):
        return refnames.short_name(full)
    return name if full.startswith("refs/") else oid
