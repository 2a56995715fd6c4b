"""`git iterate publish`: make a branch for a pull request, with one commit of code and a description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.config.policy_file import policy_at
from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.iterations.best import best_iteration_record
from git_planner.flows.iterations.provenance import iteration_record
from git_planner.flows.planning.list_iterations import Iteration, find_iteration, list_iterations
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio import export, history, remote
from git_planner.gitio.objects import commit_tree, merge_trees
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.iterations.pull_request import render_body
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.policy.policy import Policy, pathspecs
from git_planner.rules.records.record import Record

PREFIX = "pr/"


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Branch for a pull request. `base` is its target's short name; `pushed` the remote it was pushed to."""

    branch: str
    commit: str
    base: str
    title: str
    body: str
    record: Record
    pushed: str | None

    def document(self) -> dict[str, Any]:
        """Return the result as one JSON document."""
        return {
            "schema": "git-planner/published@1",
            "branch": self.branch,
            "commit": self.commit,
            "base": self.base,
            "title": self.title,
            "body": self.body,
            "record": self.record.id,
            "pushed": self.pushed,
        }


@dataclass(frozen=True, slots=True)
class _Source:
    iteration: Iteration
    state: IterationState
    record: Record
    policy: Policy


@dataclass(frozen=True, slots=True)
class _Commit:
    tree: str
    base: str
    run: str
    message: str


def publish_iteration(
    repo: Repository,
    which: str,
    progress: Progress,
    *,
    plan: str | None,
    branch: str | None,
    push: bool,
    force: bool = False,
) -> PublishResult:
    """Make a clean branch with an iteration's change, on the tip of the policy's base.

    Args:
        repo: the repository; no worktree is touched.
        which: the number of an iteration, or 'best' for the plan's best record.
        plan: the plan whose best is published.
        branch: the short name of the branch (default: 'pr/NNNN-slug').
        push: also push it to the settings' remote.
        force: replace the branch, locally and on the remote, even if it was changed after publishing.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_NO_RECORD, E_NAME, E_REMOTE; E_MERGE when it does not merge with the
            base; E_CONFLICT when the branch was changed since it was published.
    """
    source = _source(repo, which, plan)
    base = _base_tip(repo, source.policy.base)
    tip = source.record.commit
    anchor = history.merge_base(repo.git, base, tip)
    if anchor is None:
        raise PlannerError(
            "E_MERGE",
            f"'{source.state.branch}' and '{source.policy.base}' have no common history",
            hint="name another base in '.git-planner.yml'",
        )
    tree = _merge_change(repo, source, base, anchor)
    name = branch or PREFIX + source.state.branch.removeprefix(refnames.ITER)
    message, title = _commit_message(repo, source, anchor)
    wanted = _Commit(tree, base, source.state.branch, message)
    commit = _move_branch(repo, _check_branch_name(repo, name), wanted, force=force)
    progress(f"'{name}' is one commit on '{source.policy.base}'")
    text = redact.mask_text(render_body(source.state, source.record, read_ledger(repo, source.state.plan)))
    pushed = _push(repo, name, commit, wanted, progress, force=force) if push else None
    return PublishResult(name, commit, source.policy.base, title, text, source.record, pushed)


def _source(repo: Repository, which: str, plan: str | None) -> _Source:
    if which == "best":
        name = needed_plan(repo, plan)
        top = best_iteration_record(repo, name)
        if top is None or top.iteration is None:
            raise PlannerError(
                "E_NO_RECORD", f"plan '{name}' has no valid record yet", hint="make one with 'git iterate'"
            )
        key = (top.iteration, top.slug)
        same = [
            iteration
            for iteration in list_iterations(repo, name)
            if iteration.state and (iteration.number, iteration.state.slug) == key
        ]
        iteration = same[0] if same else find_iteration(repo, top.iteration)
    elif which.isdigit():
        iteration = find_iteration(repo, int(which))
        top = iteration_record(repo, iteration)
    else:
        raise PlannerError(
            "E_USAGE", f"'{which[:80]}' is neither a number nor 'best'", hint="see 'git iterate list'"
        )
    if iteration.state is None or top is None or not top.valid:
        raise PlannerError(
            "E_NO_RECORD",
            f"iteration {iteration.number} has no valid record ({iteration.phase})",
            hint="list iterations with 'git iterate list'",
        )
    return _Source(iteration, iteration.state, top, policy_at(repo, iteration.state.base))


def _base_tip(repo: Repository, branch: str) -> str:
    for ref in (refnames.HEADS + branch, f"refs/remotes/origin/{branch}"):
        oid = repo.maybe(ref)
        if oid is not None:
            return oid
    raise PlannerError(
        "E_UNKNOWN_REF", f"the base branch '{branch}' does not exist here", hint="fetch it with 'git fetch'"
    )


def _merge_change(repo: Repository, source: _Source, base: str, anchor: str) -> str:
    """Return the base's tip with the change merged: code only, guarded paths from the base."""
    specs = pathspecs(source.policy.protected)
    code = export.compose(repo, source.record.commit, anchor, specs, [":(top,literal).advisor"]).tree
    change = commit_tree(repo.git, code, (anchor,), "the change alone\n")
    tree, conflicts = merge_trees(repo.git, base, change)
    if conflicts:
        raise PlannerError(
            "E_MERGE",
            f"'{source.state.branch}' does not merge with '{source.policy.base}'",
            hint=f"start a new iteration from it: 'git iterate --from {source.policy.base}'",
            details=conflicts[:20],
        )
    if tree == repo.resolve(base, "tree"):
        raise PlannerError(
            "E_NO_RECORD",
            f"'{source.policy.base}' already contains '{source.state.branch}'",
            hint="list iterations with 'git iterate list'",
        )
    return tree


def _commit_message(repo: Repository, source: _Source, anchor: str) -> tuple[str, str]:
    state, record = source.state, source.record
    title = " ".join(state.directive.objective.split())
    title = title if len(title) <= 72 else title[:71].rstrip() + "…"
    tasks, agents, runs = (
        _trailer_values(repo, anchor, source.record.commit, key)
        for key in ("Planner-Task", "Assisted-by", "Planner-Run")
    )
    trailers = (
        ("Planner-Directive", state.directive_digest),
        ("Planner-Run", state.branch),
        *(("Planner-Task", task) for task in tasks),
        *([("Planner-Plan", state.plan)] if tasks else []),
        *(("Assisted-by", agent) for agent in agents),
    )
    changes = "\n".join("- " + " ".join(line.split()) for line in record.change_summary)
    earlier = [run for run in reversed(runs) if run != state.branch]
    if earlier:
        changes += f"\n\nWith what it builds on: {', '.join(earlier)}."
    subject, _, rest = Message(title, trailers).text().partition("\n")
    text = f"{subject}\n\n{changes}\n{rest}" if changes else f"{subject}\n{rest}"
    return redact.mask_text(text), redact.mask_text(title)


def _trailer_values(repo: Repository, start: str, end: str, key: str) -> Sequence[str]:
    """Return the distinct values of a trailer in a range of commits, newest first."""
    form = f"--format=%(trailers:key={key},valueonly,unfold)"
    lines = repo.git.line("log", form, f"{start}..{end}").splitlines()
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _check_branch_name(repo: Repository, name: str) -> str:
    if repo.git.run("check-ref-format", "--branch", name).status != 0:
        raise PlannerError("E_NAME", f"{name[:80]!r} is not a branch name", hint="name one with '--branch'")
    if name.startswith((refnames.ITER, refnames.PLAN, refnames.TOURNAMENT)):
        raise PlannerError(
            "E_NAME", f"'{name}' would be taken for a managed branch", hint="name one with '--branch'"
        )
    return refnames.HEADS + name


def _move_branch(repo: Repository, ref: str, wanted: _Commit, *, force: bool) -> str:
    """Create the branch, or replace an earlier publication of the same iteration."""
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


def _is_current(repo: Repository, name: str, old: str, wanted: _Commit, *, force: bool) -> bool:
    """Return whether a branch is up to date; raise if it must not be replaced."""
    runs = _trailer_values(repo, wanted.base, old, "Planner-Run")
    if wanted.run not in (*history.trailers(repo.git, old, "Planner-Run"), *runs):
        raise PlannerError(
            "E_NAME",
            f"'{name}' already exists and was not created by 'git iterate publish' for '{wanted.run}'",
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


def _push(
    repo: Repository, name: str, commit: str, wanted: _Commit, progress: Progress, *, force: bool
) -> str:
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
