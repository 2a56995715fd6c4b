"""The folder to measure in, for 20,000 and 100,000 files, as ratios to a checkout of the same tree."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from git_planner.gitio.content.reused_export import ReusedExport
from tests.bench.timing import Figure
from tests.support.lab import Lab

SIZES = (20_000, 100_000)


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Write the tree of a record, put it right after a run, and move it to the next candidate."""
    for size in SIZES[: 1 if fewer > 1 else None]:
        (root / str(size)).mkdir()
        lab = Lab(root / str(size), first=False)
        with lab.entered():
            os.environ["TMPDIR"] = str(root)
            yield from figures(lab, size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("memory of that", 300, peak, "MB")


def figures(lab: Lab, size: int) -> Iterator[Figure]:
    """Return the ratios for a repository of so many files."""
    lab.git("config", "gc.auto", "0")
    files = {f"d{number % 200}/e{number % 10}/f{number}": f"{number}\n" * 20 for number in range(size)}
    one = lab.git("rev-parse", f"{lab.commit('one', files)}^{{tree}}")
    other = lab.commit("two", dict.fromkeys(list(files)[:3], "other\n"))
    two = lab.git("rev-parse", f"{other}^{{tree}}")
    checkout = lab.root / "checkout"
    base = seconds(lambda: lab.git("worktree", "add", "-q", "--detach", str(checkout)))
    shutil.rmtree(checkout)
    with closing(ReusedExport(lab.repo, reuse=True)) as folder:
        what = f"of {size:,} files, to 'git worktree add'"
        yield Figure(f"first run {what}", 1.3, seconds(lambda: run(folder, one)) / base, "x")
        yield Figure(f"further run {what}", 0.1, seconds(lambda: run(folder, one)) / base, "x")
        yield Figure(f"the other tree {what}", 0.3, seconds(lambda: run(folder, two)) / base, "x")


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
