"""Time of one store edit in a plan of 10 and of 5,000 tasks, and edits lost beside a `git gc --prune=now`."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Edits, Message, Snapshot, Store
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks.task import task_id_for
from tests.bench.timing import Figure, in_turn
from tests.support.gc_race import race

FOLDER = ".plans/x/"
WRITERS, EDITS = 16, 100


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time an edit that reads the plan, changes one task and writes the plan; then let many writers race."""
    os.environ.update(env)
    actions = {str(size): _editor(root / str(size), size) for size in (10, 5000)}
    taken = in_turn(actions, 30 // fewer)
    small, large = taken["10"].median, taken["5000"].median
    remark = f"{small:.1f} ms and {large:.1f} ms"
    yield Figure("store edit: plan of 5,000 tasks over plan of 10", 2, large / small, "x", remark)
    path, edits = root / "race", EDITS // fewer
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    argv = ["git", "-C", str(path), "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(argv, check=True)
    kept, rounds = race(path, env, WRITERS, edits)
    remark = f"of {WRITERS * edits}; gc ran {rounds} times"
    yield Figure("edits lost beside git gc --prune=now", 0, WRITERS * edits - kept, "edits", remark)


def _editor(path: Path, size: int) -> Callable[[], float]:
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    store = Store(open_repository(path))
    ref = "refs/heads/plan/x"
    begin = {
        FOLDER + name: _page(tasks)
        for name, tasks in pages.split_tasks(map(_task, range(1, size + 1))).items()
    }
    store.edit(ref, lambda _: begin, Message("begin"))
    turn = iter(range(10**6))

    def change(seen: Snapshot) -> Edits:
        number = next(turn) * 37 % size + 1
        path = FOLDER + pages.page_name(number)
        page = canonical_json.loads_trusted(seen.read(path) or b"{}")
        task = next(task for task in page["tasks"] if task["id"] == task_id_for(number))
        task["status"] = f"turn {time.perf_counter()}"
        return {path: canonical_json.dumps(page)}

    def run() -> float:
        started = time.perf_counter()
        store.edit(ref, change, Message("task: turn"))
        return (time.perf_counter() - started) * 1000

    return run


def _page(tasks: Sequence[Mapping[str, Any]]) -> bytes:
    return canonical_json.dumps({"schema": "git-planner/plan@1", "goal": "go", "tasks": tasks})


def _task(number: int) -> dict[str, object]:
    return {
        "id": task_id_for(number),
        "title": f"Make part {number} do what the specification says",
        "description": "One bounded piece of work with its own acceptance and the files it may write to. "
        * 2,
        "depends_on": [task_id_for(number - 1)] if number > 1 else [],
        "files": [f"src/part{number}/module.py", f"tests/part{number}/test_module.py"],
        "verify": ["python -m pytest -q tests"],
        "status": "pending",
    }
