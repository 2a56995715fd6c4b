"""Time of a commit that names a task, over a bare commit: on iter/*, and on an ordinary branch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.bench.timing import Figure, in_turn, run_command

TASKS = 10


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time commits with and without a task id, interleaved with bare commits."""
    places = {name: _repository(root / name, env) for name in ("bare", "iter", "main")}
    for name in ("iter", "main"):
        run_command(["git", "planner", "init"], places[name], env)
        run_command(["git", "add", ".git-planner.yml"], places[name], env)
        run_command(["git", "commit", "-q", "-m", "policy"], places[name], env)
        for number in range(TASKS):
            run_command(["git", "plan", "task", "add", f"do {number}"], places[name], env)
    run_command(["git", "plan", "offline", "--slug", "bench"], places["iter"], env)
    run_command(["git", "switch", "-q", "iter/0001-bench"], places["iter"], env)
    actions = {
        "bare": _committer(places["bare"], env, "turn"),
        "iter": _committer(places["iter"], env, "task_{:03d}: turn"),
        "iter, none": _committer(places["iter"], env, "turn"),
        "main": _committer(places["main"], env, "TASK-{}: turn"),
        "main, none": _committer(places["main"], env, "turn"),
    }
    taken = in_turn(actions, 60 // fewer, 5)
    bare = taken["bare"].median
    over = {name: series.median - bare for name, series in taken.items()}
    yield Figure(
        "git commit on iter/* with a task's id: over bare", 100, over["iter"], "ms", f"bare {bare:.1f} ms"
    )
    yield Figure("git commit on main with a task's id: over bare", 100, over["main"], "ms")
    yield Figure("git commit on iter/* without, with a plan: over bare", 12, over["iter, none"], "ms")
    yield Figure("git commit on main without, with a plan: over bare", 4, over["main, none"], "ms")


def _repository(path: Path, env: Mapping[str, str]) -> Path:
    run_command(["git", "init", "-q", "-b", "main", str(path)], path.parent, env)
    (path / "src.py").write_text("x = 0\n")
    run_command(["git", "config", "gc.auto", "0"], path, env)
    run_command(["git", "add", "."], path, env)
    run_command(["git", "commit", "-q", "-m", "first"], path, env)
    return path


def _committer(place: Path, env: Mapping[str, str], message: str) -> Callable[[], float]:
    turn = iter(range(10**6))

    def run() -> float:
        number = next(turn)
        (place / "src.py").write_text(f"x = {time.time_ns()}\n")
        run_command(["git", "add", "src.py"], place, env)
        started = time.perf_counter()
        run_command(["git", "commit", "-q", "-m", message.format(number % TASKS + 1)], place, env)
        return (time.perf_counter() - started) * 1000

    return run
