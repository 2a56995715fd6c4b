"""Timing of processes in interleaved runs: medians, ratios and peak memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Series:
    """Wall times in milliseconds and peak memory in MiB of one command's runs."""

    milliseconds: tuple[float, ...]
    memory: float = 0.0

    @property
    def median(self) -> float:
        """Return the median wall time in milliseconds."""
        return statistics.median(self.milliseconds)


# A small process that starts the command and waits for it: a child's peak memory begins at that of the
# process it was forked from, and the bench itself is large.
LAUNCHER = """
import os, sys, time
started = time.perf_counter()
null = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
print((time.perf_counter() - started) * 1000, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
"""


def run_command(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(argv, cwd=cwd, env=dict(env), capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}")


def run_once(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[float, float]:
    """Run a command until it exits.

    Returns:
        Wall milliseconds and peak memory in MiB (of the largest process in its tree).
    """
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *argv]
    done = subprocess.run(
        launch, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    took, peak, status = done.stdout.split()
    if status != "0":
        raise SystemExit(f"{' '.join(argv)} ended with {status}:\n{done.stderr}")
    return float(took), float(peak)


def in_turn(actions: Mapping[str, Callable[[], float]], rounds: int, warmup: int = 2) -> dict[str, Series]:
    """Time the actions interleaved, A B C A B C, so that a drifting machine affects all alike.

    Args:
        actions: name -> a function that does the work and returns its milliseconds.
        rounds: number of counted rounds.
        warmup: rounds not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + warmup):
        for name, action in actions.items():
            took = action()
            if number >= warmup:
                times[name].append(took)
    return {name: Series(tuple(runs)) for name, runs in times.items()}


def commands(
    rounds: int, cwd: Path, env: Mapping[str, str], named: Mapping[str, Sequence[str]]
) -> dict[str, Series]:
    """Time command lines in interleaved runs, with their peak memory."""
    peaks: dict[str, float] = dict.fromkeys(named, 0.0)

    def action(name: str, argv: Sequence[str]) -> Callable[[], float]:
        def run() -> float:
            took, peak = run_once(argv, cwd, env)
            peaks[name] = max(peaks[name], peak)
            return took

        return run

    series = in_turn({name: action(name, argv) for name, argv in named.items()}, rounds)
    return {name: Series(runs.milliseconds, peaks[name]) for name, runs in series.items()}


@dataclass(frozen=True)
class Figure:
    """A measured figure and its limit. `unit` is such as 'ms', 'MiB' or 'x'; empty for a count."""

    what: str
    asked: float
    measured: float
    unit: str
    remark: str = ""

    @property
    def reached(self) -> bool:
        """Return whether the figure is within its limit."""
        return self.measured <= self.asked

    def line(self) -> str:
        """Return the figure as one line of the table."""
        mark = "reached" if self.reached else "NOT REACHED"
        asked, measured = f"{self.asked:g} {self.unit}", f"{self.measured:.2f} {self.unit}"
        return f"{self.what:<58} {asked:>9} {measured:>12}  {mark:<11} {self.remark}".rstrip()
