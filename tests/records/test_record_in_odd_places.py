"""Recording in odd places and hard times: races, kills, clones, bare repositories, dirty worktrees."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.records.record import record_commit
from git_planner.flows.records.recorder import RecordResult
from git_planner.redact import LOG_PART
from git_planner.rules.records.record import Record
from tests.support.benchmark_project import POLICY, attempt, iteration, project
from tests.support.lab import Lab
from tests.support.workshop import FILES, SIZE


def measured(lab: Lab, ref: str = "HEAD", **options: Any) -> RecordResult:
    """Record without progress."""
    return record_commit(lab.repo, ref, progress=lambda _: None, **options)


def brief(rows: list[Record]) -> list[tuple[str, str, str | None, float | None, float | None]]:
    """What matters of some records."""
    return [(record.kind, record.verdict, record.reason, record.value, record.delta) for record in rows]


def test_racing_recorders_end_with_one_best(lab: Lab) -> None:
    project(lab)
    measured(lab, "main")
    values = {1: 90, 2: 80, 3: 95, 4: 70}
    tips = {number: attempt(lab, number, value) for number, value in values.items()}
    progress: dict[int, RecordResult] = {}

    def work(number: int) -> None:
        progress[number] = measured(lab, tips[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = read_ledger(lab.repo, "default")
    assert sorted(record.value or 0 for record in rows) == [70, 80, 90, 95, 100]
    mark = 100.0
    for record in rows[1:]:
        assert (record.best_before, record.verdict) == (
            mark,
            "improved" if (record.value or 0) < mark else "worse",
        )
        mark = min(mark, record.value or 0)
    moved = [number for number, result in progress.items() if result.advanced]
    assert [lab.git("rev-parse", "iter/best")] == [tips[number] for number in moved]
    lab.fsck()


def test_a_rival_before_the_verdict(lab: Lab) -> None:
    project(lab)
    measured(lab, "main")
    attempt(lab, 1, 90)
    attempt(lab, 2, 80)

    def rival(message: str) -> None:
        if message.startswith("cycles"):
            measured(lab, "iter/0002-next")

    result = record_commit(lab.repo, "iter/0001-next", progress=rival)
    assert (result.record.best_before, result.record.verdict, result.record.delta) == (80.0, "worse", 10.0)
    assert result.advanced is False


def test_one_recorder_of_many_writes_the_same_commit(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    measured(lab, "main")
    progress: list[RecordResult] = []
    threads = [threading.Thread(target=lambda: progress.append(measured(lab))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result.record.id for result in progress}) == 1
    assert len(read_ledger(lab.repo, "default")) == 2


def test_any_place(lab: Lab) -> None:
    project(lab)
    tip = attempt(lab, 1, 90)
    linked = lab.worktree("linked", "main")
    with lab.entered(linked):
        from git_planner.gitio.repository import open_repository

        result = record_commit(open_repository(linked), tip, progress=lambda _: None)
    assert (result.record.verdict, result.record.branch) == ("improved", "iter/0001-next")


@pytest.mark.parametrize("kind", ["--bare", "--object-format=sha256"])
def test_bare_and_sha256_repositories(make_lab: Callable[..., Lab], tmp_path: Path, kind: str) -> None:
    origin = make_lab(*(() if kind == "--bare" else (kind,)))
    with origin.entered():
        project(origin)
        attempt(origin, 1, 90)
        lab = origin
        if kind == "--bare":
            lab = origin.clone("bare", "--bare")
            lab.git("fetch", "-q", "origin", "refs/planner/*:refs/planner/*")
    with lab.entered():
        result = measured(lab, "iter/0001-next")
        assert (result.record.verdict, result.advanced) == ("improved", True)
        assert len(result.record.commit) == (64 if "sha256" in kind else 40)
        lab.fsck()


def test_what_is_not_committed_is_told_before_it_is_not_measured(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    (lab.path / "src" / "value.py").write_text("VALUE = 1\n")
    ran = lab.run("git-record")
    assert "1 uncommitted changes, which were not measured; commit them" in ran.err


def test_states_of_a_worktree_that_do_not_matter(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    (lab.path / "src" / "value.py").write_text("VALUE = 1\n")
    (lab.path / "tests" / "bench.pyc").write_text("")
    with lab.undisturbed():
        record = measured(lab).record
    assert (record.value, record.notes) == (
        90.0,
        ("the worktree had 2 uncommitted changes, which were not measured",),
    )
    lab.git("checkout", "-q", "-f", "--detach")
    assert measured(lab).record == record
    lab.git("checkout", "-q", "-b", "other", "main")
    lab.commit("other", {"src/value.py": "VALUE = 5\n"})
    lab.git("merge", "-q", "iter/0001-next", check=False)
    assert (lab.path / ".git" / "MERGE_HEAD").exists()
    assert measured(lab, "iter/0001-next").record == record


def test_what_is_missing_is_told(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(first=False)
    with lab.entered():
        for code in ("E_UNBORN", "E_NO_POLICY"):
            with pytest.raises(PlannerError) as caught:
                measured(lab)
            assert caught.value.code == code
            lab.commit("first", {"README.md": "hello\n"})
        project(lab)
        attempt(lab, 1, 90)
    shallow = lab.clone("shallow", "--depth=1", "--no-local")
    with shallow.entered(), pytest.raises(PlannerError) as caught:
        measured(shallow)
    assert (caught.value.code, caught.value.hint) == (
        "E_NO_BASE",
        "fetch the rest with 'git fetch --unshallow'",
    )
    lab.git("checkout", "-q", "--orphan", "alone")
    with lab.entered():
        lab.commit("alone", {".advisor/state.json": None, "src/value.py": "VALUE = 1\n"})
        with pytest.raises(PlannerError) as caught:
            measured(lab, "alone")
    assert (caught.value.code, caught.value.message.split("'")[2:]) == (
        "E_NO_BASE",
        [" has no commit in common with ", "main", ""],
    )


def test_a_value_counts_beside_17_megabytes_on_stderr(lab: Lab) -> None:
    noise = "import sys\nsys.stderr.write('a warning at line 12345\\n' * 740_000)\nsys.stderr.flush()\n"
    lab.commit("noise", {**FILES, "tests/size.py": noise + SIZE})
    ran = lab.run("git-record", "main")
    assert (ran.status, "size 100 lines" in ran.out) == (0, True), ran.out + ran.err
    logs = list((lab.path / ".git/planner/records").rglob("size-1.stderr"))
    assert [log.stat().st_size < 2 * LOG_PART + 100 for log in logs] == [True]


def test_lfs_pointers_and_empty_submodules_are_named_as_the_cause(
    lab: Lab, make_lab: Callable[..., Lab]
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    reads = "open('libs/sub/README.md')\nassert not open('data.bin').read().startswith('version')\n"
    lab.commit("pointers", {**FILES, "data.bin": pointer, "tests/size.py": reads + SIZE})
    donor = make_lab()
    lab.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(donor.path), "libs/sub")
    lab.commit("a submodule", {})
    ran = lab.run("git-record", "main")
    causes = (
        "LFS pointers stand for the content of 'data.bin' (1 in all)",
        "the submodule 'libs/sub' is an empty folder (1 in all)",
    )
    assert ran.status != 0
    stopped = lab.run("git-iterate")
    assert (stopped.status, "(E_MEASURE)" in stopped.err) == (4, True)
    for cause in causes:
        assert f"in the measured tree {cause}" in ran.out + ran.err
        assert f"in the measured tree {cause}" in stopped.err
        assert f"in measured trees {cause}" in lab.run("git-planner", "doctor").out


def test_only_a_confirmed_start_advances_the_best(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 90)
    lab.git("update-ref", "-d", "refs/planner/iterations/0001")
    result = measured(lab)
    assert (result.record.verdict, result.advanced) == ("improved", False)
    assert result.record.notes == (
        "the start of 'iter/0001-next' could not be confirmed in this repository",
        "'iter/best' was not advanced: the iteration's start is not confirmed here",
    )


def test_a_checked_out_plan_branch_follows_or_refuses(lab: Lab) -> None:
    project(lab)
    measured(lab, "main")
    attempt(lab, 1, 90)
    place = lab.worktree("plan", "plan/default")
    measured(lab)
    assert len(list((place / "experiments" / "records").iterdir())) == 2
    assert lab.git("status", "--porcelain", cwd=place) == ""


def test_kill_at_every_step(lab: Lab) -> None:
    instant = POLICY.replace("correctness:", "#").replace("[python, tests/bench.py]", "[cat, src/n]")
    project(lab, instant, **{"src/n": "CYCLES: 100\n"})
    iteration(lab, 1, "main")
    lab.commit("less", {"src/n": "CYCLES: 90\n"})
    measured(lab, "main")
    before = lab.refs()
    calls = _calls_of_a_run(lab, before)
    # The calls before these only read.
    for call, after in [(calls, True), *((calls - back, False) for back in range(9))]:
        ran = lab.spawn("git-record", **lab.crash_after(call, after=after))
        assert ran.status == -9, ran.err
        if lab.refs() != before:
            assert lab.refs().keys() - before.keys() == NEW
            assert brief(read_ledger(lab.repo, "default"))[1:] == LESS
            _put_back(lab, before)
    lab.fsck()
    assert lab.spawn("git-record").status == 0
    assert brief(read_ledger(lab.repo, "default"))[1:] == LESS


NEW = {"refs/heads/iter/best", "refs/planner/bests/default", "refs/tags/best/90-next-i1"}
LESS = [("attempt", "improved", None, 90.0, -10.0)]


def _calls_of_a_run(lab: Lab, before: dict[str, str]) -> int:
    """How often git is called by a run that gets through; its effects are undone."""
    env = lab.crash_after(10_000)
    assert lab.spawn("git-record", **env).status == 0
    _put_back(lab, before)
    return (lab.root / "crash" / "10000" / "count").stat().st_size


def _put_back(lab: Lab, refs: dict[str, str]) -> None:
    for name in lab.refs().keys() - refs.keys():
        lab.git("update-ref", "-d", name)
    lab.git("update-ref", "refs/heads/plan/default", refs["refs/heads/plan/default"])
