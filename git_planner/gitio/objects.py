"""Write blobs, trees, commits and tags without an index."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio.fresh.fresh_objects import (
    FreshObject,
    index_pack,
    remember,
    restore_missing,
)
from git_planner.gitio.fresh.pack import digest, pack_of
from git_planner.gitio.git import TIMED_OUT, Batch, Git
from git_planner.gitio.git_failure import GitResult, failure, local_failure, missing_object, unknown_identity
from git_planner.gitio.repository import Repository

# More new objects than this become one pack, as git does with what it receives.
_MOST_LOOSE = 100
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


class PlainCommit(NamedTuple):
    """A commit that is the same in every clone.

    `who` is author and committer, as 'Name <email>'; `date` is in seconds since 1970, in UTC.
    """

    tree: str
    parents: tuple[str, ...]
    message: str
    who: str
    date: int

    def content(self) -> bytes:
        """Return the commit as git stores it."""
        lines = [f"tree {self.tree}", *(f"parent {parent}" for parent in self.parents)]
        lines += [f"{role} {self.who} {self.date} +0000" for role in ("author", "committer")]
        return "\n".join([*lines, "", self.message.rstrip("\n") + "\n"]).encode("utf-8", "replace")


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


def parse_names(raw: bytes, id_bytes: int) -> list[tuple[str, str]]:
    """Read the names and object ids of a tree object's bytes, for a folder of thousands of files."""
    fields = re.findall(rb"[0-7]+ ([^\0]+)\0(.{%d})" % id_bytes, raw, re.DOTALL)
    return [(name.decode("utf-8", "surrogateescape"), oid.hex()) for name, oid in fields]


def write_blobs(git: Git, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Store contents as blobs.

    Args:
        contents: any key -> bytes.

    Returns:
        The same keys with the blobs' ids.
    """
    writer = _ObjectWriter(git)
    blobs = {key: writer.add_blob(content) for key, content in contents.items()}
    writer.flush()
    return blobs


def splice(git: Git, batch: Batch, root: str | None, edits: Mapping[str, bytes | None]) -> str:
    """Make the tree that differs from another at a few paths, reading and writing only the trees along them.

    Args:
        batch: an open reader of the same repository.
        root: the tree to start from; None for an empty one.
        edits: repository path -> content of a regular file, or None to remove it.

    Returns:
        The new tree's id.
    """
    writer = _ObjectWriter(git)
    entries = {
        path: None if content is None else TreeEntry("100644", writer.add_blob(content))
        for path, content in edits.items()
    }
    return _splice(writer, batch, root, entries)


def splice_entries(git: Git, batch: Batch, root: str | None, edits: Mapping[str, TreeEntry | None]) -> str:
    """Make a tree as `splice` does, of objects that are stored already."""
    return _splice(_ObjectWriter(git), batch, root, edits)


def merge_trees(
    repo: Repository,
    ours: str,
    theirs: str,
    *,
    settings: Sequence[str] = (),
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Merge two commits without a worktree, and keep the tree until a ref reaches it.

    Args:
        repo: the repository.
        ours, theirs: the commits.
        settings: configuration for git, such as 'merge.renames=false'.
        options: further options of 'git merge-tree'.
        env: the variables of a quarantine, in which the tree is only to be looked at.

    Returns:
        The merged tree, and the paths in conflict; with any, the tree holds conflict markers.

    Raises:
        PlannerError: E_GIT when git cannot merge them at all.
    """
    command = [word for setting in settings for word in ("-c", setting)]
    command += ["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", *options, ours, theirs]
    conflicts: list[str] = []

    def merge(env: Mapping[str, str]) -> str:
        result = repo.git.run(*command, env=env)
        if result.status not in (0, 1):
            raise failure(("merge-tree",), result, repo.git.cwd)
        tree, *conflicts[:] = [os.fsdecode(path) for path in result.stdout.split(b"\0") if path]
        return tree

    if env is not None:
        return merge(env), tuple(conflicts)
    from git_planner.gitio.fresh.quarantine import kept_tree

    return kept_tree(repo.git, repo.common, ours, merge), tuple(conflicts)


def commit_tree(
    git: Git,
    tree: str,
    parents: tuple[str, ...],
    text: str,
    *,
    date: str | None = None,
    sign_seconds: float | None = None,
    masked: bool = False,
) -> str:
    """Make a commit object, with the secrets in its message masked; nothing points to it yet.

    Args:
        git: the repository's git.
        tree: the tree's id.
        parents: the parents' ids.
        text: the message.
        date: author's and committer's date as git reads it; the present when None.
        sign_seconds: sign it with the person's key, within so many seconds; None: it is not signed.
        masked: the message has no secrets.

    Raises:
        PlannerError: E_IDENTITY when git does not know who commits; E_SIGN when the signing program fails or
            waits for a person.
    """
    if not masked:
        # Hooks write messages of their own, and are spared the import.
        from git_planner import redact

        text = redact.mask_text(text)
    if date is None:
        now = time.time()
        date = f"@{int(now)} {time.strftime('%z', time.localtime(now))}"
        # With its dates the same commit can be made again.
        env = {name: os.environ.get(name) or date for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")}
    else:
        env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    options = [] if sign_seconds is None else ["-S"]
    args = [
        "commit-tree",
        *options,
        tree,
        *(word for parent in parents for word in ("-p", parent)),
        "-F",
        "-",
    ]
    return _commit_tree(git, args, text, env, (tree, *parents), seconds=sign_seconds)


def _commit_tree(
    git: Git,
    args: Sequence[str],
    text: str,
    env: Mapping[str, str],
    links: tuple[str, ...],
    *,
    seconds: float | None,
) -> str:
    if seconds is not None:
        return _signed_commit(git, args, text, env, links, seconds=seconds)
    result = git.run(*args, stdin=text.encode(), env=env)
    if result.status != 0 and restore_missing(git, links):
        result = git.run(*args, stdin=text.encode(), env=env)
    if result.status != 0:
        raise _uncommitted(git, args, result)
    oid = result.stdout.decode().strip()

    def remake(quarantined: Mapping[str, str]) -> None:
        git.bytes(*args, stdin=text.encode(), env={**env, **quarantined})

    remember(oid, FreshObject("commit", lambda: links, None, remake))
    return oid


def _signed_commit(
    git: Git,
    args: Sequence[str],
    text: str,
    env: Mapping[str, str],
    links: tuple[str, ...],
    *,
    seconds: float,
) -> str:
    """Make a commit that would be another one if it were signed again."""
    from git_planner.gitio.fresh.quarantine import quarantine

    restore_missing(git, links)
    with quarantine(git) as place:
        result = git.run(*args, stdin=text.encode(), env={**env, **place.env}, seconds=seconds)
        if result.status != 0 and git.run("var", "GIT_COMMITTER_IDENT").status == 0:
            raise local_failure(tuple(args), result, git.cwd) or _unsigned(result, seconds)
        if result.status != 0:
            raise _uncommitted(git, args, result)
        oid = result.stdout.decode().strip()
        content = place.read(oid)
    git.bytes("-c", _FAST, "unpack-objects", "-q", stdin=pack_of({oid: ("commit", content)}))
    remember(oid, FreshObject("commit", lambda: links, lambda: content))
    return oid


def _uncommitted(git: Git, args: Sequence[str], result: GitResult) -> PlannerError:
    who = git.run("var", "GIT_COMMITTER_IDENT")
    return unknown_identity(who) if who.status != 0 else failure(tuple(args), result, git.cwd)


def write_commits(git: Git, commits: Sequence[PlainCommit]) -> list[str]:
    """Store commits whose author and committer are given, all by one git; nothing points to them yet."""
    writer = _ObjectWriter(git)
    oids = [writer.add_commit(commit) for commit in commits]
    writer.flush()
    return oids


def make_tag(git: Git, target: str, text: str) -> str:
    """Make a tag object from its text, which names the target; nothing points to it yet."""
    content = text.encode()
    oid = git.line("mktag", stdin=content)
    remember(oid, FreshObject("tag", lambda: (target,), lambda: content))
    return oid


def _unsigned(result: GitResult, seconds: float) -> PlannerError:
    is_late = result.status == TIMED_OUT
    cause = f"did not end within {seconds:g} seconds" if is_late else "failed"
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


def missing_on_path(batch: Batch, commit: str, path: str) -> str | None:
    """Return the object that is missing where a commit names a path; None if the commit has no such path."""
    name = f"{commit}^{{tree}}"
    for part in path.split("/"):
        raw = batch.read(name)
        if raw is None:
            return name
        entry = parse_tree(raw, len(commit) // 2).get(part)
        if entry is None or entry.kind == "commit":
            return None
        name = entry.oid
        if entry.kind == "blob":
            break
    return name if batch.info(name) is None else None


def _splice(
    writer: _ObjectWriter, batch: Batch, root: str | None, edits: Mapping[str, TreeEntry | None]
) -> str:
    # Without recursion: a candidate may have folders at any depth.
    trees: dict[str, Tree] = {}
    for folder, changed in _changed_folders(edits):
        parent, _, name = folder.rpartition("/")
        old = trees[parent].get(name) if folder else None
        oid = old.oid if old and old.kind == "tree" else None if folder else root
        entries = dict(read_tree(batch, oid)) if oid else {}
        if oid and not entries and batch.info(oid) is None:
            # Otherwise all its other entries would be lost.
            raise missing_object(oid)
        for name, entry in changed.items():
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
        trees[folder] = entries
    for folder, entries in reversed(trees.items()):
        if not folder:
            break
        parent, _, name = folder.rpartition("/")
        old = trees[parent].get(name)
        if entries:
            trees[parent][name] = TreeEntry("040000", writer.add_tree(entries))
        elif old and old.kind == "tree":
            del trees[parent][name]
    tree = writer.add_tree(trees[""])
    writer.flush()
    return tree


def _changed_folders(
    edits: Mapping[str, TreeEntry | None],
) -> list[tuple[str, dict[str, TreeEntry | None]]]:
    """Return each folder on the way to an edit with the edits directly in it; outer folders come first."""
    folders: dict[str, dict[str, TreeEntry | None]] = {"": {}}
    for path, entry in edits.items():
        folder, _, name = path.rpartition("/")
        below = folder
        while below not in folders:
            folders[below] = {}
            below = below.rpartition("/")[0]
        folders[folder][name] = entry
    return sorted(folders.items(), key=lambda item: (item[0].count("/"), item[0] != ""))


class _ObjectWriter:
    """Writer of blobs and trees: one git stores them all, however many they are."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._waiting: dict[str, tuple[str, bytes]] = {}
        self._written: list[Callable[[], None]] = []

    def add_blob(self, content: bytes) -> str:
        """Return the id of a blob that `flush` stores."""
        oid = self._add("blob", content)
        self._written.append(partial(_remember_blob, oid, content))
        return oid

    def add_tree(self, entries: Tree) -> str:
        """Return the id of a tree that `flush` stores."""
        oid = self._add("tree", _tree_bytes(entries))
        self._written.append(partial(_remember_entries, oid, entries))
        return oid

    def add_commit(self, commit: PlainCommit) -> str:
        """Return the id of a commit that `flush` stores."""
        content, links = commit.content(), (commit.tree, *commit.parents)
        oid = self._add("commit", content)
        fresh = FreshObject("commit", lambda: links, lambda: content)
        self._written.append(partial(remember, oid, fresh))
        return oid

    def flush(self) -> None:
        """Store all objects."""
        if len(self._waiting) > _MOST_LOOSE:
            index_pack(self._git, self._waiting)
        elif self._waiting:
            self._git.bytes("-c", _FAST, "unpack-objects", "-q", stdin=pack_of(self._waiting))
        # Only what was stored can have been deleted again.
        for remember_object in self._written:
            remember_object()
        self._waiting.clear()
        self._written.clear()

    def _add(self, kind: str, content: bytes) -> str:
        header = b"%b %d\0" % (kind.encode(), len(content))
        oid = digest(self._git.hash_name(), header + content).hex()
        self._waiting[oid] = (kind, content)
        return oid


def _remember_blob(oid: str, content: bytes) -> None:
    remember(oid, FreshObject("blob", tuple, lambda: content, size=len(content) + 500))


def _remember_tree(oid: str, content: bytes) -> None:
    # Many trees of a hundred entries each: they are parsed when they are needed.
    pattern = rb"[0-7]+ [^\0]+\0(.{%d})" % (len(oid) // 2)
    links = lambda: [link.hex() for link in re.findall(pattern, content, re.DOTALL)]  # noqa: E731
    remember(oid, FreshObject("tree", links, lambda: content, size=len(content) + 500))


def _remember_entries(oid: str, entries: Tree) -> None:
    links = lambda: [entry.oid for entry in entries.values()]  # noqa: E731
    remember(oid, FreshObject("tree", links, partial(_tree_bytes, entries), size=100 * len(entries) + 500))


def _tree_bytes(entries: Tree) -> bytes:
    """Return a tree as git stores it."""
    rows = [(name.encode("utf-8", "surrogateescape"), entry) for name, entry in entries.items()]
    # Git sorts a folder as if its name ended in a slash.
    rows.sort(key=lambda row: row[0] + b"/" * (row[1].kind == "tree"))
    return b"".join(
        b"%b %b\0%b" % (entry.mode.lstrip("0").encode(), name, bytes.fromhex(entry.oid))
        for name, entry in rows
    )
