"""Single tasks of a plan: reading them, and changing one of thousands without touching the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.tasks.claim_refs import busy, claim_on
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Delete, Edits, Message, Snapshot, Step, Store, Write
from git_planner.rules import refnames
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.tasks import handoff, transitions
from git_planner.rules.tasks.task import (
    QuestionAnswer,
    Task,
    TaskQuestion,
    TaskStatus,
    TaskSummary,
    add_notes,
    sort_tasks,
    task_from,
    task_id_for,
    task_number,
)

Alter = Callable[[Task], Task]
# From the branch as it is, the task as it was and as it becomes, to further files of the same commit.
Also = Callable[[Snapshot, Task, Task], Edits]


@dataclass(frozen=True, slots=True)
class Tasks:
    """A plan as it stands: its name, the tip of its branch, its first page without tasks, and its tasks by
    number.
    """

    plan: str
    tip: str
    about: Mapping[str, Any]
    tasks: tuple[Task, ...]

    def task(self, task_id: str) -> Task:
        """One of them, by any spelling of its id.

        Raises:
            PlannerError: E_NAME, E_UNKNOWN_TASK.
        """
        wanted = task_number(task_id)
        for task in self.tasks:
            if task.number == wanted:
                return task
        raise unknown(self.plan, task_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `add` and `update` may set; None leaves a field as it is, and lists are added to what is there.

    `clear` names fields that are emptied first.
    """

    title: str | None = None
    intent: str | None = None
    read_scope: Sequence[str] = ()
    write_scope: Sequence[str] = ()
    acceptance: Sequence[str] = ()
    actions: Sequence[str] = ()
    verify: Sequence[Sequence[str]] = ()
    dependencies: Sequence[str] = ()
    notes: Sequence[str] = ()
    clear: Sequence[str] = ()


def read_tasks(repo: Repository, plan: str | None) -> Tasks:
    """Read a plan with all its tasks.

    Args:
        repo: the repository.
        plan: its name; the current one when None.

    Raises:
        PlannerError: E_NO_PLAN, E_NAME, E_JSON, E_SCHEMA.
    """
    name = current_plan(repo, plan)
    with repo.git.batch() as batch:
        return tasks_in(repo, Store(repo).snapshot(refnames.plan_ref(name), batch), name)


def read_briefs(repo: Repository, plan: str | None) -> tuple[str, list[TaskSummary]]:
    """The name of a plan and all its tasks in short, by number; parameters and errors as for `read_tasks`."""
    name = current_plan(repo, plan)
    with repo.git.batch() as batch:
        found = Pages(repo, name).briefs(Store(repo).snapshot(refnames.plan_ref(name), batch))
    if found is None:
        raise missing_plan(name)
    return name, found


def tasks_in(repo: Repository, seen: Snapshot, plan: str) -> Tasks:
    """The same on a snapshot of the plan's branch."""
    found = Pages(repo, plan).read(seen)
    if pages.FIRST_PAGE not in found or seen.tip is None:
        raise missing_plan(plan)
    about = {key: value for key, value in found[pages.FIRST_PAGE].items() if key != "tasks"}
    tasks = [task_from(each) for page in found.values() for each in page["tasks"]]
    return Tasks(plan, seen.tip, about, tuple(sort_tasks(tasks)))


def change_task(
    repo: Repository, plan: str, task_id: str, alter: Alter, *, op: str, also: Also | None = None
) -> Task:
    """Change one task of a plan in one commit; nothing is written when nothing changes.

    When that puts the task into another status, a person's claim on it ends. That of a process which still
    works on it keeps everybody else from moving it.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task, by any spelling of its id.
        alter: from the task as it is to what it becomes; called again on every lost compare.
        op: what is done, in a word, for the history of the branch.
        also: further files of the same commit.

    Returns:
        The task as it is now.

    Raises:
        PlannerError: E_BUSY, E_NO_PLAN, E_UNKNOWN_TASK, what `alter` raises, and what Store.edit raises.
    """
    own, number = Pages(repo, plan), task_number(task_id)
    name = task_id_for(number)
    ref, claim_ref = refnames.plan_ref(plan), refnames.claim_ref(plan, name)
    result: list[Task] = []
    edits: dict[str, bytes | None] = {}

    def decide(seen: Mapping[str, Snapshot]) -> Sequence[Step]:
        found = own.read(seen[ref], pages.page_name(number))
        before = task_of(found, plan, task_id)
        after = alter(before)
        edits.clear()
        result[:] = [after]
        if after != before:
            edits.update(own.with_tasks(found, [after]))
        edits.update(also(seen[ref], before, after) if also else {})
        steps: list[Step] = [Write(ref, edits, message(plan, name, op))]
        if after.status == before.status or seen[claim_ref].tip is None:
            return steps
        claim = claim_on(seen[claim_ref])
        if claim is not None and claim.process is not None and claim.in_force():
            raise busy(claim)
        return [*steps, Delete(claim_ref)]

    Store(repo).transact([ref, claim_ref], decide)
    own.accepted(edits)
    return result[0]


def task_of(found: Mapping[str, Mapping[str, Any]], plan: str, task_id: str) -> Task:
    """One task on the pages that `Pages.read` gave.

    Raises:
        PlannerError: E_NO_PLAN, E_UNKNOWN_TASK.
    """
    if pages.FIRST_PAGE not in found:
        raise missing_plan(plan)
    number = task_number(task_id)
    for each in found.get(pages.page_name(number), {"tasks": ()})["tasks"]:
        if task_number(each["id"]) == number:
            return task_from(each)
    raise unknown(plan, task_id)


def add_task(repo: Repository, plan: str | None, wanted: Wanted, uid: str) -> Task:
    """Add a task with the next number; the plan is made when it is not there yet.

    Args:
        repo: the repository.
        plan: the plan's name; the current one when None.
        wanted: its fields; a title at least.
        uid: its identity, see names.token.

    Raises:
        PlannerError: E_SCHEMA, E_UNKNOWN_TASK for a dependency, E_USAGE for one that goes in a circle or a
            title that is none, and what Store.edit raises.
    """
    _check_texts(wanted)
    # Only a new plan needs a base and its policy.
    from git_planner.flows.planning.campaign import PlanOptions, open_campaign

    campaign = open_campaign(repo, PlanOptions(plan=plan))
    own = Pages(repo, campaign.plan)
    made: list[Task] = []
    edits: dict[str, bytes | None] = {}

    def change(seen: Snapshot) -> Edits:
        found: dict[str, Any] = dict(own.read(seen))
        if pages.FIRST_PAGE not in found:
            found[pages.FIRST_PAGE] = plans.split_plan(campaign.document)[pages.FIRST_PAGE]
        known = [task_number(each["id"]) for page in found.values() for each in page["tasks"]]
        number = max(known, default=0) + 1
        empty = Task(id=task_id_for(number), uid=uid, title="")
        task = _with(empty, wanted, campaign.plan, known)
        _check_order(found, task)
        made[:] = [task]
        edits.clear()
        edits.update(own.with_tasks(found, [task]))
        return edits

    Store(repo).edit(
        refnames.plan_ref(campaign.plan),
        change,
        message(campaign.plan, "a task", "add"),
        base=campaign.base.oid,
    )
    own.accepted(edits)
    return made[0]


def update_task(
    repo: Repository,
    plan: str,
    task_id: str,
    wanted: Wanted,
    *,
    status: TaskStatus | None = None,
    reason: str | None = None,
) -> Task:
    """Set fields of a task, and its status where the table of transitions allows it.

    Raises:
        PlannerError: as `change_task`; E_TRANSITION, E_EVIDENCE; E_USAGE when it would wait for itself, or
            for a title that is none.
    """
    _check_texts(wanted)
    known = (
        [task.number for task in read_tasks(repo, plan).tasks] if wanted.dependencies or wanted.clear else []
    )

    def alter(task: Task) -> Task:
        after = _with(task, wanted, plan, known)
        if status is not None:
            after = transitions.move_task(after, status, reason=reason)
        elif reason is not None:
            after = after._replace(reason=reason)
        return after

    def checked(seen: Snapshot, _: Task, after: Task) -> Edits:
        if wanted.dependencies:
            _check_order(Pages(repo, plan).read(seen), after)
        return {}

    return change_task(repo, plan, task_id, alter, op="update", also=checked)


def ask(repo: Repository, plan: str, task_id: str, question: TaskQuestion) -> Task:
    """A task's agent needs an answer: the task waits, and the question stands in its handoff."""
    lines = [question.summary, *(f"- {each}" for each in question.details)]
    if question.next:
        lines.append(f"Recommended: {question.next}")
    entry = handoff.render_entry("Question", question.at, question.by, lines)
    return _talk(
        repo, plan, task_id, lambda task: transitions.ask_question(task, question), op="input", entry=entry
    )


def answer(repo: Repository, plan: str, task_id: str, reply: QuestionAnswer) -> Task:
    """The answer to a task's open question, on the task and in its handoff."""
    entry = handoff.render_entry("Answer", reply.at, reply.by, [reply.text])
    return _talk(
        repo, plan, task_id, lambda task: transitions.answer_question(task, reply), op="answer", entry=entry
    )


def resume(repo: Repository, plan: str, task_id: str, notes: Sequence[str], *, at: str, by: str) -> Task:
    """Put a task back to work as a new attempt, with notes for whoever takes it up."""

    def alter(task: Task) -> Task:
        return add_notes(transitions.requeue_task(task), *notes)

    if not notes:
        return change_task(repo, plan, task_id, alter, op="resume")
    return _talk(
        repo, plan, task_id, alter, op="resume", entry=handoff.render_entry("Note", at, by, list(notes))
    )


def _talk(repo: Repository, plan: str, task_id: str, alter: Alter, *, op: str, entry: str) -> Task:
    """Change a task and add an entry to its handoff."""
    path = f"{refnames.plan_dir(plan)}/handoffs/{task_id_for(task_number(task_id))}.md"

    def named(task: Task) -> Task:
        after = alter(task)
        return after._replace(handoff=after.handoff or path)

    def also(seen: Snapshot, before: Task, after: Task) -> Edits:
        earlier = seen.read(after.handoff or path)
        text = handoff.new_handoff(before) if earlier is None else earlier.decode("utf-8", "replace")
        return {after.handoff or path: handoff.append_entry(text, entry).encode()}

    return change_task(repo, plan, task_id, named, op=op, also=also)


def read_handoff(repo: Repository, plan: str, task: Task) -> str:
    """A task's handoff; what it would begin with when nobody has written into it."""
    if task.handoff is not None:
        with repo.git.batch() as batch:
            found = Store(repo).snapshot(refnames.plan_ref(plan), batch).read(task.handoff)
        if found is not None:
            return found.decode("utf-8", "replace")
    return handoff.new_handoff(task)


def message(plan: str, what: str, op: str) -> Message:
    """The message of a commit that changes a task."""
    return Message(f"plan {plan}: {op} {what}", (("Planner-Op", f"task-{op}"), ("Planner-Args", what)))


def unknown(plan: str, task_id: str) -> PlannerError:
    """The error for a task that a plan does not have."""
    return PlannerError(
        "E_UNKNOWN_TASK",
        f"the plan '{plan}' has no task '{task_id[:80]}'",
        hint=f"see 'git plan task list --plan {plan}'",
    )


_EMPTIED: Mapping[str, Any] = {
    "owner": None,
    "reason": None,
    **dict.fromkeys(("read_scope", "write_scope", "acceptance", "actions", "verify", "dependencies"), ()),
}
CLEARABLE = tuple(_EMPTIED)
# Control characters, and whatever else ends a line somewhere.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _with(task: Task, wanted: Wanted, plan: str, known: Sequence[int]) -> Task:
    task = task._replace(**{name: _EMPTIED[name] for name in wanted.clear})
    title = task.title if wanted.title is None else wanted.title
    intent = task.intent if wanted.intent is None else wanted.intent
    after = [task_id_for(task_number(each)) for each in wanted.dependencies]
    for each in after:
        if task_number(each) not in known:
            raise unknown(plan, each)
    return add_notes(
        task._replace(
            title=title,
            intent=intent,
            read_scope=_joined(task.read_scope, wanted.read_scope),
            write_scope=_joined(task.write_scope, wanted.write_scope),
            acceptance=_joined(task.acceptance, wanted.acceptance),
            actions=_joined(task.actions, wanted.actions),
            verify=_joined(task.verify, [tuple(each) for each in wanted.verify]),
            dependencies=_joined(task.dependencies, after),
        ),
        *wanted.notes,
    )


def _check_texts(wanted: Wanted) -> None:
    """Refuse what cannot be one line of a list, and what is no text at all."""
    if wanted.title is not None and not wanted.title.strip():
        raise PlannerError("E_USAGE", "a task needs a title", hint="say in a line what it is")
    if wanted.title is not None and _CONTROL.search(wanted.title):
        raise PlannerError(
            "E_USAGE",
            f"the title {wanted.title[:80]!r} is no single line of text",
            hint="say more in '--intent', '--action' and '--note'",
        )
    lists = (wanted.read_scope, wanted.write_scope, wanted.acceptance, wanted.actions, wanted.notes)
    words = [wanted.title, wanted.intent, *(each for texts in (*lists, *wanted.verify) for each in texts)]
    for each in words:
        # Bytes of a command line that are no UTF-8 reach Python as halves of surrogate pairs.
        if each is not None and _SURROGATE.search(each):
            raise PlannerError("E_USAGE", f"{each[:80]!r} is not UTF-8", hint="write it in UTF-8")


def _check_order(found: Mapping[str, Mapping[str, Any]], task: Task) -> None:
    """Refuse a task that would wait for itself: neither it nor what is on the way could ever be begun."""
    from git_planner.rules.tasks.dependency_graph import find_cycle

    graph = {each["id"]: each["dependencies"] for page in found.values() for each in page["tasks"]}
    cycle = find_cycle({task.id: (), **graph, task.id: task.dependencies})
    if task.id in cycle:
        raise PlannerError(
            "E_USAGE",
            f"'{task.id}' would wait for itself: {' -> '.join(cycle)}",
            hint="a task's list is begun anew with '--clear dependencies'",
        )


def _joined(have: tuple[Any, ...], more: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*have, *more)))


__all__ = [
    "CLEARABLE",
    "Tasks",
    "Wanted",
    "add_task",
    "answer",
    "ask",
    "change_task",
    "message",
    "read_briefs",
    "read_handoff",
    "read_tasks",
    "resume",
    "task_of",
    "tasks_in",
    "unknown",
    "update_task",
]
