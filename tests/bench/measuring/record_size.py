"""`git record` with 20,000 and 100,000 files, as ratios to `git worktree add` of the same tree."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from git_planner.gitio.content.reused_export import ReusedExport
from tests.bench.timing import Figure, run_once
from tests.support.lab import Lab, command_line

SIZES = (20_000, 100_000)
ROUNDS = {20_000: 5, 100_000: 3}
_PART = 10_000
POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**", ".git-planner.yml"]
correctness: {run: ["true"], proof: exit-status, timeout: 60}
metrics:
  - {name: n, run: [echo, "N: 5"], pattern: 'N: (\\d+)', unit: n, better: lower, timeout: 60}
"""


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Record candidates with an instant instrument, the first in a new cache, the others in a kept folder."""
    for size in SIZES[: 1 if fewer > 1 else None]:
        (root / str(size)).mkdir()
        lab = Lab(root / str(size), first=False)
        with lab.entered():
            os.environ["TMPDIR"] = str(root)
            yield from figures(lab, size, ROUNDS[size] if fewer == 1 else 2)


def figures(lab: Lab, size: int, rounds: int) -> Iterator[Figure]:
    """Return the ratios for a repository of so many files, and the memory."""
    candidates = make_repository(lab, size, 2 * rounds + 1)
    times: dict[str, list[float]] = {"worktree": [], "first": [], "next": []}
    peaks = []

    def timed(name: str, *argv: str) -> None:
        milliseconds, peak = run_once(argv, lab.path, lab.env | {"TMPDIR": os.environ["TMPDIR"]})
        times.setdefault(name, []).append(milliseconds / 1000)
        if name != "worktree":
            peaks.append(peak)

    for number in range(rounds):
        # Nothing is removed meanwhile: that would make new files slower.
        timed("worktree", "git", "worktree", "add", "-q", "--detach", str(lab.root / f"checkout-{number}"))
        lab.env["XDG_CACHE_HOME"] = str(lab.root / f"cache-{number}")
        timed("first" if number else "base", *command_line("git-record", candidates.pop()))
        timed("next", *command_line("git-record", candidates.pop()))
    base = statistics.median(times["worktree"])
    what = f"of {size:,} files, to 'git worktree add'"
    yield Figure(f"first record, with its base, {what}", 1.3, times["base"][0] / base, "x")
    yield Figure(f"first record {what}", 1.3, statistics.median(times["first"]) / base, "x")
    yield Figure(f"next candidate {what}", 0.3, statistics.median(times["next"]) / base, "x")
    with closing(ReusedExport(lab.repo, reuse=True, parent=lab.root)) as folder:
        tree = lab.git("rev-parse", "main^{tree}")
        run(folder, tree)
        further = statistics.median(seconds(lambda: run(folder, tree)) for _ in range(5))
    yield Figure(f"further run {what}", 0.1, further / base, "x", f"{base:.2f} s")
    yield Figure(f"memory of a record of {size:,} files", 300, max(peaks), "MB")


def make_repository(lab: Lab, size: int, candidates: int) -> list[str]:
    """Commit so many files, and candidates that differ in three of them; return the candidates."""
    lab.git("config", "gc.auto", "0")
    files = {f"d{number % 200}/e{number % 10}/f{number}": f"{number}\n" * 20 for number in range(size)}
    # No more names than a command line holds.
    for part in range(0, size, _PART):
        lab.commit("files", dict(itertools.islice(files.items(), part, part + _PART)))
    lab.commit("policy", {"tests/test_a": "guarded\n", ".git-planner.yml": POLICY})
    lab.git("gc", "-q")
    names = []
    for number in range(candidates):
        lab.git("checkout", "-q", "-b", f"candidate-{number}", "main")
        names.append(lab.commit("candidate", dict.fromkeys(list(files)[:3], f"candidate {number}\n")))
    lab.git("checkout", "-q", "main")
    return names


def run(folder: ReusedExport, tree: str) -> None:
    """Do what a run does that leaves files behind."""
    with folder.holding(tree) as place:
        (place / "tree/left").write_text("left")
        (place / "tree/d0/e0/left").write_text("left")


def seconds(call: Callable[[], object]) -> float:
    """Return the time that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
