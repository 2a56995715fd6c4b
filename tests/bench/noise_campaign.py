"""Comparison of noisy benchmarks on a real library, by CPU time.

sqlparse with its own tests, a benchmark of its CPU time, twenty changes without effect, and one that makes
it a tenth faster. A busy machine can hide the gain, so this is a benchmark; the test, with simulated noise
from fixed seeds, is tests/measuring/test_noisy_campaign.py. Needs the sqlparse that `make bench` downloads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.flows.measuring.noise import report_noise
from git_planner.flows.records.record import record_commit
from git_planner.rules.records.record import Record
from tests.bench.timing import Figure
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

SQLPARSE = Path(__file__).parents[2] / ".real" / "sqlparse-0.6.1"
TRIES = 20
# A gain that is not found is measured again. Every comparison spends its own share of the error budget, so
# the limit on false keeps still holds.
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
a few repeats, since other work of the machine can only make one longer. Memory lies elsewhere in each run:
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
# On main the library does a tenth of its work without effect.
STACK = "sqlparse/engine/filter_stack.py"
LEAN = "            stream = lexer.tokenize(sql, encoding)\n"
WASTE = """\
            if isinstance(sql, str):
                for _ in lexer.tokenize(sql[:len(sql) // 2], encoding):
                    pass
"""


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Count the false keeps, and the comparisons until the true gain is kept."""
    if not SQLPARSE.exists():
        raise SystemExit(f"'{SQLPARSE}' is missing; run 'make bench', which downloads it")
    (root / "campaign").mkdir()
    lab = Lab(root / "campaign", first=False)
    prepare(lab)
    with lab.entered():
        yield from campaign(lab, TRIES // fewer)


def prepare(lab: Lab) -> None:
    """Commit the library with waste, benchmark and policy on main."""
    shutil.copytree(SQLPARSE, lab.path, dirs_exist_ok=True)
    lab.git("add", "--all")
    lab.git("commit", "-q", "-m", "sqlparse 0.6.1 as it was released")
    lean = (lab.path / STACK).read_text()
    assert lean.count(LEAN) == 1
    files = {STACK: lean.replace(LEAN, WASTE + LEAN), "benchmarks/clock.py": BENCHMARK}
    lab.commit("work for nothing, a clock, and what counts", {**files, ".git-planner.yml": POLICY})


def campaign(lab: Lab, tries: int) -> Iterator[Figure]:
    """Record candidates without a change, then the gain until it is kept."""
    varied = report_noise(lab.repo, plan=None, runs=12, force=False, progress=lambda _: None).noise.metrics[0]
    share = f"noise {100 * varied.deviation / varied.median:.1f} %"
    text = (lab.path / STACK).read_text()
    records = [
        attempt(lab, number, f"{text}\n# Nothing is changed, {number} of {tries}.\n")
        for number in range(1, tries + 1)
    ]
    kept = [record for record in records if record.verdict == "improved"]
    yield Figure(f"false keeps among {tries} changes without effect", 0, len(kept), "keeps", share)
    gain = attempt(lab, tries + 1, text.replace(WASTE, ""))
    comparisons = 1
    while gain.verdict != "improved" and comparisons <= AGAIN:
        gain = record_commit(lab.repo, "HEAD", force=True, progress=lambda _: None).record
        comparisons += 1
    measured = comparisons if gain.verdict == "improved" else float("inf")
    yield Figure("comparisons until a gain of a tenth is kept", 1 + AGAIN, measured, "x", gain.summary)


def attempt(lab: Lab, number: int, text: str) -> Record:
    """Record an iteration from main with one changed file."""
    iteration(lab, number, "main", slug=f"try-{number}")
    lab.commit(f"try {number}", {STACK: text})
    return record_commit(lab.repo, "HEAD", progress=lambda _: None).record
