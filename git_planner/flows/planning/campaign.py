"""The plan, base and options of one planning request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from git_planner import documents
from git_planner.config.settings import Settings, read_settings
from git_planner.errors import PlannerError
from git_planner.flows.planning.packet import PacketRequest
from git_planner.flows.plans.base_commit import Base, find_base
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.plan_document import read_plan, read_plan_at
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules.planning import packet as packets
from git_planner.rules.plans import plan as plans

Goal = Literal["best", "threshold"]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """Options of a planning request; None means the default of the policy or the settings.

    `goal` None is 'threshold' when a threshold is given and 'best' otherwise. `goal_text` is the goal of the
    plan in words. `hint` is shown to the planner only. `log_tail` is the number of ledger rows it is shown.
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
    """A plan, the base of its next iteration, and the options of the request.

    `document` is the current plan.json, or the one of a new plan.
    """

    plan: str
    base: Base
    goal: Goal
    threshold: float | None
    document: Mapping[str, Any]
    options: PlanOptions

    def packet_request(self, number: int, branch: str, model: str | None) -> PacketRequest:
        """Return the request for the packet of an iteration."""
        return PacketRequest(
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
    """Find the plan and the base of an iteration.

    Raises:
        PlannerError: E_NAME, E_UNKNOWN_REF, E_UNBORN, E_NO_POLICY, E_POLICY, E_USAGE.
    """
    plan = plans.check_new_plan_name(needed_plan(repo, options.plan))
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


def updated_plan(repo: Repository, snapshot: Snapshot, campaign: Campaign) -> dict[str, Any]:
    """Return the plan on a snapshot of its branch, with the requested goal; a new plan if there is none."""
    document = read_plan_at(repo, snapshot, campaign.plan)
    if document is None:
        return dict(campaign.document)
    text = campaign.options.goal_text
    return {**document, "goal": text} if text is not None else document


def request_settings(repo: Repository, campaign: Campaign) -> Settings:
    """Read the settings of one request; its options override user and policy."""
    options = campaign.options
    return read_settings(
        repo,
        policy=campaign.base.policy,
        planner=options.planner,
        planner_model=options.model,
        planner_timeout=options.seconds,
    )
