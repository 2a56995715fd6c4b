"""`git record` with an instant instrument: measured afresh, and served from the cache."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.bench.timing import Figure, Series, in_turn, run_once

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
scope: {allow: ["src/**"]}
correctness: {run: [sh, tests/run.sh, "{proof}"], proof: junit, timeout: 60}
metrics:
  - name: size
    run: [sh, tests/bench.sh]
    pattern: 'SIZE: (\\d+)'
    unit: bytes
    better: lower
    kind: deterministic
    timeout: 60
"""
JUNIT = '<testsuite tests="1"><testcase classname="t" name="one"/></testsuite>'
FILES = {
    ".git-planner.yml": POLICY,
    "tests/run.sh": f"printf '%s' '{JUNIT}' >\"$1\"\n",
    "tests/bench.sh": "echo SIZE: $(wc -c <src/data)\n",
    "src/data": "x" * 5000,
}


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time `git record` on new trees, and again on commits whose tree was measured before."""
    repo = root / "repo"
    _git(env, root, "init", "-q", "-b", "main", str(repo))
    for name, content in FILES.items():
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(content)
    _git(env, repo, "add", ".")
    _git(env, repo, "commit", "-q", "-m", "first")
    _git(env, repo, "switch", "-q", "-c", "work")
    peaks = {"fresh": 0.0, "cached": 0.0}
    taken = in_turn({"fresh": _fresh(repo, env, peaks), "cached": _cached(repo, env, peaks)}, 20 // fewer)
    for name, asked in (("fresh", 700), ("cached", 300)):
        series = Series(taken[name].milliseconds, peaks[name])
        yield Figure(f"git record, instant instrument, {name}", asked, series.median, "ms")
        yield Figure(f"git record, {name}: peak memory", 150, series.memory, "MiB")


def _fresh(repo: Path, env: Mapping[str, str], peaks: dict[str, float]) -> Callable[[], float]:
    turn = iter(range(1, 10**6))

    def run() -> float:
        (repo / "src/data").write_text("y" * (5000 - next(turn)))
        _git(env, repo, "commit", "-q", "-a", "-m", "change")
        return _record(repo, env, peaks, "fresh")

    return run


def _cached(repo: Path, env: Mapping[str, str], peaks: dict[str, float]) -> Callable[[], float]:
    def run() -> float:
        _git(env, repo, "commit", "-q", "--allow-empty", "-m", "same tree")
        return _record(repo, env, peaks, "cached")

    return run


def _record(repo: Path, env: Mapping[str, str], peaks: dict[str, float], name: str) -> float:
    took, peak = run_once(["git", "record"], repo, env)
    peaks[name] = max(peaks[name], peak)
    return took


def _git(env: Mapping[str, str], cwd: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=cwd, env=dict(env), check=True)
