"""Print tasks: one per row, or one in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from git_planner.cli.output import emit, say, tell
from git_planner.gitio.repository import Repository

if TYPE_CHECKING:
    from git_planner.flows.tasks.claim_refs import Claim
    from git_planner.rules.tasks.readiness import TaskT
    from git_planner.rules.tasks.task import Task, TaskStatus, TaskSummary

# Function from a plan's name and its tasks to the tasks to show.
Chosen = Callable[[str, Sequence[Any]], Sequence[Any]]


def with_status(tasks: Sequence[TaskT], wanted: set[TaskStatus]) -> list[TaskT]:
    """Return the tasks that have one of the wanted statuses; all tasks when none is given."""
    return [task for task in tasks if not wanted or task.status in wanted]


class Part(NamedTuple):
    """The part of a list to print: tasks from a number on, at most so many, with all fields or few."""

    first: int = 0
    most: int | None = None
    brief: bool = False

    def cut(self, tasks: Sequence[Any]) -> tuple[Sequence[Any], str | None]:
        """Return the tasks of this part, and the id of the one that follows them."""
        rest = [task for task in tasks if task.number >= self.first] if self.first else tasks
        if self.most is None or len(rest) <= self.most:
            return rest, None
        return rest[: self.most], rest[self.most].id


def list_chosen(repo: Repository, plan: str | None, as_json: bool, part: Part, chosen: Chosen) -> None:
    """List the chosen tasks of a plan; only JSON output with all fields needs the complete tasks."""
    from git_planner.flows.tasks.edit import read_briefs, read_tasks

    if as_json and not part.brief:
        listed = read_tasks(repo, plan)
        tasks, following = part.cut(chosen(listed.plan, listed.tasks))
        document = {"schema": "git-planner/tasks@1", "plan": listed.plan}
        more = {} if part.most is None else {"next": following}
        emit({**document, "tasks": [task.document() for task in tasks], **more})
        return
    name, briefs = read_briefs(repo, plan)
    tasks, following = part.cut(chosen(name, briefs))
    if as_json:
        fields = [task._asdict() for task in tasks]
        emit({"schema": "git-planner/task-rows@1", "plan": name, "tasks": fields, "next": following})
        return
    rows = [row(brief) for brief in tasks]
    if rows:
        say("\n".join(rows))
        if following is not None:
            tell(f"there are more; list them with '--start {following}'")
    else:
        tell(f"no matching tasks in the plan '{name}'")


def tell_task(plan: str, task: Task, as_json: bool) -> None:
    """Print a task as a row, or as one JSON document."""
    if as_json:
        emit_task(plan, task)
    else:
        say(row(task))


def emit_task(plan: str, task: Task, **more: Any) -> None:
    """Print a task as one JSON document."""
    emit({"schema": "git-planner/task-shown@1", "plan": plan, "task": task.document(), **more})


def row(task: Task | TaskSummary) -> str:
    """Return the line that shows a task in a list."""
    after = f" (after {', '.join(task.dependencies)})" if task.dependencies else ""
    owner = f" [{task.owner}]" if task.owner else ""
    return f"{task.id}  {task.status:<12}  {task.title}{after}{owner}"


def lines(task: Task, claim: Claim | None) -> list[str]:
    """Return the lines that show a task in full."""
    shown = [row(task)]
    if task.reason:
        shown.append(f"reason: {task.reason}")
    shown.append(f"attempt: {task.attempt}")
    if claim is not None:
        shown.append(f"claimed: by '{claim.owner}' on '{claim.host}' since {claim.claimed_at}")
    for title, value in (("run", task.run), ("base", task.base), ("branch", task.branch)):
        shown += [f"{title}: {value}"] if value else []
    parts: list[tuple[str, Sequence[str]]] = [
        ("intent", [task.intent] if task.intent else []),
        ("actions", task.actions),
        ("may change", task.write_scope),
        ("may read", task.read_scope),
        ("done when", task.acceptance),
        ("verified by", [" ".join(command) for command in task.verify]),
        ("risks", task.risks),
        ("references", task.references),
        ("commits", task.commits),
        ("notes", task.notes),
    ]
    for title, items in parts:
        if items:
            shown += [f"{title}:", *(f"  {item}" for item in items)]
    for question in task.inputs:
        shown.append(f"question, {question.at}, {question.by}: {question.summary}")
        shown += [f"  {detail}" for detail in question.details]
        reply = question.answer
        ask = f"  not answered yet; answer it: git plan task answer {task.id} TEXT"
        shown.append(f"  answer, {reply.at}, {reply.by}: {reply.text}" if reply else ask)
    for proof in task.evidence:
        result = "passed" if proof.ok else "failed"
        stale = "" if proof.attempt == task.attempt else f", of attempt {proof.attempt}"
        kind = "verified" if proof.kind == "verified" else f"manual, by {proof.by}"
        shown.append(
            f"evidence, {proof.at}: {kind}, {result}{stale}" + (f": {proof.note}" if proof.note else "")
        )
        for run in proof.runs:
            ended = "did not end" if run.status is None else f"status {run.status}"
            shown.append(f"  {' '.join(run.run)}: {ended}, {run.seconds:.1f} s")
    return shown
