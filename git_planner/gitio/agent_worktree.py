"""An iteration's worktree after an agent: read, keep and commit its content.

Nothing an agent may have done to the index, to HEAD or to the branch is trusted: the content of the folder is
read with a fresh index, and exactly the checked content is committed.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.gitio.git import Git
from git_planner.gitio.git_failure import GitResult
from git_planner.gitio.objects import commit_tree
from git_planner.gitio.repository import TURNS, Repository, open_repository
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.gitio.worktree import bad_link, link_state, temporary_index
from git_planner.turn_notes import note_moves

# Files that git leaves beside the index while a merge, a rebase or the like is unfinished.
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}
_LEFTOVERS = (*_UNFINISHED, "MERGE_MSG", "MERGE_MODE", "SQUASH_MSG", "AUTO_MERGE", "sequencer")


def unfinished(place: Repository) -> str | None:
    """Return the name of a merge, rebase, cherry-pick, revert or bisect in progress; None without one."""
    for name, operation in _UNFINISHED.items():
        if (place.git_dir / name).exists():
            return operation
    return None


def content(place: Repository, start: str) -> str:
    """Write the tree of a worktree's files, with untracked files but without ignored ones.

    Args:
        place: the worktree. Its own index is neither read nor changed.
        start: the commit or tree whose ignored files count as tracked.

    Raises:
        PlannerError: E_GIT when a file there cannot be read.
    """
    scratch = place.git_dir / "planner-content-index"
    try:
        env = temporary_index(place.git, scratch, (start,))
        place.git.bytes("-c", "advice.addEmbeddedRepo=false", "add", "--all", env=env)
        return place.git.line("write-tree", env=env)
    finally:
        scratch.unlink(missing_ok=True)
        scratch.with_name(scratch.name + ".lock").unlink(missing_ok=True)


def keep(repo: Repository, ref: str, tree: str, parent: str, message: str) -> str:
    """Make content reachable from a planner ref, by a commit on top of `parent`.

    The previous target of the ref stays reachable as a further parent. Identical content is kept once.

    Returns:
        The commit that the ref names now.
    """
    store = Store(repo)

    def decide(snapshots: dict[str, Snapshot]) -> list[Step]:
        old = snapshots[ref].tip
        if old is not None and _is_kept(repo, old, tree, parent):
            return []
        parents = tuple(dict.fromkeys((parent, *([old] if old else []))))
        return [Move(ref, commit_tree(repo.git, tree, parents, message))]

    kept = store.transact([ref], lambda snapshots: decide(dict(snapshots)))[ref]
    assert kept is not None
    return kept


def rescue(repo: Repository, place: Repository, ref: str, message: str) -> str | None:
    """Keep the uncommitted content of a worktree, such as the work of an interrupted agent.

    Returns:
        The commit that keeps it under `ref`; None when there was none.
    """
    head = place.resolve("HEAD")
    tree = content(place, head)
    return keep(repo, ref, tree, head, message) if tree != place.resolve(head, "tree") else None


def reset_branch(place: Repository, ref: str, commit: str) -> None:
    """Attach HEAD to its branch again and reset the branch to a commit; files and index stay as they are."""
    if place.git.run("symbolic-ref", "--quiet", "HEAD").stdout.decode().strip() != ref:
        place.git.bytes("symbolic-ref", "-m", "planner: back on the iteration's branch", "HEAD", ref)
    if place.maybe(ref) != commit:
        note_moves(place.private(TURNS), [(ref, commit)])
        place.git.bytes("update-ref", "-m", "planner: back to the state commit", ref, commit)


def put_branch(repo: Repository, ref: str, commit: str) -> None:
    """Reset a branch to a commit when its worktree is unusable."""
    if repo.maybe(ref) != commit:
        note_moves(repo.private(TURNS), [(ref, commit)])
        repo.git.bytes("update-ref", "-m", "planner: back to the state commit", ref, commit)


def commit(place: Repository, tree: str, message: str) -> GitResult:
    """Commit a tree in a worktree as a person would, with all hooks.

    Args:
        tree: the tree to commit; the index is set to it first, which clears flags that hide changes.
        message: the complete message.

    Returns:
        The result of git; a status other than 0 means that a hook refused, and the branch did not move.
    """
    place.git.bytes("read-tree", tree)
    place.git.run("update-index", "-q", "--refresh")
    args = ("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--file=-")
    return place.git.run(*args, stdin=message.encode(), env={"GIT_EDITOR": ":"})


def checkout_tree(place: Repository, start: str, end: str) -> None:
    """Check another tree out, into index and files, as a checkout between commits would.

    Args:
        start: the tree or commit whose content the worktree holds now.
        end: the tree or commit to check out.

    Raises:
        PlannerError: E_GIT when the folder does not hold `start` exactly; then nothing is changed.
    """
    place.git.bytes("read-tree", start)
    place.git.run("update-index", "-q", "--refresh")
    place.git.bytes("read-tree", "-m", "-u", start, end)


def repair(place: Repository, *, ours: bool) -> None:
    """Repair a worktree after an agent: restore its link, remove unfinished merges and stale locks.

    Args:
        ours: whether no other program can work there, so that every lock is stale.
    """
    assert place.top is not None
    link = place.top / ".git"
    if place.git_dir != place.common and place.top.is_dir() and not _leads_to(link, place.git_dir):
        _discard(link)
        link.write_bytes(b"gitdir: " + os.fsencode(place.git_dir) + b"\n")
    for name in (*_LEFTOVERS, *(["index.lock"] if ours else [])):
        _discard(place.git_dir / name)


def at(path: Path, repo: Repository) -> Repository | None:
    """Return the worktree of `repo` in a folder; None when the folder is not one."""
    if not (path / ".git").exists():
        return None
    with suppress(PlannerError):
        place = open_repository(path)
        if place.common == repo.common and place.top == path:
            return place
    return None


def find_detached(path: Path, repo: Repository) -> Repository | None:
    """Find the worktree of `repo` in a folder, also when an agent has deleted or changed its link.

    Git's own entry of the worktree identifies it. `repair` restores the link.

    Raises:
        PlannerError: E_WORKTREE when the folder belongs to the repository that this one is a copy of.
    """
    place = at(path, repo)
    if place is not None or not path.is_dir():
        return place
    for entry in sorted(repo.common.glob("worktrees/*/gitdir")):
        link = entry.parent / os.fsdecode(entry.read_bytes()).removesuffix("\n")
        if link.parent.resolve() == path.resolve():
            if (path / ".git").is_file() and link_state(repo, path) == "foreign":
                raise bad_link(repo, path, "foreign")
            git = Git((f"--git-dir={entry.parent}", f"--work-tree={path}"), path)
            return Repository(git, path, entry.parent, repo.common, repo.object_format)
    return None


def _is_kept(repo: Repository, old: str, tree: str, parent: str) -> bool:
    old_tree, *parents = repo.git.line("log", "-1", "--format=%T %P", old).split()
    return old_tree == tree and parent in parents


def _leads_to(link: Path, git_dir: Path) -> bool:
    if link.is_symlink() or not link.is_file():
        return False
    key, _, target = os.fsdecode(link.read_bytes()).removesuffix("\n").partition(": ")
    return key == "gitdir" and (link.parent / target).resolve() == git_dir.resolve()


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
