"""A fixed overview, and a live view of it whose keys are noted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from textual.pilot import Pilot

from git_planner.errors import PlannerError
from git_planner.flows.board.overview.overview import Overview, PlanLine, RecordLine, RunLine, TaskLine
from git_planner.report.top.actions import TopActions
from git_planner.report.top.app import TopApp
from git_planner.rules.board.inbox import InboxItem

ATTACH = ("git", "x")
NASTY = "Which \x1b[2J one? \u202e[red]x[/red]"


def overview(tasks: int = 12) -> Overview:
    """Return an overview with something in every part."""
    statuses = ("needs_input", "in_progress", "blocked", "todo", "done")
    lines = [
        TaskLine("speed", f"task_{number:03d}", statuses[number % 5], f"Make part {number} better", None)
        for number in range(1, tasks + 1)
    ]
    at, runs = "2026-11-30T12:34:56Z", "20261130T12000"
    lease = {"lease": "HEAVY-1", "granted": True, "expires_at": at, "purpose": "tests"}
    command = "git plan task answer task_005 TEXT --plan speed"
    return Overview(
        at=at,
        plans=(PlanLine("speed", "Make it twice as fast", {"todo": 3, "done": 2}, True, at),),
        tasks=tuple(lines),
        runs=(
            RunLine(
                f"{runs}1Z-abcdefgh",
                "speed",
                "task_001",
                "worker-task_001",
                "running",
                True,
                "codex m",
                at,
                at,
                ATTACH,
            ),
            RunLine(
                f"{runs}0Z-abcdefgh", "speed", "task_005", None, "needs_input", False, "codex m", at, None
            ),
        ),
        leases=({**lease, "session": "w", "pid": 7},),
        inbox=(
            InboxItem("question", at, "speed", "task_005", NASTY, command),
            InboxItem("review", at, "speed", "task_002", "'Make part 2 better' waits", "git plan …"),
        ),
        records=(
            RecordLine("20261130T110000Z-abcdefgh", "speed", "improved", 1363.0, "cycles", "iter/0001-next"),
        ),
    )


@dataclass
class Watch:
    """A source of overviews, and the calls of the keys."""

    page: Overview = field(default_factory=overview)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    output: list[str] = field(default_factory=lambda: ["line 1"])
    fault: PlannerError | None = None
    is_new: bool = False

    def is_changed(self) -> bool:
        """Return whether another overview was put here."""
        return self.is_new

    def read(self) -> Overview:
        """Return the overview."""
        self.is_new = False
        self.calls.append(("read",))
        return self.page

    def put(self, **parts: Any) -> None:
        """Change parts of the overview."""
        self.page, self.is_new = replace(self.page, **parts), True

    def actions(self) -> TopActions:
        """Return actions that note their calls."""

        def describe(pane: str, item: Any) -> Sequence[str]:
            self._call("describe", pane)
            return [f"all about {item}", NASTY]

        def answer(plan: str, task: str, text: str) -> str:
            self._call("answer", plan, task, text)
            return f"{task} is answered"

        def read_output(run: str) -> Sequence[str]:
            self._call("output", run)
            return list(self.output)

        def attach(argv: Sequence[str]) -> int:
            self._call("attach", *argv)
            return 3

        return TopActions(describe, answer, read_output, attach)

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fault is not None:
            raise self.fault

    def run(self) -> None:
        """Run the live view in the terminal of this process."""
        TopApp(self, self.actions(), self.page).run()

    def drive(
        self, act: Callable[[TopApp, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)
    ) -> TopApp:
        """Run the live view without a terminal, act on it, and end it."""
        app = TopApp(self, self.actions(), self.page)

        async def run() -> None:
            async with app.run_test(size=size, notifications=True) as pilot:
                await pilot.pause()
                await act(app, pilot)

        asyncio.run(run())
        return app


async def settle(app: TopApp, pilot: Pilot[None]) -> None:
    """Wait until the threads of the view are done and drawn."""
    await app.workers.wait_for_complete()
    await pilot.pause()


def screen_text(app: TopApp) -> list[str]:
    """Return the lines of the screen."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]
