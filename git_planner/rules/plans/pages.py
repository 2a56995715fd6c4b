"""A plan's document in pages of tasks. Pure.

A plan is `plan.json`, its first page: the goal and the tasks up to number 200. The tasks that follow stand in
`plan-0002.json` and so on, by their number alone, so that a task never moves to another page and a change of
one task of thousands rewrites one page. git hashes and packs each version of a file whole: 2.6 MB for 5,000
tasks in one file cost 40 ms a change, a page 1 ms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from git_planner.rules.tasks.task import task_number

PAGE_SIZE = 200
FIRST_PAGE = "plan.json"
_PAGE = re.compile(r"plan(?:-([0-9]{4,}))?\.json")


def page_name(number: int) -> str:
    """The file name of the page that a task's number (1 and up) belongs to."""
    page = (number - 1) // PAGE_SIZE + 1
    return FIRST_PAGE if page == 1 else f"plan-{page:04d}.json"


def is_page(name: str) -> bool:
    """Whether a file name is that of a page."""
    return _PAGE.fullmatch(name) is not None


def sort_pages(names: Iterable[str]) -> list[str]:
    """The pages among some file names, first page first."""
    found = ((_PAGE.fullmatch(name), name) for name in names)
    return [name for _, name in sorted((int(match[1] or 1), name) for match, name in found if match)]


def replace_tasks(page: bytes, tasks: Mapping[str, bytes]) -> bytes | None:
    """A page's text with other texts for some of its tasks, which takes a tenth of writing it anew.

    Args:
        page: the text, in the form in which documents are written.
        tasks: id -> the task's document in that form.

    Returns:
        None where the page is in another form, or lacks one of them.
    """
    for task, text in tasks.items():
        # In that form a line says how deep it lies, and no text has an end of a line within.
        place = page.find(f'\n      "id": "{task}",\n'.encode())
        begin, end = page.rfind(b"\n    {\n", 0, place + 1), page.find(b"\n    }", place)
        if -1 in (place, begin, end):
            return None
        block = b"".join(b"\n    " + line for line in text.rstrip(b"\n").split(b"\n"))
        page = page[:begin] + block + page[end + len(b"\n    }") :]
    return page


def find_repeated(tasks: Iterable[Mapping[str, Any]]) -> str | None:
    """The id of a task that another one has, too, or that is there twice; None when there is none."""
    seen: set[str] = set()
    for task in tasks:
        if task["id"] in seen or task["uid"] in seen:
            return str(task["id"])
        seen |= {task["id"], task["uid"]}
    return None


def split_tasks(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Tasks by the page they belong to, each in the order of its number."""
    found: dict[str, list[Mapping[str, Any]]] = {FIRST_PAGE: []}
    for task in sorted(tasks, key=lambda item: task_number(item["id"])):
        found.setdefault(page_name(task_number(task["id"])), []).append(task)
    return found
