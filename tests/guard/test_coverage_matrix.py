"""The guard's coverage matrix, tested cell by cell in real repositories with real programs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.check_range import check_range
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.measuring.candidate_tree import build_candidate
from git_planner.flows.records import record
from git_planner.rules.guard.coverage_matrix import (
    CHANGE_KINDS,
    COMMIT_ROUTES,
    ChangeKind,
    CommitRoute,
    coverage,
    markdown_table,
)
from tests.guard import ways_to_commit
from tests.guard.kinds_of_change import copy_of, template
from tests.hooks.hooked_repository import ITERATION
from tests.support.lab import Lab

START = "refs/planner/iterations/0001"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return the repository that every way starts from."""
    return template(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def place(prepared: Lab, tmp_path: Path) -> Iterator[Path]:
    """Return a folder for the copies of one way."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def fresh(prepared: Lab, place: Path, kind: ChangeKind) -> Lab:
    """Return a copy for one cell."""
    root = place / kind.key
    root.mkdir()
    return copy_of(prepared, root)


def do(lab: Lab, way: CommitRoute, kind: ChangeKind) -> tuple[str, str]:
    """Make one kind of change in one way; return the branch's commit before and after."""
    before = lab.git("rev-parse", ITERATION)
    if not kind.committed:
        flag(lab, kind)
    ways_to_commit.WAYS[way.key](lab, f"refs/evil/{kind.key}")
    return before, lab.git("rev-parse", ITERATION)


def flag(lab: Lab, kind: ChangeKind) -> None:
    """Set an index flag on a test file, and change the file."""
    ways_to_commit.on(lab)
    lab.git("update-index", f"--{kind.key}", "tests/test_code.py")
    (lab.path / "tests/test_code.py").write_text("pass\n")


@pytest.mark.parametrize("way", [way for way in COMMIT_ROUTES if way.key != "clone"], ids=lambda way: way.key)
def test_way(prepared: Lab, place: Path, way: CommitRoute) -> None:
    assert wrong_cells(prepared, place, way, CHANGE_KINDS) == []


# In all other tests an ordinary commit has stored the patterns, so that the fast path decides.
@pytest.mark.parametrize("key", ["commit", "plumbing", "rebase"])
def test_way_with_nothing_kept(prepared: Lab, tmp_path: Path, key: str) -> None:
    lab = copy_of(prepared, tmp_path)
    shutil.rmtree(lab.path / ".git/planner/guards")
    shutil.rmtree(lab.path / ".git/planner/cache")
    (tmp_path / "cells").mkdir()
    kinds = [kind for kind in CHANGE_KINDS if kind.key in ("modify", "conftest", "skip-worktree")]
    way = next(way for way in COMMIT_ROUTES if way.key == key)
    assert wrong_cells(lab, tmp_path / "cells", way, kinds) == []


def wrong_cells(
    prepared: Lab, place: Path, way: CommitRoute, kinds: Sequence[ChangeKind]
) -> list[tuple[str, str, str]]:
    """Return kind, outcome and promised outcome of each cell of a way that does not keep its promise."""
    wrong = []
    for kind in kinds:
        lab = fresh(prepared, place, kind)
        with lab.entered():
            actual = outcome(lab, way, kind)
        if actual != coverage(way, kind):
            wrong.append((kind.key, actual, coverage(way, kind)))
        shutil.rmtree(lab.root)
    return wrong


def outcome(lab: Lab, way: CommitRoute, kind: ChangeKind) -> str:
    """Return what actually catches a change."""
    before, after = do(lab, way, kind)
    if kind.committed and before == after:
        return "prevented"
    differences = GuardChecker(lab.repo).differences(START, after)
    if not kind.committed:
        return "harmless" if not differences else "open: it got into the commit"
    # An amended or rebased branch has ordinary commits of its own; what counts is that nothing is guarded.
    if not differences:
        arrived = lab.git("diff-tree", "--name-only", before, after) == ""
        return "prevented" if arrived else f"open: {after} has something else"
    return caught(lab)


def caught(lab: Lab) -> str:
    """Return whether record and CI both refuse the branch."""
    candidate = build_candidate(lab.repo, trusted_base.find_subject(lab.repo, ITERATION, None))
    if candidate.refusal is None:
        return "open: record would measure it"
    if check_range(lab.repo, f"main..{ITERATION}").ok:
        return "open: CI would pass it"
    return "detected"


@pytest.mark.parametrize("kind", CHANGE_KINDS, ids=lambda kind: kind.key)
def test_a_clone_without_hooks(prepared: Lab, place: Path, kind: ChangeKind) -> None:
    lab = fresh(prepared, place, kind)
    with lab.entered():
        other = lab.clone("clone", "-q")
        other.git("fetch", "-q", "origin", "+refs/evil/*:refs/evil/*")
    with other.entered():
        other.git("checkout", "-q", "-b", ITERATION, f"origin/{ITERATION}")
        other.git("reset", "-q", "--hard", f"refs/evil/{kind.key}")
        if kind.committed:
            assert caught(other) == coverage(COMMIT_ROUTES[-1], kind) == "detected"
        else:
            assert GuardChecker(other.repo).differences(f"origin/{ITERATION}", ITERATION) == []
    with lab.entered():
        done = other.run_git("push", "-q", "origin", f"+{ITERATION}")
        assert (done.status != 0) == kind.committed


@pytest.mark.parametrize("kind", [kind for kind in CHANGE_KINDS if kind.committed], ids=lambda kind: kind.key)
def test_record_says_invalid(prepared: Lab, place: Path, kind: ChangeKind) -> None:
    lab = fresh(prepared, place, kind)
    with lab.entered():
        lab.git("-c", "core.hooksPath=/dev/null", "branch", "-f", ITERATION, f"refs/evil/{kind.key}")
        done = record.record_commit(lab.repo, ITERATION, progress=lambda _: None).record
        assert (done.verdict, done.reason) == ("invalid", "guard")


@pytest.mark.parametrize(
    "kind", [kind for kind in CHANGE_KINDS if not kind.committed], ids=lambda kind: kind.key
)
def test_check_finds_flags(prepared: Lab, place: Path, kind: ChangeKind) -> None:
    lab = fresh(prepared, place, kind)
    with lab.entered():
        flag(lab, kind)
        findings = check_range(lab.repo).findings
        assert [(finding.code, finding.message) for finding in findings] == [
            ("index-flags", f"{kind.key}: tests/test_code.py")
        ]


def test_the_matrix_is_whole() -> None:
    assert sorted(ways_to_commit.WAYS) == sorted(way.key for way in COMMIT_ROUTES if way.key != "clone")
    cells = {coverage(way, kind) for way in COMMIT_ROUTES for kind in CHANGE_KINDS}
    assert cells == {"prevented", "detected", "harmless"}
    # Where git asks a hook, the hook prevents.
    assert {
        coverage(way, kind)
        for way in COMMIT_ROUTES
        for kind in CHANGE_KINDS
        if way.reported and kind.committed
    } == {"prevented"}
    page = Path(__file__).parents[2] / "docs/guard.md"
    assert markdown_table() in page.read_text(encoding="utf-8")
