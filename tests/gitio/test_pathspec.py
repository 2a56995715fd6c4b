"""Pathspecs that are matched here, as git matches them; and the differences of two trees, listed once."""

from __future__ import annotations

import os

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import git as spawning
from git_planner.gitio import history
from git_planner.gitio.content.pathspec import matcher
from git_planner.rules.guard.guard import CONFIGURATION, SHADOWING, wide_pathspecs
from git_planner.rules.policy.policy import SECTIONED, START_UP, pathspecs
from tests.support.lab import Lab

PATHS = (
    *("a.py", "tests.py", "Tests/x.py", "tests/x.py", "tests/deep/er/y.txt", "src/tests/x.py", "test/s"),
    *("conftest.py", "src/CONFTEST.py", "src/conftest.py", "src/conftest.py.orig", "xconftest.py"),
    *(
        "pkg.dist-info/entry",
        "lib/pkg.dist-info/a/b",
        "pkg.dist-info.d/x",
        ".pth",
        "x.pth",
        "a/b/.pth",
        "pth",
    ),
    *(
        "src/a/__init__.py",
        "a/__init__.py",
        "__init__.py",
        "src/a/b/__init__.py",
        "[x]/a",
        "x?/*",
        "a\nb/c d",
    ),
    *("tool.toml", "deep/tool.ini", "deep/er.ini/x", "ä/conftest.py", "\udcff/x.pth", "STRASSE", "K/k"),
    *("pytest/a", "pytest.py", "spytest/a", "src/pytest/a", ".git-planner.yml", "sub/.git-planner.yml"),
)
PATTERNS = (
    *("**", "*", "a*", "*a", "*a*", "a*b*c", "a**", "**/", "/a", "tests", "tests/", "tests/**", "tests/*"),
    *("**/tests/**", "**/*", "**/tests", "src/**/x.py", "src/**/**/x.py", "**/a/**/b", "t*s/**", "**/t*s/*"),
    *("[x]/a", "x?/*", "x\\?/\\*", "K/*", "ä/*", "", "deep/*.ini", "a\nb/*", "*.dist-info/**", "**/er/**"),
    *(*START_UP, *SECTIONED),
)


def spelled(pattern: str) -> list[str]:
    """The pathspecs of a pattern in every magic that is used."""
    return [f":(top,{magic}){pattern}" for magic in ("glob", "icase,glob", "literal")]


def test_matches_as_git_does(lab: Lab) -> None:
    blob = lab.git("hash-object", "-w", "--stdin", stdin="x")
    listing = "".join(f"100644 {blob}\t{path}\0" for path in PATHS)
    lab.repo.git.bytes("update-index", "-z", "--index-info", stdin=os.fsencode(listing))
    commit, empty = lab.git("write-tree"), lab.git("mktree", stdin="")
    paths = [change.path for change in history.changes(lab.repo.git, empty, commit)]
    assert {*paths} >= {*PATHS}
    known = 0
    for spec in (spec for pattern in PATTERNS for spec in spelled(pattern)):
        matches = matcher((spec,))
        known += matches is not None
        if matches is not None:
            diff = ("diff-tree", "-r", "-z", "--name-only", empty, commit, "--", spec)
            assert [path for path in paths if matches(path)] == lab.repo.git.names(*diff), spec
    # Nearly all patterns that policies have are simple.
    assert known > 2 * len(PATTERNS)
    for specs in (pathspecs(START_UP), wide_pathspecs(["tests/**"]), SHADOWING, CONFIGURATION):
        assert matcher(tuple(specs)) is not None


@pytest.mark.parametrize(
    "spec", ["tests", ":/tests", ":(glob)tests/*", ":(top,exclude,literal)a", ":(top,glob"]
)
def test_leaves_other_forms_to_git(spec: str) -> None:
    assert matcher((spec,)) is matcher((":(top,literal)a", spec)) is matcher(()) is None


def test_lists_the_differences_of_two_trees_once(lab: Lab) -> None:
    old = lab.commit("old", {"a/x": "1", "b/y": "1"})
    new = lab.commit("new", {"a/x": "2", "c": "1"})
    same = lab.commit("the same tree", {})
    git, before = lab.repo.git, spawning.spawned
    assert [change.path for change in history.changes(git, old, new)] == ["a/x", "c"]
    assert [change.path for change in history.changes(git, old, same, [":(top,glob)a/**"])] == ["a/x"]
    assert history.changes(git, new, same) == history.changes(git, new, same, ["odd[a-z]"]) == []
    # One reader of objects, and one listing.
    assert spawning.spawned - before == 2
    assert [change.path for change in history.changes(git, old, same, [":(top,glob)[a]/*"])] == ["a/x"]
    assert spawning.spawned - before == 3
    with pytest.raises(PlannerError, match="bad revision 'no-such'"):
        history.changes(git, old, "no-such")


def test_asks_git_about_many_differences(lab: Lab) -> None:
    old = lab.commit("old", {"a": "1"})
    new = lab.commit("new", {f"many/{number:03}": "1" for number in range(200)})
    git = lab.repo.git
    assert len(history.changes(git, old, new)) == 200
    assert [change.path for change in history.changes(git, old, new, [":(top,glob)*/007"])] == ["many/007"]
    assert list(git.known_changes.values()) == [None]
