"""The parts of the overview as rows of text, for the live view and for one plain frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from git_planner.flows.board.overview.overview import Overview
from git_planner.rules.printable import counted, printable_line

# The order of the parts, and of the keys that show them.
NAMES = ("inbox", "tasks", "runs", "plans", "leases", "records")
_MOST_CELL = 500


class PaneRow(NamedTuple):
    """A row. `key` is its identity in its pane, `tone` its status, which decides its colour."""

    key: str
    cells: tuple[str, ...]
    tone: str
    item: Any


@dataclass(frozen=True, slots=True)
class TopPane:
    """A part of the overview: its name, and its rows. The last column takes the width that is left."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[PaneRow, ...]

    def widths(self, rows: Sequence[PaneRow]) -> list[int]:
        """Return the widths of the columns but the last, as far as some rows need them."""
        places = range(len(self.columns) - 1)
        return [min(24, max((len(row.cells[place]) for row in rows), default=0)) for place in places]


def panes_of(overview: Overview) -> dict[str, TopPane]:
    """Return all panes by name; texts are one line each, with control characters escaped."""
    has_plans = len(overview.plans) > 1
    made = {
        "inbox": (("since", "kind", "subject", "what waits"), _inbox(overview)),
        "tasks": (
            (*(("plan",) if has_plans else ()), "task", "status", "title"),
            _tasks(overview, has_plans),
        ),
        "runs": (("task", "state", "agent", "started", "run"), _runs(overview)),
        "plans": (("plan", "done", "goal"), _plans(overview)),
        "leases": (("lease", "state", "until", "purpose"), _leases(overview)),
        "records": (("at", "verdict", "value", "plan"), _records(overview)),
    }
    return {name: TopPane(name, columns, tuple(rows)) for name, (columns, rows) in made.items()}


def summary_of(overview: Overview) -> str:
    """Return the parts with something in them, and their numbers, in one line."""
    sizes = [
        counted(len(overview.plans), "plan"),
        counted(len(overview.tasks), "task"),
        counted(sum(run.is_open for run in overview.runs), "run"),
        counted(len(overview.leases), "lease"),
        f"{len(overview.inbox)} waiting",
    ]
    return ", ".join(sizes)


def _inbox(overview: Overview) -> Iterator[PaneRow]:
    for item in overview.inbox:
        subject = (
            item.subject if item.plan is None or item.plan in item.subject else f"{item.plan} {item.subject}"
        )
        yield _row(
            f"{item.kind} {subject}", (_at(item.since), item.kind, subject, item.text), item.kind, item
        )


def _tasks(overview: Overview, has_plans: bool) -> Iterator[PaneRow]:
    for task in overview.tasks:
        title = f"{task.title} [{task.owner}]" if task.owner else task.title
        cells = (task.task, task.status, title)
        yield _row(f"{task.plan} {task.task}", (task.plan, *cells) if has_plans else cells, task.status, task)


def _runs(overview: Overview) -> Iterator[PaneRow]:
    for run in overview.runs:
        cells = (f"{run.plan} {run.session or run.task}", run.state, run.agent, _at(run.started_at), run.run)
        yield _row(run.run, cells, run.state, run)


def _plans(overview: Overview) -> Iterator[PaneRow]:
    for plan in overview.plans:
        name = f"{plan.plan} *" if plan.is_current else plan.plan
        progress = f"{plan.tasks.get('done', 0)}/{sum(plan.tasks.values())}"
        yield _row(plan.plan, (name, progress, plan.goal), "current" if plan.is_current else "", plan)


def _leases(overview: Overview) -> Iterator[PaneRow]:
    for lease in overview.leases:
        owner = lease["session"] or (f"process {lease['pid']}" if lease["pid"] else "")
        purpose = f"{lease['purpose']} ({owner})" if owner else lease["purpose"]
        state = "held" if lease["granted"] else "waits"
        cells = (lease["lease"], state, _at(lease["expires_at"]), purpose)
        yield _row(lease["lease"], cells, state, lease)


def _records(overview: Overview) -> Iterator[PaneRow]:
    for record in overview.records:
        value = "" if record.value is None else f"{record.value:g} {record.unit}".strip()
        stamp = record.record
        at = f"{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"
        yield _row(record.record, (at, record.verdict, value, record.plan), record.verdict, record)


def _row(key: str, cells: Sequence[str], tone: str, item: Any) -> PaneRow:
    return PaneRow(
        key, tuple(printable_line(" ".join(cell[:_MOST_CELL].split())) for cell in cells), tone, item
    )


def _at(time: str | None) -> str:
    """Return month, day and minute of a UTC time."""
    return f"{time[5:10]} {time[11:16]}" if time else ""
