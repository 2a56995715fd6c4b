"""Coverage of the guard: every way to make or move a commit, every kind of change, and what catches it.

tests/guard/test_coverage_matrix.py tests every cell against git; docs/guard.md shows the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Coverage = Literal["prevented", "detected", "harmless"]

MEANING = {
    "prevented": "refused by a hook: the branch does not move",
    "detected": "the branch moves; `git record` says invalid, and `git planner check --range` fails in CI",
    "harmless": "the change does not get into the commit, so nothing measures it",
}


@dataclass(frozen=True, slots=True)
class CommitRoute:
    """A way to make or move a commit. `reported`: git runs the hook `reference-transaction` for it."""

    key: str
    title: str
    reported: bool = True


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """A kind of change. `committed`: it gets into a commit at all."""

    key: str
    title: str
    committed: bool = True


COMMIT_ROUTES = (
    CommitRoute("commit", "`git commit`"),
    CommitRoute("commit-all", "`git commit -a`"),
    CommitRoute("commit-path", "`git commit -- PATH`"),
    CommitRoute("amend", "`git commit --amend`"),
    CommitRoute("no-verify", "`git commit --no-verify`"),
    CommitRoute("cherry-pick", "`git cherry-pick`"),
    CommitRoute("revert", "`git revert`"),
    CommitRoute("rebase", "`git rebase`"),
    CommitRoute("rebase-exec", "`git rebase --exec`"),
    CommitRoute("merge", "`git merge`"),
    CommitRoute("fast-forward", "`git merge --ff`"),
    CommitRoute("squash", "`git merge --squash`"),
    CommitRoute("octopus", "`git merge` of several"),
    CommitRoute("am", "`git am`"),
    CommitRoute("apply", "`git apply --index`"),
    CommitRoute("stash", "`git stash apply`"),
    CommitRoute("reset", "`git reset --hard`"),
    CommitRoute("branch-force", "`git branch -f`"),
    CommitRoute("plumbing", "`git commit-tree`, `git update-ref`"),
    CommitRoute("fast-import", "`git fast-import`"),
    CommitRoute("worktree", "in a linked worktree"),
    CommitRoute("push", "a push into the repository"),
    CommitRoute("fetch", "a fetch into the branch"),
    CommitRoute("branch-move", "`git branch -M`", reported=False),
    CommitRoute("symbolic-ref", "`git symbolic-ref`", reported=False),
    CommitRoute("gitpython", "GitPython's `index.commit`", reported=False),
    CommitRoute("dulwich", "dulwich's `do_commit`", reported=False),
    CommitRoute("hooks-path", "`-c core.hooksPath=/dev/null`", reported=False),
    CommitRoute("clone", "a clone without hooks", reported=False),
)

CHANGE_KINDS = (
    ChangeKind("modify", "change a file"),
    ChangeKind("add", "add a file"),
    ChangeKind("delete", "delete a file"),
    ChangeKind("rename-away", "rename a file away"),
    ChangeKind("rename-in", "rename a file in"),
    ChangeKind("mode", "change a mode"),
    ChangeKind("link-folder", "put a link in the folder's place"),
    ChangeKind("link-file", "put a link in a file's place"),
    ChangeKind("submodule", "put a submodule in"),
    ChangeKind("case", "rename in case only"),
    ChangeKind("filter", "`.gitattributes` filter"),
    ChangeKind("export-subst", "`.gitattributes` export-subst"),
    ChangeKind("assume-unchanged", "`assume-unchanged`", committed=False),
    ChangeKind("skip-worktree", "`skip-worktree`", committed=False),
    ChangeKind("pyc", "ignored `*.pyc`, forced in"),
    ChangeKind("conftest", "`conftest.py` beside the tests"),
    ChangeKind("sitecustomize", "`sitecustomize.py`"),
    ChangeKind("pth", "a `*.pth` file"),
    ChangeKind("distribution", "a `*.dist-info` with a plugin"),
    ChangeKind("runner-module", "a module called like one of the runner's"),
    ChangeKind("shadow", "a module called like a standard one"),
    ChangeKind("shadow-link", "a link called like one"),
    ChangeKind("policy", "the policy"),
    ChangeKind("pyproject", "`pyproject.toml`, pytest section"),
    ChangeKind("pytest-ini", "`pytest.ini`"),
    ChangeKind("pytest-toml", "`pytest.toml`"),
    ChangeKind("tox-ini", "`tox.ini`"),
    ChangeKind("setup-cfg", "`setup.cfg`"),
)


def coverage(way: CommitRoute, kind: ChangeKind) -> Coverage:
    """Return what catches one kind of change made in one way."""
    if not kind.committed:
        return "harmless"
    return "prevented" if way.reported else "detected"


def markdown_table() -> str:
    """Return the matrix as a Markdown table: one row per way, one column per kind of change."""
    groups: dict[tuple[Coverage, ...], list[str]] = {}
    for way in COMMIT_ROUTES:
        groups.setdefault(tuple(coverage(way, kind) for kind in CHANGE_KINDS), []).append(way.title)
    lines = ["| way to make or move a commit | " + " | ".join(kind.title for kind in CHANGE_KINDS) + " |"]
    lines.append("| --- |" + " --- |" * len(CHANGE_KINDS))
    for answers, ways in groups.items():
        lines += [f"| {way} | " + " | ".join(answers) + " |" for way in ways]
    legend = [f"- {word}: {meaning}." for word, meaning in MEANING.items()]
    return "\n".join([*lines, "", *legend]) + "\n"


def document() -> dict[str, Any]:
    """Return the matrix as a JSON document: way -> kind -> what catches it."""
    return {
        "schema": "git-planner/guard-matrix@1",
        "meaning": dict(MEANING),
        "cells": {way.key: {kind.key: coverage(way, kind) for kind in CHANGE_KINDS} for way in COMMIT_ROUTES},
    }
