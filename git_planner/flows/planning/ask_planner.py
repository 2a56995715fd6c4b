"""`git plan`: ask a planner for the next directive, or for a plan of several steps, and write the answer.

Before an answer is accepted, only a number is reserved; then everything is written in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from git_planner import documents
from git_planner.agents import registry
from git_planner.agents.contract import Answer, AnswerKind, Planner, PlanningRequest
from git_planner.agents.prompts import planner_prompt
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.guard.agent_turn import agent_turn
from git_planner.flows.planning.campaign import (
    Campaign,
    Goal,
    PlanOptions,
    open_campaign,
    request_settings,
    updated_plan,
)
from git_planner.flows.planning.iteration_start import commit_subject, reserve_number, state_commit
from git_planner.flows.planning.packet import build_packet
from git_planner.flows.plans.base_commit import taken_numbers
from git_planner.flows.plans.current_plan import needed_plan
from git_planner.flows.plans.plan_document import plan_edits, read_plan
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store, Write
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.discovery import options as plan_options
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning import planning_plan as graphs
from git_planner.rules.planning.directive import IterationState, directive_from
from git_planner.rules.plans import plan as plans

__all__ = [
    "Goal",
    "PlanOptions",
    "PlannedIteration",
    "PlannedSteps",
    "make_iteration",
    "make_planning_plan",
    "open_campaign",
]

PACKET_NUMBERS = refnames.OURS + "numbers/plan/"
PACKETS = "planner_packets"


@dataclass(frozen=True, slots=True)
class PlannedIteration:
    """A new iteration: its state, packet, branch (full ref), and the folder of its logs."""

    state: IterationState
    packet: Mapping[str, Any]
    ref: str
    commit: str
    folder: Path
    answer: Answer

    def document(self) -> dict[str, Any]:
        """The iteration as one JSON object."""
        return {
            "schema": "git-planner/planned@1",
            "iteration": self.state.iteration,
            "plan": self.state.plan,
            "branch": self.state.branch,
            "commit": self.commit,
            "base": self.state.base,
            "base_ref": self.state.base_ref,
            "directive": self.state.directive.document(),
            "directive_digest": self.state.directive_digest,
            "packet": self.state.packet,
            "planner": dict(self.state.planner),
            "folder": str(self.folder),
        }


@dataclass(frozen=True, slots=True)
class PlannedSteps:
    """An accepted planning plan: its plan, the plan branch (full ref), and the tasks of the plan."""

    plan: str
    ref: str
    planning_plan: Mapping[str, Any]
    tasks: Sequence[Mapping[str, Any]]
    folder: Path
    answer: Answer

    def document(self) -> dict[str, Any]:
        """The planning plan and its tasks as one JSON object."""
        return {
            "schema": "git-planner/planned-steps@1",
            "plan": self.plan,
            "branch": refnames.short_name(self.ref),
            "planning_plan": dict(self.planning_plan),
            "tasks": [dict(task) for task in self.tasks],
            "folder": str(self.folder),
        }


def make_iteration(
    repo: Repository, options: PlanOptions, progress: Progress, number: int | None = None
) -> PlannedIteration:
    """Ask a planner for a directive and create its iteration.

    Args:
        repo: the repository; its worktrees are neither read nor changed.
        options: the options.
        progress: called with each progress message.
        number: a number reserved before (default: a new one).

    Returns:
        The iteration: a branch whose first commit adds only the state.

    Raises:
        PlannerError: what `open_campaign` and the planner raise; E_MERGE when the best conflicts with a
            changed guard; E_CONFLICT.
    """
    if options.from_ref is None:
        remeasure_best.remeasure_best(repo, needed_plan(repo, options.plan), None, progress)
    campaign = open_campaign(repo, options)
    settings = request_settings(repo, campaign)
    planner = registry.make_planner(settings.planner, campaign.base.policy, settings, repo)
    number = reserve_number(repo) if number is None else number
    iteration = refnames.IterationName(number, refnames.slug(options.slug or ""))
    folder = repo.private("runs", f"{number:04d}", "plan")
    request = campaign.packet_request(number, iteration.branch, settings.planner_model)
    packet = build_packet(repo, request, read_ledger(repo, campaign.plan), progress=progress)
    answer = ask_planner(
        repo, planner, PlannerQuestion("directive", campaign, settings, packet, folder), progress
    )
    state = new_state(repo, campaign, packet, answer, planner.name)
    commit = publish_iteration(repo, campaign, state, packet)
    return PlannedIteration(state, packet, iteration.ref, commit, folder, answer)


def make_planning_plan(repo: Repository, options: PlanOptions, progress: Progress) -> PlannedSteps:
    """Ask a planner for a plan of several steps, and make the steps tasks of the plan.

    Raises:
        PlannerError: as `make_iteration`.
    """
    campaign = open_campaign(repo, options)
    settings = request_settings(repo, campaign)
    planner = registry.make_planner(settings.planner, campaign.base.policy, settings, repo)
    number = Store(repo).reserve(PACKET_NUMBERS, refnames.next_number, taken_numbers(repo, refnames.PLAN))
    folder = repo.private("runs", f"plan-{number:04d}")
    request = campaign.packet_request(number, refnames.PLAN + campaign.plan, settings.planner_model)
    packet = build_packet(repo, request, read_ledger(repo, campaign.plan), progress=progress)
    answer = ask_planner(
        repo, planner, PlannerQuestion("planning-plan", campaign, settings, packet, folder), progress
    )
    document = documents.complete_answer("planning-plan", dict(answer.document))
    digest = canonical_json.digest(document)
    ref = refnames.plan_ref(campaign.plan)

    def change(snapshot: Snapshot) -> Mapping[str, bytes | None]:
        plan_document = plans.add_steps(updated_plan(repo, snapshot, campaign), document, digest)
        steps = f"{refnames.plan_dir(campaign.plan)}/planning-plan.json"
        return {**plan_edits(plan_document, campaign.plan), steps: canonical_json.dumps(document)}

    message = Message(
        f"plan {campaign.plan}: {len(document['steps'])} steps",
        (("Planner-Op", "planning-plan"), ("Planner-Args", f"{planner.name} {digest}")),
    )
    Store(repo).edit(ref, change, message, base=campaign.base.oid)
    tasks = (read_plan(repo, campaign.plan) or campaign.document)["tasks"]
    return PlannedSteps(campaign.plan, ref, document, tasks, folder, answer)


@dataclass(frozen=True, slots=True)
class PlannerQuestion:
    """A question to a planner: a packet, and the kind of the answer."""

    kind: AnswerKind
    campaign: Campaign
    settings: Settings
    packet: Mapping[str, Any]
    folder: Path


def ask_planner(repo: Repository, planner: Planner, question: PlannerQuestion, progress: Progress) -> Answer:
    """Ask a planner, and return its accepted answer.

    Raises:
        PlannerError: E_ANSWER when no answer was accepted; E_DEADLINE; what the planner raises.
    """
    packet, kind, base = question.packet, question.kind, question.campaign.base
    choice = family_choice(packet["strategy_family_constraints"] if kind == "directive" else {})
    schema = documents.schema(kind, **choice)
    question.folder.mkdir(parents=True, exist_ok=True)
    with (
        agent_turn(repo, None, progress),
        _working_dir(repo, planner, base.oid, question.folder) as place,
    ):
        return planner.plan(
            PlanningRequest(
                kind=kind,
                packet=packet,
                prompt=planner_prompt(packet, kind, schema, base.policy.prompt_budget),
                schema=schema,
                strict_schema=documents.strict_schema(kind, **choice),
                check=partial(check_answer, kind, **choice),
                working_dir=place,
                folder=question.folder,
                seconds=question.settings.planner_timeout,
                attempts=question.settings.attempts,
                model=question.settings.planner_model,
            ),
            progress,
        )


def family_choice(rule: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return all families and the blocked ones, as keyword arguments of the schema functions."""
    blocked = list(rule.get("blocked_families", ()))
    return {"families": [*rule.get("allowed_families", ()), *blocked], "blocked": blocked}


def check_answer(
    kind: AnswerKind, document: Any, *, families: Sequence[str] = (), blocked: Sequence[str] = ()
) -> list[str]:
    """Validate a planner's answer: return its faults, one sentence each; none if it is accepted."""
    completed = documents.complete_answer(kind, document)
    faults = documents.validate(kind, completed, families=families, blocked=blocked)
    if not faults and kind == "planning-plan":
        faults = graphs.find_step_faults(completed)
    elif not faults and kind == "plan-options":
        faults = plan_options.find_option_faults(completed)
    return faults


def new_state(
    repo: Repository, campaign: Campaign, packet: Mapping[str, Any], answer: Answer, planner: str
) -> IterationState:
    """Return the state of the iteration that a packet names, from the accepted answer."""
    iteration = refnames.parse_iteration(refnames.HEADS + packet["branch"])
    assert iteration is not None
    directive = directive_from(documents.complete_answer("directive", dict(answer.document)))
    return IterationState(
        plan=campaign.plan,
        iteration=iteration.number,
        slug=iteration.slug,
        branch=iteration.branch,
        base=campaign.base.oid,
        base_ref=campaign.base.ref,
        goal=campaign.goal,
        threshold=campaign.threshold,
        packet=canonical_json.digest(packet),
        directive=directive,
        directive_digest=canonical_json.digest(directive.document()),
        planner={
            "name": planner,
            "model": answer.model,
            "attempts": answer.attempts,
            "seconds": round(answer.seconds, 3),
            "usage": {"input": answer.usage.input, "output": answer.usage.output},
        },
        created_at=repo.now(),
    )


@dataclass(frozen=True, slots=True)
class ExtraWrite:
    """A further write in the transaction that creates an iteration."""

    ref: str
    edits: Mapping[str, bytes | None]
    message: Message


def publish_iteration(
    repo: Repository,
    campaign: Campaign,
    state: IterationState,
    packet: Mapping[str, Any],
    extra: ExtraWrite | None = None,
) -> str:
    """Create an iteration, its packet and its plan in one transaction.

    Returns:
        The state commit.

    Raises:
        PlannerError: E_CONFLICT when the iteration already exists.
    """
    documents.check("state", state.document(), refnames.STATE_FILE)
    commit = state_commit(repo, state)
    branch, trusted_ref = refnames.HEADS + state.branch, f"{refnames.ITERATIONS}{state.iteration:04d}"
    plan = refnames.plan_ref(state.plan)
    folder = f"{PACKETS}/{state.iteration:04d}"
    packet_files = {
        f"{folder}/packet.json": canonical_json.dumps(packet),
        f"{folder}/directive.json": canonical_json.dumps(state.directive.document()),
    }
    trailers = (("Planner-Op", "plan"), ("Planner-Args", f"{state.branch} {state.directive_digest}"))
    message = Message(
        commit_subject(f"iteration {state.iteration:04d}: {state.directive.objective}"), trailers
    )

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        for ref in (branch, trusted_ref):
            if snapshots[ref].tip is not None:
                raise PlannerError("E_CONFLICT", f"'{ref}' exists already", hint="run the command again")
        edits = {**packet_files, **plan_edits(updated_plan(repo, snapshots[plan], campaign), state.plan)}
        steps: list[Step] = [Move(branch, commit), Move(trusted_ref, commit)]
        steps.append(Write(plan, edits, message, base=state.base))
        if extra is not None:
            steps.append(Write(extra.ref, extra.edits, extra.message))
        return steps

    Store(repo).transact([branch, trusted_ref, plan, *([extra.ref] if extra else [])], decide)
    return commit


@contextmanager
def _working_dir(repo: Repository, planner: Planner, base: str, folder: Path) -> Iterator[Path]:
    """Yield the folder to start a planner in: a temporary checkout of the base."""
    if planner.name == "offline":
        # It reads only the packet, so the tree need not be checked out.
        yield folder
        return
    with export.exported(repo, base) as place:
        yield place / "tree"
