"""Collect what a reviewer of a plan is shown: its options, critique, tasks and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice, product
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.discovery.plan_folder import CHOICE, OPTIONS, REVIEW_SUFFIX, decode_text
from git_planner.flows.planning.list_iterations import list_iterations
from git_planner.flows.plans.list_plans import parse_leniently
from git_planner.flows.plans.page_store import Pages, missing_plan
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.review.directive import scope_at
from git_planner.flows.review.history import read_history
from git_planner.flows.review.open_work import shown_overlap
from git_planner.flows.review.shown import shown
from git_planner.flows.tasks.lint import works_elsewhere
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.discovery import review as critiques
from git_planner.rules.plans import pages
from git_planner.rules.plans import plan as plans
from git_planner.rules.policy.globs import find_overlap
from git_planner.rules.review.plan_review import MAX_TASKS, PlanReview, QuotedText
from git_planner.rules.review.sections import Overlap
from git_planner.rules.tasks.readiness import ScopedWork, find_clashes
from git_planner.rules.tasks.task import CLOSED, TaskSummary

# Open tasks that are compared with each other and with other work; 'git plan lint' compares all.
_COMPARED, _MAX_OVERLAPS = MAX_TASKS, 60
_MAX_REVIEWS, _MAX_LINES, _MAX_TEXT = 4, 400, 200_000


def review_plan(repo: Repository, plan: str) -> PlanReview:
    """Collect the review of a plan.

    Raises:
        PlannerError: E_NO_PLAN, E_NAME, E_JSON, E_SCHEMA, E_POLICY.
    """
    with repo.git.batch() as batch:
        snapshot = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        store = Pages(repo, plan)
        summaries = store.read_summaries(snapshot)
        if summaries is None:
            raise missing_plan(plan, repo)
        open_tasks = [task for task in summaries if task.status not in CLOSED]
        first, tasks = _read_tasks(store, snapshot, open_tasks[:MAX_TASKS])
        text, folder = _read_text(snapshot, plan, OPTIONS), _Folder(snapshot, plan)
        options, fault = _parse_options(text, plan)
        reviews, chosen = folder.reviews(text or ""), folder.chosen()
    reader = LedgerReader(repo)
    policy, scope = scope_at(repo, str(first["base"]))
    return PlanReview(
        plan=plan,
        goal=shown(first["goal"]),
        base=first["base"],
        base_ref=shown(first["base_ref"]),
        constraints=shown(tuple(first["constraints"])),
        acceptance=shown(tuple(first["acceptance"])),
        options=shown(options),
        option_fault=shown(fault),
        chosen=chosen,
        reviews=reviews,
        tasks=tuple(shown(task) for task in tasks),
        counts=plans.count_tasks({"tasks": [{"status": task.status} for task in summaries]}),
        scope=scope,
        history=read_history(repo, reader.read(plan), policy),
        overlaps=_find_overlaps(repo, plan, open_tasks, reader),
        remark=_remark(plan, len(open_tasks)),
    )


def _read_tasks(
    store: Pages, snapshot: Snapshot, summaries: Sequence[TaskSummary]
) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Return the first page, and the documents of some tasks, from their pages only."""
    first: Mapping[str, Any] = {}
    by_id: dict[str, Mapping[str, Any]] = {}
    for name in dict.fromkeys((pages.FIRST_PAGE, *(pages.page_name(task.number) for task in summaries))):
        read = store.read(snapshot, name)
        first = read[pages.FIRST_PAGE]
        by_id |= {task["id"]: task for page in read.values() for task in page["tasks"]}
    return first, [by_id[task.id] for task in summaries if task.id in by_id]


def _read_text(snapshot: Snapshot, plan: str, name: str) -> str | None:
    """Return a document of a plan; None if there is none that can be read as text."""
    path = f"{refnames.plan_dir(plan)}/{name}"
    with suppress(PlannerError):
        data = snapshot.read(path)
        return None if data is None else decode_text(data, path)
    return None


def _parse_options(text: str | None, plan: str) -> tuple[dict[str, Any] | None, str]:
    if text is None:
        return None, ""
    # It imports the planners, and most plans have no options.
    from git_planner.flows.discovery.options import read_options

    try:
        return read_options(text, plan), ""
    except PlannerError as error:
        return None, error.message


class _Folder:
    """The documents on a plan's branch that belong to its options."""

    def __init__(self, snapshot: Snapshot, plan: str) -> None:
        self._snapshot, self._plan = snapshot, plan
        self._folder = OPTIONS.partition("/")[0]

    def reviews(self, options: str) -> tuple[QuotedText, ...]:
        """Return the critics' reviews, and whether the options have changed since."""
        digest = critiques.text_digest(options)
        path = f"{refnames.plan_dir(self._plan)}/{self._folder}"
        names = (name for name in self._snapshot.names(path) if name.endswith(REVIEW_SUFFIX))
        quoted = []
        for name in islice(sorted(names), _MAX_REVIEWS):
            text = _read_text(self._snapshot, self._plan, f"{self._folder}/{name}") or ""
            lines = tuple(line for line in shown(text[:_MAX_TEXT].splitlines()) if line.strip())[:_MAX_LINES]
            is_stale = critiques.reviewed_digest(text) != digest
            quoted.append(QuotedText(shown(name.removesuffix(REVIEW_SUFFIX).lower()), lines, is_stale))
        return tuple(quoted)

    def chosen(self) -> str:
        """Return the letter of the chosen option; '' if none is chosen."""
        text = _read_text(self._snapshot, self._plan, CHOICE)
        letter = str(parse_leniently(text.encode()).get("option", "")) if text else ""
        return letter if letter in ("A", "B", "C") else ""


def _find_overlaps(
    repo: Repository, plan: str, open_tasks: Sequence[TaskSummary], reader: LedgerReader
) -> tuple[Overlap, ...]:
    compared = open_tasks[:_COMPARED]
    own = [ScopedWork("task", task.id, tuple(task.write_scope)) for task in compared]
    after = {f"task {task.id}": {f"task {name}" for name in task.dependencies} for task in compared}
    overlaps = [
        shown_overlap(f"{clash.one} and {clash.other}", *reversed(clash.patterns))
        for clash in find_clashes(own, _MAX_OVERLAPS)
        if clash.other not in after[clash.one] and clash.one not in after[clash.other]
    ]
    others = works_elsewhere(repo, plan, set(), list_iterations(repo, reader=reader))
    for work, other in product(own, others):
        if len(overlaps) >= _MAX_OVERLAPS:
            break
        patterns = find_overlap(work.writes, other.writes)
        if patterns:
            overlaps.append(shown_overlap(f"{work.label} and {other.label}", *reversed(patterns)))
    return tuple(overlaps)


def _remark(plan: str, count: int) -> str:
    if count <= _COMPARED:
        return ""
    return f"Only the first {_COMPARED} open tasks are compared; `git plan lint --plan {plan}` compares all."
