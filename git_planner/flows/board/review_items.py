"""Items of the inbox for reviews: approvals that are waited for, requested changes, and what may run now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from git_planner.config.policy_file import policy_or_none
from git_planner.errors import PlannerError
from git_planner.flows.approval.approval import approval_of
from git_planner.flows.approval.reviewed_branch import read_approval
from git_planner.flows.approval.tournament_prompt import find_prompt
from git_planner.flows.iterations.process_lock import lock_holder
from git_planner.flows.planning.list_iterations import Iteration
from git_planner.flows.plans.remarks import read_remarks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.approval.subject import ReviewSubject, is_tournament
from git_planner.rules.board.inbox import InboxItem
from git_planner.rules.plans import plan as plans
from git_planner.rules.plans.remarks import Remark

_MAX_BRANCHES = 50


def review_items(
    repo: Repository, plan: str | None, iterations: Sequence[Iteration], times: Mapping[str, str]
) -> Iterator[InboxItem]:
    """Yield the reviews that were opened here and wait for somebody, by what is known here.

    Args:
        repo: the repository.
        plan: only those of this plan; all when None.
        iterations: the iterations.
        times: the branches with the time of their last commit.
    """
    branches = (ref for ref in times if ref.startswith(refnames.HEADS + refnames.REVIEW))
    remarks: dict[str, list[Remark]] = {}
    for ref in islice(branches, _MAX_BRANCHES):
        document = _proposal(repo, ref)
        if document is None or plan not in (None, document["plan"]):
            continue
        name = str(document["plan"])
        remarks.setdefault(name, read_remarks(repo, name))
        item = _item(repo, document, iterations, remarks[name], times[ref])
        if item is not None:
            yield item


def _proposal(repo: Repository, ref: str) -> Mapping[str, Any] | None:
    """Return the approval that a branch proposes; None for a branch of another kind."""
    parent = repo.maybe(f"{ref}^")
    if parent is None:
        return None
    for change in history.changes(repo.git, parent, ref, [":(top).plans"]):
        document = read_approval(repo, f"{ref}:{change.path}")
        if document is not None:
            return document
    return None


def _item(
    repo: Repository,
    document: Mapping[str, Any],
    iterations: Sequence[Iteration],
    remarks: Sequence[Remark],
    since: str,
) -> InboxItem | None:
    kind, plan, name = (str(document[key]) for key in ("kind", "plan", "name"))
    shown = name.removeprefix(refnames.PLAN) if kind == "plan" else name
    begun = [
        iteration
        for iteration in iterations
        if iteration.state is not None and iteration.state.directive_digest == document["digest"]
    ]
    if any(_is_over(repo, iteration) for iteration in begun) or _is_played(repo, name):
        return None
    if _is_approved(repo, document):
        if kind != "directive":
            return None
        command = f"git plan manual apply --from {name}"
        if is_tournament(name):
            command = f"git bo4 run {refnames.run_of_branch(name)}"
        elif begun or not plans.packet_slug(name):
            command = f"git iterate resume {begun[0].number if begun else name}"
        return InboxItem("review", since, plan, name, f"the {kind} is approved and has not run", command)
    about = [
        remark
        for remark in remarks
        if remark.about == f"{kind} {shown}" and remark.task is None and remark.decision != "comment"
    ]
    if about and about[-1].decision == "changes_requested":
        text = f"{about[-1].author} requested changes: {' '.join(about[-1].text.split())[:300]}"
        return InboxItem("review", about[-1].at or since, plan, name, text, f"git plan review {shown}")
    text = f"the approval of the {kind} is waited for"
    return InboxItem("review", since, plan, name, text, f"git plan review sync {shown}")


def _is_over(repo: Repository, iteration: Iteration) -> bool:
    return iteration.phase == "recorded" or lock_holder(repo, iteration.number) is not None


def _is_played(repo: Repository, name: str) -> bool:
    """Return whether the turn of a tournament has begun; False for what is no tournament here."""
    with suppress(PlannerError):
        if is_tournament(name):
            return find_prompt(repo, refnames.run_of_branch(name))[1].stage("watch") is not None
    return False


def _is_approved(repo: Repository, document: Mapping[str, Any]) -> bool:
    """Return whether a proposal is approved, as far as is known here, or needs no approval."""
    base = document["base"]
    policy = policy_or_none(repo, base if base and repo.maybe(base) else "HEAD")
    fields = ("kind", "plan", "name", "digest", "base", "items", "document")
    subject = ReviewSubject(**{field: document[field] for field in fields})
    return policy is not None and approval_of(repo, policy, subject).ok
