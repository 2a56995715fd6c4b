"""A plan as it stands when an iteration of it is planned: its document, its base, and what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from git_planner import documents
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.planning.packet import Wish
from git_planner.flows.plans.base_commit import Base, find_base
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.plan_document import read_plan, read_plan_at
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules.planning import packet as packets
from git_planner.rules.plans import plan as plans

Goal = Literal["best", "threshold"]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What is asked for; None means the policy's or the settings' own.

    `goal` None is 'threshold' when a threshold is given and 'best' otherwise. `goal_text` says what the plan
    is for, in words. `hint` is for the planner's eyes. `log_tail` is how many rows of the ledger it sees.
    """

    planner: str | None = None
    plan: str | None = None
    goal: Goal | None = None
    threshold: float | None = None
    slug: str | None = None
    from_ref: str | None = None
    model: str | None = None
    hint: str | None = None
    goal_text: str | None = None
    log_tail: int = packets.LOG_TAIL
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A plan as it stands, the base of its next iteration, and what is asked of both.

    `document` is plan.json as it will be when the plan is new.
    """

    plan: str
    base: Base
    goal: Goal
    threshold: float | None
    document: Mapping[str, Any]
    options: PlanOptions

    def wish(self, number: int, branch: str, model: str | None) -> Wish:
        """What the packet of an iteration is for."""
        return Wish(
            plan=self.plan,
            base=self.base,
            goal=self.goal,
            threshold=self.threshold,
            number=number,
            branch=branch,
            goal_text=self.document["goal"],
            constraints=tuple(self.document["constraints"]),
            acceptance=tuple(self.document["acceptance"]),
            model=model,
            hint=self.options.hint,
            log_tail=self.options.log_tail,
        )


def open_campaign(repo: Repository, options: PlanOptions) -> Campaign:
    """Find the plan and the base that an iteration is for.

    Raises:
        PlannerError: E_NAME, E_UNKNOWN_REF, E_UNBORN, E_NO_POLICY, E_POLICY, E_USAGE.
    """
    plan = plans.check_new_plan_name(current_plan(repo, options.plan))
    goal: Goal = options.goal or ("threshold" if options.threshold is not None else "best")
    if goal == "threshold" and options.threshold is None:
        raise PlannerError(
            "E_USAGE", "the goal 'threshold' needs a value", hint="give it with '--threshold N'"
        )
    base = find_base(repo, plan, options.from_ref)
    document = read_plan(repo, plan) or plans.new_plan(
        plan,
        base.policy.goal,
        base=base.oid,
        base_ref=base.ref,
        created_at=repo.now(),
        constraints=base.policy.constraints,
        acceptance=base.policy.acceptance,
    )
    if options.goal_text is not None:
        document = {**document, "goal": options.goal_text}
    documents.check("plan", document, f"the plan '{plan}'")
    return Campaign(plan, base, goal, options.threshold if goal == "threshold" else None, document, options)


def plan_now(repo: Repository, seen: Snapshot, campaign: Campaign) -> dict[str, Any]:
    """The plan on a snapshot of its branch, with the goal that was asked for; a new one if there is none."""
    document = read_plan_at(repo, seen, campaign.plan)
    if document is None:
        return dict(campaign.document)
    text = campaign.options.goal_text
    return {**document, "goal": text} if text is not None else document


def chosen(repo: Repository, campaign: Campaign) -> Settings:
    """The settings of one request: what was asked for, else what the person or the policy says."""
    asked = campaign.options
    return read_settings(
        repo,
        policy=campaign.base.policy,
        planner=asked.planner,
        planner_model=asked.model,
        planner_timeout=asked.seconds,
    )
