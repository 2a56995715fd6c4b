"""Write blobs, trees and commits without an index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio.git import TIMED_OUT, Batch, Conversation, Git
from git_planner.gitio.git_failure import GitResult, failure, local_failure, unknown_identity

# Above this many blobs one fast-import is cheaper than a process per blob.
_FEW = 4
# Seconds in which a person can enter the passphrase of a key.
SIGN_SECONDS = 60.0
# zlib at its fastest: a plan of thousands of tasks is rewritten often, and gc packs it well later.
_FAST = "core.looseCompression=1"


class TreeEntry(NamedTuple):
    """One entry of a tree."""

    mode: str
    oid: str

    @property
    def kind(self) -> str:
        """The object type that goes with the mode."""
        return {"040000": "tree", "160000": "commit"}.get(self.mode, "blob")


Tree = dict[str, TreeEntry]


def parse_tree(raw: bytes, id_bytes: int) -> Tree:
    """Read a tree object's bytes.

    Args:
        raw: the object as it is stored.
        id_bytes: the length of an object id: 20 under SHA-1, 32 under SHA-256.
    """
    # A ledger's folder has thousands of entries, which one pattern parses fastest.
    fields = re.findall(rb"([0-7]+) ([^\0]+)\0(.{%d})" % id_bytes, raw, re.DOTALL)
    modes = {mode: mode.decode().zfill(6) for mode in {mode for mode, _, _ in fields}}
    return {
        name.decode("utf-8", "surrogateescape"): TreeEntry(modes[mode], oid.hex())
        for mode, name, oid in fields
    }


def write_blobs(git: Git, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Store contents as blobs.

    Args:
        contents: any key -> bytes.

    Returns:
        The same keys with the blobs' ids.
    """
    if len(contents) <= _FEW:
        return {
            key: git.line("-c", _FAST, "hash-object", "-w", "-t", "blob", "--stdin", stdin=content)
            for key, content in contents.items()
        }
    stream = bytearray()
    for mark, content in enumerate(contents.values(), 1):
        stream += b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(content), content)
    for mark in range(1, len(contents) + 1):
        stream += b"get-mark :%d\n" % mark
    oids = git.line("fast-import", "--quiet", "--done", stdin=bytes(stream) + b"done\n").split()
    return dict(zip(contents, oids, strict=True))


def splice(git: Git, batch: Batch, root: str | None, edits: Mapping[str, bytes | None]) -> str:
    """Make the tree that differs from another at a few paths, reading and writing only the trees along them.

    Args:
        batch: an open reader of the same repository.
        root: the tree to start from; None for an empty one.
        edits: repository path -> content of a regular file, or None to remove it.

    Returns:
        The new tree's id.
    """
    blobs = write_blobs(git, {path: content for path, content in edits.items() if content is not None})
    with _TreeWriter(git) as writer:
        return _splice(writer, batch, root, {path: blobs.get(path) for path in edits}) or writer.write({})


def merge_trees(git: Git, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """Merge two commits without a worktree.

    Returns:
        The merged tree, and the paths in conflict; with any, the tree holds conflict markers.

    Raises:
        PlannerError: E_GIT when git cannot merge them at all.
    """
    args = ("merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", ours, theirs)
    result = git.run(*args)
    if result.status not in (0, 1):
        raise failure(args, result, git.cwd)
    tree, *conflicts = result.stdout.decode(errors="replace").rstrip("\0").split("\0")
    return tree, tuple(conflicts)


def commit_tree(
    git: Git,
    tree: str,
    parents: tuple[str, ...],
    text: str,
    *,
    date: str | None = None,
    sign: bool = False,
) -> str:
    """Make a commit object; nothing points to it yet.

    Args:
        git: the repository's git.
        tree: the tree's id.
        parents: the parents' ids.
        text: the message.
        date: author's and committer's date as git reads it; the present when None.
        sign: whether to sign it with the person's key.

    Raises:
        PlannerError: E_IDENTITY when git does not know who commits; E_SIGN when the signing program fails or
            waits for a person.
    """
    args = [
        "commit-tree",
        *(["-S"] if sign else []),
        tree,
        *(word for parent in parents for word in ("-p", parent)),
        "-F",
        "-",
    ]
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else None
    result = git.run(*args, stdin=text.encode(), env=env, seconds=SIGN_SECONDS if sign else None)
    if sign and result.status != 0 and git.run("var", "GIT_COMMITTER_IDENT").status == 0:
        raise local_failure(tuple(args), result, git.cwd) or _unsigned(result)
    if result.status != 0:
        who = git.run("var", "GIT_COMMITTER_IDENT")
        raise unknown_identity(who) if who.status != 0 else failure(tuple(args), result, git.cwd)
    return result.stdout.decode().strip()


def _unsigned(result: GitResult) -> PlannerError:
    is_late = result.status == TIMED_OUT
    cause = f"did not end within {SIGN_SECONDS:g} seconds" if is_late else "failed"
    return PlannerError(
        "E_SIGN",
        f"the commit cannot be signed: the signing program of 'commit.gpgSign' {cause}",
        hint="try it with 'git commit-tree -S HEAD^{tree} -m test', which changes no branch",
        details=[line[:200] for line in result.message.splitlines()[:5]],
    )


def read_tree(batch: Batch, name: str) -> Tree:
    """Return the entries of a tree by any of its names; empty when there is none."""
    info = batch.info(name)
    if info is None or info[1] != "tree":
        return {}
    return parse_tree(batch.read(name) or b"", len(info[0]) // 2)


def _splice(
    writer: _TreeWriter, batch: Batch, tree: str | None, blobs: Mapping[str, str | None]
) -> str | None:
    entries = dict(read_tree(batch, tree)) if tree else {}
    below: dict[str, dict[str, str | None]] = {}
    for path, oid in blobs.items():
        head, slash, rest = path.partition("/")
        if slash:
            below.setdefault(head, {})[rest] = oid
        elif oid is None:
            entries.pop(head, None)
        else:
            entries[head] = TreeEntry("100644", oid)
    for name, inner in below.items():
        old = entries.get(name)
        new = _splice(writer, batch, old.oid if old and old.kind == "tree" else None, inner)
        if new is not None:
            entries[name] = TreeEntry("040000", new)
        elif old and old.kind == "tree":
            del entries[name]
    return writer.write(entries) if entries else None


class _TreeWriter:
    """One `git mktree` for all the trees of a splice."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._mktree: Conversation | None = None

    def __enter__(self) -> _TreeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._mktree is not None:
            self._mktree.end()

    def write(self, entries: Tree) -> str:
        if self._mktree is None:
            self._mktree = self._git.conversation("-c", _FAST, "mktree", "-z", "--missing", "--batch")
        lines = (f"{entry.mode} {entry.kind} {entry.oid}\t{name}\0" for name, entry in entries.items())
        return self._mktree.ask("".join(lines).encode("utf-8", "surrogateescape") + b"\0").decode()
