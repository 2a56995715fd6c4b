"""A run whose variants come from a cloud service, a program of the tests; a clock that only sleeps."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from git_planner.flows.tournament.collecting.watch import watch
from git_planner.flows.tournament.run_store import RunStore, RunView
from git_planner.rules.tournament import event
from tests.support.lab import Lab
from tests.support.small_campaign import campaign, hush

PROGRAM = Path(__file__).parents[2] / "support" / "servers" / "cloud_program.py"
RUN = "speed"


class SleepingClock:
    """A clock whose time passes only by sleeping; `pauses` are the sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


def value(number: int | str, old: str = "100") -> str:
    """Return a patch of the campaign's value."""
    return f"diff --git a/value b/value\n--- a/value\n+++ b/value\n@@ -1 +1 @@\n-{old}\n+{number}\n"


def module(name: str) -> str:
    """Return a patch that adds a module."""
    path = f"modules/{name}/module.json"
    text = json.dumps({"id": name, "version": "1.0.0", "provides": []})
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1 @@\n+{text}\n"


def row(number: Any, status: str = "completed", diff: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a variant as the service shows it."""
    return {"variant_index": number, "status": status, "diff": diff, **more}


def serve(
    lab: Lab,
    polls: Sequence[str] = ("ready",),
    variants: Sequence[dict[str, Any]] = (),
    *,
    dialect: str = "variants",
    name: str = "task_1",
    **more: Any,
) -> Path:
    """Let the laboratory's cloud service have a task; return the file of its calls."""
    path = lab.root / "tasks.json"
    task = {"id": name, "polls": list(polls), "variants": list(variants)}
    path.write_text(json.dumps({"tasks": [task], **more}))
    lab.env["CODEX_BIN"] = shlex.join([sys.executable, "-I", "-S", str(PROGRAM), dialect, str(path)])
    return path.with_name(path.name + ".calls")


def cloud_run(lab: Lab, *words: str, sent: bool = False) -> None:
    """Create the run 'speed' of the task, or of a prompt that is yet to be sent."""
    campaign(lab)
    source = ("--env", "demo", "--prompt", "make it faster") if sent else ("--task", "task_1")
    ran = lab.run("git-bo4", "new", "--run", RUN, *source, *words)
    assert ran.status == 0, ran.err


def watched(lab: Lab, clock: SleepingClock, **more: Any) -> RunView:
    """Watch the run with a clock that only sleeps."""
    with lab.entered():
        return watch(lab.repo, RUN, hush, clock=clock, sleep=clock.sleep, **more)


def view(lab: Lab) -> RunView:
    """Return the run."""
    with lab.entered():
        return RunStore(lab.repo, RUN).read()


def codes(lab: Lab) -> list[str]:
    """Return the codes of the run's events, whose chain is checked."""
    stream = view(lab).events
    assert event.validate(stream, strict=True) == []
    return [line["detail"]["code"] for line in event.read(stream)]


def states(lab: Lab) -> dict[int, str]:
    """Return the states of the run's variants."""
    return {variant.number: variant.state for variant in view(lab).current}
