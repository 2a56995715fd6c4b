"""Luck on a real library: sqlparse with its own tests, a benchmark by the clock, twenty changes that change
nothing, and one that makes it a tenth faster.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from git_planner.flows.measuring.noise import report_noise
from git_planner.flows.records.record import record_commit
from git_planner.rules.records.record import Record
from tests.real.conftest import Place
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

pytestmark = pytest.mark.real

TRIES = 20
# A gain that is not found at first is measured again: each time spends its own share of the error budget,
# so the promise about false keeps holds, and a machine in bursts of noise gets more than one chance.
AGAIN = 5
POLICY = """\
schema: git-planner/policy@1
base: main
guard: [tests/**, benchmarks/**, pyproject.toml]
scope: {allow: ["sqlparse/**"]}
correctness:
  run: [python, -m, pytest, -q, -p, "no:cacheprovider", tests/test_parse.py]
  proof: junit
  timeout: 120
metrics:
  - {name: cpu, run: [python, benchmarks/clock.py], pattern: '^CPU: ([0-9.]+)$', unit: ms, better: lower,
     kind: noisy, timeout: 60, pairs: {max: 64, alpha: 0.02}}
"""
BENCHMARK = '''\
"""CPU time of the entry points for the payloads of the other benchmarks, each at one small size: the least of
a few repeats, since whatever else a machine does can only make one longer. Memory lies elsewhere in each run:
a comment in a source file moves it about, and where it happens to lie must be noise, not a gain.

Run with:  python benchmarks/clock.py
"""

import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import bench_group_comments  # noqa: E402
import bench_grouping  # noqa: E402
import bench_lexer_delimiters  # noqa: E402
import bench_reindent_offset  # noqa: E402

MODULES = (bench_group_comments, bench_grouping, bench_lexer_delimiters,
           bench_reindent_offset)
VECTORS = [vector for module in MODULES for vector in module.VECTORS]


def work(size):
    began = time.process_time()
    for vector in VECTORS:
        vector.run(vector.build(size))
    return time.process_time() - began


if __name__ == '__main__':
    ballast = [bytearray(random.randrange(1, 4096)) for _ in range(random.randrange(1, 2000))]
    work(5)
    print(f'CPU: {1000 * min(work(12) for _ in range(5)):.3f}')
'''
# The library as it is on main does a tenth of its work for nothing.
STACK = "sqlparse/engine/filter_stack.py"
LEAN = "            stream = lexer.tokenize(sql, encoding)\n"
WASTE = """\
            if isinstance(sql, str):
                for _ in lexer.tokenize(sql[:len(sql) // 2], encoding):
                    pass
"""


@pytest.fixture(scope="module")
def lab(place: Place, sqlparse: Path) -> Lab:
    """The library with benchmark, policy and waste on main."""
    found = place.lab
    shutil.copytree(sqlparse, found.path, dirs_exist_ok=True)
    found.git("add", "--all")
    found.git("commit", "-q", "-m", "sqlparse 0.6.1 as it was released")
    lean = (found.path / STACK).read_text()
    assert lean.count(LEAN) == 1
    files = {STACK: lean.replace(LEAN, WASTE + LEAN), "benchmarks/clock.py": BENCHMARK}
    found.commit("work for nothing, a clock, and what counts", {**files, ".git-planner.yml": POLICY})
    return found


def attempt(lab: Lab, number: int, path: str, text: str) -> Record:
    """An iteration from main with one changed file, recorded."""
    iteration(lab, number, "main", slug=f"try-{number}")
    lab.commit(f"try {number}", {path: text})
    return record_commit(lab.repo, "HEAD", tell=lambda _: None).record


def told(done: Record) -> str:
    """A record in a line."""
    number = done.comparison.number if done.comparison else "-"
    return f"{number}: {done.verdict}, {done.summary}"


def test_luck_is_never_kept_and_a_tenth_is(lab: Lab) -> None:
    found = report_noise(lab.repo, plan=None, runs=12, force=False, tell=lambda _: None).noise.metrics[0]
    print(
        f"noise: {100 * found.deviation / found.median:.1f} %, autocorrelation {found.autocorrelation:+.2f}"
    )
    assert found.deviation > 0
    text = (lab.path / STACK).read_text()
    for number in range(1, TRIES + 1):
        done = attempt(lab, number, STACK, f"{text}\n# Nothing is changed, {number} of {TRIES}.\n")
        print(told(done))
        assert done.valid, told(done)
        assert done.comparison is not None
        assert done.verdict != "improved", told(done)
    done = attempt(lab, TRIES + 1, STACK, text.replace(WASTE, ""))
    print(told(done))
    for number in range(TRIES + 2, TRIES + 2 + AGAIN):
        if done.verdict == "improved":
            break
        done = record_commit(lab.repo, "HEAD", force=True, tell=lambda _: None).record
        print(told(done))
        assert done.comparison is not None
        assert done.comparison.number == number
    assert done.comparison is not None
    assert done.verdict == "improved", told(done)
    assert -0.16 < done.comparison.effect / done.comparison.base_median < -0.04
    assert lab.git("rev-parse", "iter/best") == lab.git("rev-parse", "HEAD")
