"""The handoff of a task: the Markdown file through which planner and worker exchange messages. Pure.

Entries are only appended, so concurrent edits merge line by line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from git_planner.rules.tasks.task import Task


def handoff_path(folder: str, task: Task) -> str:
    """Return the path of a task's handoff on the branch of its plan.

    A plan may come from anywhere: a path outside of the folder of handoffs is ignored.

    Args:
        folder: the plan's folder.
        task: the task.
    """
    if task.handoff is not None and is_handoff(folder, task.handoff):
        return task.handoff
    return f"{folder}/handoffs/{task.id}.md"


def is_handoff(folder: str, path: str) -> bool:
    """Return whether a path is that of a handoff of a plan."""
    return re.fullmatch(re.escape(folder) + r"/handoffs/task_[0-9]{3,9}\.md", path) is not None


def new_handoff(task: Task) -> str:
    """Return the initial text of a handoff, which describes the task."""
    lines = [f"# {task.id}: {task.title}", ""]
    if task.intent:
        lines += [task.intent, ""]
    for title, items in (
        ("May change", task.write_scope),
        ("May read", task.read_scope),
        ("Done when", task.acceptance),
        ("Verified by", [" ".join(command) for command in task.verify]),
    ):
        if items:
            lines += [f"{title}:", "", *(f"- {item}" for item in items), ""]
    return "\n".join(lines)


def render_entry(kind: str, at: str, by: str, lines: Sequence[str]) -> str:
    """Render one entry.

    Args:
        kind: the kind of entry, such as 'Question'.
        at: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'.
        by: the author.
        lines: the text. Headings in it are indented, so that they are not mistaken for entries.
    """
    body = [
        line if not line.startswith("#") else f"    {line}" for text in lines for line in text.splitlines()
    ]
    return "\n".join([f"## {kind}, {at}, {by}", "", *body, ""])


def append_entry(text: str, entry: str) -> str:
    """Append an entry to a handoff."""
    return f"{text.rstrip()}\n\n{entry.rstrip()}\n"
