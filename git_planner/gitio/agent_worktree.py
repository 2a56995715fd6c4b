"""An iteration's worktree after an agent: keep, commit and reset its content.

Nothing an agent may have done to the index, to HEAD or to the branch is trusted: exactly the content that was
read (`content/read_content.py`) is committed, and no hook or other program of the worktree runs.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.folders import make_readable, remove_folder
from git_planner.gitio.content.inert_git import inert, with_filters
from git_planner.gitio.content.read_content import read_content
from git_planner.gitio.content.survey import Limits
from git_planner.gitio.fresh import fresh_objects
from git_planner.gitio.git import Git
from git_planner.gitio.git_failure import GitResult, failure
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import TURNS, Repository, open_repository
from git_planner.gitio.store import Move, Snapshot, Step, Store
from git_planner.gitio.worktree import bad_link, link_state
from git_planner.turn_notes import noted_moves

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


def rescue(
    repo: Repository, place: Repository, ref: str, message: str, trusted: str, *, limits: Limits
) -> tuple[str | None, tuple[str, ...]]:
    """Keep the uncommitted content of a worktree, such as the work of an interrupted agent.

    Args:
        repo: the repository.
        place: the worktree.
        ref: the ref that keeps it.
        message: the complete message of its commit.
        trusted: the commit with the programs that filters of the configuration may start.
        limits: the limits for new and changed files.

    Returns:
        The commit that keeps it, None when there was none; and what could not be kept.
    """
    head = place.resolve("HEAD")
    content = read_content(place, head, limits, trusted=trusted)
    is_changed = content.tree != place.resolve(head, "tree")
    return keep(repo, ref, content.tree, head, message) if is_changed else None, content.problems


def reset_branch(place: Repository, ref: str, commit: str) -> None:
    """Attach HEAD to its branch again and reset the branch to a commit; files and index stay as they are."""
    if place.git.run("symbolic-ref", "--quiet", "HEAD").stdout.decode().strip() != ref:
        place.git.bytes("symbolic-ref", "-m", "planner: back on the iteration's branch", "HEAD", ref)
    if place.maybe(ref) != commit:
        with noted_moves(place.private(TURNS), [(ref, commit)]):
            place.git.bytes("update-ref", "-m", "planner: back to the state commit", ref, commit)


def put_branch(repo: Repository, ref: str, commit: str) -> None:
    """Reset a branch to a commit when its worktree is unusable."""
    if repo.maybe(ref) != commit:
        with noted_moves(repo.private(TURNS), [(ref, commit)]):
            repo.git.bytes("update-ref", "-m", "planner: back to the state commit", ref, commit)


def commit(place: Repository, ref: str, tip: str, tree: str, message: str, *, sign_seconds: float) -> str:
    """Commit a tree on top of a worktree's branch, signed if the person's configuration says so.

    No hook runs. The signing program is started in the git directory, where a relative name finds nothing
    that an agent wrote.

    Args:
        place: the worktree; HEAD is attached to the branch.
        ref: the full ref of its branch.
        tip: the commit that the branch stands at.
        tree: the tree to commit; the index is set to it, which clears flags that hide changes.
        message: the complete message.
        sign_seconds: the time for the signing program.

    Returns:
        The commit.

    Raises:
        PlannerError: E_SIGN, E_IDENTITY, E_NO_SPACE; E_GIT when the branch has moved.
    """
    git = Git((f"--git-dir={place.common}",), place.common)
    oid = commit_tree(git, tree, (tip,), message, sign_seconds=sign_seconds if is_signed(place) else None)
    update = ("update-ref", "-m", f"commit: {message.partition(chr(10))[0]}", ref, oid, tip)

    def move() -> GitResult | None:
        result = place.git.run(*update)
        return result if result.status else None

    with place.git.batch() as batch, noted_moves(place.private(TURNS), [(ref, oid)]):
        refused = fresh_objects.move(place, batch, [oid], move)
    if refused is not None:
        raise failure(update, refused, place.git.cwd)
    place.git.bytes("read-tree", tree)
    place.git.run("update-index", "-q", "--refresh")
    if place.config("core.sparseCheckout") is not None:
        # Files outside of the sparse checkout would be shown as deleted.
        place.git.run("sparse-checkout", "reapply")
    return oid


def check_signing(repo: Repository, sign_seconds: float) -> None:
    """Sign a commit that nothing points to, if commits are to be signed: before an agent is paid.

    Args:
        repo: the repository.
        sign_seconds: the time for the signing program.

    Raises:
        PlannerError: E_SIGN.
    """
    if is_signed(repo):
        git = Git((f"--git-dir={repo.common}",), repo.common)
        with git.batch() as batch:
            tree = splice(git, batch, None, {})
        commit_tree(git, tree, (), "test of the signing program", sign_seconds=sign_seconds)


def is_signed(place: Repository) -> bool:
    """Return whether the person's configuration asks for signed commits."""
    git = Git((f"--git-dir={place.common}",), place.common)
    return git.answer("config", "--type=bool", "--get", "commit.gpgSign") == b"true\n"


def checkout_tree(place: Repository, start: str, end: str, trusted: str) -> None:
    """Check another tree out, into index and files, as a checkout between commits would.

    Args:
        place: the worktree.
        start: the tree or commit whose content the worktree holds now.
        end: the tree or commit to check out.
        trusted: the commit with the programs that filters of the configuration may start.

    Raises:
        PlannerError: E_GIT when the folder does not hold `start` exactly; then nothing is changed.
    """
    with with_filters(place, trusted) as writer:
        writer.git.bytes("read-tree", start)
        writer.git.run("update-index", "-q", "--refresh")
        writer.git.bytes("read-tree", "-m", "-u", start, end)


def repair(place: Repository, *, ours: bool) -> None:
    """Repair a worktree after an agent: restore its link, remove unfinished merges and stale locks.

    Args:
        ours: whether no other program can work there, so that every lock is stale.
    """
    assert place.top is not None
    make_readable(place.top, stat.S_IRWXU)
    link = place.top / ".git"
    if place.git_dir != place.common and place.top.is_dir() and not _leads_to(link, place.git_dir):
        _discard(link)
        link.write_bytes(b"gitdir: " + os.fsencode(place.git_dir) + b"\n")
    for name in (*_LEFTOVERS, *(["index.lock"] if ours else [])):
        _discard(place.git_dir / name)


def at(path: Path, repo: Repository) -> Repository | None:
    """Return the worktree of `repo` in a folder; None when the folder is not one."""
    # An agent may have closed the folder to everybody.
    make_readable(path, stat.S_IRWXU)
    if not os.path.exists(path / ".git"):
        return None
    with suppress(PlannerError):
        place = open_repository(path)
        if place.common == repo.common and place.top == path:
            return inert(place)
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
            return inert(Repository(git, path, entry.parent, repo.common, repo.object_format))
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
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)
