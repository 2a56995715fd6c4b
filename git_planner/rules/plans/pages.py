"""Pages of a plan's document. Pure.

`plan.json` is the first page: the goal and the tasks up to number 200. Further tasks are in `plan-0002.json`
and so on. The number alone decides the page, so a task never moves and a change of one task rewrites one
page. Git hashes and compresses complete files: one file of 5,000 tasks (2.6 MB) takes 40 ms per change, a
page 1 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from git_planner.rules.tasks.task import task_number

PAGE_SIZE = 200
# The private file without which the hooks advance no plan: written when one is read, or found by the install.
PLANS_MARKER = "has-plans"
FIRST_PAGE = "plan.json"
_PAGE = re.compile(r"plan(?:-([0-9]{4,}))?\.json")


def page_name(number: int) -> str:
    """Return the file name of the page for a task's number (1 and up)."""
    page = (number - 1) // PAGE_SIZE + 1
    return FIRST_PAGE if page == 1 else f"plan-{page:04d}.json"


def is_page(name: str) -> bool:
    """Return whether a file name is that of a page."""
    return _PAGE.fullmatch(name) is not None


def sort_pages(names: Iterable[str]) -> list[str]:
    """Return the pages among file names, first page first."""
    matches = ((_PAGE.fullmatch(name), name) for name in names)
    return [name for _, name in sorted((int(match[1] or 1), name) for match, name in matches if match)]


def replace_tasks(page: bytes, tasks: Mapping[str, bytes]) -> bytes | None:
    """Replace tasks in the text of a page, ten times as fast as writing the page anew.

    Args:
        page: the text in canonical form.
        tasks: id -> the task's document in canonical form.

    Returns:
        The text; None if the page is not in canonical form or lacks one of the tasks.
    """
    for task, text in tasks.items():
        # Indentation gives the nesting depth, and JSON strings never contain a raw newline.
        place = page.find(f'\n      "id": "{task}",\n'.encode())
        begin, end = page.rfind(b"\n    {\n", 0, place + 1), page.find(b"\n    }", place)
        if -1 in (place, begin, end):
            return None
        block = b"".join(b"\n    " + line for line in text.rstrip(b"\n").split(b"\n"))
        page = page[:begin] + block + page[end + len(b"\n    }") :]
    return page


def find_repeated(tasks: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the id of the first task whose id or uid another task has already; None if all are unique."""
    seen: set[str] = set()
    for task in tasks:
        if task["id"] in seen or task["uid"] in seen:
            return str(task["id"])
        seen |= {task["id"], task["uid"]}
    return None


def split_tasks(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the tasks by page, sorted by number."""
    pages: dict[str, list[Mapping[str, Any]]] = {FIRST_PAGE: []}
    for task in sorted(tasks, key=lambda item: task_number(item["id"])):
        pages.setdefault(page_name(task_number(task["id"])), []).append(task)
    return pages
