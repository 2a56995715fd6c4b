"""Tasks as typed values and as documents. Pure.

A task has the same form whether it comes from a planning plan's step, a spec or a person; its transitions
are in rules/tasks/transitions.py.
"""

# No postponed annotations: NamedTuple would compile each of some seventy at import, on the path of the hooks.
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from git_planner.errors import PlannerError
from git_planner.rules.refnames import next_number

TaskStatus = Literal[
    "todo",
    "in_progress",
    "blocked",
    "needs_input",
    "agent_done",
    "review_ready",
    "done",
    "deferred",
    "cancelled",
]
STATUSES: tuple[TaskStatus, ...] = get_args(TaskStatus)
# Statuses of tasks that need no more work.
CLOSED: frozenset[TaskStatus] = frozenset(("done", "deferred", "cancelled"))
_ID = re.compile(r"task[_-]([0-9]{1,9})", re.IGNORECASE)
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


class SpecOrigin(NamedTuple):
    """The spec item that a task was compiled from: the change's name and the item's key."""

    change: str
    key: str


class QuestionAnswer(NamedTuple):
    """The answer to a question."""

    at: str
    by: str
    text: str


class TaskQuestion(NamedTuple):
    """An agent's question. `next` is what it would do next; `answer` is None while the question is open."""

    at: str
    by: str
    summary: str
    details: tuple[str, ...] = ()
    next: str | None = None
    answer: QuestionAnswer | None = None


class VerifyRun(NamedTuple):
    """One run of a verify command: exit status (None: timed out or not started), duration in seconds, and
    the SHA-256 of its output.
    """

    run: tuple[str, ...]
    status: int | None
    seconds: float
    output: str | None


class TaskEvidence(NamedTuple):
    """Evidence that a task is done, or that it is not.

    `kind` is 'verified' for verify commands that were run on `commit`, 'manual' for a manual sign-off. It
    counts for its own attempt only.
    """

    kind: Literal["verified", "manual"]
    at: str
    by: str
    attempt: int
    commit: str | None
    tree: str | None
    ok: bool
    runs: tuple[VerifyRun, ...] = ()
    note: str | None = None


class Task(NamedTuple):
    """One task with the fields of its document; times are UTC, 'YYYY-MM-DDTHH:MM:SSZ'.

    `uid` identifies it across clones, `id` has the number shown to people. `attempt` is incremented when the
    task is requeued. `base` is the commit its work starts from, `branch` the branch of that work.
    """

    id: str
    uid: str
    title: str
    intent: str = ""
    status: TaskStatus = "todo"
    reason: str | None = None
    step: str | None = None
    spec: SpecOrigin | None = None
    actions: tuple[str, ...] = ()
    read_scope: tuple[str, ...] = ()
    write_scope: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    verify: tuple[tuple[str, ...], ...] = ()
    risks: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    owner: str | None = None
    attempt: int = 1
    run: str | None = None
    base: str | None = None
    branch: str | None = None
    handoff: str | None = None
    inputs: tuple[TaskQuestion, ...] = ()
    commits: tuple[str, ...] = ()
    evidence: tuple[TaskEvidence, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The number in the id."""
        return int(self.id[5:])

    @property
    def proven(self) -> bool:
        """True if the last evidence of this attempt has passed."""
        own = [evidence for evidence in self.evidence if evidence.attempt == self.attempt]
        return bool(own) and own[-1].ok

    @property
    def open_question(self) -> TaskQuestion | None:
        """The last unanswered question."""
        return next((question for question in reversed(self.inputs) if question.answer is None), None)

    def document(self) -> dict[str, Any]:
        """Return the task as a JSON document."""
        document: dict[str, Any] = {}
        for name in FIELDS:
            value = getattr(self, name)
            document[name] = list(value) if isinstance(value, tuple) else value
        document["verify"] = [list(command) for command in self.verify]
        document["spec"] = self.spec and {"change": self.spec.change, "key": self.spec.key}
        document["inputs"] = [_question_document(question) for question in self.inputs]
        document["evidence"] = [_evidence_document(evidence) for evidence in self.evidence]
        return document


FIELDS = Task._fields
_LISTS = tuple(name for name, default in Task._field_defaults.items() if default == ())


def task_from(document: Mapping[str, Any]) -> Task:
    """Build a task from a valid document."""
    fields = dict(document)
    for name in _LISTS:
        fields[name] = tuple(fields[name])
    if fields["verify"]:
        fields["verify"] = tuple(tuple(command) for command in fields["verify"])
    if fields["spec"]:
        fields["spec"] = SpecOrigin(**fields["spec"])
    if fields["inputs"]:
        fields["inputs"] = tuple(_question(question) for question in fields["inputs"])
    if fields["evidence"]:
        fields["evidence"] = tuple(_evidence(evidence) for evidence in fields["evidence"])
    return Task(**fields)


class TaskSummary(NamedTuple):
    """The fields of a task that lists and the choice of the next task need; cheap for thousands of tasks."""

    id: str
    status: TaskStatus
    title: str
    dependencies: Sequence[str]
    write_scope: Sequence[str]
    owner: str | None

    @property
    def number(self) -> int:
        """The number in the id."""
        return int(self.id[5:])


def summarize_task(document: Mapping[str, Any]) -> TaskSummary:
    """Build the summary of a task from its document."""
    return TaskSummary(*(document[name] for name in TaskSummary._fields))


def derive_uid(*parts: str) -> str:
    """Derive a uid of 16 letters and digits that is the same in every clone.

    Args:
        parts: names of the source, such as a planning plan's digest and a step's id.
    """
    from hashlib import sha256

    joined = "\0".join(parts).encode("utf-8", "backslashreplace")
    bits = int.from_bytes(sha256(joined).digest()[:10], "big")
    return "".join(_DIGITS[(bits >> 5 * place) & 31] for place in range(16))


def add_notes(task: Task, *notes: str) -> Task:
    """Add notes to a task, except for a repetition of its last note."""
    fresh = [note for note in notes if note and note not in task.notes[-1:]]
    return task._replace(notes=(*task.notes, *fresh))


def sort_tasks(tasks: Sequence[Task]) -> list[Task]:
    """Sort tasks by number: task_101 comes before task_1000."""
    return sorted(tasks, key=lambda task: task.number)


def _question(document: Mapping[str, Any]) -> TaskQuestion:
    answer = document["answer"]
    fields = {
        **document,
        "details": tuple(document["details"]),
        "answer": answer and QuestionAnswer(**answer),
    }
    return TaskQuestion(**fields)


def _question_document(question: TaskQuestion) -> dict[str, Any]:
    reply = question.answer
    return {
        "at": question.at,
        "by": question.by,
        "summary": question.summary,
        "details": list(question.details),
        "next": question.next,
        "answer": reply and {"at": reply.at, "by": reply.by, "text": reply.text},
    }


def _evidence(document: Mapping[str, Any]) -> TaskEvidence:
    runs = tuple(VerifyRun(**{**run, "run": tuple(run["run"])}) for run in document["runs"])
    return TaskEvidence(**{**document, "runs": runs})


def _evidence_document(evidence: TaskEvidence) -> dict[str, Any]:
    return {
        "kind": evidence.kind,
        "at": evidence.at,
        "by": evidence.by,
        "attempt": evidence.attempt,
        "commit": evidence.commit,
        "tree": evidence.tree,
        "ok": evidence.ok,
        "runs": [
            {"run": list(run.run), "status": run.status, "seconds": run.seconds, "output": run.output}
            for run in evidence.runs
        ],
        "note": evidence.note,
    }


def task_number(task: str) -> int:
    """Parse the number in a task's id: 7 of 'task_007', 'TASK-007' or 'task_7'.

    Raises:
        PlannerError: E_NAME.
    """
    match = _ID.fullmatch(task)
    if not match or int(match[1]) == 0:
        digits = re.search(r"(?a:[1-9]\d{0,5})", task)
        hint = f"did you mean '{task_id_for(int(digits[0]))}'?" if digits else "try 'task_001'"
        raise PlannerError("E_NAME", f"{task[:80]!r} is not a task id: 'task_' and a number", hint=hint)
    return int(match[1])


def new_numbers(taken: Iterable[int]) -> Iterator[int]:
    """Yield numbers for new tasks, one after the other."""
    used = set(taken)
    while True:
        used.add(number := next_number(used))
        yield number


def task_id_for(number: int) -> str:
    """Return the id of the task with a number: 'task_007'."""
    return f"task_{number:03d}"
