"""Read-only queries on commits, trees and refs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from git_planner.errors import PlannerError
from git_planner.folders import walk_folders
from git_planner.gitio.git import Batch, Git
from git_planner.gitio.git_failure import broken_ref

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository

# Listings of refs are repeated at most so often while other processes keep replacing refs.
_MAX_LISTINGS = 100
_DIFF_TREE = (
    *("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-ext-diff", "--no-abbrev"),
    "--ignore-submodules=none",
)
# A longer list of differences is neither kept nor matched here: git is quicker.
_FEW_BYTES = 8192
_MOST_KNOWN = 64
# The coarsest clock of a file system, in nanoseconds: two changes this far apart have different times.
_TIMES_DIFFER = 2_000_000_000


class TreeChange(NamedTuple):
    """One path that differs between two trees: status letter (A, D, M, T), modes and object ids."""

    path: str
    status: str
    old_mode: str
    new_mode: str
    old: str
    new: str


def changes(git: Git, old: str, new: str, pathspecs: Sequence[str] = ()) -> list[TreeChange]:
    """Return the paths that differ between two commits or trees; a rename is a removal and an addition.

    Git lists the differences of two trees once; few of them are matched with simple pathspecs here.

    Args:
        old, new: names of commits or trees.
        pathspecs: only paths that git matches with one of these; all when empty.
    """
    trees = (_tree_id(git, old), _tree_id(git, new))
    if None in trees:
        # Git's own message says what is wrong.
        return _ask_changes(git, old, new, pathspecs)
    if trees[0] == trees[1]:
        return []
    from git_planner.gitio.content.pathspec import matcher

    matches = matcher(tuple(pathspecs))
    if pathspecs and matches is None:
        return _ask_changes(git, old, new, pathspecs)
    if trees not in git.known_changes:
        raw = git.short_output(*_DIFF_TREE, old, new, "--", most=_FEW_BYTES)
        fields = None if raw is None else [os.fsdecode(field) for field in raw.split(b"\0") if field]
        if len(git.known_changes) >= _MOST_KNOWN:
            git.known_changes.clear()
        git.known_changes[trees] = None if fields is None else tuple(_raw_changes(fields))
    known: Sequence[TreeChange] | None = git.known_changes[trees]
    if known is None:
        return _ask_changes(git, old, new, pathspecs)
    return [change for change in known if matches is None or matches(change.path)]


def _tree_id(git: Git, name: str) -> str | None:
    answer = git.read_object("info", f"{name}^{{tree}}")
    return answer[0] if answer else None


def _ask_changes(git: Git, old: str, new: str, pathspecs: Sequence[str]) -> list[TreeChange]:
    return _raw_changes(git.names(*_DIFF_TREE, old, new, "--", *pathspecs))


def _raw_changes(fields: Sequence[str]) -> list[TreeChange]:
    file_changes = []
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        old_mode, new_mode, old, new, status = meta.lstrip(":").split(" ")
        file_changes.append(TreeChange(path, status[0], old_mode, new_mode, old, new))
    return file_changes


def merge_base(git: Git, one: str, other: str) -> str | None:
    """Return the best common ancestor of two commits, or None."""
    if one == other and is_object_id(one):
        return one
    result = git.run("merge-base", one, other)
    return result.stdout.decode().strip() or None if result.status == 0 else None


def is_object_id(name: str) -> bool:
    """Return whether a name is a complete object id."""
    return len(name) in (40, 64) and not name.strip("0123456789abcdef")


def merge_bases(git: Git, one: str, other: str) -> list[str]:
    """Return all best common ancestors of two commits."""
    if one == other and is_object_id(one):
        return [one]
    return git.run("merge-base", "--all", one, other).stdout.decode().split()


def is_ancestor(git: Git, ancestor: str, of: str) -> bool:
    """Return whether one commit equals another or is its ancestor."""
    if ancestor == of and is_object_id(of):
        return True
    return git.yes("merge-base", "--is-ancestor", ancestor, of)


def is_complete(git: Git, *commits: str) -> bool:
    """Return whether commits and all objects reachable from them are present.

    The commit object alone is no proof: while another process fetches it, its trees may arrive later. Git
    itself checks this way after a fetch.
    """
    return git.run("rev-list", "--objects", "--quiet", *commits, "--not", "--all", "--").status == 0


def is_fast_forward(git: Git, tip: str, remote_tip: str | None) -> bool:
    """Return whether moving a remote's branch to a commit is a fast-forward.

    Args:
        tip: the new commit, which is present here.
        remote_tip: the present commit of the remote's branch; None when there is no such branch.
    """
    return remote_tip is None or (is_complete(git, remote_tip) and is_ancestor(git, remote_tip, tip))


def patch_id(git: Git, old: str, new: str, pathspecs: Sequence[str] = ()) -> str | None:
    """Return the stable patch id of the difference between two trees; None when there is none.

    Args:
        pathspecs: only paths that git matches with one of these; all when empty.
    """
    args = ("-p", "--no-ext-diff", "--no-textconv", "--full-index", "--binary", "--ignore-submodules=none")
    diff = git.bytes("diff-tree", *args, old, new, "--", *pathspecs)
    fields = git.bytes("patch-id", "--stable", stdin=diff).split() if diff else []
    return fields[0].decode() if fields else None


def commits(git: Git, base: str, tip: str) -> list[str]:
    """Return the commits of a range, oldest first."""
    return git.line("rev-list", "--reverse", "--topo-order", f"{base}..{tip}").split()


def first_parents(git: Git, base: str, tip: str, paths: Sequence[str], limit: int) -> list[str]:
    """Return the newest commits of a branch's own line, oldest first.

    Args:
        base: a commit whose history is left out.
        tip: the branch's tip.
        paths: only commits that change one of these files; all when empty.
        limit: how many at most.
    """
    args = ("rev-list", "--first-parent", f"--max-count={limit}", f"{base}..{tip}", "--")
    return git.line(*args, *(f":(top,literal){path}" for path in paths)).split()[::-1]


def descendants(git: Git, commit: str, known: Sequence[str], limit: int) -> list[str]:
    """Return commits on top of another one, newest first, among those of reflogs and some known ones.

    Args:
        limit: how many at most.
    """
    args = ("rev-list", "--topo-order", "--ancestry-path", f"--max-count={limit}", "--reflog")
    return git.line(*args, *known, f"^{commit}").split()


def list_refs(repo: Repository, *patterns: str) -> dict[str, str]:
    """Return every ref under the patterns with the object it names; see `list_ref_fields`."""
    return {ref: oid for ref, (oid,) in list_ref_fields(repo, ("objectname",), patterns).items()}


def list_ref_fields(
    repo: Repository, fields: Sequence[str], patterns: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """List refs so that none is missed that another process is replacing at that moment.

    One listing reads folders of loose refs, and may miss a ref whose file is just being renamed into place.
    It is complete when no folder changed meanwhile, and else when the next listing names the same refs.

    Args:
        repo: the repository.
        fields: names of fields of `git for-each-ref`, such as 'objectname'.
        patterns: prefixes or patterns of full ref names.

    Returns:
        full name -> values of the fields.
    """
    before = _folder_times(repo, patterns)
    listed = _list_once(repo.git, fields, patterns)
    if before is not None and before == _folder_times(repo, patterns):
        return listed
    for _ in range(_MAX_LISTINGS):
        previous, listed = listed, _list_once(repo.git, fields, patterns)
        if listed.keys() == previous.keys():
            break
    return listed


def list_expected_refs(
    repo: Repository, fields: Sequence[str], refs: Sequence[str], batch: Batch
) -> dict[str, tuple[str, ...]]:
    """List certain refs: those that a listing lacks are asked for by name, and listed again if they exist.

    Args:
        repo: the repository.
        fields: names of fields of `git for-each-ref`, such as 'objectname'.
        refs: full names.
        batch: an open reader of the same repository.

    Returns:
        full name -> values of the fields, also of refs below a name.
    """
    listed = _list_once(repo.git, fields, refs)
    for _ in range(_MAX_LISTINGS):
        if all(ref in listed or batch.info(ref) is None for ref in refs):
            break
        listed = _list_once(repo.git, fields, refs)
    return listed


def _folder_times(repo: Repository, patterns: Sequence[str]) -> dict[str, int] | None:
    """Return when each folder of loose refs last changed (ns); None if one changed too recently to tell."""
    times: dict[str, int] = {}
    for pattern in patterns:
        prefix = pattern.partition("*")[0].rpartition("/")[0]
        for folder in walk_folders(repo.common / prefix):
            try:
                times[folder] = os.stat(folder).st_mtime_ns
            except FileNotFoundError:
                return None
    return times if max(times.values(), default=0) < time.time_ns() - _TIMES_DIFFER else None


def ref_stamps(repo: Repository, prefixes: Sequence[str]) -> list[tuple[str, int]]:
    """Return when the folders of loose refs, and the files of all others, last changed (ns).

    Cheap enough to be asked for every second. Two changes within the resolution of the file system's clock
    look like one.
    """
    places = [place for prefix in prefixes for place in walk_folders(repo.common / prefix)]
    places += [os.fspath(repo.common / name) for name in ("packed-refs", "reftable/tables.list")]
    stamps = []
    for place in places:
        with suppress(FileNotFoundError):
            stamps.append((place, os.stat(place).st_mtime_ns))
    return stamps


def _find_broken_ref(git: Git, patterns: Sequence[str]) -> PlannerError | None:
    """Return the error for the first ref whose object is missing; None if all are there."""
    lines = git.names("for-each-ref", "--format=%(objectname) %(refname)%00", *patterns)
    for line in lines:
        oid, _, ref = line.strip().partition(" ")
        if ref and git.batch().info(oid) is None:
            return broken_ref(ref, oid)
    return None


def _list_once(git: Git, fields: Sequence[str], patterns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    form = "".join(f"%({field})%00" for field in ("refname", *fields))
    try:
        output = git.bytes("for-each-ref", f"--format={form}", *patterns)
    except PlannerError as error:
        # Git 2.55 may crash at a ref without its object, instead of naming it.
        raise (_find_broken_ref(git, patterns) if error.code == "E_GIT" else None) or error from None
    parts = os.fsdecode(output).split("\0")
    size = len(fields) + 1
    rows = (parts[at : at + size] for at in range(0, len(parts) - size + 1, size))
    return {ref.lstrip("\n"): tuple(values) for ref, *values in rows}


def resolve_refs(git: Git, *refs: str) -> dict[str, str]:
    """Return the objects of the refs that exist; asked for by full name, none is missed."""
    answers = {ref: git.read_object("info", ref) for ref in refs if ref.startswith("refs/")}
    return {ref: answer[0] for ref, answer in answers.items() if answer}


def blocking_ref(repo: Repository, ref: str) -> str | None:
    """Return a ref that leaves no room for another: 'refs/heads/a' for 'refs/heads/a/b', and the reverse."""
    parts = ref.split("/")
    above = ["/".join(parts[:length]) for length in range(3, len(parts))]
    return next(iter([*resolve_refs(repo.git, *above), *list_refs(repo, ref + "/")]), None)


def blocked(blocking: str, ref: str) -> PlannerError:
    """Return the error for a ref that cannot exist beside one of such a name."""
    kinds = {"refs/heads/": "branch", "refs/tags/": "tag", "refs/remotes/": "remote-tracking branch"}
    prefix = next((prefix for prefix in kinds if blocking.startswith(prefix)), "")
    name, wanted = blocking.removeprefix(prefix), ref.removeprefix(prefix)
    hints = {
        "refs/heads/": f"give it another name: git branch -m {name} NEW_NAME",
        "refs/tags/": f"give it another name: 'git tag NEW_NAME {name}', then delete '{name}'",
        "refs/remotes/": "the remote's branch needs another name",
    }
    return PlannerError(
        "E_BLOCKED",
        f"the {kinds.get(prefix, 'ref')} '{name}' blocks '{wanted}': git keeps only one of them",
        hint=hints.get(prefix, "see it with 'git for-each-ref'"),
    )


def parents(git: Git, commit: str) -> list[str]:
    """Return the parents of a commit, first parent first."""
    return git.line("rev-list", "--no-walk", "--parents", commit).split()[1:]


def message(git: Git, commit: str) -> str:
    """Return the complete message of a commit."""
    return os.fsdecode(git.bytes("log", "-1", "--no-show-signature", "--format=%B", commit)).strip("\n")


def trailers(git: Git, commit: str, key: str) -> list[str]:
    """Return the values of one trailer of a commit's message."""
    values = git.line("log", "-1", f"--format=%(trailers:key={key},valueonly,unfold)", commit)
    return [value for value in values.splitlines() if value]


class Logged(NamedTuple):
    """One commit of a log. `side` is '<' or '>' in a comparison of two tips; parents are joined by spaces.

    `author` is the address and the author's date, which rewrites of the commit keep.
    """

    side: str
    oid: str
    tree: str
    parents: str
    subject: str
    tasks: str
    plan: str
    body: str
    author: str


_LOGGED = (
    "%m%x00%H%x00%T%x00%P%x00%s%x00%(trailers:key=Planner-Task,valueonly,unfold)%x00"
    "%(trailers:key=Planner-Plan,valueonly,unfold)%x00%b%x00%ae %at"
)


def log(git: Git, revisions: Sequence[str], *, sides: bool = False, walk: bool = True) -> list[Logged]:
    """Return commits with their messages and trailers, children before their parents, in one call.

    Args:
        revisions: object ids, '^' before those whose history is left out, or one 'OLD...NEW'.
        sides: set the side that a commit is on in such a comparison.
        walk: also return the commits below those of the revisions.
    """
    args = ("log", "-z", "--topo-order", "--no-show-signature", "--no-color", "--encoding=UTF-8")
    more = (*(["--left-right"] if sides else []), *([] if walk else ["--no-walk"]))
    stdin = "".join(f"{revision}\n" for revision in revisions).encode()
    raw = git.bytes(*args, *more, f"--format={_LOGGED}", "--stdin", stdin=stdin)
    # A message may hold anything but NUL, and need not be valid UTF-8.
    fields = raw.decode("utf-8", "surrogateescape").split("\0")
    size = len(Logged._fields)
    return [Logged(*fields[at : at + size]) for at in range(0, len(fields) - size + 1, size)]
