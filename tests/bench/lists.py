"""Time of `git plan list` and `git record log` with 2,000 branches and 10,000 records."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import MeasuredMetric, Record, TestCounts
from tests.bench.timing import Figure, commands

PLANS, ITERATIONS, RECORDS = 1000, 1000, 10_000
MEMORY = 150


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Time both lists in one large repository; the remark has the first run, without a cache."""
    repo = root / "large"
    fill(repo, env)
    named = {
        "git plan list": ["git", "plan", "list"],
        "git record log": ["git", "record", "log"],
        "git record log --all": ["git", "record", "log", "--all"],
        "git record best": ["git", "record", "best"],
    }
    first = {name: commands(1, repo, env, {name: argv}) for name, argv in named.items()}
    taken = commands(15 // fewer, repo, env, named)
    for name, series in taken.items():
        cold = max(first[name][name].milliseconds)
        yield Figure(
            f"{name}: 2,000 branches, 10,000 records", 300, series.median, "ms", f"first: {cold:.0f} ms"
        )
        yield Figure(f"{name}: peak memory", MEMORY, series.memory, "MiB")


def fill(path: Path, env: Mapping[str, str]) -> None:
    """Create the repository: one plan with all records, and the other branches."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], env=dict(env), check=True)
    who = b"committer C <c@example.com> 1700000000 +0000\n"
    stream = bytearray(
        b"commit refs/heads/main\nmark :1\n"
        + who
        + b"data 5\nfirst\nM 100644 inline README.md\ndata 2\nx\n\n"
    )
    for number in range(PLANS):
        plan = "default" if number == 0 else f"p{number:04d}"
        stream += b"commit %s\n%sdata 4\nplan\nfrom :1\n" % (refnames.plan_ref(plan).encode(), who)
        document = {
            "schema": "git-planner/plan@1",
            "name": plan,
            "goal": "faster",
            "base": "0" * 40,
            "tasks": [],
        }
        _put(stream, f"{refnames.plan_dir(plan)}/plan.json", canonical_json.dumps(document))
        if number == 0:
            for index in range(RECORDS):
                record = record_like(index)
                _put(stream, refnames.record_path(record.id), canonical_json.dumps(record.document()))
    for number in range(1, ITERATIONS + 1):
        stream += b"reset refs/heads/iter/%04d-next\nfrom :1\n\n" % number
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=path, env=dict(env), input=bytes(stream), check=True
    )
    subprocess.run(["git", "pack-refs", "--all"], cwd=path, env=dict(env), check=True)
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=path, env=dict(env), check=True)


def record_like(index: int) -> Record:
    """Return a realistic record with all fields."""
    seconds, days = index % 86400, index // 86400
    stamp = f"2026-11-{1 + days:02d}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"
    value = 200_000.0 - index + (index * 7919) % 500
    return Record(
        id=stamp.replace("-", "").replace(":", "") + f"-{index:08d}",
        plan="default",
        kind="attempt",
        verdict="improved" if index % 3 == 0 else "worse",
        reason=None,
        commit=f"{index:040x}",
        tree=f"{index + 1:040x}",
        patch_id=f"{index + 2:040x}",
        base=f"{index + 3:040x}",
        branch=f"iter/{index + 1:04d}-next",
        iteration=index + 1,
        slug="next",
        instrument="a" * 64,
        environment_digest="b" * 64,
        environment={"host": "bench", "cpu": "a processor of some kind", "python": "3.11.7", "git": "2.39.5"},
        metrics=(MeasuredMetric("cycles", "cycles", "lower", (value,), value, 0.0),),
        tests=TestCounts(537, 537, 0, 0, "c" * 64),
        best_before=value + 1,
        delta=-1.0,
        directive="d" * 64,
        packet="e" * 64,
        strategy=("family:schedule", "interleave"),
        hypothesis="Reordering the loads hides their latency behind arithmetic that does not depend on them.",
        change_summary=("move the loads of the next round up", "unroll by two"),
        files=("src/kernel.py",),
        summary=f"PASS correctness; cycles={value:g}",
        agents={"planner": {"name": "codex", "model": "m"}, "implementer": {"name": "codex", "model": "m"}},
        usage={"planner": 12_000, "implementer": 90_000},
        seconds={"planner": 40.0, "implementer": 300.5, "correctness": 2.5, "metrics": 1.25},
        created_at=stamp,
    )


def _put(stream: bytearray, path: str, content: bytes) -> None:
    stream += b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)
