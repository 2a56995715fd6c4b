"""What counts the instructions of a run: perf, where the machine lets it, else valgrind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.host import process
from git_planner.rules.measuring.metric import Tool, read_count
from git_planner.rules.measuring.verdict import Refusal

_PROBE_SECONDS = 20.0
_WORDS: dict[Tool, tuple[str, ...]] = {
    "perf": ("stat", "-x", ",", "-e", "instructions:u", "--"),
    "valgrind": (
        *("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
        *("--trace-children=yes", "--"),
    ),
}


@dataclass(frozen=True, slots=True)
class Counter:
    """A tool that was tried and counts. `words` go before a command line; `shown` is what records say."""

    tool: Tool
    words: tuple[str, ...]
    shown: str


@cache
def find(path: str) -> Counter | None:
    """The counter of this machine, tried once a process; None when there is none.

    Args:
        path: the search path for programs, absolute entries only.
    """
    return next((found for tool in _WORDS if (found := _tried(tool, path))), None)


def _tried(tool: Tool, path: str) -> Counter | None:
    """Count a program that does nothing: perf is often there and not allowed to."""
    program, nothing = shutil.which(tool, path=path), shutil.which("true", path=path)
    if program is None or nothing is None:
        return None
    env = {"PATH": path, "LC_ALL": "C"}
    words = (program, *_WORDS[tool])
    try:
        counted = process.run((*words, nothing), cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
        said = process.run((program, "--version"), cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
    except PlannerError:
        return None
    if isinstance(read_count("probe", tool, counted.stderr), Refusal):
        return None
    return Counter(tool, words, said.stdout.decode("utf-8", "replace").strip()[:80] or tool)
