"""Everything about a repository that a person watches: plans, tasks, runs, leases, inbox, last records.

One reader serves `git planner top` in all its forms. It keeps what it has read, asks cheaply whether anything
changed, and reads only that again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.board import inbox
from git_planner.flows.board.overview.session_lines import RunFiles, RunLine, stamp_of
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.records.ledger import LedgerReader
from git_planner.flows.runs.leases import lease_document
from git_planner.flows.tasks.edit import PlanTasks, read_tasks
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.host.leases.host_lease import BOOK, HostLeases, state_folder
from git_planner.rules import refnames
from git_planner.rules.board.inbox import InboxItem, sort_items
from git_planner.rules.plans import plan as plans
from git_planner.rules.records.row import RecordRow
from git_planner.rules.tasks.task import Task, TaskStatus
from git_planner.rules.timestamps import format_time

PREFIXES = (refnames.HEADS + refnames.PLAN, refnames.HEADS + refnames.ITER, refnames.OURS)
# Records that are shown.
MOST_RECORDS = 20
# Seconds after which what no file tells is looked at again: processes that ended, locks that were left.
_STALE_SECONDS = 10.0
_TIMES_DIFFER = 50_000_000
# Statuses in the order in which they need a person's eyes.
_ORDER: tuple[TaskStatus, ...] = (
    *("needs_input", "review_ready", "agent_done", "blocked", "in_progress", "todo"),
    *("deferred", "done", "cancelled"),
)


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A plan: its goal and the number of its tasks by status."""

    plan: str
    goal: str
    tasks: Mapping[str, int]
    is_current: bool
    changed_at: str


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task of a plan."""

    plan: str
    task: str
    status: str
    title: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record: its verdict and the value of the deciding metric."""

    record: str
    plan: str
    verdict: str
    value: float | None
    unit: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All parts at one time. `problems` are the parts that could not be read."""

    at: str
    plans: tuple[PlanLine, ...] = ()
    tasks: tuple[TaskLine, ...] = ()
    runs: tuple[RunLine, ...] = ()
    leases: tuple[Mapping[str, Any], ...] = ()
    inbox: tuple[InboxItem, ...] = ()
    records: tuple[RecordLine, ...] = ()
    problems: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as one JSON document."""
        return {
            "schema": "git-planner/overview@1",
            "at": self.at,
            **{
                name: [asdict(line) for line in getattr(self, name)]
                for name in ("plans", "tasks", "runs", "inbox", "records")
            },
            "leases": [dict(lease) for lease in self.leases],
            "problems": list(self.problems),
        }


@dataclass(slots=True)
class _PlanCache:
    """Content of a plan at a tip."""

    tip: str
    tasks: PlanTasks | PlannerError
    lines: tuple[TaskLine, ...]
    records: Sequence[RecordRow] = ()
    problem: str | None = None


@dataclass(slots=True)
class _Cache:
    """Content of all sources, with their stamps."""

    refs: list[tuple[str, int]] = field(default_factory=list)
    tips: dict[str, str] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    plans: dict[str, _PlanCache] = field(default_factory=dict)
    branch_items: list[InboxItem] = field(default_factory=list)
    branches: object = None
    read_at: float = float("-inf")


class OverviewReader:
    """Reader of the overview of one repository, for one thread at a time.

    Args:
        repo: the repository.
        plan: only this plan; all when None.
        clock: returns the time in seconds, by which what no file tells is looked at again.
        times_differ: nanoseconds within which two changes of a folder may get the same time.
    """

    def __init__(
        self,
        repo: Repository,
        plan: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        times_differ: int = _TIMES_DIFFER,
    ) -> None:
        self.repo, self.plan = repo, plan
        self._clock, self._times_differ = clock, times_differ
        self._cache = _Cache()
        self._stamp: object = None
        self._current = ""
        self._leases = HostLeases()
        self._files = RunFiles(repo)

    def is_changed(self) -> bool:
        """Return whether a source changed since the last `read`, or that is long ago; start no process."""
        is_stale = self._clock() - self._cache.read_at > _STALE_SECONDS
        return is_stale or self._stamps() != self._stamp or self._files.has_other()

    def read(self) -> Overview:
        """Read what changed, and return everything.

        Raises:
            PlannerError: E_NO_PLAN for a plan that does not exist; E_GIT.
        """
        cache = self._cache
        stamp = self._stamps()
        is_stale = self._clock() - cache.read_at > _STALE_SECONDS
        refs = history.ref_stamps(self.repo, PREFIXES)
        # A folder that changed a moment ago may change again without a new time.
        is_recent = max((at for _, at in refs), default=0) > time.time_ns() - self._times_differ
        is_moved = is_recent or refs != cache.refs
        if is_moved:
            self._read_refs()
            cache.refs = refs
        runs = self._files.read(self.plan)
        if is_stale:
            self._files.forget_processes()
        liveness = self._files.liveness(runs)
        ended = inbox.ended_times(runs)
        names = self._plan_names()
        if is_moved or is_stale:
            self._files.read_published({name: cache.plans[name].tip for name in names}, self.plan)
            self._read_branches(names, forced=is_stale)
        if is_stale:
            cache.read_at = self._clock()
            self._current = current_plan(self.repo, None)
        items = [*cache.branch_items, *inbox.run_items(self.repo, runs, liveness)]
        items += inbox.session_items((session for _, session in self._files.sessions.values()), self.plan)
        for name in names:
            items += self._plan_items(name, ended)
        problems = [problem for name in names if (problem := cache.plans[name].problem) is not None]
        leases = []
        try:
            book, clock = self._leases.read()
            leases = [lease_document(lease, clock) for lease in book.leases]
        except PlannerError as error:
            problems.append(f"leases: {error.message}")
        self._stamp = None if is_recent else stamp
        return Overview(
            at=utc_now(),
            plans=tuple(self._plan_line(name, name == self._current) for name in names if self._tasks(name)),
            tasks=tuple(line for name in names for line in cache.plans[name].lines),
            runs=self._files.lines(runs, liveness, self.plan),
            leases=tuple(leases),
            inbox=tuple(sort_items(items)),
            records=self._records(names),
            problems=tuple(problems),
        )

    def task(self, plan: str, task: str) -> Task | None:
        """Return a task as it was read last."""
        tasks = self._tasks(plan)
        return next((item for item in tasks.tasks if item.id == task), None) if tasks else None

    def _stamps(self) -> object:
        """Return the times of all sources but the runs' own files, without starting a process."""
        places = (self.repo.private("runs"), state_folder() / BOOK)
        return [history.ref_stamps(self.repo, PREFIXES), *(stamp_of(path) for path in places)]

    def _read_refs(self) -> None:
        prefixes = [refnames.HEADS + refnames.PLAN, refnames.HEADS + refnames.ITER]
        listed = history.list_ref_fields(self.repo, ("objectname", "committerdate:unix"), prefixes)
        self._cache.tips = {ref: oid for ref, (oid, _) in listed.items()}
        self._cache.times = {ref: format_time(int(at or 0)) for ref, (_, at) in listed.items()}

    def _read_branches(self, names: Sequence[str], *, forced: bool) -> None:
        """Read what the inbox has of branches, which takes five processes, unless only tasks changed."""
        tips = self._cache.tips.items()
        branches = (
            [ref if ref.startswith(refnames.HEADS + refnames.PLAN) else (ref, oid) for ref, oid in tips],
            history.ref_stamps(self.repo, (refnames.OURS,)),
            [[row.id for row in self._cache.plans[name].records] for name in names],
        )
        if forced or branches != self._cache.branches:
            self._cache.branch_items = list(inbox.branch_items(self.repo, self.plan, self._cache.times))
            self._cache.branches = branches

    def _plan_names(self) -> list[str]:
        """Return the plans that are shown, and read those whose tip moved."""
        names = [
            name
            for ref in self._cache.tips
            if ref.startswith(refnames.HEADS + refnames.PLAN)
            and plans.is_plan_name(name := refnames.short_name(ref).removeprefix(refnames.PLAN))
            and self.plan in (None, name)
        ]
        if self.plan is not None and not names:
            read_tasks(self.repo, self.plan)
        for name in names:
            tip, known = self._cache.tips[refnames.plan_ref(name)], self._cache.plans.get(name)
            if known is None or known.tip != tip:
                self._cache.plans[name] = self._read_plan(name, tip)
        return names

    def _read_plan(self, name: str, tip: str) -> _PlanCache:
        try:
            tasks = read_tasks(self.repo, name)
            read = _PlanCache(tip, tasks, tuple(_task_lines(name, tasks.tasks)))
        except PlannerError as error:
            read = _PlanCache(tip, error, ())
        try:
            read.records = LedgerReader(self.repo).read(name)[-MOST_RECORDS:]
        except PlannerError as error:
            read.problem = f"records of '{name}': {error.message}"
        return read

    def _tasks(self, name: str) -> PlanTasks | None:
        known = self._cache.plans.get(name)
        return None if known is None or isinstance(known.tasks, PlannerError) else known.tasks

    def _plan_items(self, name: str, ended: Mapping[tuple[str, str], str]) -> Iterable[InboxItem]:
        tasks, changed = self._cache.plans[name].tasks, self._cache.times.get(refnames.plan_ref(name), "")
        if isinstance(tasks, PlannerError):
            return inbox.unreadable_items(name, tasks, changed)
        return inbox.task_items(name, tasks.tasks, ended, changed)

    def _plan_line(self, name: str, is_current: bool) -> PlanLine:
        tasks = self._tasks(name)
        assert tasks is not None
        counts = Counter(task.status for task in tasks.tasks)
        changed = self._cache.times.get(refnames.plan_ref(name), "")
        goal = str(tasks.about.get("goal", ""))
        return PlanLine(
            name, goal, {status: counts[status] for status in _ORDER if counts[status]}, is_current, changed
        )

    def _records(self, names: Iterable[str]) -> tuple[RecordLine, ...]:
        rows = sorted(
            (row for name in names for row in self._cache.plans[name].records), key=lambda row: row.id
        )
        return tuple(
            RecordLine(row.id, row.plan, row.verdict, row.value, row.unit, row.branch)
            for row in reversed(rows[-MOST_RECORDS:])
        )


def _task_lines(plan: str, tasks: Iterable[Task]) -> list[TaskLine]:
    """Return the tasks of a plan, those first that need a person or are at work."""
    place = {status: number for number, status in enumerate(_ORDER)}
    in_order = sorted(tasks, key=lambda task: (place[task.status], task.number))
    return [TaskLine(plan, task.id, task.status, task.title, task.owner) for task in in_order]
