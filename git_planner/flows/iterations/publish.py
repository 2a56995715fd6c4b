"""`git iterate publish`: make a branch for a pull request, with one commit of code and a description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner import redact
from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.iterations.best import best_iteration_record
from git_planner.flows.iterations.provenance import iteration_record
from git_planner.flows.iterations.review_branch import (
    PREFIX,
    ReviewCommit,
    ReviewSource,
    base_tip,
    check_branch_name,
    find_anchor,
    merge_source,
    move_branch,
    push_branch,
    trailer_values,
)
from git_planner.flows.planning.list_iterations import Iteration, find_iteration, list_iterations
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.iterations.pull_request import render_body
from git_planner.rules.planning.directive import IterationState
from git_planner.rules.policy.policy import Policy
from git_planner.rules.records.record import Record


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
    base = base_tip(repo, source.policy.base)
    tip = source.record.commit
    target = source.policy.base
    listing = "list iterations with 'git iterate list'"
    what = ReviewSource(
        tip, source.policy, target, f"'{source.state.branch}'", "git iterate", listing, "E_NO_RECORD"
    )
    anchor = find_anchor(repo, what, base)
    tree = merge_source(repo, what, base, anchor)
    name = branch or PREFIX + source.state.branch.removeprefix(refnames.ITER)
    message, title = _commit_message(repo, source, anchor)
    wanted = ReviewCommit(tree, base, source.state.branch, message, "git iterate publish")
    commit = move_branch(repo, check_branch_name(repo, name), wanted, force=force)
    progress(f"'{name}' is one commit on '{source.policy.base}'")
    text = redact.mask_text(render_body(source.state, source.record, read_ledger(repo, source.state.plan)))
    pushed = push_branch(repo, name, commit, wanted, progress, force=force) if push else None
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


def _commit_message(repo: Repository, source: _Source, anchor: str) -> tuple[str, str]:
    state, record = source.state, source.record
    title = " ".join(state.directive.objective.split())
    title = title if len(title) <= 72 else title[:71].rstrip() + "…"
    tasks, agents, runs = (
        trailer_values(repo, anchor, source.record.commit, key)
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
