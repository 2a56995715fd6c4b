"""Read the documents of a session planner's board (`.codex/board/`): liberal in spelling, strict in content.

Its schema was never published, so keys and statuses are read in all likely spellings. What cannot be taken
over is listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from git_planner.rules.printable import printable, printable_line
from git_planner.rules.tasks.task import TaskStatus

MOST_TASKS = 5000
MOST_TITLE, MOST_LINE, MOST_NOTE = 200, 2000, 20_000
# Field of a task -> its spellings on the board.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "task_id", "key"),
    "title": ("title", "summary", "name", "subject"),
    "intent": ("intent", "description", "details", "detail", "body", "goal"),
    "status": ("status", "state"),
    "owner": ("owner", "assignee", "assigned_to", "session_name", "session", "worker"),
    "read_scope": ("read_scope", "read_scopes", "reads"),
    "write_scope": ("write_scope", "write_scopes", "writes"),
    "acceptance": ("acceptance", "acceptance_criteria", "criteria", "done_when"),
    "dependencies": ("dependencies", "depends_on", "deps", "after", "blocked_by"),
    "handoff": ("handoff_file", "handoff", "handoff_path"),
    "reason": ("reason", "blocked_reason", "block_reason", "blocker", "status_reason"),
    "question": ("question", "questions", "input_request", "open_question", "needs_input"),
    "notes": ("notes", "note", "comments"),
}
_FIELD_OF = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}
STATUS_OF: Mapping[str, TaskStatus] = {
    **dict.fromkeys(("todo", "to_do", "open", "new", "pending", "ready", "planned", "queued"), "todo"),
    **dict.fromkeys(("in_progress", "active", "running", "started", "assigned", "claimed", "doing"), "todo"),
    **dict.fromkeys(("blocked", "waiting", "on_hold"), "blocked"),
    **dict.fromkeys(("needs_input", "input_requested", "awaiting_input", "question"), "needs_input"),
    **dict.fromkeys(("review_ready", "review", "in_review", "needs_review"), "review_ready"),
    **dict.fromkeys(("done", "complete", "completed", "closed", "finished", "merged"), "done"),
    **dict.fromkeys(("deferred", "postponed", "later", "parked", "backlog"), "deferred"),
    **dict.fromkeys(("cancelled", "canceled", "abandoned", "dropped", "wontfix"), "cancelled"),
}
# What the board has besides a task's work; not worth a line of the report.
_IGNORED = {
    "created_at",
    "updated_at",
    "created",
    "updated",
    "created_by",
    "updated_by",
    "worktree",
    "branch",
}
_OUTSIDE = re.compile(r"[/:~]|(?:.*/)?\.\.(?:/|$)|[a-zA-Z]:")


@dataclass(frozen=True, slots=True)
class OldTask:
    """A task of the board; `old_status` is its status there, `dependencies` are ids of the board."""

    id: str
    title: str
    status: TaskStatus
    old_status: str
    intent: str = ""
    reason: str | None = None
    owner: str | None = None
    read_scope: tuple[str, ...] = ()
    write_scope: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    handoff: str | None = None
    question: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OldBoard:
    """The tasks of a board, and a line for everything of it that is not taken over."""

    tasks: tuple[OldTask, ...]
    left_out: tuple[str, ...]


def read_old_tasks(document: Any) -> OldBoard:
    """Read the document of tasks.yaml: a list of tasks, or a map of them, at the top or below 'tasks'."""
    left_out: list[str] = []
    tasks: dict[str, OldTask] = {}
    for place, entry in _entries(document, "tasks", left_out):
        task = _task(place, entry, left_out)
        if task is not None and task.id in tasks:
            left_out.append(f"{task.id}: it appears twice; the first is taken")
        elif task is not None and len(tasks) >= MOST_TASKS:
            left_out.append(f"{task.id}: only {MOST_TASKS:,} tasks are imported")
        elif task is not None:
            tasks[task.id] = task
    return OldBoard(tuple(tasks.values()), tuple(left_out))


def read_old_sessions(document: Any) -> tuple[str, ...]:
    """Return a line for every session of sessions.yaml; nothing is started from them."""
    lines = []
    for place, entry in _entries(document, "sessions", []):
        fields = {_key(name): value for name, value in entry.items()} if isinstance(entry, dict) else {}
        name = next(
            (fields[key] for key in ("name", "session_name", "id", "session") if key in fields), place
        )
        parts = [fields.get(key) for key in ("role", "kind", "task_id", "task", "status", "state")]
        about = ", ".join(_line(part) for part in parts if isinstance(part, str | int) and _line(part))
        lines.append(f"{_line(name)}: {about}" if about else _line(name))
    return tuple(lines[:MOST_TASKS])


def question_in(handoff: str) -> str | None:
    """Return the last section of a handoff whose heading speaks of a question; None without one."""
    sections = re.split(r"(?m)^#{1,6}[ \t]+", handoff)
    for section in reversed(sections[1:]):
        heading, _, body = section.partition("\n")
        if re.search(r"(?i)\b(questions?|input|escalat\w*|needs_input)\b", heading) and body.strip():
            return _cut(_text(body), MOST_LINE)
    return None


def inside(path: str, top: str | None = None) -> str | None:
    """Return a path of the board, relative to the repository; None for one that leaves it.

    Args:
        path: the path, with '/' or backslashes.
        top: the repository's folder, which an absolute path may begin with.
    """
    path = path.replace("\\", "/")
    if top is not None and path.startswith(f"{top.rstrip('/')}/"):
        path = path[len(top.rstrip("/")) + 1 :]
    if _OUTSIDE.match(path) or not path.isprintable():
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts) if parts and not any(part.lower() == ".git" for part in parts) else None


def _entries(document: Any, key: str, left_out: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a list, or of a map by name, each with its place."""
    if isinstance(document, dict) and key in document:
        document = document[key]
    if isinstance(document, dict):
        for name, entry in document.items():
            known_id = isinstance(entry, dict) and any(_key(field) in SPELLINGS["id"] for field in entry)
            yield name, {"id": name, **entry} if isinstance(entry, dict) and not known_id else entry
    elif isinstance(document, list):
        yield from ((f"entry {number}", entry) for number, entry in enumerate(document, 1))
    elif document is not None:
        left_out.append(f"the {key} are neither a list nor a map")


def _task(place: str, entry: Any, left_out: list[str]) -> OldTask | None:
    if not isinstance(entry, dict):
        left_out.append(f"{_line(place)}: it is no task")
        return None
    fields: dict[str, Any] = {}
    unknown = []
    for key, value in entry.items():
        name = _FIELD_OF.get(_key(key))
        if name is not None and fields.get(name) in (None, "", []):
            fields[name] = value
        elif name is not None and name in ("title", "intent") and isinstance(value, str):
            # A second spelling, such as a summary beside a title.
            fields["intent"] = f"{_text(fields.get('intent') or '')}\n\n{_text(value)}".strip()
        elif isinstance(value, list) and name is not None and isinstance(fields[name], list):
            fields[name] = [*fields[name], *value]
        elif _key(key) not in _IGNORED and value not in (None, "", [], {}):
            unknown.append(_line(key))
    task_id = _line(fields.get("id"))
    title = _line(fields.get("title"))
    if not task_id or not title:
        missing = "id" if not task_id else "title"
        left_out.append(f"{task_id or _line(place)}: it has no {missing}")
        return None
    left_out += [f"{task_id}: its field '{name}'" for name in unknown]
    return _with_fields(task_id, title, fields, left_out)


def _with_fields(task_id: str, title: str, fields: Mapping[str, Any], left_out: list[str]) -> OldTask:
    def lines(name: str, most: int) -> tuple[str, ...]:
        texts, odd = _lines(fields.get(name))
        if odd or len(texts) > most:
            left_out.append(f"{task_id}: {odd + max(0, len(texts) - most)} of its {name}")
        return texts[:most]

    old_status = _line(fields.get("status")) or "todo"
    status = STATUS_OF.get(_key(old_status))
    if status is None:
        left_out.append(f"{task_id}: its status '{old_status}', which is unknown; it is todo")
    intent = _text(fields.get("intent") or "")
    if len(title) > MOST_TITLE:
        intent = f"{title}\n\n{intent}".strip()
    handoff = fields.get("handoff")
    question = "\n".join(_lines(fields.get("question"))[0])
    return OldTask(
        id=task_id,
        title=_cut(title, MOST_TITLE),
        status=status or "todo",
        old_status=old_status,
        intent=_cut(intent, 4000),
        reason=_cut(" ".join(_lines(fields.get("reason"))[0]), MOST_LINE) or None,
        owner=_line(fields.get("owner"))[:200] or None,
        read_scope=lines("read_scope", 200),
        write_scope=lines("write_scope", 200),
        acceptance=lines("acceptance", 50),
        dependencies=lines("dependencies", 200),
        handoff=handoff if isinstance(handoff, str) and handoff else None,
        question=_cut(question, MOST_LINE) or None,
        notes=lines("notes", 100),
    )


def _lines(value: Any) -> tuple[tuple[str, ...], int]:
    """Return the texts of a value that is one text or a list of them, and the number of odd items."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    texts = [_cut(_text(item), MOST_LINE) for item in items if isinstance(item, str | int | float)]
    kept = tuple(dict.fromkeys(text for text in texts if text))
    return kept, len(items) - len(texts)


def _key(name: Any) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _text(value: Any) -> str:
    """Return a text whose control characters are escaped; line ends and tabs stay."""
    return printable(str(value)).strip()


def _line(value: Any) -> str:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return ""
    return printable_line(" ".join(str(value).split()))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
