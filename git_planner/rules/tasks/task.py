"""Tasks: the bounded pieces of a plan, as typed values and as documents. Pure.

A task is the same thing whether it came from a planning plan's step, from a spec, or from a person; what may
become of it is in rules/tasks/transitions.py.
"""

# No postponed annotations here: NamedTuple compiles each of them, and hooks wait for seventy.
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from git_planner.errors import PlannerError

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
# Nothing more is to be done for these, now or ever.
CLOSED: frozenset[TaskStatus] = frozenset(("done", "deferred", "cancelled"))
_ID = re.compile(r"task[_-]([0-9]{1,9})", re.IGNORECASE)
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


class SpecOrigin(NamedTuple):
    """The item of a spec that a task came from: the change's name and the item's key in it."""

    change: str
    key: str


class QuestionAnswer(NamedTuple):
    """The answer to a question."""

    at: str
    by: str
    text: str


class TaskQuestion(NamedTuple):
    """What an agent has to ask. `next` is what it would do; `answer` is None while the question is open."""

    at: str
    by: str
    summary: str
    details: tuple[str, ...] = ()
    next: str | None = None
    answer: QuestionAnswer | None = None


class VerifyRun(NamedTuple):
    """One verify command: its exit status (None: it did not end in time, or could not be started), how many
    seconds it took, and the SHA-256 of what it printed.
    """

    run: tuple[str, ...]
    status: int | None
    seconds: float
    output: str | None


class TaskEvidence(NamedTuple):
    """What shows that a task is done, or that it is not.

    `kind` 'verified' is from commands that were run on `commit`, 'manual' is somebody's word. It counts for
    the attempt it is about, and for no later one.
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
    """One task, field for field as in its document; times are UTC, 'YYYY-MM-DDTHH:MM:SSZ'.

    `uid` identifies it across clones, `id` is the number shown to people. `attempt` is raised when the task
    is put back to work. `base` is the commit its work starts from, `branch` where that work is.
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
        """The number in its id."""
        return int(self.id[5:])

    @property
    def proven(self) -> bool:
        """Whether the last evidence of this attempt speaks for it."""
        own = [each for each in self.evidence if each.attempt == self.attempt]
        return bool(own) and own[-1].ok

    @property
    def open_question(self) -> TaskQuestion | None:
        """The question that waits for an answer."""
        return next((each for each in reversed(self.inputs) if each.answer is None), None)

    def document(self) -> dict[str, Any]:
        """The task as JSON."""
        found: dict[str, Any] = {}
        for name in FIELDS:
            value = getattr(self, name)
            found[name] = list(value) if isinstance(value, tuple) else value
        found["verify"] = [list(each) for each in self.verify]
        found["spec"] = self.spec and {"change": self.spec.change, "key": self.spec.key}
        found["inputs"] = [_question_document(each) for each in self.inputs]
        found["evidence"] = [_evidence_document(each) for each in self.evidence]
        return found


FIELDS = Task._fields
_LISTS = tuple(name for name, default in Task._field_defaults.items() if default == ())


def task_from(document: Mapping[str, Any]) -> Task:
    """Read a task from a document that has passed its schema."""
    fields = dict(document)
    for name in _LISTS:
        fields[name] = tuple(fields[name])
    if fields["verify"]:
        fields["verify"] = tuple(tuple(each) for each in fields["verify"])
    if fields["spec"]:
        fields["spec"] = SpecOrigin(**fields["spec"])
    if fields["inputs"]:
        fields["inputs"] = tuple(_question(each) for each in fields["inputs"])
    if fields["evidence"]:
        fields["evidence"] = tuple(_evidence(each) for each in fields["evidence"])
    return Task(**fields)


class TaskSummary(NamedTuple):
    """A task in short: what lists and the choice of the next task need, of thousands of tasks at once."""

    id: str
    status: TaskStatus
    title: str
    dependencies: Sequence[str]
    write_scope: Sequence[str]
    owner: str | None

    @property
    def number(self) -> int:
        """The number in its id."""
        return int(self.id[5:])


def summarize_task(document: Mapping[str, Any]) -> TaskSummary:
    """A task in short, from its document."""
    return TaskSummary(*(document[name] for name in TaskSummary._fields))


def derive_uid(*parts: str) -> str:
    """An identity that two clones make alike from the same source: 16 letters and digits.

    Args:
        parts: what names the source, such as a planning plan's digest and a step's id.
    """
    from hashlib import sha256

    joined = "\0".join(parts).encode("utf-8", "backslashreplace")
    bits = int.from_bytes(sha256(joined).digest()[:10], "big")
    return "".join(_DIGITS[(bits >> 5 * place) & 31] for place in range(16))


def add_notes(task: Task, *notes: str) -> Task:
    """The task with further notes; one that it has already is not added again at once."""
    fresh = [note for note in notes if note and note not in task.notes[-1:]]
    return task._replace(notes=(*task.notes, *fresh))


def sort_tasks(tasks: Sequence[Task]) -> list[Task]:
    """Tasks by number: task_101 comes before task_1000."""
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
    runs = tuple(VerifyRun(**{**each, "run": tuple(each["run"])}) for each in document["runs"])
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
            {"run": list(each.run), "status": each.status, "seconds": each.seconds, "output": each.output}
            for each in evidence.runs
        ],
        "note": evidence.note,
    }


def task_number(task: str) -> int:
    """The number in a task's id: 7 of 'task_007', 'TASK-007' or 'task_7'.

    Raises:
        PlannerError: E_NAME.
    """
    found = _ID.fullmatch(task)
    if not found or int(found[1]) == 0:
        raise PlannerError(
            "E_NAME", f"{task[:80]!r} is not a task: 'task_' and a number", hint="try 'task_001'"
        )
    return int(found[1])


def task_id_for(number: int) -> str:
    """The id of the task with a number: 'task_007'."""
    return f"task_{number:03d}"
