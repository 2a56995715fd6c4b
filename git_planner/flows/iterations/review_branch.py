"""Branch for a pull request: one commit of code on the base's tip, which nothing but its maker replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.gitio import export, history, remote
from git_planner.gitio.objects import commit_tree, merge_trees
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.policy.policy import Policy, pathspecs

PREFIX = "pr/"


@dataclass(frozen=True, slots=True)
class ReviewCommit:
    """The commit to publish: its tree on the base's tip, the run that its trailer names, and its message.

    `creator` is the command that makes the branch.
    """

    tree: str
    base: str
    run: str
    message: str
    creator: str


def base_tip(repo: Repository, branch: str) -> str:
    """Return the tip of the branch that a pull request goes to, here or as origin has it.

    Raises:
        PlannerError: E_UNKNOWN_REF.
    """
    for ref in (refnames.HEADS + branch, f"refs/remotes/origin/{branch}"):
        oid = repo.maybe(ref)
        if oid is not None:
            return oid
    raise PlannerError(
        "E_UNKNOWN_REF", f"the base branch '{branch}' does not exist here", hint="fetch it with 'git fetch'"
    )


def merge_code(
    repo: Repository, policy: Policy, commit: str, base: str, anchor: str
) -> tuple[str, tuple[str, ...]]:
    """Merge the code of a commit into the base's tip; guarded paths stay as the base has them.

    Args:
        policy: the policy whose guarded paths count.
        commit: the commit to publish.
        base: the tip of the base branch.
        anchor: the common ancestor of both.

    Returns:
        The tree, and the paths in conflict.
    """
    specs = pathspecs(policy.protected)
    code = export.compose(repo, commit, anchor, specs, [":(top,literal).advisor"]).tree
    change = commit_tree(repo.git, code, (anchor,), "the change alone\n")
    return merge_trees(repo, base, change)


@dataclass(frozen=True, slots=True)
class ReviewSource:
    """The commit that goes to a branch for review, its policy, and the names for errors.

    `name` is what the commit is called, `again` the command that starts anew from the base, `listing` a hint
    that shows where things stand, and `contained` the code of the error if the base has it already.
    """

    commit: str
    policy: Policy
    base_name: str
    name: str
    again: str
    listing: str
    contained: str


def find_anchor(repo: Repository, source: ReviewSource, base: str) -> str:
    """Return the common ancestor of a source and the base's tip.

    Raises:
        PlannerError: E_MERGE if there is none.
    """
    anchor = history.merge_base(repo.git, base, source.commit)
    if anchor is None:
        raise PlannerError(
            "E_MERGE",
            f"{source.name} and '{source.base_name}' have no common history",
            hint="name another base in '.git-planner.yml'",
        )
    return anchor


def merge_source(repo: Repository, source: ReviewSource, base: str, anchor: str) -> str:
    """Return the base's tip with the code of a source merged.

    Raises:
        PlannerError: E_MERGE if it does not merge; `contained` if the base has it already.
    """
    tree, conflicts = merge_code(repo, source.policy, source.commit, base, anchor)
    if conflicts:
        raise PlannerError(
            "E_MERGE",
            f"{source.name} does not merge with '{source.base_name}'",
            hint=f"start anew from it: '{source.again} --from {source.base_name}'",
            details=conflicts[:20],
        )
    if tree == repo.resolve(base, "tree"):
        message = f"'{source.base_name}' already contains {source.name}"
        raise PlannerError(source.contained, message, hint=source.listing)
    return tree


def trailer_values(repo: Repository, start: str, end: str, key: str) -> Sequence[str]:
    """Return the distinct values of a trailer in a range of commits, newest first."""
    form = f"--format=%(trailers:key={key},valueonly,unfold)"
    lines = repo.git.line("log", form, f"{start}..{end}").splitlines()
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def check_branch_name(repo: Repository, name: str) -> str:
    """Return the full ref of a branch for review, by its short name.

    Raises:
        PlannerError: E_NAME if git does not accept it, or it would be taken for a managed branch.
    """
    if repo.git.run("check-ref-format", "--branch", name).status != 0:
        raise PlannerError("E_NAME", f"{name[:80]!r} is not a branch name", hint="name one with '--branch'")
    if name.startswith((refnames.ITER, refnames.PLAN, refnames.TOURNAMENT)):
        raise PlannerError(
            "E_NAME", f"'{name}' would be taken for a managed branch", hint="name one with '--branch'"
        )
    return refnames.HEADS + name


def move_branch(repo: Repository, ref: str, wanted: ReviewCommit, *, force: bool) -> str:
    """Create the branch, or replace an earlier publication of the same run; return its commit.

    Raises:
        PlannerError: E_NAME if the branch is something else; E_CONFLICT if it was changed since it was
            published, unless forced.
    """
    new = commit_tree(repo.git, wanted.tree, (wanted.base,), wanted.message)
    # The marker tells a published commit from one that a person made.
    marker = refnames.PUBLISHED + new

    def decide(snapshots: Mapping[str, Snapshot]) -> list[Step]:
        old = snapshots[ref].tip
        if old is not None and _is_current(repo, refnames.short_name(ref), old, wanted, force=force):
            return []
        return [Move(ref, new), Move(marker, new)]

    commit = Store(repo).transact([ref, marker], decide)[ref]
    assert commit is not None
    return commit


def _is_current(repo: Repository, name: str, old: str, wanted: ReviewCommit, *, force: bool) -> bool:
    """Return whether a branch is up to date; raise if it must not be replaced."""
    runs = trailer_values(repo, wanted.base, old, "Planner-Run")
    if wanted.run not in (*history.trailers(repo.git, old, "Planner-Run"), *runs):
        raise PlannerError(
            "E_NAME",
            f"'{name}' already exists and was not created by '{wanted.creator}' for '{wanted.run}'",
            hint="name another one with '--branch'",
        )
    if repo.git.line("log", "-1", "--format=%T %P", old) == f"{wanted.tree} {wanted.base}":
        return True
    if not force and repo.maybe(refnames.PUBLISHED + old) is None:
        raise PlannerError(
            "E_CONFLICT",
            f"'{name}' was changed since it was published",
            hint="publish to another branch with '--branch', or replace this one with '--force'",
        )
    return False


def push_branch(
    repo: Repository, name: str, commit: str, wanted: ReviewCommit, progress: Progress, *, force: bool
) -> str:
    """Push the branch to the settings' remote, by compare-and-swap; return the name of the remote.

    Raises:
        PlannerError: E_REMOTE; E_NAME and E_CONFLICT as for `move_branch`.
    """
    remote_name = read_settings(repo).remote
    ref = refnames.HEADS + name
    remote_tip = remote.listing(repo, remote_name, ref).get(ref)
    if remote_tip == commit:
        return remote_name
    if not history.is_fast_forward(repo.git, commit, remote_tip) and not repo.maybe(
        f"{refnames.PUBLISHED}{remote_tip}"
    ):
        assert remote_tip is not None
        remote.fetch_commits(repo, remote_name, [ref], progress)
        if not history.is_complete(repo.git, remote_tip):
            raise _moved_error(name, remote_name)
        if _is_current(repo, f"{remote_name}/{name}", remote_tip, wanted, force=force):
            return remote_name
    outcome = remote.push(repo, remote_name, [remote.Update(ref, commit, remote_tip)], progress)
    if isinstance(outcome, remote.LostRace):
        raise _moved_error(name, remote_name)
    return remote_name


def _moved_error(name: str, remote_name: str) -> PlannerError:
    return PlannerError(
        "E_CONFLICT", f"'{name}' moved on '{remote_name}' meanwhile", hint="run the same command again"
    )
