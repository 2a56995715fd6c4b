"""Read the tasks of a plan; change one of them without rewriting the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from git_planner.errors import PlannerError
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.page_store import Pages, masked_task, missing_plan
from git_planner.flows.tasks.claim_refs import claimed_task_error, read_claim
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

TaskEdit = Callable[[Task], Task]
# From the plan branch and the task before and after, to further files of the same commit.
ExtraFiles = Callable[[Snapshot, Task, Task], Edits]


class PlanTasks(NamedTuple):
    """A plan as read: its name, the tip of its branch, its first page without tasks, and its tasks by
    number.
    """

    plan: str
    tip: str
    about: Mapping[str, Any]
    tasks: tuple[Task, ...]

    def task(self, task_id: str) -> Task:
        """Return a task by any spelling of its id.

        Raises:
            PlannerError: E_NAME, E_UNKNOWN_TASK.
        """
        number = task_number(task_id)
        for task in self.tasks:
            if task.number == number:
                return task
        raise unknown_task_error(self.plan, task_id, (task.number for task in self.tasks))


class TaskFields(NamedTuple):
    """Fields for `add` and `update`; None leaves a field unchanged, lists are appended to the present ones.

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


def read_tasks(repo: Repository, plan: str | None) -> PlanTasks:
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


def read_task(repo: Repository, plan: str | None, task_id: str) -> tuple[str, Task]:
    """Read the name of a plan and one of its tasks, whatever the number of the others; see `read_tasks`."""
    name, page = current_plan(repo, plan), pages.page_name(task_number(task_id))
    with repo.git.batch() as batch:
        plan_pages = Pages(repo, name).read(Store(repo).snapshot(refnames.plan_ref(name), batch), page)
    with suppress(PlannerError):
        return name, task_of(plan_pages, name, task_id, repo)
    # The error names similar tasks of the whole plan.
    return name, read_tasks(repo, name).task(task_id)


def read_briefs(repo: Repository, plan: str | None) -> tuple[str, list[TaskSummary]]:
    """Read the name of a plan and the briefs of its tasks, by number; see `read_tasks`."""
    name = current_plan(repo, plan)
    with repo.git.batch() as batch:
        briefs = Pages(repo, name).read_summaries(Store(repo).snapshot(refnames.plan_ref(name), batch))
    if briefs is None:
        raise missing_plan(name, repo)
    return name, briefs


def tasks_in(repo: Repository, snapshot: Snapshot, plan: str) -> PlanTasks:
    """Read a plan with all its tasks from a snapshot of its branch."""
    plan_pages = Pages(repo, plan).read(snapshot)
    if pages.FIRST_PAGE not in plan_pages or snapshot.tip is None:
        raise missing_plan(plan, repo)
    about = {key: value for key, value in plan_pages[pages.FIRST_PAGE].items() if key != "tasks"}
    tasks = [task_from(document) for page in plan_pages.values() for document in page["tasks"]]
    return PlanTasks(plan, snapshot.tip, about, tuple(sort_tasks(tasks)))


def change_task(
    repo: Repository,
    plan: str,
    task_id: str,
    alter: TaskEdit,
    *,
    op: str,
    extra_files: ExtraFiles | None = None,
) -> Task:
    """Change one task of a plan in one commit; write nothing when nothing changes.

    A new status ends a person's claim on the task. The claim of a live process prevents a new status.

    Args:
        repo: the repository.
        plan: the plan's name.
        task_id: the task, by any spelling of its id.
        alter: returns the changed task; called again after every lost race.
        op: the operation, in one word, for the commit message.
        extra_files: returns further files of the same commit.

    Returns:
        The changed task.

    Raises:
        PlannerError: E_BUSY, E_NO_PLAN, E_UNKNOWN_TASK, what `alter` raises, and what Store.edit raises.
    """
    page_store, number = Pages(repo, plan), task_number(task_id)
    name = task_id_for(number)
    ref, claim_ref = refnames.plan_ref(plan), refnames.claim_ref(plan, name)
    result: list[Task] = []
    edits: dict[str, bytes | None] = {}

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        plan_pages = page_store.read(snapshots[ref], pages.page_name(number))
        before = task_of(plan_pages, plan, task_id, repo)
        after = masked_task(alter(before))
        edits.clear()
        result[:] = [after]
        if after != before:
            edits.update(page_store.task_edits(plan_pages, [after]))
        edits.update(extra_files(snapshots[ref], before, after) if extra_files else {})
        steps: list[Step] = [Write(ref, edits, task_message(plan, name, op), masked=True)]
        if after.status == before.status or snapshots[claim_ref].tip is None:
            return steps
        claim = read_claim(snapshots[claim_ref])
        if claim is not None and claim.process is not None and claim.in_force():
            raise claimed_task_error(claim)
        return [*steps, Delete(claim_ref)]

    Store(repo).transact([ref, claim_ref], decide)
    page_store.mark_valid(edits)
    return result[0]


def task_of(
    plan_pages: Mapping[str, Mapping[str, Any]], plan: str, task_id: str, repo: Repository | None = None
) -> Task:
    """Return a task from the pages that `Pages.read` returned.

    Raises:
        PlannerError: E_NO_PLAN, E_UNKNOWN_TASK.
    """
    if pages.FIRST_PAGE not in plan_pages:
        raise missing_plan(plan, repo)
    number = task_number(task_id)
    for document in plan_pages.get(pages.page_name(number), {"tasks": ()})["tasks"]:
        if task_number(document["id"]) == number:
            return task_from(document)
    known = (task_number(task["id"]) for page in plan_pages.values() for task in page.get("tasks", ()))
    raise unknown_task_error(plan, task_id, known)


def add_task(repo: Repository, plan: str | None, fields: TaskFields, uid: str) -> Task:
    """Add a task with the next number; create the plan if it does not exist.

    Args:
        repo: the repository.
        plan: the plan's name; the current one when None.
        fields: its fields; a title at least.
        uid: its identity, see refnames.token.

    Raises:
        PlannerError: E_SCHEMA, E_UNKNOWN_TASK for a dependency, E_USAGE for a cycle of dependencies or an
            invalid title, and what Store.edit raises.
    """
    _check_texts(fields)
    # Only a new plan needs a base and its policy.
    from git_planner.flows.planning.campaign import PlanOptions, open_campaign

    campaign = open_campaign(repo, PlanOptions(plan=plan))
    page_store = Pages(repo, campaign.plan)
    added: list[Task] = []
    edits: dict[str, bytes | None] = {}

    def change(snapshot: Snapshot) -> Edits:
        plan_pages: dict[str, Any] = dict(page_store.read(snapshot))
        if pages.FIRST_PAGE not in plan_pages:
            plan_pages[pages.FIRST_PAGE] = plans.split_plan(campaign.document)[pages.FIRST_PAGE]
        numbers = [task_number(document["id"]) for page in plan_pages.values() for document in page["tasks"]]
        number = refnames.next_number(numbers)
        empty = Task(id=task_id_for(number), uid=uid, title="")
        task = masked_task(_with_fields(empty, fields, campaign.plan, numbers))
        _check_no_cycle(plan_pages, task)
        added[:] = [task]
        edits.clear()
        edits.update(page_store.task_edits(plan_pages, [task]))
        return edits

    Store(repo).edit(
        refnames.plan_ref(campaign.plan),
        change,
        task_message(campaign.plan, "a task", "add"),
        base=campaign.base.oid,
        masked=True,
    )
    page_store.mark_valid(edits)
    return added[0]


def update_task(
    repo: Repository,
    plan: str,
    task_id: str,
    fields: TaskFields,
    *,
    status: TaskStatus | None = None,
    reason: str | None = None,
) -> Task:
    """Set fields of a task, and its status if the transition is allowed.

    Raises:
        PlannerError: as `change_task`; E_TRANSITION, E_EVIDENCE; E_USAGE for a cycle of dependencies or
            an invalid title.
    """
    _check_texts(fields)
    numbers = (
        [task.number for task in read_tasks(repo, plan).tasks] if fields.dependencies or fields.clear else []
    )

    def alter(task: Task) -> Task:
        after = _with_fields(task, fields, plan, numbers)
        if status is not None:
            after = transitions.move_task(after, status, reason=reason)
        elif reason is not None:
            after = after._replace(reason=reason)
        return after

    def check_cycle(snapshot: Snapshot, _: Task, after: Task) -> Edits:
        if fields.dependencies:
            _check_no_cycle(Pages(repo, plan).read(snapshot), after)
        return {}

    return change_task(repo, plan, task_id, alter, op="update", extra_files=check_cycle)


def ask_question(repo: Repository, plan: str, task_id: str, question: TaskQuestion) -> Task:
    """Put a task into needs_input, with its agent's question on the task and in its handoff."""
    lines = [question.summary, *(f"- {detail}" for detail in question.details)]
    if question.next:
        lines.append(f"Recommended: {question.next}")
    entry = handoff.render_entry("Question", question.at, question.by, lines)
    return _change_with_handoff(
        repo, plan, task_id, lambda task: transitions.ask_question(task, question), op="input", entry=entry
    )


def answer_question(repo: Repository, plan: str, task_id: str, reply: QuestionAnswer) -> Task:
    """Answer a task's open question, on the task and in its handoff."""
    entry = handoff.render_entry("Answer", reply.at, reply.by, [reply.text])
    return _change_with_handoff(
        repo, plan, task_id, lambda task: transitions.answer_question(task, reply), op="answer", entry=entry
    )


def resume_task(repo: Repository, plan: str, task_id: str, notes: Sequence[str], *, at: str, by: str) -> Task:
    """Put a task back to work as a new attempt, with notes for it."""

    def alter(task: Task) -> Task:
        return add_notes(transitions.requeue_task(task), *notes)

    if not notes:
        return change_task(repo, plan, task_id, alter, op="resume")
    return _change_with_handoff(
        repo, plan, task_id, alter, op="resume", entry=handoff.render_entry("Note", at, by, list(notes))
    )


def _change_with_handoff(
    repo: Repository, plan: str, task_id: str, alter: TaskEdit, *, op: str, entry: str
) -> Task:
    """Change a task and add an entry to its handoff."""
    folder = refnames.plan_dir(plan)

    def edit_with_path(task: Task) -> Task:
        after = alter(task)
        return after._replace(handoff=handoff.handoff_path(folder, after))

    def extra_files(snapshot: Snapshot, before: Task, after: Task) -> Edits:
        path = handoff.handoff_path(folder, after)
        return {path: appended_handoff(snapshot.read(path), before, entry)}

    return change_task(repo, plan, task_id, edit_with_path, op=op, extra_files=extra_files)


def appended_handoff(data: bytes | None, task: Task, entry: str) -> bytes:
    """Return a task's handoff with a further entry.

    Args:
        data: the present file, if any.
        task: the task before the change.
        entry: the entry.
    """
    text = handoff.new_handoff(task) if data is None else data.decode("utf-8", "replace")
    return handoff.append_entry(text, entry).encode()


def read_handoff(repo: Repository, plan: str, task: Task) -> str:
    """Read a task's handoff, or return the start of a new one."""
    if task.handoff is not None:
        path = handoff.handoff_path(refnames.plan_dir(plan), task)
        with repo.git.batch() as batch:
            data = Store(repo).snapshot(refnames.plan_ref(plan), batch).read(path)
        if data is not None:
            return data.decode("utf-8", "replace")
    return handoff.new_handoff(task)


def task_message(plan: str, subject: str, op: str) -> Message:
    """Return the message of a commit that changes a task."""
    return Message(f"plan {plan}: {op} {subject}", (("Planner-Op", f"task-{op}"), ("Planner-Args", subject)))


def unknown_task_error(plan: str, task_id: str, known: Iterable[int] = ()) -> PlannerError:
    """Return the error for a task id that a plan does not contain, suggesting similar ones."""
    from git_planner.rules.did_you_mean import close_names, did_you_mean

    # Only the digits are compared; an id with too many of them is an unknown task, too.
    digits = "".join(character for character in task_id if character.isdigit())
    numbers = close_names(digits, map(str, known))
    near = [task_id_for(int(number)) for number in sorted(numbers)]
    return PlannerError(
        "E_UNKNOWN_TASK",
        f"the plan '{plan}' has no task '{task_id[:80]}'",
        hint=did_you_mean(near, f"see 'git plan task list --plan {plan}'"),
    )


_EMPTY_VALUES: Mapping[str, Any] = {
    "owner": None,
    "reason": None,
    **dict.fromkeys(("read_scope", "write_scope", "acceptance", "actions", "verify", "dependencies"), ()),
}
CLEARABLE = tuple(_EMPTY_VALUES)
# Control characters and Unicode line separators.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _with_fields(task: Task, fields: TaskFields, plan: str, numbers: Sequence[int]) -> Task:
    task = task._replace(**{name: _EMPTY_VALUES[name] for name in fields.clear})
    title = task.title if fields.title is None else fields.title
    intent = task.intent if fields.intent is None else fields.intent
    dependencies = [task_id_for(task_number(name)) for name in fields.dependencies]
    for name in dependencies:
        if task_number(name) not in numbers:
            raise unknown_task_error(plan, name)
    return add_notes(
        task._replace(
            title=title,
            intent=intent,
            read_scope=_without_repeats(task.read_scope, fields.read_scope),
            write_scope=_without_repeats(task.write_scope, fields.write_scope),
            acceptance=_without_repeats(task.acceptance, fields.acceptance),
            actions=_without_repeats(task.actions, fields.actions),
            verify=_without_repeats(task.verify, [tuple(argv) for argv in fields.verify]),
            dependencies=_without_repeats(task.dependencies, dependencies),
        ),
        *fields.notes,
    )


def _check_texts(fields: TaskFields) -> None:
    """Refuse a title that is empty or has several lines, and text that is not UTF-8."""
    if fields.title is not None and not fields.title.strip():
        raise PlannerError("E_USAGE", "a task needs a title", hint="describe the task in one line")
    if fields.title is not None and _CONTROL.search(fields.title):
        raise PlannerError(
            "E_USAGE",
            f"the title {fields.title[:80]!r} is not a single line of text",
            hint="put details into '--intent', '--action' and '--note'",
        )
    lists = (fields.read_scope, fields.write_scope, fields.acceptance, fields.actions, fields.notes)
    lines = [fields.title, fields.intent, *(line for texts in (*lists, *fields.verify) for line in texts)]
    for line in lines:
        # Python decodes invalid UTF-8 in arguments to lone surrogates.
        if line is not None and _SURROGATE.search(line):
            raise PlannerError("E_USAGE", f"{line[:80]!r} is not UTF-8", hint="write it in UTF-8")


def _check_no_cycle(plan_pages: Mapping[str, Mapping[str, Any]], task: Task) -> None:
    """Refuse a task in a cycle of dependencies: no task of the cycle could ever start."""
    from git_planner.rules.tasks.dependency_graph import find_cycle

    graph = {
        document["id"]: document["dependencies"] for page in plan_pages.values() for document in page["tasks"]
    }
    cycle = find_cycle({task.id: (), **graph, task.id: task.dependencies})
    if task.id in cycle:
        raise PlannerError(
            "E_USAGE",
            f"'{task.id}' would depend on itself: {' -> '.join(cycle)}",
            hint="replace the list with '--clear dependencies' and '--after TASK'",
        )


def _without_repeats(present: tuple[Any, ...], added: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*present, *added)))


__all__ = [
    "CLEARABLE",
    "PlanTasks",
    "TaskFields",
    "add_task",
    "answer_question",
    "appended_handoff",
    "ask_question",
    "change_task",
    "read_briefs",
    "read_handoff",
    "read_task",
    "read_tasks",
    "resume_task",
    "task_message",
    "task_of",
    "tasks_in",
    "unknown_task_error",
    "update_task",
]
