"""Claiming a task and giving the claim back: the exclusive right to work on it, which one writer gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.tasks.claim_refs import FILE, Claim, busy, claim_on, claims, held
from git_planner.flows.tasks.edit import Tasks, message, task_of
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Message, Move, Snapshot, Step, Store, Write
from git_planner.host.machine import host_name
from git_planner.host.process_identity import Identity
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks import readiness, transitions
from git_planner.rules.tasks.task import Task, TaskStatus, task_from, task_id_for, task_number

__all__ = [
    "Begin",
    "Claim",
    "Claimant",
    "busy",
    "check_free",
    "claim_commit",
    "claim_of",
    "claim_on",
    "claim_task",
    "claims",
    "held",
    "release_task",
]


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who wants to work on a task, and where: see Claim and Task.

    `claimed_at` is git's date and only stamps the claim; `expires_at` is reckoned from the wall clock.
    """

    owner: str
    claimed_at: str
    expires_at: str
    process: Identity | None = None
    run: str | None = None
    base: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """What begins together with a claim, in its transaction: from the claimed task to further steps.

    `refs` are those that the steps change. `won` is the claim as it was won elsewhere, with its commit.
    """

    refs: tuple[str, ...]
    steps: Callable[[Mapping[str, Snapshot], Task], Sequence[Step]]
    won: tuple[Claim, str] | None = None


def claim_task(
    repo: Repository, plan: str, task_id: str, who: Claimant, begin: Begin | None = None
) -> tuple[Task, Claim]:
    """Claim a ready task and begin it, in one transaction.

    A claim that is no longer in force is taken over; the task then starts a new attempt.

    Returns:
        The task as it is now, and the claim.

    Raises:
        PlannerError: E_BUSY when somebody else holds it; E_TRANSITION when it is not ready, with the reasons;
            E_CONFLICT when a claim that was won elsewhere is of another attempt; E_NO_PLAN, E_UNKNOWN_TASK.
    """
    number = task_number(task_id)
    name = task_id_for(number)
    ref, claim_ref, own = refnames.plan_ref(plan), refnames.claim_ref(plan, name), Pages(repo, plan)
    others = held(repo, plan) - {name}
    nonce, done, edits = refnames.random_token(20), list[tuple[Task, Claim]](), dict[str, bytes | None]()

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        found = own.read(seen[ref])
        task = task_of(found, plan, name)
        every = [task_from(each) for page in found.values() for each in page["tasks"]]
        task = _free(task, every, claim_on(seen[claim_ref]), others)
        after = transitions.start_task(task, who.owner, run=who.run, base=who.base, branch=who.branch)
        won = begin.won if begin else None
        made = won[0] if won else claim_of(after, plan, who, nonce)
        if (made.uid, made.attempt) != (after.uid, after.attempt):
            raise PlannerError(
                "E_CONFLICT", f"'{name}' was moved while it was claimed", hint="run the same command again"
            )
        edits.clear()
        edits.update(own.with_tasks(found, [after]))
        done[:] = [(after, made)]
        mine = Move(claim_ref, won[1]) if won else Write(claim_ref, {FILE: _bytes(made)}, _note(made))
        more = begin.steps(seen, after) if begin else ()
        return [Write(ref, edits, message(plan, name, "claim")), mine, *more]

    Store(repo).transact([ref, claim_ref, *(begin.refs if begin else ())], decide)
    own.accepted(edits)
    return done[0]


def check_free(repo: Repository, found: Tasks, task: Task) -> None:
    """Find out whether a task could be claimed, as things are now.

    Raises:
        PlannerError: E_BUSY, E_TRANSITION, as `claim_task`.
    """
    there = claims(repo, found.plan)
    others = frozenset(name for name, claim in there.items() if claim.in_force()) - {task.id}
    _free(task, found.tasks, there.get(task.id), others)


def release_task(
    repo: Repository,
    plan: str,
    task_id: str,
    *,
    owner: str | None,
    status: TaskStatus = "todo",
    reason: str | None = None,
    op: str = "release",
) -> Task:
    """Give a claim back and move its task on, in one transaction.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task.
        owner: whose claim it must be; anybody's when None.
        status: what the task becomes.
        reason: why.
        op: what is done, in a word.

    Raises:
        PlannerError: E_BUSY when it is somebody else's; E_TRANSITION, E_EVIDENCE, E_UNKNOWN_TASK.
    """
    name = task_id_for(task_number(task_id))
    ref, claim_ref, own = refnames.plan_ref(plan), refnames.claim_ref(plan, name), Pages(repo, plan)
    done, edits = list[Task](), dict[str, bytes | None]()

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        found = own.read(seen[ref], pages.page_name(task_number(name)))
        task = task_of(found, plan, name)
        claim = claim_on(seen[claim_ref])
        if claim is not None and owner is not None and claim.owner != owner:
            raise busy(claim)
        after = transitions.move_task(task, status, reason=reason)
        edits.clear()
        edits.update(own.with_tasks(found, [after]) if after != task else {})
        done[:] = [after]
        steps: list[Step] = [Write(ref, edits, message(plan, name, op))]
        return [*steps, Delete(claim_ref)] if claim is not None else steps

    Store(repo).transact([ref, claim_ref], decide)
    own.accepted(edits)
    return done[0]


def claim_commit(repo: Repository, claim: Claim, earlier: str | None) -> str:
    """Make the commit of a claim, with nothing that points to it yet.

    Args:
        repo: the repository.
        claim: the claim.
        earlier: the commit of the claim whose place it takes.
    """
    with repo.git.batch() as batch:
        tree = splice(repo.git, batch, None, {FILE: _bytes(claim)})
    return commit_tree(repo.git, tree, (earlier,) if earlier else (), _note(claim).text())


def claim_of(task: Task, plan: str, who: Claimant, nonce: str) -> Claim:
    """The claim of somebody on a task; `nonce` makes it unlike every other one."""
    return Claim(
        plan=plan,
        task=task.id,
        uid=task.uid,
        attempt=task.attempt,
        owner=who.owner,
        host=host_name(),
        process=who.process,
        run=who.run,
        claimed_at=who.claimed_at,
        expires_at=who.expires_at,
        nonce=nonce,
    )


def _free(task: Task, every: Sequence[Task], earlier: Claim | None, others: frozenset[str]) -> Task:
    """A task as it may be begun, which the lapsed claim of somebody does not hinder."""
    # After a merge the number may be another task's; a claim is on the task and not on its number.
    if earlier is not None and earlier.uid == task.uid and earlier.in_force():
        raise busy(earlier)
    if task.status == "in_progress":
        task = transitions.requeue_task(task, f"the claim of '{task.owner}' had lapsed")
    reasons = readiness.reasons_not_ready(task, every, others)
    if reasons:
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' cannot be begun: {reasons[0]}",
            hint="see what can with 'git plan task ready'",
            details=reasons,
        )
    return task


def _bytes(claim: Claim) -> bytes:
    document = claim.document()
    documents.check("claim", document, refnames.claim_ref(claim.plan, claim.task))
    return canonical_json.dumps(document)


def _note(claim: Claim) -> Message:
    trailers = (("Planner-Op", "claim"), ("Planner-Args", claim.task))
    return Message(f"claim {claim.plan} {claim.task}: {claim.owner}", trailers)
