"""`git plan`: ask a planner for the next directive, or for a plan of several steps, and keep what it says.

Until an answer was accepted nothing is written but a reserved number; then all of it is, in one transaction.
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
from git_planner.agents.contract import Answer, AnswerKind, Planner, PlanningRequest, Tell
from git_planner.agents.prompts import planner_prompt
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.planning.campaign import Campaign, Goal, PlanOptions, chosen, open_campaign, plan_now
from git_planner.flows.planning.packet import build_packet
from git_planner.flows.plans.base_commit import taken_numbers
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.plan_document import plan_edits, read_plan
from git_planner.flows.records import remeasure_best
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio import export
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.discovery import options as plan_options
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning import planning_plan as graphs
from git_planner.rules.planning.directive import IterationState, directive_from
from git_planner.rules.plans import plan as plans

__all__ = ["Goal", "PlanOptions", "Planned", "Steps", "make_iteration", "make_planning_plan", "open_campaign"]

PACKET_NUMBERS = refnames.OURS + "numbers/plan/"
PACKETS = "planner_packets"
SUBJECT = 100


@dataclass(frozen=True, slots=True)
class Planned:
    """A new iteration: its state, the packet it answers, its branch (full ref), and where the logs lie."""

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
class Steps:
    """An accepted planning plan: the plan it belongs to, that one's branch (full ref), and its tasks now."""

    plan: str
    ref: str
    answered: Mapping[str, Any]
    tasks: Sequence[Mapping[str, Any]]
    folder: Path
    answer: Answer

    def document(self) -> dict[str, Any]:
        """The planning plan and its tasks as one JSON object."""
        return {
            "schema": "git-planner/planned-steps@1",
            "plan": self.plan,
            "branch": self.ref.removeprefix(refnames.HEADS),
            "planning_plan": dict(self.answered),
            "tasks": [dict(each) for each in self.tasks],
            "folder": str(self.folder),
        }


def make_iteration(repo: Repository, options: PlanOptions, tell: Tell, number: int | None = None) -> Planned:
    """Ask a planner for a directive and make the iteration that tries it.

    Args:
        repo: the repository; its worktrees are neither read nor changed.
        options: what is asked for.
        tell: progress.
        number: a number that was reserved before; a new one when None.

    Returns:
        The iteration: a branch whose first commit holds the state, and nothing else that is new.

    Raises:
        PlannerError: what `open_campaign` and the planner raise; E_MERGE when the best cannot take a changed
            guard over; E_CONFLICT.
    """
    if options.from_ref is None:
        remeasure_best.remeasure_best(repo, current_plan(repo, options.plan), None, tell)
    campaign = open_campaign(repo, options)
    settings = chosen(repo, campaign)
    planner = registry.make_planner(settings.planner, campaign.base.policy, settings)
    number = reserve_number(repo) if number is None else number
    iteration = refnames.Iteration(number, refnames.slug(options.slug or ""))
    folder = repo.private("runs", f"{number:04d}", "plan")
    wish = campaign.wish(number, iteration.branch, settings.planner_model)
    packet = build_packet(repo, wish, read_ledger(repo, campaign.plan), tell=tell)
    answer = ask(repo, planner, Question("directive", campaign, settings, packet, folder), tell)
    state = new_state(repo, campaign, packet, answer, planner.name)
    commit = publish(repo, campaign, state, packet)
    return Planned(state, packet, iteration.ref, commit, folder, answer)


def make_planning_plan(repo: Repository, options: PlanOptions, tell: Tell) -> Steps:
    """Ask a planner for a plan of several steps and make its steps the tasks of the plan.

    Raises:
        PlannerError: as `make_iteration`.
    """
    campaign = open_campaign(repo, options)
    settings = chosen(repo, campaign)
    planner = registry.make_planner(settings.planner, campaign.base.policy, settings)
    number = Store(repo).reserve(PACKET_NUMBERS, taken_numbers(repo, refnames.PLAN))
    folder = repo.private("runs", f"plan-{number:04d}")
    wish = campaign.wish(number, refnames.PLAN + campaign.plan, settings.planner_model)
    packet = build_packet(repo, wish, read_ledger(repo, campaign.plan), tell=tell)
    answer = ask(repo, planner, Question("planning-plan", campaign, settings, packet, folder), tell)
    document = documents.complete_answer("planning-plan", dict(answer.document))
    digest = canonical_json.digest(document)
    ref = refnames.plan_ref(campaign.plan)

    def change(seen: Snapshot) -> Mapping[str, bytes | None]:
        whole = plans.add_steps(plan_now(repo, seen, campaign), document, digest)
        steps = f"{refnames.plan_dir(campaign.plan)}/planning-plan.json"
        return {**plan_edits(whole, campaign.plan), steps: canonical_json.dumps(document)}

    message = Message(
        f"plan {campaign.plan}: {len(document['steps'])} steps",
        (("Planner-Op", "planning-plan"), ("Planner-Args", f"{planner.name} {digest}")),
    )
    Store(repo).edit(ref, change, message, base=campaign.base.oid)
    tasks = (read_plan(repo, campaign.plan) or campaign.document)["tasks"]
    return Steps(campaign.plan, ref, document, tasks, folder, answer)


def reserve_number(repo: Repository) -> int:
    """Reserve the number of a new iteration: the next that no clone we have seen has used."""
    return Store(repo).reserve(refnames.NUMBERS, taken_numbers(repo, refnames.ITER))


@dataclass(frozen=True, slots=True)
class Question:
    """What is put to a planner: a packet of a campaign, and the kind of answer wanted."""

    kind: AnswerKind
    campaign: Campaign
    settings: Settings
    packet: Mapping[str, Any]
    folder: Path


def ask(repo: Repository, planner: Planner, question: Question, tell: Tell) -> Answer:
    """Put a question to a planner and get its accepted answer.

    Raises:
        PlannerError: E_ANSWER when no answer was accepted; E_DEADLINE; what the planner raises.
    """
    packet, kind, base = question.packet, question.kind, question.campaign.base
    choice = families(packet["strategy_family_constraints"] if kind == "directive" else {})
    schema = documents.schema(kind, **choice)
    question.folder.mkdir(parents=True, exist_ok=True)
    with _working_dir(repo, planner, base.oid, question.folder) as place:
        return planner.plan(
            PlanningRequest(
                kind=kind,
                packet=packet,
                prompt=planner_prompt(packet, kind, schema, base.policy.prompt_budget),
                schema=schema,
                strict_schema=documents.strict_schema(kind, **choice),
                check=partial(judge, kind, **choice),
                working_dir=place,
                folder=question.folder,
                seconds=question.settings.planner_timeout,
                attempts=question.settings.attempts,
                model=question.settings.planner_model,
            ),
            tell,
        )


def families(rule: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The families to choose from and those of them that are blocked, as the schema functions take them."""
    blocked = list(rule.get("blocked_families", ()))
    return {"families": [*rule.get("allowed_families", ()), *blocked], "blocked": blocked}


def judge(
    kind: AnswerKind, document: Any, *, families: Sequence[str] = (), blocked: Sequence[str] = ()
) -> list[str]:
    """Judge a planner's answer: the sentences of its faults, none when it is accepted."""
    whole = documents.complete_answer(kind, document)
    faults = documents.validate(kind, whole, families=families, blocked=blocked)
    if not faults and kind == "planning-plan":
        faults = graphs.find_step_faults(whole)
    elif not faults and kind == "plan-options":
        faults = plan_options.find_option_faults(whole)
    return faults


def new_state(
    repo: Repository, campaign: Campaign, packet: Mapping[str, Any], answer: Answer, planner: str
) -> IterationState:
    """The state of the iteration whose number and branch a packet names, from the accepted answer."""
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
class Also:
    """A further write of the transaction that makes an iteration."""

    ref: str
    edits: Mapping[str, bytes | None]
    message: Message


def publish(
    repo: Repository,
    campaign: Campaign,
    state: IterationState,
    packet: Mapping[str, Any],
    also: Also | None = None,
) -> str:
    """Make an iteration and all that belongs to it in one transaction.

    Returns:
        The state commit.

    Raises:
        PlannerError: E_CONFLICT when the iteration has come into being meanwhile.
    """
    documents.check("state", state.document(), refnames.STATE_FILE)
    commit = state_commit(repo, state)
    branch, trusted = refnames.HEADS + state.branch, f"{refnames.ITERATIONS}{state.iteration:04d}"
    plan = refnames.plan_ref(state.plan)
    folder = f"{PACKETS}/{state.iteration:04d}"
    kept = {
        f"{folder}/packet.json": canonical_json.dumps(packet),
        f"{folder}/directive.json": canonical_json.dumps(state.directive.document()),
    }
    trailers = (("Planner-Op", "plan"), ("Planner-Args", f"{state.branch} {state.directive_digest}"))
    message = Message(_subject(f"iteration {state.iteration:04d}: {state.directive.objective}"), trailers)

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        for ref in (branch, trusted):
            if seen[ref].tip is not None:
                raise PlannerError("E_CONFLICT", f"'{ref}' exists already", hint="run the command again")
        edits = {**kept, **plan_edits(plan_now(repo, seen[plan], campaign), state.plan)}
        steps: list[Step] = [Move(branch, commit), Move(trusted, commit)]
        steps.append(Write(plan, edits, message, base=state.base))
        if also is not None:
            steps.append(Write(also.ref, also.edits, also.message))
        return steps

    Store(repo).transact([branch, trusted, plan, *([also.ref] if also else [])], decide)
    return commit


def _subject(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SUBJECT else line[: SUBJECT - 1].rstrip() + "…"


def state_commit(repo: Repository, state: IterationState) -> str:
    """Make the first commit of an iteration, with nothing that points to it yet."""
    message = Message(
        _subject(f"plan {state.branch}: {state.directive.objective}"),
        (
            ("Planner-Directive", state.directive_digest),
            ("Planner-Plan", state.plan),
            ("Planner-Run", state.branch),
        ),
    )
    with repo.git.batch() as batch:
        edits = {refnames.STATE_FILE: canonical_json.dumps(state.document())}
        tree = splice(repo.git, batch, repo.resolve(state.base, "tree"), edits)
    return commit_tree(repo.git, tree, (state.base,), message.text())


@contextmanager
def _working_dir(repo: Repository, planner: Planner, base: str, folder: Path) -> Iterator[Path]:
    """The folder a planner is started in: the base's files, to be thrown away."""
    if planner.name == "offline":
        # It looks at nothing but the packet, so a big tree need not be written out.
        yield folder
        return
    with export.exported(repo, base) as place:
        yield place / "tree"
