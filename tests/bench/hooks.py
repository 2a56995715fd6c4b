"""Time that hooks add to `git commit`, on ordinary branches and on iter/*, compared with prek."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.bench.startup import BIN
from tests.bench.timing import Figure, in_turn, run_command

PREK = """\
repos:
- repo: local
  hooks:
  - {id: one, name: one, entry: 'true', language: system, always_run: true}
"""


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time commits in equal repositories: bare, with git-planner on main and iter/*, with one prek hook."""
    places = {name: _repository(root / name, env) for name in ("bare", "ours", "iter", "prek")}
    for name in ("ours", "iter"):
        run_command(["git", "planner", "init"], places[name], env)
        run_command(["git", "add", ".git-planner.yml"], places[name], env)
        run_command(["git", "commit", "-q", "-m", "policy"], places[name], env)
    run_command(["git", "switch", "-q", "-c", "iter/0001-bench"], places["iter"], env)
    (places["prek"] / ".pre-commit-config.yaml").write_text(PREK)
    run_command(["git", "add", ".pre-commit-config.yaml"], places["prek"], env)
    run_command([str(BIN / "prek"), "install", "-q"], places["prek"], env)
    taken = in_turn({name: _committer(place, env) for name, place in places.items()}, 60 // fewer, 5)
    bare = taken["bare"].median
    ours, on_iter, prek = (taken[name].median - bare for name in ("ours", "iter", "prek"))
    remark = f"bare commit {bare:.1f} ms, prek adds {prek:.1f} ms"
    yield Figure("git commit, not our branch: over a bare commit", 4, ours, "ms", remark)
    yield Figure("git commit, not our branch: share of what prek adds", 0.2, ours / prek, "x")
    yield Figure("git commit on iter/*, nothing guarded staged: over bare", 12, on_iter, "ms")


def _repository(path: Path, env: Mapping[str, str]) -> Path:
    run_command(["git", "init", "-q", "-b", "main", str(path)], path.parent, env)
    (path / "tests").mkdir()
    (path / "tests/test_a.py").write_text("def test_a():\n    assert True\n")
    (path / "src.py").write_text("x = 0\n")
    run_command(["git", "config", "gc.auto", "0"], path, env)
    run_command(["git", "add", "."], path, env)
    run_command(["git", "commit", "-q", "-m", "first"], path, env)
    return path


def _committer(place: Path, env: Mapping[str, str]) -> Callable[[], float]:
    turn = iter(range(10**6))

    def run() -> float:
        (place / "src.py").write_text(f"x = {next(turn)}{'0' * 3}\n")
        run_command(["git", "add", "src.py"], place, env)
        started = time.perf_counter()
        run_command(["git", "commit", "-q", "-m", "turn"], place, env)
        return (time.perf_counter() - started) * 1000

    return run
