"""Instruction counter: perf where the machine permits it, otherwise valgrind."""

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
_ARGUMENTS: dict[Tool, tuple[str, ...]] = {
    "perf": ("stat", "-x", ",", "-e", "instructions:u", "--"),
    "valgrind": (
        *("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
        *("--trace-children=yes", "--"),
    ),
}


@dataclass(frozen=True, slots=True)
class Counter:
    """A working instruction counter. `prefix` precedes the command line; `shown` is its name in records."""

    tool: Tool
    prefix: tuple[str, ...]
    shown: str


@cache
def find(path: str) -> Counter | None:
    """Return the counter of this machine, probed once per process; None when none works.

    Args:
        path: the search path for programs, absolute entries only.
    """
    return next((counter for tool in _ARGUMENTS if (counter := _probe(tool, path))), None)


def _probe(tool: Tool, path: str) -> Counter | None:
    """Count a program that does nothing: perf is often installed but not permitted."""
    program, nothing = shutil.which(tool, path=path), shutil.which("true", path=path)
    if program is None or nothing is None:
        return None
    env = {"PATH": path, "LC_ALL": "C"}
    prefix = (program, *_ARGUMENTS[tool])
    try:
        counted = process.run((*prefix, nothing), cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
        version = process.run((program, "--version"), cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
    except PlannerError:
        return None
    if isinstance(read_count("probe", tool, counted.stderr), Refusal):
        return None
    return Counter(tool, prefix, version.stdout.decode("utf-8", "replace").strip()[:80] or tool)
