"""Propose a change of guarded files on a branch of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from git_planner import redact
from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker, GuardRule
from git_planner.gitio import history
from git_planner.gitio.fresh.quarantine import kept_tree
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Move, Store
from git_planner.gitio.worktree import temporary_index
from git_planner.rules import refnames
from git_planner.rules.policy.policy import pathspecs
from git_planner.rules.printable import printable_path

SUBJECT = "Change what the guard protects"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A branch that changes the guarded files `paths`, to be merged into the branch `base`."""

    branch: str
    commit: str
    base: str
    paths: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the proposal as a JSON document."""
        return {
            "schema": "git-planner/guard-proposal@1",
            "branch": self.branch,
            "commit": self.commit,
            "base": self.base,
            "paths": [printable_path(path) for path in self.paths],
        }


def propose(repo: Repository, message: str | None, paths: Sequence[str]) -> Proposal:
    """Commit the changed guarded files of the worktree to a new branch on top of the base branch.

    The guard does not check such a branch, and nothing trusts it before it is merged: no iteration starts
    from it, and no plan can have its name.

    Args:
        repo: the repository, with a worktree.
        message: the commit's message.
        paths: pathspecs that select guarded files; empty for all that changed.

    Raises:
        PlannerError: E_USAGE, E_UNBORN, E_NO_BASE; E_NO_CHANGE if no guarded file was changed; E_MERGE if
            the base branch has changed the same file since; E_CONFLICT.
    """
    if repo.top is None:
        raise PlannerError("E_USAGE", "a bare repository has no files to propose")
    # The branch is named by the message, too.
    message = redact.mask_text(message or SUBJECT)
    checker = GuardChecker(repo)
    tip, head = checker.base_tips(repo.resolve("HEAD"))[0], repo.resolve("HEAD")
    rule = checker.rule_at(tip)
    changed = _changed_paths(repo, rule, paths)
    if not changed:
        raise PlannerError(
            "E_NO_CHANGE",
            "no guarded file is changed here",
            hint="change it in the worktree first; see what is guarded with 'git planner guard matrix -h'",
        )
    moved = [change.path for change in history.changes(repo.git, head, tip, _literal_pathspecs(changed))]
    if moved:
        raise PlannerError(
            "E_MERGE",
            f"the base branch has another '{printable_path(moved[0])}' than the commit you are on",
            hint="merge the base branch first, with 'git merge'",
        )
    commit = commit_tree(repo.git, _proposal_tree(repo, tip, changed), (tip,), f"{message}\n")
    base = rule.policy.base if rule.policy else "the base branch"
    return Proposal(_create_branch(repo, message, commit), commit, base, tuple(changed))


def _changed_paths(repo: Repository, rule: GuardRule, paths: Sequence[str]) -> list[str]:
    """List the guarded files that differ from HEAD, and untracked ones that git does not ignore."""
    specs = pathspecs((*rule.patterns, *rule.sectioned))
    git = repo.git

    def both(*arguments: str) -> set[str]:
        matches = set(git.names(*arguments, "-z", "--", *specs))
        return matches & set(git.names(*arguments, "-z", "--", *paths)) if paths else matches

    tracked = both("diff-index", "--name-only", "--no-renames", "--ignore-submodules=none", "HEAD")
    return sorted(tracked | both("ls-files", "--others", "--exclude-standard"))


def _proposal_tree(repo: Repository, tip: str, changed: Sequence[str]) -> str:
    """Write the tree of the base with the changed files of the worktree, using a temporary index."""
    names_ = os.fsencode("".join(f"{path}\0" for path in changed))
    with TemporaryDirectory(prefix="git-planner-") as folder:

        def write(env: Mapping[str, str]) -> str:
            env = {**env, **temporary_index(repo.git, Path(folder, "index"), (tip,))}
            repo.git.bytes("update-index", "--add", "--remove", "-z", "--stdin", stdin=names_, env=env)
            return repo.git.line("write-tree", env=env)

        return kept_tree(repo.git, repo.common, tip, write)


def _create_branch(repo: Repository, message: str, commit: str) -> str:
    """Create the branch under the first free name."""
    stem = refnames.PROPOSALS + refnames.slug(message.splitlines()[0], "change")
    branches = history.list_refs(repo, refnames.HEADS + refnames.PROPOSALS + "*")
    branch = stem
    for number in range(2, 1000):
        if refnames.HEADS + branch not in branches:
            break
        branch = f"{stem}-{number}"
    Store(repo).transact([refnames.HEADS + branch], lambda _: [Move(refnames.HEADS + branch, commit)])
    return branch


def _literal_pathspecs(paths: Sequence[str]) -> list[str]:
    return [f":(top,literal){path}" for path in paths]
