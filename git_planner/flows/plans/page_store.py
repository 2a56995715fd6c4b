"""Reading and writing the pages of a plan. A page that was judged before is not judged again.

Judging 5,000 tasks by their schema takes seconds, reading them whole a quarter of one. So which page was
accepted is kept by the id of its content, with its tasks in short; a page that anybody changed is read and
judged anew, and without what is kept all of them are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import git_planner
from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks import transitions
from git_planner.rules.tasks.task import Task, TaskSummary, summarize_task, task_number

# Of so many pages orjson is not worth its loading.
_FEW = 4


def check_unique_numbers(page: Mapping[str, Any], plan: str) -> None:
    """Refuse to write on tasks of which two have one number, as a merge that goes by lines may leave them.

    Raises:
        PlannerError: E_MERGE.
    """
    twice = pages.find_repeated(page["tasks"])
    if twice is not None:
        raise PlannerError(
            "E_MERGE",
            f"the plan '{plan}' has '{twice}' twice, as a merge that goes by lines leaves it",
            hint=f"'git plan sync --plan {plan}' keeps both and gives one of them another number",
        )


class Pages:
    """The pages of one plan in one repository.

    Args:
        repo: the repository.
        plan: the plan's name.
    """

    def __init__(self, repo: Repository, plan: str) -> None:
        self.repo, self.plan = repo, plan
        self.folder = refnames.plan_dir(plan)
        self._marks: dict[str, _Mark] = {}
        self._texts: dict[str, bytes] = {}

    def read(self, seen: Snapshot, only: str | None = None) -> dict[str, dict[str, Any]]:
        """Pages on a snapshot of the plan's branch, by file name in order; all, or the first and one more.

        Raises:
            PlannerError: E_JSON, E_SCHEMA when somebody wrote something else there.
        """
        tree = seen.tree(self.folder)
        wanted = [name for name in pages.sort_pages(tree) if only in (None, name) or name == pages.FIRST_PAGE]
        found: dict[str, dict[str, Any]] = {}
        for name in wanted:
            data, oid = seen.read(f"{self.folder}/{name}") or b"", tree[name].oid
            mark = self._mark(name)
            if mark is not None and mark.oid == oid:
                found[name] = canonical_json.loads_trusted(data, many=len(wanted) > _FEW)
            else:
                from git_planner import documents

                where = f"{refnames.PLAN}{self.plan}:{self.folder}/{name}"
                found[name] = documents.read("plan", data, where)
                self._keep(name, oid, found[name])
            self._texts[name] = data
        return found

    def briefs(self, seen: Snapshot) -> list[TaskSummary] | None:
        """All tasks in short, by number; None when there is no plan.

        Raises:
            PlannerError: as `read`.
        """
        tree = seen.tree(self.folder)
        if pages.FIRST_PAGE not in tree:
            return None
        found: list[TaskSummary] = []
        in_order = pages.sort_pages(tree)
        for name in in_order:
            mark = self._mark(name, many=len(in_order) > _FEW)
            if mark is None or mark.oid != tree[name].oid:
                self.read(seen, name)
                mark = self._mark(name)
            found += mark.briefs if mark else ()
        return sorted(found, key=lambda each: each.number)

    def with_tasks(
        self, found: Mapping[str, Mapping[str, Any]], changed: Iterable[Task]
    ) -> dict[str, bytes | None]:
        """The files to write for some changed or new tasks; only these are judged.

        Args:
            found: what `read` gave, with at least the first page and those of the tasks.
            changed: the tasks.

        Raises:
            PlannerError: E_SCHEMA.
        """
        from git_planner import documents, redact

        edited = {}
        for task in changed:
            edited[task.id] = redact.mask_document(task.document())
            documents.check("task", edited[task.id], task.id)
        return self._edits(found, edited)

    def with_followed(
        self, found: Mapping[str, Mapping[str, Any]], changed: Iterable[tuple[Task, Task]]
    ) -> dict[str, bytes | None]:
        """The same for tasks, as they were and as they are, that were moved by what git holds.

        Raises:
            PlannerError: E_SCHEMA when anything else of them has changed.
        """
        edited = {}
        for before, after in changed:
            edited[after.id] = after.document()
            transitions.check_followed_task(before.document(), edited[after.id])
        return self._edits(found, edited)

    def _edits(
        self, found: Mapping[str, Mapping[str, Any]], edited: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, bytes | None]:
        by_page: dict[str, dict[str, Any]] = {}
        for task_id, document in edited.items():
            by_page.setdefault(pages.page_name(task_number(task_id)), {})[task_id] = document
        edits: dict[str, bytes | None] = {}
        for name, fresh in by_page.items():
            page = found.get(name) or {**found[pages.FIRST_PAGE], "tasks": []}
            check_unique_numbers(page, self.plan)
            tasks = {**{each["id"]: each for each in page["tasks"]}, **fresh}
            in_order = sorted(tasks.values(), key=lambda each: task_number(each["id"]))
            edits[f"{self.folder}/{name}"] = self._text(name, {**page, "tasks": in_order}, fresh)
        return edits

    def _text(self, name: str, page: Mapping[str, Any], fresh: Mapping[str, Mapping[str, Any]]) -> bytes:
        """The text of a page: as it was read but for some tasks, or written anew where that is not enough."""
        own = {task: canonical_json.dumps_small(document) for task, document in fresh.items()}
        text = pages.replace_tasks(self._texts.get(name, b""), own)
        if text is not None and canonical_json.loads_trusted(text) == page:
            return text
        return canonical_json.dumps(page)

    def accepted(self, edits: Mapping[str, bytes | None], seen: Snapshot | None = None) -> None:
        """Remember that what was written has been judged.

        Args:
            edits: what was written.
            seen: the branch as it was written, where a reader of it is open.
        """
        for path, data in edits.items():
            name = path.removeprefix(f"{self.folder}/")
            if data is not None and pages.is_page(name):
                oid = seen.tree(self.folder)[name].oid if seen else self._oid(data)
                self._keep(name, oid, canonical_json.loads_trusted(data))

    def _oid(self, data: bytes) -> str:
        from hashlib import new

        found = new(self.repo.object_format, usedforsecurity=False)
        found.update(b"blob %d\0" % len(data))
        found.update(data)
        return found.hexdigest()

    def _mark(self, name: str, *, many: bool = False) -> _Mark | None:
        if name not in self._marks:
            with suppress(OSError, PlannerError, KeyError, TypeError, AttributeError, ValueError):
                kept = canonical_json.loads_trusted(self._place(name).read_bytes(), many=many)
                if kept["judge"] == _judge():
                    self._marks[name] = _Mark(kept["oid"], [TaskSummary(*each) for each in kept["briefs"]])
        return self._marks.get(name)

    def _keep(self, name: str, oid: str, page: Mapping[str, Any]) -> None:
        """Write a mark, whole or not at all. Only a convenience: without it the page is judged again."""
        mark = self._marks[name] = _Mark(oid, [summarize_task(task) for task in page["tasks"]])
        kept = {"judge": _judge(), "oid": oid, "briefs": [list(each) for each in mark.briefs]}
        place = self._place(name)
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(place, canonical_json.compact(kept))

    def _place(self, name: str) -> Path:
        return self.repo.private("cache", "pages", self.plan, name)


class _Mark(NamedTuple):
    """A page that was accepted: the id of its content, and its tasks in short."""

    oid: str
    briefs: Sequence[TaskSummary]


@cache
def _judge() -> str:
    """Names the schemas that accepted a page, and what is kept of one."""
    folder = os.path.join(os.path.dirname(git_planner.__file__), "schemas")
    state = crc32(repr(TaskSummary._fields).encode())
    for kind in ("plan", "task"):
        with open(os.path.join(folder, f"{kind}.json"), "rb") as file:
            state = crc32(file.read(), state)
    return f"{state:08x}"


def missing_plan(plan: str) -> PlannerError:
    """The error for a plan that is not there."""
    return PlannerError(
        "E_NO_PLAN",
        f"there is no plan '{plan}' here",
        hint="list them with 'git plan list', or begin one with 'git plan task add TITLE'",
    )
