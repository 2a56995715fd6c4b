"""Store of a plan's pages. A page is validated once per content.

Validating 5,000 tasks against their schema takes seconds, reading them a quarter of a second. So a cache
holds, for every page, the blob id of its valid content and summaries of its tasks. A changed page is read and
validated again, and so are all pages when the cache is missing.
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
from git_planner.rules.tasks.task import Task, TaskSummary, summarize_task, task_from, task_number

# Up to this number of pages, importing orjson costs more than it saves.
_FEW = 4


def check_unique_numbers(page: Mapping[str, Any], plan: str) -> None:
    """Refuse a page on which two tasks share a number, as a line-based merge can produce.

    Raises:
        PlannerError: E_MERGE.
    """
    duplicate = pages.find_repeated(page["tasks"])
    if duplicate is not None:
        raise PlannerError(
            "E_MERGE",
            f"the plan '{plan}' has '{duplicate}' twice, probably after a line-based merge",
            hint=f"run 'git plan sync --plan {plan}', which renumbers one of them",
        )


def masked_task(task: Task) -> Task:
    """Return a task as it is stored, with the secrets in its texts masked."""
    from git_planner import redact

    before = task.document()
    after = redact.mask_document(before)
    return task if after is before else task_from(after)


class Pages:
    """Pages of one plan in one repository.

    Args:
        repo: the repository.
        plan: the plan's name.
    """

    def __init__(self, repo: Repository, plan: str) -> None:
        self.repo, self.plan = repo, plan
        self.folder = refnames.plan_dir(plan)
        self._marks: dict[str, _PageMark] = {}
        self._texts: dict[str, bytes] = {}

    def read(self, snapshot: Snapshot, only: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the pages on a snapshot of the plan's branch by file name, in order.

        Args:
            snapshot: the branch.
            only: read only this page and the first one.

        Raises:
            PlannerError: E_JSON, E_SCHEMA when a file there is no page.
        """
        tree = snapshot.tree(self.folder)
        names = [name for name in pages.sort_pages(tree) if only in (None, name) or name == pages.FIRST_PAGE]
        page_documents: dict[str, dict[str, Any]] = {}
        for name in names:
            data, oid = snapshot.read(f"{self.folder}/{name}") or b"", tree[name].oid
            mark = self._mark(name)
            if mark is not None and mark.oid == oid:
                page_documents[name] = canonical_json.loads_trusted(data, many=len(names) > _FEW)
            else:
                from git_planner import documents

                source = f"{refnames.PLAN}{self.plan}:{self.folder}/{name}"
                page_documents[name] = documents.read("plan", data, source)
                self._keep(name, oid, page_documents[name])
            self._texts[name] = data
        return page_documents

    def read_summaries(self, snapshot: Snapshot) -> list[TaskSummary] | None:
        """Return summaries of all tasks, by number; None when there is no plan.

        Raises:
            PlannerError: as `read`.
        """
        tree = snapshot.tree(self.folder)
        if pages.FIRST_PAGE not in tree:
            return None
        summaries: list[TaskSummary] = []
        in_order = pages.sort_pages(tree)
        for name in in_order:
            mark = self._mark(name, many=len(in_order) > _FEW)
            if mark is None or mark.oid != tree[name].oid:
                self.read(snapshot, name)
                mark = self._mark(name)
            summaries += mark.briefs if mark else ()
        return sorted(summaries, key=lambda summary: summary.number)

    def task_edits(
        self, page_documents: Mapping[str, Mapping[str, Any]], changed: Iterable[Task]
    ) -> dict[str, bytes | None]:
        """Return the files to write for changed or new tasks; only these tasks are validated.

        Args:
            found: as `read` returns them, with at least the first page and those of the tasks.
            changed: the tasks.

        Raises:
            PlannerError: E_SCHEMA.
        """
        from git_planner import documents, redact

        edited = {}
        for task in changed:
            edited[task.id] = redact.mask_document(task.document())
            documents.check("task", edited[task.id], task.id)
        return self._edits(page_documents, edited)

    def followed_edits(
        self, page_documents: Mapping[str, Mapping[str, Any]], changed: Iterable[tuple[Task, Task]]
    ) -> dict[str, bytes | None]:
        """Return the files to write for tasks (before, after) whose status follows the Git history.

        Raises:
            PlannerError: E_SCHEMA when any other field has changed.
        """
        edited = {}
        for before, after in changed:
            edited[after.id] = after.document()
            transitions.check_followed_task(before.document(), edited[after.id])
        return self._edits(page_documents, edited)

    def _edits(
        self, page_documents: Mapping[str, Mapping[str, Any]], edited: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, bytes | None]:
        by_page: dict[str, dict[str, Any]] = {}
        for task_id, document in edited.items():
            by_page.setdefault(pages.page_name(task_number(task_id)), {})[task_id] = document
        edits: dict[str, bytes | None] = {}
        for name, new_tasks in by_page.items():
            page = page_documents.get(name) or {**page_documents[pages.FIRST_PAGE], "tasks": []}
            check_unique_numbers(page, self.plan)
            tasks = {**{task["id"]: task for task in page["tasks"]}, **new_tasks}
            in_order = sorted(tasks.values(), key=lambda task: task_number(task["id"]))
            edits[f"{self.folder}/{name}"] = self._text(name, {**page, "tasks": in_order}, new_tasks)
        return edits

    def _text(self, name: str, page: Mapping[str, Any], new_tasks: Mapping[str, Mapping[str, Any]]) -> bytes:
        """Return the text of a page, reusing the lines that were read where possible."""
        task_texts = {task: canonical_json.dumps_small(document) for task, document in new_tasks.items()}
        text = pages.replace_tasks(self._texts.get(name, b""), task_texts)
        if text is not None and canonical_json.loads_trusted(text) == page:
            return text
        return canonical_json.dumps(page)

    def mark_valid(self, edits: Mapping[str, bytes | None], snapshot: Snapshot | None = None) -> None:
        """Remember that the written pages are valid.

        Args:
            edits: the written files.
            seen: the branch as it was written, where a reader of it is open.
        """
        for path, data in edits.items():
            name = path.removeprefix(f"{self.folder}/")
            if data is not None and pages.is_page(name):
                oid = snapshot.tree(self.folder)[name].oid if snapshot else self._oid(data)
                self._keep(name, oid, canonical_json.loads_trusted(data))

    def _oid(self, data: bytes) -> str:
        from hashlib import new

        hasher = new(self.repo.object_format, usedforsecurity=False)
        hasher.update(b"blob %d\0" % len(data))
        hasher.update(data)
        return hasher.hexdigest()

    def _mark(self, name: str, *, many: bool = False) -> _PageMark | None:
        if name not in self._marks:
            self.repo.touch_private(pages.PLANS_MARKER)
            with suppress(OSError, PlannerError, ValueError):
                document = canonical_json.loads_trusted(atomic_file.read(self._place(name)), many=many)
                if isinstance(document, dict) and document.get("judge") == _schema_checksum():
                    self._marks[name] = _PageMark(
                        document["oid"], [TaskSummary(*fields) for fields in document["briefs"]]
                    )
        return self._marks.get(name)

    def _keep(self, name: str, oid: str, page: Mapping[str, Any]) -> None:
        """Write a page's mark atomically. A cache: without it the page is validated again."""
        mark = self._marks[name] = _PageMark(oid, [summarize_task(task) for task in page["tasks"]])
        document = {
            "judge": _schema_checksum(),
            "oid": oid,
            "briefs": [list(summary) for summary in mark.briefs],
        }
        self.repo.touch_private(pages.PLANS_MARKER)
        place = self._place(name)
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(place, canonical_json.compact(document))

    def _place(self, name: str) -> Path:
        return self.repo.private("cache", "pages", self.plan, name)


class _PageMark(NamedTuple):
    """A valid page: its blob id and the summaries of its tasks."""

    oid: str
    briefs: Sequence[TaskSummary]


@cache
def _schema_checksum() -> str:
    """Return a checksum of the schemas that validate a page and of the summary format."""
    folder = os.path.join(os.path.dirname(git_planner.__file__), "schemas")
    state = crc32(repr(TaskSummary._fields).encode())
    for kind in ("plan", "task"):
        with open(os.path.join(folder, f"{kind}.json"), "rb") as file:
            state = crc32(file.read(), state)
    return f"{state:08x}"


def pull_hint(repo: Repository, plan: str | None) -> str | None:
    """Return the advice to pull a plan that a remote has and this clone has not; None when no remote has it.

    Args:
        repo: the repository.
        plan: the plan's name; any plan when None.
    """
    from git_planner.gitio.history import list_refs

    for ref in list_refs(repo, "refs/remotes/"):
        remote, _, branch = ref.removeprefix("refs/remotes/").partition("/")
        name = branch.removeprefix(refnames.PLAN)
        with suppress(PlannerError):
            if name != branch and plan in (None, name) and refnames.check_plan_name(name):
                return f"git plan pull {remote} --plan {name}"
    return None


def pull_hint_if_missing(repo: Repository, plan: str) -> str | None:
    """Return the command that fetches a plan that only a remote has; None if it is here."""
    return pull_hint(repo, plan) if repo.maybe(refnames.HEADS + refnames.PLAN + plan) is None else None


def missing_plan(plan: str, repo: Repository | None = None) -> PlannerError:
    """Return the error for a plan that does not exist, suggesting plans with similar names."""
    from git_planner.gitio.history import list_refs
    from git_planner.rules.did_you_mean import close_names, did_you_mean

    if repo is not None:
        from git_planner.flows.plans.lost_plans import find_lost_plans

        for lost in find_lost_plans(repo):
            if lost.target == refnames.PLAN + plan:
                return PlannerError("E_NO_PLAN", lost.message, hint=lost.fix)
    prefix = refnames.HEADS + refnames.PLAN
    refs = list_refs(repo, prefix) if repo is not None else {}
    pull = pull_hint_if_missing(repo, plan) if repo is not None else None
    if pull is not None:
        return PlannerError("E_NO_PLAN", f"the plan '{plan}' is on a remote, and not here", hint=pull)
    if prefix + plan in refs:
        # Records alone, as the first 'git record' makes them.
        return PlannerError(
            "E_NO_PLAN", f"the plan '{plan}' has no task yet", hint="add one with 'git plan task add TITLE'"
        )
    near = close_names(plan, (ref.removeprefix(prefix) for ref in refs))
    return PlannerError(
        "E_NO_PLAN",
        f"there is no plan '{plan}' here",
        hint=did_you_mean(
            near, "list them with 'git plan list', or start one with 'git plan task add TITLE'"
        ),
    )
