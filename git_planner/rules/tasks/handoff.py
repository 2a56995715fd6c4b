"""The handoff of a task: the Markdown file through which planner and worker talk. Pure.

Entries are only ever added at the end, so two writers merge line by line.
"""

from __future__ import annotations

from collections.abc import Sequence

from git_planner.rules.tasks.task import Task


def new_handoff(task: Task) -> str:
    """What a handoff begins with: what the task is."""
    lines = [f"# {task.id}: {task.title}", ""]
    if task.intent:
        lines += [task.intent, ""]
    for title, items in (
        ("May change", task.write_scope),
        ("May read", task.read_scope),
        ("Done when", task.acceptance),
        ("Verified by", [" ".join(each) for each in task.verify]),
    ):
        if items:
            lines += [f"{title}:", "", *(f"- {each}" for each in items), ""]
    return "\n".join(lines)


def render_entry(kind: str, at: str, by: str, lines: Sequence[str]) -> str:
    """One entry.

    Args:
        kind: what it is, such as 'Question'.
        at: UTC time.
        by: who writes.
        lines: its text. Headings in it are indented, so that they do not look like entries.
    """
    body = [
        line if not line.startswith("#") else f"    {line}" for text in lines for line in text.splitlines()
    ]
    return "\n".join([f"## {kind}, {at}, {by}", "", *body, ""])


def append_entry(text: str, added: str) -> str:
    """A handoff with one more entry."""
    return f"{text.rstrip()}\n\n{added.rstrip()}\n"
