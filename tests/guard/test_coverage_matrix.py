"""The guard's coverage matrix, tested cell by cell in real repositories with real programs.

`make test` tries whole rows where another judge decides, and a tenth of the other rows; `make test-real`
tries the rest.
"""

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
from tests.guard.kinds_of_change import evil_commits
from tests.hooks.hooked_repository import ITERATION
from tests.support.lab import Lab

START = "refs/planner/iterations/0001"
# A row for each judge of a change: the hook of the index, the hook of refs, and `git record` with CI.
WHOLE_ROWS = ("commit", "plumbing", "hooks-path")
WITH_HOOKS = [way for way in COMMIT_ROUTES if way.key != "clone"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a folder for the copies of one way."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def fresh(place: Path, kind: ChangeKind, *, kept: bool = True) -> Lab:
    """Return a copy of the repository with all kinds of changes, for one cell.

    Args:
        kept: whether an ordinary commit has stored the patterns, so that the hooks' fast path decides.
    """
    root = place / kind.key
    root.mkdir()
    lab = Lab(root).prepare("evil commits", evil_commits)
    if not kept:
        shutil.rmtree(lab.path / ".git/planner/guards")
        shutil.rmtree(lab.path / ".git/planner/cache")
    return lab


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


def sample_of(way: CommitRoute) -> list[ChangeKind]:
    """Return the kinds of change that the suite tries in one way: every tenth, or all of them."""
    if way.key in WHOLE_ROWS:
        return list(CHANGE_KINDS)
    return list(CHANGE_KINDS[COMMIT_ROUTES.index(way) % 10 :: 10])


@pytest.mark.parametrize("way", WITH_HOOKS, ids=lambda way: way.key)
def test_way(place: Path, way: CommitRoute) -> None:
    assert wrong_cells(place, way, sample_of(way)) == []


@pytest.mark.real
@pytest.mark.parametrize(
    "way", [way for way in WITH_HOOKS if way.key not in WHOLE_ROWS], ids=lambda way: way.key
)
def test_rest_of_the_row(place: Path, way: CommitRoute) -> None:
    sample = sample_of(way)
    assert wrong_cells(place, way, [kind for kind in CHANGE_KINDS if kind not in sample]) == []


@pytest.mark.parametrize("key", ["commit", "plumbing", "rebase"])
def test_way_with_nothing_kept(place: Path, key: str) -> None:
    kinds = [kind for kind in CHANGE_KINDS if kind.key in ("modify", "conftest", "skip-worktree")]
    way = next(way for way in COMMIT_ROUTES if way.key == key)
    assert wrong_cells(place, way, kinds, kept=False) == []


def wrong_cells(
    place: Path, way: CommitRoute, kinds: Sequence[ChangeKind], *, kept: bool = True
) -> list[tuple[str, str, str]]:
    """Return kind, outcome and promised outcome of each cell of a way that does not keep its promise."""
    wrong = []
    for kind in kinds:
        lab = fresh(place, kind, kept=kept)
        with lab.entered():
            actual = outcome(lab, way, kind)
        promised = coverage(way, kind)
        # A newer git runs the hook for more of the ways.
        if actual != promised and (actual, promised) != ("prevented", "detected"):
            wrong.append((kind.key, actual, promised))
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
def test_a_clone_without_hooks(place: Path, kind: ChangeKind) -> None:
    lab = fresh(place, kind)
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
def test_record_says_invalid(place: Path, kind: ChangeKind) -> None:
    lab = fresh(place, kind)
    with lab.entered():
        lab.git("-c", "core.hooksPath=/dev/null", "branch", "-f", ITERATION, f"refs/evil/{kind.key}")
        done = record.record_commit(lab.repo, ITERATION, progress=lambda _: None).record
        assert (done.verdict, done.reason) == ("invalid", "guard")


@pytest.mark.parametrize(
    "kind", [kind for kind in CHANGE_KINDS if not kind.committed], ids=lambda kind: kind.key
)
def test_check_finds_flags(place: Path, kind: ChangeKind) -> None:
    lab = fresh(place, kind)
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
