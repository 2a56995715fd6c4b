"""One iteration's worktree after an agent has been there: what lies in it, keeping it, committing it.

Nothing an agent may have done to the index, to HEAD or to the branch is trusted: the content of the folder is
read with a fresh index, and what was judged is exactly what is committed.
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
from git_planner.gitio.repository import Repository, open_repository
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.gitio.worktree import temporary_index

# What git leaves beside the index while a merge, a rebase or their like is not finished.
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
    """The name of a merge, rebase, cherry-pick, revert or bisect in progress in a worktree, or None."""
    for name, what in _UNFINISHED.items():
        if (place.git_dir / name).exists():
            return what
    return None


def content(place: Repository, start: str) -> str:
    """The tree of all that lies in a worktree, untracked files too, ignored ones not.

    Args:
        place: the worktree. Its own index is neither believed nor changed.
        start: the commit or tree that says which ignored files are tracked all the same.

    Raises:
        PlannerError: E_GIT when something there cannot be read.
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
    """Make content reachable from a ref of ours, by a commit on top of `parent`.

    What the ref named before stays reachable as a further parent. The same content is kept once.

    Returns:
        The commit that the ref names now.
    """
    store = Store(repo)

    def decide(seen: dict[str, Snapshot]) -> list[Step]:
        old = seen[ref].tip
        if old is not None and _same(repo, old, tree, parent):
            return []
        parents = tuple(dict.fromkeys((parent, *([old] if old else []))))
        return [Move(ref, commit_tree(repo.git, tree, parents, message))]

    kept = store.transact([ref], lambda seen: decide(dict(seen)))[ref]
    assert kept is not None
    return kept


def rescue(repo: Repository, place: Repository, ref: str, message: str) -> str | None:
    """Keep what lies in a worktree and in no commit, such as the work of an agent that was interrupted.

    Returns:
        The commit that keeps it under `ref`; None when there was nothing.
    """
    head = place.resolve("HEAD")
    tree = content(place, head)
    return keep(repo, ref, tree, head, message) if tree != place.resolve(head, "tree") else None


def put_on(place: Repository, ref: str, commit: str) -> None:
    """Put HEAD back on its branch and the branch on a commit; files and index stay as they are."""
    if place.git.run("symbolic-ref", "--quiet", "HEAD").stdout.decode().strip() != ref:
        place.git.bytes("symbolic-ref", "-m", "planner: back on the iteration's branch", "HEAD", ref)
    if place.maybe(ref) != commit:
        place.git.bytes("update-ref", "-m", "planner: back to the state commit", ref, commit)


def put_branch(repo: Repository, ref: str, commit: str) -> None:
    """Put a branch on a commit when its worktree is beyond use."""
    if repo.maybe(ref) != commit:
        repo.git.bytes("update-ref", "-m", "planner: back to the state commit", ref, commit)


def commit(place: Repository, tree: str, message: str) -> GitResult:
    """Commit a tree in a worktree as a person would, with all hooks.

    Args:
        tree: what the commit shall hold; the index is set to it first, flags that hide changes included.
        message: the whole message.

    Returns:
        How git ended; a status other than 0 means that a hook refused, and the branch did not move.
    """
    place.git.bytes("read-tree", tree)
    place.git.run("update-index", "-q", "--refresh")
    words = ("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--file=-")
    return place.git.run(*words, stdin=message.encode(), env={"GIT_EDITOR": ":"})


def travel(place: Repository, start: str, end: str) -> None:
    """Take index and files from the tree that lies there to another one, as a checkout between commits would.

    Args:
        start: the tree or commit whose content lies in the worktree now.
        end: the one it shall show.

    Raises:
        PlannerError: E_GIT when the folder does not hold `start` exactly; then nothing was touched.
    """
    place.git.bytes("read-tree", start)
    place.git.run("update-index", "-q", "--refresh")
    place.git.bytes("read-tree", "-m", "-u", start, end)


def mend(place: Repository, *, ours: bool) -> None:
    """Make a worktree usable again after an agent: a lost link, and merges or locks that it left behind.

    Args:
        ours: whether nobody else can be at work there, so that a lock must be a leftover.
    """
    assert place.top is not None
    link = place.top / ".git"
    if place.git_dir != place.common and place.top.is_dir() and not _leads_to(link, place.git_dir):
        _discard(link)
        link.write_bytes(b"gitdir: " + os.fsencode(place.git_dir) + b"\n")
    for name in (*_LEFTOVERS, *(["index.lock"] if ours else [])):
        _discard(place.git_dir / name)


def at(path: Path, repo: Repository) -> Repository | None:
    """The worktree of `repo` in a folder; None when the folder is not one."""
    if not (path / ".git").exists():
        return None
    with suppress(PlannerError):
        place = open_repository(path)
        if place.common == repo.common and place.top == path:
            return place
    return None


def left_at(path: Path, repo: Repository) -> Repository | None:
    """The same after an agent: one whose link it has deleted or bent is known by what git keeps of it.

    `mend` puts the link back.
    """
    place = at(path, repo)
    if place is not None or not path.is_dir():
        return place
    for note in sorted(repo.common.glob("worktrees/*/gitdir")):
        link = note.parent / os.fsdecode(note.read_bytes()).removesuffix("\n")
        if link.parent.resolve() == path.resolve():
            git = Git((f"--git-dir={note.parent}", f"--work-tree={path}"), path)
            return Repository(git, path, note.parent, repo.common, repo.object_format)
    return None


def _same(repo: Repository, old: str, tree: str, parent: str) -> bool:
    words = repo.git.line("log", "-1", "--format=%T %P", old).split()
    return words[0] == tree and parent in words[1:]


def _leads_to(link: Path, git_dir: Path) -> bool:
    if link.is_symlink() or not link.is_file():
        return False
    word, _, where = os.fsdecode(link.read_bytes()).removesuffix("\n").partition(": ")
    return word == "gitdir" and (link.parent / where).resolve() == git_dir.resolve()


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
