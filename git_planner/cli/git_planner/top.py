"""`git planner top`: watch a repository."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, PlannerError
from git_planner.gitio.repository import Repository

if TYPE_CHECKING:
    from git_planner.flows.board.overview.overview import OverviewReader
    from git_planner.report.top.actions import TopActions

_COLUMNS = 100
_READ_SECONDS = 3.0
_NO_COLOR = ("never", "false", "no", "off", "0")


@click.command()
@click.option("--once", is_flag=True, help="Print one plain frame and end; also when stdout is no terminal.")
@plan_option
@json_option
def top(*, once: bool, plan: str | None, as_json: bool) -> int:
    """Watch plans, tasks, runs, leases, the inbox and the last records.

    The keys are on the last line: open an item, answer a question, follow a run's output, attach to a
    session. Needs the extra 'board'; a plain frame (--once) does not.
    """
    from git_planner.flows.board.overview.overview import OverviewReader

    repo = start_in_repository()
    reader = OverviewReader(repo, plan)
    if as_json:
        emit(reader.read().document())
        return DONE
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"
    if once or not is_terminal:
        from git_planner.report.top.frame import render_frame

        columns = shutil.get_terminal_size((_COLUMNS, 24)).columns if sys.stdout.isatty() else _COLUMNS
        for line in render_frame(reader.read(), columns):
            say(line)
        return DONE
    _watch(repo, reader)
    return DONE


def _watch(repo: Repository, reader: OverviewReader) -> None:
    """Show the live view until it is left."""
    try:
        import textual  # noqa: F401
    except ImportError:
        raise PlannerError(
            "E_MISSING_EXTRA",
            "'textual', which draws the live view, is not installed",
            hint="pip install 'git-planner[board]'; 'git planner top --once' does without",
        ) from None
    from git_planner.report.top.app import TopApp

    if (repo.config("color.ui") or "").lower() in _NO_COLOR:
        os.environ["NO_COLOR"] = "1"
    TopApp(reader, top_actions(repo), reader.read()).run()


def top_actions(repo: Repository) -> TopActions:
    """Return what the keys of the live view do."""
    from git_planner.report.top.actions import TopActions

    # Threads of the view share the repository's reader of objects.
    lock = threading.Lock()

    def describe(pane: str, item: Any) -> Sequence[str]:
        with lock:
            return list(_described(repo, pane, item))

    def answer(plan: str, task: str, text: str) -> str:
        from git_planner.flows.tasks.edit import answer_question
        from git_planner.rules.tasks.task import QuestionAnswer

        with lock:
            answer_question(repo, plan, task, QuestionAnswer(repo.now(), repo.ident(), text))
        return f"{task} is answered; requeue it with 'git plan task resume {task} --plan {plan}'"

    def output(run: str) -> Sequence[str]:
        from git_planner.flows.board.overview.session_lines import run_output

        return run_output(repo, run)

    return TopActions(describe, answer, output, _attach)


def _described(repo: Repository, pane: str, item: Any) -> Iterable[str]:
    """Return the lines that show an item in full, as its own command shows it."""
    if pane == "tasks":
        from git_planner.cli.git_plan.task import render
        from git_planner.flows.tasks.claim_refs import read_claims
        from git_planner.flows.tasks.edit import read_tasks

        task = read_tasks(repo, item.plan).task(item.task)
        return render.lines(task, read_claims(repo, item.plan).get(task.id))
    if pane == "runs" and item.session is None:
        from git_planner.cli.git_plan.runs import examined_lines
        from git_planner.flows.runs.inspect import inspect_runs

        return examined_lines(inspect_runs(repo, None, item.run), full=True)
    if pane == "records":
        from git_planner.cli.git_record import render as records
        from git_planner.flows.records.ledger import find_record

        return records.details(find_record(repo, item.plan, item.record))
    if pane == "inbox":
        return [f"{item.kind}, {item.since or 'since when is unknown'}", "", item.text, "", item.command]
    fields = item if isinstance(item, dict) else asdict(item)
    return [f"{name}: {value}" for name, value in fields.items() if value not in (None, "")]


def _attach(argv: Sequence[str]) -> int:
    """Run a command in the foreground, and return its exit status; what ends at once can be read."""
    from git_planner.host.terminals.foreground import Foreground

    started = time.monotonic()
    with Foreground(argv, os.environ) as program:
        while (status := program.wait(3600.0)) is None:
            pass
    if time.monotonic() - started < _READ_SECONDS:
        tell("press Enter to go back")
        sys.stdin.readline()
    return status
