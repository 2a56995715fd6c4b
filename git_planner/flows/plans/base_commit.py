"""Which commit an iteration starts from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class Base:
    """The trusted commit of an iteration, the name it was found by, and the policy it holds."""

    oid: str
    ref: str
    policy: Policy


def find_base(repo: Repository, plan: str, from_ref: str | None) -> Base:
    """The commit that the next iteration of a plan starts from.

    Args:
        repo: the repository.
        plan: the plan's name.
        from_ref: a branch, tag or commit to start from; else the plan's rolling best, else that of the remote
            as last fetched, else the policy's base.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_UNBORN, E_BASE, E_NO_POLICY, E_POLICY; E_GUARD when the base branch
            does not vouch for the guarded files of the named one, or of the remote's best.
    """
    if from_ref is not None:
        return _named(repo, plan, from_ref)
    best = refnames.best_ref(plan)
    oid_or_none = repo.maybe(best) or _shared(repo, best)
    if oid_or_none is not None:
        return Base(oid_or_none, best.removeprefix(refnames.HEADS), policy_at(repo, oid_or_none))
    # What is checked out may be a candidate, and no candidate may say what it is measured against; HEAD is
    # asked only where there is nothing else.
    known = GuardChecker(repo).base_branch
    branch = known[0] if known is not None else policy_at(repo, repo.resolve("HEAD")).base
    for ref in (refnames.HEADS + branch, f"refs/remotes/origin/{branch}"):
        found = repo.maybe(ref)
        if found is not None:
            return Base(found, branch, policy_at(repo, found))
    raise PlannerError(
        "E_UNKNOWN_REF",
        f"the base branch '{branch}' that '{refnames.POLICY_FILE}' names does not exist",
        hint="name a start with '--from', or set 'base' in the policy",
    )


def _shared(repo: Repository, best: str) -> str | None:
    """The remote's rolling best as it was last fetched; a fresh clone has no other."""
    name = f"{read_settings(repo).remote}/{best.removeprefix(refnames.HEADS)}"
    oid = repo.maybe(f"refs/remotes/{name}")
    if oid is not None:
        _check_trusted(repo, name, oid)
    return oid


def _named(repo: Repository, plan: str, from_ref: str) -> Base:
    oid = repo.resolve(from_ref)
    _check_trusted(repo, from_ref, oid)
    ref, policy = _short(repo, from_ref, oid), policy_at(repo, oid)
    if ref == policy.base and repo.maybe(refnames.best_ref(plan)) is not None:
        # Chosen though there is a best: 'heads/main' is the same to git, and tells it from what is usual.
        ref = f"heads/{ref}"
    return Base(oid, ref, policy)


def _check_trusted(repo: Repository, name: str, oid: str) -> None:
    """What an iteration starts from is what judges it, so the base branch has to vouch for it."""
    checker = GuardChecker(repo)
    try:
        anchor, differences = checker.find_anchor(oid)
    except PlannerError as error:
        # Without a base branch there is nobody else to ask than who named the commit.
        if error.code == "E_NO_BASE":
            return
        raise
    if anchor is None and differences:
        raise PlannerError(
            "E_GUARD",
            f"'{name}' has other guarded files than the base branch",
            hint="merge it into the base branch first; 'git planner guard propose' makes a branch for that",
            details=[each.message for each in differences],
        )


def resolve_base(repo: Repository, ref: str) -> str | None:
    """The commit a base's name stands for now; None when the name is gone."""
    for full in (refnames.HEADS + ref, f"refs/remotes/origin/{ref}"):
        found = repo.maybe(full)
        if found is not None:
            return found
    return repo.maybe(ref)


def taken_numbers(repo: Repository, prefix: str) -> set[int]:
    """The numbers that local and remote branches 'iter/NNNN-…' or 'plan/NNNN-…' use.

    Args:
        prefix: 'iter/' or 'plan/'.
    """
    lines = repo.git.line(
        "for-each-ref", "--format=%(refname)", refnames.HEADS + prefix, f"refs/remotes/*/{prefix}**"
    )
    found = (re.search(rf"/{prefix}(\d{{4,9}})-", line) for line in lines.splitlines())
    return {int(each[1]) for each in found if each}


def _short(repo: Repository, name: str, oid: str) -> str:
    result = repo.git.run(
        "rev-parse", "--verify", "--quiet", "--symbolic-full-name", "--end-of-options", name
    )
    full = result.stdout.decode(errors="replace").strip()
    if result.status == 0 and full.startswith(refnames.HEADS):
        return full.removeprefix(refnames.HEADS)
    return name if full.startswith("refs/") else oid
