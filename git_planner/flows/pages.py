"""Reading and writing the pages of a plan. A page that was judged before is not judged again.

Judging 5,000 tasks by their schema takes seconds. Which page was accepted is kept as the id of its content,
so a page that anybody changed is judged anew; without the marks all of them are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from git_planner import documents, redact
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules import canonical, names, pages
from git_planner.rules.task import Task


class Pages:
    """The pages of one plan in one repository.

    Args:
        repo: the repository.
        plan: the plan's name.
    """

    def __init__(self, repo: Repository, plan: str) -> None:
        self.repo, self.plan = repo, plan
        self.folder = names.plan_dir(plan)
        self._marks: dict[str, str] | None = None

    def read(self, seen: Snapshot, only: str | None = None) -> dict[str, dict[str, Any]]:
        """Pages on a snapshot of the plan's branch, by file name in order; all, or the first and one more.

        Raises:
            PlannerError: E_JSON, E_SCHEMA when somebody wrote something else there.
        """
        tree = seen.tree(self.folder)
        wanted = [name for name in pages.in_order(tree) if only in (None, name) or name == pages.FIRST]
        found, fresh = {}, {}
        for name in wanted:
            data, oid = seen.read(f"{self.folder}/{name}") or b"", tree[name].oid
            if self._known().get(name) == oid:
                found[name] = canonical.loads_ours(data)
            else:
                where = f"{names.PLAN}{self.plan}:{self.folder}/{name}"
                found[name] = documents.read("plan", data, where)
                fresh[name] = oid
        if fresh:
            self._keep(fresh)
        return found

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
        edited: dict[str, dict[str, Any]] = {}
        for task in changed:
            document = redact.document(task.document())
            documents.check("task", document, task.id)
            name = pages.page_name(task.number)
            page = edited.get(name) or found.get(name) or {**found[pages.FIRST], "tasks": []}
            others = [each for each in page["tasks"] if each["id"] != task.id]
            tasks = sorted([*others, document], key=lambda each: pages.task_number(each["id"]))
            edited[name] = {**page, "tasks": tasks}
        return {f"{self.folder}/{name}": canonical.dumps(page) for name, page in edited.items()}

    def accepted(self, edits: Mapping[str, bytes | None]) -> None:
        """Remember that what was written has been judged."""
        prefix = f"{self.folder}/"
        fresh = {
            path.removeprefix(prefix): self._oid(data)
            for path, data in edits.items()
            if data is not None and pages.is_page(path.removeprefix(prefix))
        }
        if fresh:
            self._keep(fresh)

    def _oid(self, data: bytes) -> str:
        found = hashlib.new(self.repo.object_format, usedforsecurity=False)
        found.update(b"blob %d\0" % len(data))
        found.update(data)
        return found.hexdigest()

    def _known(self) -> dict[str, str]:
        if self._marks is None:
            self._marks = {}
            with suppress(OSError, ValueError):
                lines = self.repo.private("cache", "pages", self.plan).read_text().splitlines()
                if lines and lines[0] == _judge():
                    self._marks = dict(line.split(" ", 1) for line in lines[1:])
        return self._marks

    def _keep(self, fresh: Mapping[str, str]) -> None:
        """Write the marks, whole or not at all. Only a convenience: without them pages are judged again."""
        marks = {**self._known(), **fresh}
        self._marks = marks
        path = self.repo.private("cache", "pages", self.plan)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text("\n".join([_judge(), *(f"{name} {oid}" for name, oid in marks.items())]))
            os.replace(draft, path)


def _judge() -> str:
    """Names the schema that accepted a page."""
    return canonical.digest(documents.schema("plan"))
