"""Status of a plan, and lookup of one iteration. Reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.planning.list_iterations import Iteration, list_iterations
from git_planner.flows.plans.current_plan import current_plan, needed_plan
from git_planner.flows.plans.list_plans import packet_branches, parse_leniently
from git_planner.flows.plans.plan_document import read_plan
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.planning import packet as packets
from git_planner.rules.plans import plan as plans
from git_planner.rules.records import ranking
from git_planner.rules.records.record import Record

_NUMBER = re.compile(r"(?:iter/)?0*([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """Status of one plan. `current` is the checked-out iteration, else the newest; `record` is its result.

    `open` are the iterations without a result; `packets` the branches that wait for a pasted answer (short
    names, newest first); `plateau` counts valid attempts since the last improvement.
    """

    plan: str
    goal: str
    current: Iteration | None
    record: Record | None
    best: Record | None
    plateau: int | None
    rule: packets.FamilyRule | None
    open: tuple[Iteration, ...]
    packets: tuple[str, ...]
    tasks: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """Return the status as one JSON object."""
        return {
            "schema": "git-planner/status@1",
            "plan": self.plan,
            "goal": self.goal,
            "current": self.current.document() if self.current else None,
            "directive": self.directive,
            "record": packets.summarize_attempt(self.record) if self.record else None,
            "best": packets.summarize_attempt(self.best) if self.best else None,
            "plateau_valid_iters_since_best": self.plateau,
            "strategy_family_constraints": self.rule.document() if self.rule else None,
            "open": [iteration.document() for iteration in self.open],
            "packets": list(self.packets),
            "tasks": dict(self.tasks),
        }

    @property
    def directive(self) -> dict[str, Any] | None:
        """Return the current iteration's directive."""
        state = self.current.state if self.current else None
        return state.directive.document() if state else None


def plan_status(repo: Repository, plan: str | None) -> PlanStatus:
    """Return the status of a plan.

    Args:
        plan: its name (default: the current plan).

    Raises:
        PlannerError: E_NAME, E_JSON, E_SCHEMA.
    """
    name = needed_plan(repo, plan)
    rows = read_ledger(repo, name)
    document = read_plan(repo, name)
    iterations = list_iterations(repo, name)
    head = repo.head_branch()
    current = next(
        (iteration for iteration in iterations if iteration.branch == head),
        iterations[-1] if iterations else None,
    )
    comparable = packets.comparable_records(rows)
    return PlanStatus(
        plan=name,
        goal=document["goal"] if document else "",
        current=current,
        record=_iteration_record(current, rows),
        best=ranking.pick_best(comparable),
        plateau=ranking.attempts_since_best(comparable),
        rule=_family_rule(repo, current, rows),
        open=tuple(iteration for iteration in iterations if iteration.phase != "recorded"),
        packets=tuple(packet_branches(repo)),
        tasks=plans.count_tasks(document) if document else {},
    )


def _iteration_record(current: Iteration | None, rows: Sequence[Record]) -> Record | None:
    wanted = current.record.id if current and current.record else None
    return next((record for record in rows if record.id == wanted), None)


def _family_rule(
    repo: Repository, current: Iteration | None, rows: Sequence[Record]
) -> packets.FamilyRule | None:
    if current is None or current.state is None or repo.maybe(current.state.base) is None:
        return None
    return packets.family_rule(rows, policy_at(repo, current.state.base).families)


def look_up_iteration(
    repo: Repository, name: str | None, known: Sequence[Iteration] | None = None
) -> Iteration:
    """Return the iteration of a number, branch or commit (default: the checked-out one, else the newest).

    Args:
        repo: the repository.
        name: the number, branch or commit.
        known: all iterations, if they are listed already.

    Raises:
        PlannerError: E_UNKNOWN_REF.
    """
    listed = list_iterations(repo) if known is None else known
    iterations = [iteration for iteration in listed if iteration.state is not None]
    if name is None:
        head = repo.head_branch()
        plan = current_plan(repo, None)
        own = [iteration for iteration in iterations if iteration.state and iteration.state.plan == plan]
        chosen = next(
            (iteration for iteration in iterations if iteration.branch == head), own[-1] if own else None
        )
        if chosen is None:
            raise PlannerError(
                "E_UNKNOWN_REF",
                f"the plan '{plan}' has no iteration yet",
                hint="make one with 'git plan codex' or 'git plan offline'",
            )
        return chosen
    number = _NUMBER.fullmatch(name)
    for iteration in iterations:
        if iteration.branch == refnames.short_name(name) or (number and iteration.number == int(number[1])):
            return iteration
    return _by_commit(repo, name, iterations)


def _by_commit(repo: Repository, name: str, iterations: Sequence[Iteration]) -> Iteration:
    if not _NUMBER.fullmatch(name):
        commit = repo.resolve(name)
        with repo.git.batch() as batch:
            raw = batch.read(f"{commit}:{refnames.STATE_FILE}")
        state = parse_leniently(raw)
        for iteration in iterations:
            if (iteration.number, iteration.branch) == (state.get("iteration"), state.get("branch")):
                return iteration
    raise PlannerError(
        "E_UNKNOWN_REF", f"'{name}' names no iteration here", hint="list them with 'git iterate list'"
    )
