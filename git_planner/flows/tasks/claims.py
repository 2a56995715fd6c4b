"""Claim and release tasks: a claim is the exclusive right to work on a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.tasks.claim_refs import (
    CLAIM_FILE,
    Claim,
    claimed_task_error,
    claimed_tasks,
    read_claim,
    read_claims,
)
from git_planner.flows.tasks.edit import PlanTasks, task_message, task_of
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Message, Move, Snapshot, Step, Store, Write
from git_planner.host.machine import host_name
from git_planner.host.process_identity import ProcessIdentity
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks import readiness, transitions
from git_planner.rules.tasks.task import Task, TaskStatus, task_from, task_id_for, task_number


@dataclass(frozen=True, slots=True)
class Claimant:
    """The future holder of a claim; the fields are those of Claim and Task.

    `claimed_at` is git's date and only stamps the claim; `expires_at` is reckoned from the wall clock.
    """

    owner: str
    claimed_at: str
    expires_at: str
    process: ProcessIdentity | None = None
    run: str | None = None
    base: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimExtension:
    """Further steps in the transaction of a claim.

    `refs` are changed by `steps`. `remote_claim` is the claim acquired on a remote, with its commit.
    """

    refs: tuple[str, ...]
    steps: Callable[[Mapping[str, Snapshot], Task], Sequence[Step]]
    remote_claim: tuple[Claim, str] | None = None


def claim_task(
    repo: Repository, plan: str, task_id: str, claimant: Claimant, extension: ClaimExtension | None = None
) -> tuple[Task, Claim]:
    """Claim a ready task and start it, in one transaction.

    A lapsed claim is replaced; the task then starts a new attempt.

    Returns:
        The started task and the claim.

    Raises:
        PlannerError: E_BUSY when it is claimed; E_TRANSITION when it is not ready, with the reasons;
            E_CONFLICT when the remote claim is for another attempt; E_NO_PLAN, E_UNKNOWN_TASK.
    """
    number = task_number(task_id)
    name = task_id_for(number)
    ref, claim_ref, page_store = refnames.plan_ref(plan), refnames.claim_ref(plan, name), Pages(repo, plan)
    others = claimed_tasks(repo, plan) - {name}
    nonce, claimed, edits = refnames.random_token(20), list[tuple[Task, Claim]](), dict[str, bytes | None]()

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        plan_pages = page_store.read(snapshots[ref])
        task = task_of(plan_pages, plan, name, repo)
        all_tasks = [task_from(document) for page in plan_pages.values() for document in page["tasks"]]
        task = _claimable_task(task, all_tasks, read_claim(snapshots[claim_ref]), others)
        after = transitions.start_task(
            task, claimant.owner, run=claimant.run, base=claimant.base, branch=claimant.branch
        )
        remote_claim = extension.remote_claim if extension else None
        claim = remote_claim[0] if remote_claim else new_claim(after, plan, claimant, nonce)
        if (claim.uid, claim.attempt) != (after.uid, after.attempt):
            raise PlannerError(
                "E_CONFLICT", f"'{name}' was changed during the claim", hint="run the same command again"
            )
        edits.clear()
        edits.update(page_store.task_edits(plan_pages, [after]))
        claimed[:] = [(after, claim)]
        claim_step = (
            Move(claim_ref, remote_claim[1])
            if remote_claim
            else Write(claim_ref, {CLAIM_FILE: _claim_bytes(claim)}, _claim_message(claim))
        )
        extra_steps = extension.steps(snapshots, after) if extension else ()
        return [Write(ref, edits, task_message(plan, name, "claim"), masked=True), claim_step, *extra_steps]

    Store(repo).transact([ref, claim_ref, *(extension.refs if extension else ())], decide)
    page_store.mark_valid(edits)
    return claimed[0]


def check_claimable(repo: Repository, plan_tasks: PlanTasks, task: Task) -> None:
    """Check that a task can be claimed now.

    Raises:
        PlannerError: E_BUSY, E_TRANSITION, as `claim_task`.
    """
    claims = read_claims(repo, plan_tasks.plan)
    others = frozenset(name for name, claim in claims.items() if claim.in_force()) - {task.id}
    _claimable_task(task, plan_tasks.tasks, claims.get(task.id), others)


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
    """Release a claim and set the status of its task, in one transaction.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task.
        owner: the required claim holder; any when None.
        status: the new status of the task.
        reason: the reason for it.
        op: the operation, in one word, for the commit message.

    Raises:
        PlannerError: E_BUSY when another holds the claim; E_TRANSITION, E_EVIDENCE, E_UNKNOWN_TASK.
    """
    name = task_id_for(task_number(task_id))
    ref, claim_ref, page_store = refnames.plan_ref(plan), refnames.claim_ref(plan, name), Pages(repo, plan)
    released, edits = list[Task](), dict[str, bytes | None]()

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        plan_pages = page_store.read(snapshots[ref], pages.page_name(task_number(name)))
        task = task_of(plan_pages, plan, name, repo)
        claim = read_claim(snapshots[claim_ref])
        if claim is not None and owner is not None and claim.owner != owner:
            raise claimed_task_error(claim)
        after = transitions.move_task(task, status, reason=reason)
        edits.clear()
        edits.update(page_store.task_edits(plan_pages, [after]) if after != task else {})
        released[:] = [after]
        steps: list[Step] = [Write(ref, edits, task_message(plan, name, op), masked=True)]
        return [*steps, Delete(claim_ref)] if claim is not None else steps

    Store(repo).transact([ref, claim_ref], decide)
    page_store.mark_valid(edits)
    return released[0]


def claim_commit(repo: Repository, claim: Claim, earlier: str | None) -> str:
    """Create the commit of a claim, without a ref.

    Args:
        repo: the repository.
        claim: the claim.
        earlier: the commit of the claim that it replaces.
    """
    with repo.git.batch() as batch:
        tree = splice(repo.git, batch, None, {CLAIM_FILE: _claim_bytes(claim)})
    return commit_tree(repo.git, tree, (earlier,) if earlier else (), _claim_message(claim).text())


def rewrite_claim(claim: Claim) -> Write:
    """Return the step that replaces a claim by another state of itself."""
    ref = refnames.claim_ref(claim.plan, claim.task)
    return Write(ref, {CLAIM_FILE: _claim_bytes(claim)}, _claim_message(claim))


def new_claim(task: Task, plan: str, claimant: Claimant, nonce: str) -> Claim:
    """Return a claim on a task; `nonce` makes its commit unique."""
    return Claim(
        plan=plan,
        task=task.id,
        uid=task.uid,
        attempt=task.attempt,
        owner=claimant.owner,
        host=host_name(),
        process=claimant.process,
        run=claimant.run,
        claimed_at=claimant.claimed_at,
        expires_at=claimant.expires_at,
        nonce=nonce,
    )


def _claimable_task(
    task: Task, all_tasks: Sequence[Task], earlier: Claim | None, others: frozenset[str]
) -> Task:
    """Return a task ready to be claimed, put back first if its claim has lapsed."""
    # After a merge the number may belong to another task; a claim is on the task, not on its number.
    if earlier is not None and earlier.uid == task.uid and earlier.in_force():
        raise claimed_task_error(earlier)
    if task.status == "in_progress":
        task = transitions.requeue_task(task, f"the claim of '{task.owner}' had lapsed")
    reasons = readiness.reasons_not_ready(task, all_tasks, others)
    if reasons:
        raise PlannerError(
            "E_TRANSITION",
            f"'{task.id}' cannot be claimed: {reasons[0]}",
            hint="git plan task ready",
            details=reasons,
        )
    return task


def _claim_bytes(claim: Claim) -> bytes:
    document = claim.document()
    documents.check("claim", document, refnames.claim_ref(claim.plan, claim.task))
    return canonical_json.dumps(document)


def _claim_message(claim: Claim) -> Message:
    trailers = (("Planner-Op", "claim"), ("Planner-Args", claim.task))
    return Message(f"claim {claim.plan} {claim.task}: {claim.owner}", trailers)
