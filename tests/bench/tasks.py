"""Time of `git plan task` and `review` with 5,000 tasks; CPU time of `git planner top` with 1,000."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from git_planner.flows.board.sessions.session_store import save_session
from git_planner.flows.runs.heartbeat import HEARTBEAT
from git_planner.flows.tasks.edit import TaskFields, update_task
from git_planner.gitio.repository import open_repository
from git_planner.host.clock import utc_now
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.plan import new_plan, split_plan
from git_planner.rules.tasks.task import STATUSES, Task, TaskEvidence, task_id_for
from tests.bench.lists import RECORDS, record_like
from tests.bench.timing import Figure, commands
from tests.board.stored_run import save_runs, session_of
from tests.support.lab import command_line
from tests.support.workshop import POLICY

FEW, MANY = 10, 5000
ASKED, ASKED_JSON = 250, 300
ASKED_REVIEW = 500
WATCHED, RUNS = 1000, 20
ASKED_MS, ASKED_IDLE = 100, 2
IDLE_SECONDS, SETTLE_SECONDS = 30.0, 2.5


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time the commands in two repositories, interleaved."""
    places = {count: root / str(count) for count in (FEW, MANY)}
    named: dict[str, list[str]] = {}
    for count, path in places.items():
        fill(path, env, count)
        plan = ["git", "-C", str(path), "plan", "task"]
        changed = f'git -C {path} plan task update task_{count:03d} --title "title $(date +%N)"'
        named |= {
            f"list --json {count}": [*plan, "list", "--json"],
            f"ready --json {count}": [*plan, "ready", "--json"],
            f"list {count}": [*plan, "list"],
            f"ready {count}": [*plan, "ready"],
            f"update {count}": ["sh", "-c", changed],
        }
    taken = commands(15 // fewer, root, env, named)
    for name in ("list", "ready", "update"):
        many, few = taken[f"{name} {MANY}"], taken[f"{name} {FEW}"]
        yield Figure(f"git plan task {name}: {MANY:,} tasks", ASKED, many.median, "ms")
        yield Figure(
            f"git plan task {name}: {MANY:,} tasks over {FEW}",
            2,
            many.median / few.median,
            "x",
            f"{few.median:.0f} ms with {FEW}",
        )
    for name in ("list --json", "ready --json"):
        yield Figure(
            f"git plan task {name}: {MANY:,} tasks", ASKED_JSON, taken[f"{name} {MANY}"].median, "ms"
        )
    yield _measure_review(root / "review", env, fewer)
    yield from _measure_top(root / "top", env, fewer)


def _measure_review(root: Path, env: Mapping[str, str], fewer: int) -> Figure:
    """Time `git plan review` of a large plan; the remark has the first run, without caches."""
    fill(root, env, MANY, RECORDS)
    argv = {"review": ["git", "plan", "review", "default"]}
    cold = commands(1, root, env, argv)["review"]
    taken = commands(15 // fewer, root, env, argv)["review"]
    name = f"git plan review: {MANY:,} tasks, {RECORDS:,} records"
    return Figure(name, ASKED_REVIEW, taken.median, "ms", f"first: {max(cold.milliseconds):.0f} ms")


def _measure_top(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Run the live view in a window of tmux, and read the CPU time of its processes."""
    os.environ.update(env)
    root.mkdir()
    fill(root / "repo", env, WATCHED)
    repo = open_repository(root / "repo")
    for run in save_runs(repo, RUNS):
        repo.private("runs", run.run, HEARTBEAT).write_text(json.dumps({"at": utc_now()}))
        save_session(repo, session_of(run), publish=False)
    tmux = ["tmux", "-u", "-L", f"planner-bench-{os.getpid()}", "-f", "/dev/null"]
    window = [*tmux, "new-session", "-d", "-x", "160", "-y", "50", "-c", str(root / "repo")]
    shown = {**env, "TERM": "xterm-256color"}
    shown.pop("NO_COLOR", None)
    subprocess.run([*window, *command_line("git-planner", "top")], env=shown, check=True)
    try:
        pane = subprocess.check_output([*tmux, "display-message", "-p", "#{pane_pid}"], text=True)
        process = psutil.Process(int(pane))
        time.sleep(2 * SETTLE_SECONDS)
        refreshes = []
        for number in range(10 // fewer + 1):
            before = _cpu_seconds(process)
            update_task(repo, "default", "task_021", TaskFields(title=f"title {number}"))
            time.sleep(SETTLE_SECONDS)
            refreshes.append((_cpu_seconds(process) - before) * 1000)
        name = f"git planner top: a refresh with {WATCHED:,} tasks, {RUNS} sessions"
        yield Figure(
            name, ASKED_MS, sorted(refreshes)[len(refreshes) // 2], "ms CPU", f"{max(refreshes):.0f} at most"
        )
        seconds = IDLE_SECONDS / fewer
        before = _cpu_seconds(process)
        time.sleep(seconds)
        yield Figure(
            "git planner top: idle", ASKED_IDLE, (_cpu_seconds(process) - before) / seconds * 100, "% CPU"
        )
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process with its children, also of those that ended."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def task_like(number: int) -> Task:
    """Return a realistic task; most are done."""
    status = STATUSES[number % len(STATUSES)] if number % 7 == 0 else "done"
    proof = TaskEvidence(
        "manual", "2026-11-28T12:00:00Z", "A U Thor", 1, "a" * 40, "b" * 40, ok=True, note="seen"
    )
    return Task(
        id=task_id_for(number),
        uid=f"uid{number:05d}",
        title=f"Make part {number} of the whole a little better than it was before",
        intent="Because it is slower than its neighbours, and the profile says so.",
        status=status,
        actions=("read it", "change it", "look again"),
        write_scope=(f"src/part_{number}/**",),
        dependencies=tuple(task_id_for(earlier) for earlier in (number - 1, number - 2) if earlier > 0),
        acceptance=("its tests pass", "it is not slower"),
        verify=(("python", "-m", "pytest", "-q", f"tests/test_part_{number}.py"),),
        commits=("a" * 40,),
        evidence=(proof,) if status == "done" else (),
    )


def fill(path: Path, env: Mapping[str, str], count: int, records: int = 0) -> None:
    """Create a repository with one plan of `count` tasks and some records."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], env=dict(env), check=True)
    files = {".git-planner.yml": POLICY.encode()}
    plan = new_plan("default", "faster", base="0" * 40, base_ref="main", created_at="2026-11-28T12:00:00Z")
    tasks = [task_like(number).document() for number in range(1, count)]
    last = task_like(count)._replace(status="todo", evidence=(), dependencies=()).document()
    for name, page in split_plan({**plan, "tasks": [*tasks, last]}).items():
        files[f"{refnames.plan_dir('default')}/{name}"] = canonical_json.dumps(page)
    for record in map(record_like, range(records)):
        files[refnames.record_path(record.id)] = canonical_json.dumps(record.document())
    stream = bytearray()
    for ref, names in (
        ("refs/heads/main", [".git-planner.yml"]),
        (refnames.plan_ref("default"), list(files)),
    ):
        stream += b"commit %s\ncommitter C <c@example.com> 1700000000 +0000\ndata 4\nfill\n" % ref.encode()
        for name in names:
            stream += b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(files[name]), files[name])
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=path, env=dict(env), input=bytes(stream), check=True
    )
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=path, env=dict(env), check=True)
