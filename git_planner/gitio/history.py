"""Questions about commits, trees and refs. Reads only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

from git_planner.gitio.git import Batch, Git

# Listings of refs are repeated at most so often while other processes keep replacing refs.
_MAX_LISTINGS = 100


class Change(NamedTuple):
    """One path that differs between two trees: status letter (A, D, M, T), modes and object ids."""

    path: str
    status: str
    old_mode: str
    new_mode: str
    old: str
    new: str


def changes(git: Git, old: str, new: str, pathspecs: Sequence[str] = ()) -> list[Change]:
    """What differs between two commits or trees, with renames shown as a removal and an addition.

    Args:
        old, new: names of commits or trees.
        pathspecs: only paths that git matches with one of these; all when empty.
    """
    raw = git.names(
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--no-ext-diff",
        "--no-abbrev",
        "--ignore-submodules=none",
        old,
        new,
        "--",
        *pathspecs,
    )
    return _raw_changes(raw)


def _raw_changes(fields: Sequence[str]) -> list[Change]:
    found = []
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, status = meta.lstrip(":").split(" ")
        found.append(Change(path, status[0], old_mode, new_mode, old, new))
    return found


def merge_base(git: Git, one: str, other: str) -> str | None:
    """The best common ancestor of two commits, or None."""
    result = git.run("merge-base", one, other)
    return result.stdout.decode().strip() or None if result.status == 0 else None


def is_ancestor(git: Git, ancestor: str, of: str) -> bool:
    """Whether one commit is another or comes before it."""
    return git.yes("merge-base", "--is-ancestor", ancestor, of)


def whole(git: Git, *commits: str) -> bool:
    """Whether commits are here with all that they reach.

    That a commit is here says little while another process fetches it: what is in it may come later. git
    itself asks like this after a fetch.
    """
    return git.run("rev-list", "--objects", "--quiet", *commits, "--not", "--all", "--").status == 0


def loses_nothing(git: Git, tip: str, known: str | None) -> bool:
    """Whether a branch of a remote can be moved to a commit and still have all that it has.

    Args:
        tip: the commit it is moved to, which is here.
        known: what the remote's branch names now; None when there is no such branch.
    """
    return known is None or (whole(git, known) and is_ancestor(git, known, tip))


def patch_id(git: Git, old: str, new: str, pathspecs: Sequence[str] = ()) -> str | None:
    """The stable patch id of the difference between two trees; None when there is none.

    Args:
        pathspecs: only paths that git matches with one of these; all when empty.
    """
    args = ("-p", "--no-ext-diff", "--no-textconv", "--full-index", "--binary", "--ignore-submodules=none")
    diff = git.bytes("diff-tree", *args, old, new, "--", *pathspecs)
    words = git.bytes("patch-id", "--stable", stdin=diff).split() if diff else []
    return words[0].decode() if words else None


def commits(git: Git, base: str, tip: str) -> list[str]:
    """The commits of a range, oldest first."""
    return git.line("rev-list", "--reverse", "--topo-order", f"{base}..{tip}").split()


def list_refs(git: Git, *patterns: str) -> dict[str, str]:
    """Return every ref under the patterns with the object it names; see `list_ref_fields`."""
    return {ref: oid for ref, (oid,) in list_ref_fields(git, ("objectname",), patterns).items()}


def list_ref_fields(
    git: Git,
    fields: Sequence[str],
    patterns: Sequence[str],
    *,
    expected: Sequence[str] | None = None,
    batch: Batch | None = None,
) -> dict[str, tuple[str, ...]]:
    """List refs so that none is missed that another process is replacing at that moment.

    One listing reads a folder of loose refs, and may miss a ref whose file is just being renamed into place.

    Args:
        git: the git to run.
        fields: names of fields of `git for-each-ref`, such as 'objectname'.
        patterns: prefixes or patterns of full ref names.
        expected: the only refs that matter, by full name: what a listing lacks of them is asked for by name,
            and listed again if it exists. If None, listings are repeated until two in a row name the same
            refs.
        batch: an open reader of the same repository, where there is one anyway.

    Returns:
        full name -> values of the fields.
    """
    listed = _list_once(git, fields, patterns)
    with nullcontext(batch) if batch else git.batch() as reader:
        for _ in range(_MAX_LISTINGS):
            before = listed
            if expected is not None and all(ref in listed or reader.info(ref) is None for ref in expected):
                break
            listed = _list_once(git, fields, patterns)
            if expected is None and listed.keys() == before.keys():
                break
    return listed


def _list_once(git: Git, fields: Sequence[str], patterns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    form = "".join(f"%({field})%00" for field in ("refname", *fields))
    parts = os.fsdecode(git.bytes("for-each-ref", f"--format={form}", *patterns)).split("\0")
    size = len(fields) + 1
    rows = (parts[at : at + size] for at in range(0, len(parts) - size + 1, size))
    return {ref.lstrip("\n"): tuple(values) for ref, *values in rows}


def resolve_refs(git: Git, *refs: str) -> dict[str, str]:
    """Return the objects of the refs that exist; asked for by full name, none is missed."""
    names = [ref for ref in refs if ref.startswith("refs/")]
    requests = os.fsencode("".join(f"{name}\n" for name in names))
    output = git.bytes("cat-file", "--batch-check=%(objectname)", stdin=requests)
    lines = os.fsdecode(output).removesuffix("\n").split("\n") if names else []
    return {name: oid for name, oid in zip(names, lines, strict=True) if " " not in oid}


def parents(git: Git, commit: str) -> list[str]:
    """The parents of a commit, first parent first."""
    return git.line("rev-list", "--no-walk", "--parents", commit).split()[1:]


def message(git: Git, commit: str) -> str:
    """The whole message of a commit."""
    return os.fsdecode(git.bytes("log", "-1", "--no-show-signature", "--format=%B", commit)).strip("\n")


def trailers(git: Git, commit: str, key: str) -> list[str]:
    """The values of one trailer of a commit's message."""
    values = git.line("log", "-1", f"--format=%(trailers:key={key},valueonly,unfold)", commit)
    return [value for value in values.splitlines() if value]


class Logged(NamedTuple):
    """One commit of a log. `side` is '<' or '>' in a comparison of two tips; parents are joined by spaces."""

    side: str
    oid: str
    tree: str
    parents: str
    subject: str
    tasks: str
    plan: str
    body: str


_LOGGED = (
    "%m%x00%H%x00%T%x00%P%x00%s%x00%(trailers:key=Planner-Task,valueonly,unfold)%x00"
    "%(trailers:key=Planner-Plan,valueonly,unfold)%x00%b"
)


def log(git: Git, revisions: Sequence[str], *, sides: bool = False) -> list[Logged]:
    """Commits with what their messages say, children before their parents, in one call.

    Args:
        revisions: object ids, '^' before those whose history is left out, or one 'OLD...NEW'.
        sides: tell which side of such a comparison a commit is on.
    """
    words = ("log", "-z", "--topo-order", "--no-show-signature", "--no-color", "--encoding=UTF-8")
    more = ("--left-right",) if sides else ()
    asked = "".join(f"{each}\n" for each in revisions).encode()
    raw = git.bytes(*words, *more, f"--format={_LOGGED}", "--stdin", stdin=asked)
    # A message may hold anything but NUL, and need not be the UTF-8 it says it is.
    fields = raw.decode("utf-8", "surrogateescape").split("\0")
    size = len(Logged._fields)
    return [Logged(*fields[at : at + size]) for at in range(0, len(fields) - size + 1, size)]
