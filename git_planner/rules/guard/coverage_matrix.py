"""The guard's coverage: every way to make or move a commit, every kind of change, and what catches it. Data.

tests/guard/test_coverage_matrix.py does every cell for real; docs/guard.md shows the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Cell = Literal["prevented", "detected", "harmless"]

MEANING = {
    "prevented": "refused by a hook: the branch does not move",
    "detected": "the branch moves; `git record` says invalid, and `git planner check --range` fails in CI",
    "harmless": "the change does not get into the commit, so nothing measures it",
}


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make or move a commit. `seen` says that git asks `reference-transaction` about it."""

    key: str
    words: str
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change. `committed` says that it gets into a commit at all."""

    key: str
    words: str
    committed: bool = True


WAYS = (
    Way("commit", "`git commit`"),
    Way("commit-all", "`git commit -a`"),
    Way("commit-path", "`git commit -- PATH`"),
    Way("amend", "`git commit --amend`"),
    Way("no-verify", "`git commit --no-verify`"),
    Way("cherry-pick", "`git cherry-pick`"),
    Way("revert", "`git revert`"),
    Way("rebase", "`git rebase`"),
    Way("rebase-exec", "`git rebase --exec`"),
    Way("merge", "`git merge`"),
    Way("fast-forward", "`git merge --ff`"),
    Way("squash", "`git merge --squash`"),
    Way("octopus", "`git merge` of several"),
    Way("am", "`git am`"),
    Way("apply", "`git apply --index`"),
    Way("stash", "`git stash apply`"),
    Way("reset", "`git reset --hard`"),
    Way("branch-force", "`git branch -f`"),
    Way("plumbing", "`git commit-tree`, `git update-ref`"),
    Way("fast-import", "`git fast-import`"),
    Way("worktree", "in a linked worktree"),
    Way("push", "a push into the repository"),
    Way("fetch", "a fetch into the branch"),
    Way("branch-move", "`git branch -M`", seen=False),
    Way("symbolic-ref", "`git symbolic-ref`", seen=False),
    Way("gitpython", "GitPython's `index.commit`", seen=False),
    Way("dulwich", "dulwich's `do_commit`", seen=False),
    Way("hooks-path", "`-c core.hooksPath=/dev/null`", seen=False),
    Way("clone", "a clone without hooks", seen=False),
)

KINDS = (
    Kind("modify", "change a file"),
    Kind("add", "add a file"),
    Kind("delete", "delete a file"),
    Kind("rename-away", "rename a file away"),
    Kind("rename-in", "rename a file in"),
    Kind("mode", "change a mode"),
    Kind("link-folder", "put a link in the folder's place"),
    Kind("link-file", "put a link in a file's place"),
    Kind("submodule", "put a submodule in"),
    Kind("case", "rename in case only"),
    Kind("filter", "`.gitattributes` filter"),
    Kind("export-subst", "`.gitattributes` export-subst"),
    Kind("assume-unchanged", "`assume-unchanged`", committed=False),
    Kind("skip-worktree", "`skip-worktree`", committed=False),
    Kind("pyc", "ignored `*.pyc`, forced in"),
    Kind("conftest", "`conftest.py` beside the tests"),
    Kind("sitecustomize", "`sitecustomize.py`"),
    Kind("pth", "a `*.pth` file"),
    Kind("shadow", "a module called like a standard one"),
    Kind("shadow-link", "a link called like one"),
    Kind("policy", "the policy"),
    Kind("pyproject", "`pyproject.toml`, pytest section"),
    Kind("pytest-ini", "`pytest.ini`"),
    Kind("tox-ini", "`tox.ini`"),
    Kind("setup-cfg", "`setup.cfg`"),
)


def cell(way: Way, kind: Kind) -> Cell:
    """What catches one kind of change made in one way."""
    if not kind.committed:
        return "harmless"
    return "prevented" if way.seen else "detected"


def table() -> str:
    """The matrix as a Markdown table, kinds of change down and ways across in groups of the same answer."""
    groups: dict[tuple[Cell, ...], list[str]] = {}
    for way in WAYS:
        groups.setdefault(tuple(cell(way, kind) for kind in KINDS), []).append(way.words)
    lines = ["| way to make or move a commit | " + " | ".join(kind.words for kind in KINDS) + " |"]
    lines.append("| --- |" + " --- |" * len(KINDS))
    for answers, ways in groups.items():
        lines += [f"| {way} | " + " | ".join(answers) + " |" for way in ways]
    legend = [f"- {word}: {meaning}." for word, meaning in MEANING.items()]
    return "\n".join([*lines, "", *legend]) + "\n"


def document() -> dict[str, Any]:
    """The matrix as JSON: way -> kind -> what catches it."""
    return {
        "schema": "git-planner/guard-matrix@1",
        "meaning": dict(MEANING),
        "cells": {way.key: {kind.key: cell(way, kind) for kind in KINDS} for way in WAYS},
    }
