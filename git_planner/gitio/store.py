"""The store: refs are the database.

Every state change reads the tips, decides on them, makes objects, and moves all its refs in one
compare-and-swap transaction. A lost compare runs the decision again on fresh tips. Nothing else writes state.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.fresh import fresh_objects
from git_planner.gitio.git import Batch, read_objects
from git_planner.gitio.git_failure import GitResult, failure, is_folder_removed, missing_object
from git_planner.gitio.objects import (
    Tree,
    commit_tree,
    make_tag,
    missing_on_path,
    parse_tree,
    read_tree,
    splice,
    write_blobs,
)
from git_planner.gitio.refs import branch_tips
from git_planner.gitio.refs.operation import operation_trailers
from git_planner.gitio.repository import TURNS, Repository, open_repository
from git_planner.turn_notes import noted_moves

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git_planner.gitio.worktree import Lockstep

TRIES = 100
# Another git may hold the ref's lock although the ref has not moved.
UNMOVED_TRIES = 8
SERIALIZE_SECONDS = 20.0
# Seconds to wait for another writer to restore what a gc deleted between its objects and its ref.
RESTORE_PAUSES = (0.01, 0.03, 0.1, 0.3, 1.0)

Edits = Mapping[str, bytes | None]


class Message(NamedTuple):
    """A commit message: one line for people, then trailers for programs."""

    subject: str
    trailers: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        """Return the message as git stores it."""
        lines = [f"{key}: {' '.join(value.split())}" for key, value in self.trailers]
        return "\n".join([" ".join(self.subject.split()), *(["", *lines] if lines else [])]) + "\n"


class Snapshot:
    """A read-only view of one ref's tip, or of nothing when the ref does not exist."""

    def __init__(
        self, ref: str, tip: str | None, batch: Batch, restore_pauses: Sequence[float] = RESTORE_PAUSES
    ) -> None:
        self.ref, self.tip = ref, tip
        self._batch, self._restore_pauses = batch, restore_pauses

    def read(self, path: str) -> bytes | None:
        """Return the content of a file; None when there is none."""
        info = self._info(path)
        return self._batch.read(info[0]) if info and info[1] == "blob" else None

    def tree(self, path: str) -> Tree:
        """Return the entries of a folder; empty when there is none."""
        info = self._info(path)
        return read_tree(self._batch, info[0]) if info else {}

    def names(self, path: str) -> list[str]:
        """Return the names of the files directly in a folder, sorted."""
        return sorted(name for name, entry in self.tree(path).items() if entry.kind == "blob")

    def _info(self, path: str) -> tuple[str, str, int] | None:
        """Return object id, type and size of a path; None when the tip has no such path.

        Raises:
            PlannerError: E_GIT when an object of the path is missing, and no other process restores it.
        """
        name = f"{self.tip}:{path}"
        for pause in (*self._restore_pauses, None):
            info = self._batch.info(name) if self.tip else None
            lost = None if info or self.tip is None else missing_on_path(self._batch, self.tip, path)
            if lost is None:
                return info
            if pause is None:
                raise missing_object(lost)
            time.sleep(pause)
        return None


class Write(NamedTuple):
    """Commit edits on a ref. `base` is the commit a new ref starts from; `merge` adds a second parent.

    Secrets in the edits and in the message are masked. `masked`: message and JSON documents have none.
    """

    ref: str
    edits: Edits
    message: Message
    base: str | None = None
    merge: str | None = None
    masked: bool = False


class Move(NamedTuple):
    """Move a ref to an object, provided that it is as in the snapshot of the decision.

    `copy`: a ref that goes there, too, wherever it was; then a symbolic ref is replaced and its target stays.
    """

    ref: str
    oid: str
    copy: str | None = None


class Tag(NamedTuple):
    """Make an annotated tag; a tag of that name must not exist."""

    ref: str
    target: str
    message: str


class Delete(NamedTuple):
    """Remove a ref, provided that it is as in the snapshot of the decision."""

    ref: str


Step = Write | Move | Tag | Delete
EditDecision = Callable[[Snapshot], Edits]
Decide = Callable[[Mapping[str, Snapshot]], Sequence[Step]]


class _Swap(NamedTuple):
    """One ref's move in a transaction; `new` None removes it, `old` None creates it, `anyhow` ignores `old`.

    `plain`: a symbolic ref is not followed.
    """

    ref: str
    old: str | None
    new: str | None
    anyhow: bool = False
    plain: bool = False


class _Tips(NamedTuple):
    oids: dict[str, str]
    worktrees: dict[str, Path]


class Store:
    """Writer of all state changes of one repository.

    Args:
        repo: the repository.
        serialize: queue with other writers on a lock file after a lost compare. Correctness does not need it.
        batch: an open reader of the same repository to reuse.
        restore_pauses: the pauses in which another writer can restore a missing object.
        tries: how often a change is tried while others move its refs.
    """

    def __init__(
        self,
        repo: Repository,
        *,
        serialize: bool = True,
        batch: Batch | None = None,
        restore_pauses: Sequence[float] = RESTORE_PAUSES,
        tries: int = TRIES,
    ) -> None:
        self.repo = repo
        self._batch, self._restore_pauses = batch, restore_pauses
        self._serialize, self._tries = serialize, tries
        self._contended = False

    def edit(
        self,
        ref: str,
        change: EditDecision,
        message: Message,
        *,
        base: str | None = None,
        masked: bool = False,
    ) -> str | None:
        """Change files on one branch.

        Args:
            ref: the full name of the branch.
            change: the decision, from a snapshot to {path: content, or None to remove}. It is called again on
                every lost compare, so it must depend on nothing but its snapshot.
            message: the commit's message.
            base: the commit a new branch starts from; a branch without history when None.
            masked: see Write.

        Returns:
            The tip afterwards; None when there was nothing to write and no branch.

        Raises:
            PlannerError: E_CONFLICT when tries ran out, E_CHECKED_OUT, E_GIT, E_IDENTITY, E_NO_SPACE.
        """
        tips = self.transact(
            [ref], lambda snapshots: [Write(ref, change(snapshots[ref]), message, base, masked=masked)]
        )
        return tips[ref]

    def transact(self, refs: Sequence[str], decide: Decide) -> dict[str, str | None]:
        """Change several refs together, or none of them.

        Args:
            refs: every ref the decision reads or its steps change, by full name.
            decide: from the snapshots of those refs to the steps; pure, as in `edit`. At most one step a ref.

        Returns:
            ref -> object id afterwards (None when absent).

        Raises:
            PlannerError: as `edit`.
        """
        unmoved = 0
        for attempt in range(self._tries):
            with self._writer_lock(), self._reader() as batch:
                tips = self._tips(refs, batch)
                snapshots = {ref: self._snapshot(ref, tips, batch) for ref in refs}
                written = fresh_objects.count()
                try:
                    steps = decide(snapshots)
                    swaps = self._prepare(steps, tips, batch)
                    if not swaps:
                        return {ref: tips.oids.get(ref) for ref in refs}
                    update = partial(self._publish, swaps, tips)
                    result = fresh_objects.move(self.repo, batch, _new_oids(swaps), update)
                except PlannerError as error:
                    if not self._is_disturbed(error, batch, written):
                        raise
                    continue
                if result is None:
                    moved = {swap.ref: swap.new for swap in swaps}
                    self._note_tips(steps, moved)
                    return {ref: moved.get(ref, tips.oids.get(ref)) for ref in refs}
                is_unmoved = self._tips(refs, batch).oids == tips.oids
            self._contended = True
            unmoved += is_unmoved
            if unmoved >= UNMOVED_TRIES:
                raise self._refused(
                    [swap.ref for swap in swaps if swap.old is None and not swap.anyhow], result
                )
            import random

            time.sleep(random.uniform(0.0, min(0.002 * 2 ** min(attempt, 6), 0.1)))
        raise PlannerError(
            "E_CONFLICT",
            f"'{refs[0]}' kept moving while it was being changed ({self._tries} tries); nothing was written",
            hint="run the same command again",
        )

    def snapshot(self, ref: str, batch: Batch) -> Snapshot:
        """Return a read-only view of a ref as it is now."""
        tip = batch.info(ref)
        return self._snapshot(ref, _Tips({ref: tip[0]} if tip else {}, {}), batch)

    def _snapshot(self, ref: str, tips: _Tips, batch: Batch) -> Snapshot:
        return Snapshot(ref, tips.oids.get(ref), batch, self._restore_pauses)

    def reserve(self, prefix: str, choose: Callable[[Iterable[int]], int], taken: Iterable[int] = ()) -> int:
        """Reserve and return a free number under a prefix: only one writer can create its ref.

        Args:
            prefix: such as 'refs/planner/numbers/iter/'.
            choose: from the numbers in use to the next one.
            taken: numbers that are in use elsewhere, such as in branch names of a clone.
        """
        used = {*taken, *(int(name) for name in self.numbers(prefix) if name.isdigit())}
        (blob,) = write_blobs(self.repo.git, {"": os.urandom(20).hex().encode()}).values()
        with self._reader() as batch:
            for _ in range(TRIES * 10):
                number = choose(used)
                ref = f"{prefix}{number:04d}"
                update = partial(self._update, f"create {ref}\0{blob}\0", [(ref, blob)])
                result = fresh_objects.move(self.repo, batch, [blob], update)
                if result is None:
                    return number
                if self.repo.maybe(ref, "object") is None:
                    raise self._refused([ref], result)
                used.add(number)
        raise PlannerError(
            "E_CONFLICT", f"no free number under '{prefix}'", hint="run the same command again"
        )

    def _refused(self, created: Iterable[str], result: GitResult) -> PlannerError:
        """Return the error for a transaction that git refuses, although no ref has moved."""
        for ref in created:
            blocking = history.blocking_ref(self.repo, ref)
            if blocking is not None:
                return history.blocked(blocking, ref)
        return failure(("update-ref",), result, self.repo.git.cwd)

    def numbers(self, prefix: str) -> list[str]:
        """Return the names of all refs under a prefix, without the prefix."""
        return [ref.removeprefix(prefix) for ref in history.list_refs(self.repo, prefix)]

    def read_all(self, refs: Sequence[str], directory: str) -> dict[str, dict[str, bytes]]:
        """Return the files directly in one folder of many branches, in two calls of git.

        Returns:
            ref -> {file name: content}.
        """
        id_bytes = 32 if self.repo.object_format == "sha256" else 20
        trees = read_objects(self.repo.git, (f"{ref}:{directory}" for ref in refs))
        wanted: list[tuple[str, str, str]] = []
        for ref, raw in zip(refs, trees, strict=True):
            entries = parse_tree(raw, id_bytes) if raw else {}
            wanted += [(ref, name, entry.oid) for name, entry in entries.items() if entry.kind == "blob"]
        files: dict[str, dict[str, bytes]] = {ref: {} for ref in refs}
        if wanted:
            contents = read_objects(self.repo.git, (oid for _, _, oid in wanted))
            for (ref, name, _), content in zip(wanted, contents, strict=True):
                files[ref][name] = content or b""
        return files

    def _tips(self, refs: Sequence[str], batch: Batch) -> _Tips:
        """Read where refs are now."""
        fields = ("objectname", "worktreepath")
        listed = history.list_expected_refs(self.repo, fields, refs, batch)
        tips = _Tips({}, {})
        for ref in set(refs) & listed.keys():
            tips.oids[ref], worktree = listed[ref]
            if worktree:
                tips.worktrees[ref] = Path(worktree)
        return tips

    def _prepare(self, steps: Sequence[Step], tips: _Tips, batch: Batch) -> list[_Swap]:
        swaps = []
        for step in steps:
            old = tips.oids.get(step.ref)
            match step:
                case Write():
                    new = self._commit(step, old, batch)
                case Move():
                    new = step.oid
                case Tag():
                    old, new = None, self._tag(step)
                case Delete():
                    new = None
            copy = step.copy if isinstance(step, Move) else None
            if new != old or copy is not None:
                swaps.append(_Swap(step.ref, old, new, plain=copy is not None))
            if copy is not None:
                swaps.append(_Swap(copy, None, new, anyhow=True))
        return swaps

    def _commit(self, step: Write, old: str | None, batch: Batch) -> str | None:
        if old is None and step.edits:
            branch_tips.check_new(self.repo, step.ref)
        parent = old or step.base
        if not step.edits and not step.merge:
            return old
        before = None
        if parent is not None:
            info = batch.info(f"{parent}^{{tree}}")
            if info is None:
                raise missing_object(f"{parent}^{{tree}}")
            before = info[0]
        tree = splice(self.repo.git, batch, before, _masked(step, batch, before))
        if tree == before and old is not None and not step.merge:
            return old
        parents = tuple(oid for oid in (parent, step.merge) if oid)
        message = step.message._replace(trailers=(*step.message.trailers, *operation_trailers()))
        return commit_tree(self.repo.git, tree, parents, message.text(), masked=step.masked)

    def _note_tips(self, steps: Sequence[Step], moved: Mapping[str, str | None]) -> None:
        for step in steps:
            if isinstance(step, Write | Delete) and step.ref in moved:
                branch_tips.note_tip(self.repo, step.ref, moved[step.ref])

    def _tag(self, step: Tag) -> str:
        who = self.repo.git.line("var", "GIT_COMMITTER_IDENT")
        from git_planner import redact

        head = (
            f"object {step.target}\ntype commit\ntag {step.ref.removeprefix('refs/tags/')}\ntagger {who}\n\n"
        )
        text = f"{head}{redact.mask_text(step.message)}\n"
        return make_tag(self.repo.git, step.target, text)

    def _publish(self, swaps: Sequence[_Swap], tips: _Tips) -> GitResult | None:
        held: list[Lockstep] = []
        try:
            for swap in swaps:
                reported = tips.worktrees.get(swap.ref)
                if reported and swap.old and swap.new:
                    from git_planner.gitio.worktree import Lockstep, bad_link, checked_out_folder, link_state

                    worktree = checked_out_folder(self.repo, swap.ref, reported)
                    if worktree is None:
                        continue
                    state = link_state(self.repo, worktree)
                    if state == "foreign":
                        # The worktree of the repository that this one is a copy of.
                        continue
                    if state == "broken":
                        raise bad_link(self.repo, worktree, state)
                    step = Lockstep(open_repository(worktree), swap.ref, swap.old, swap.new)
                    step.take()
                    held.append(step)
            result = self._update("".join(map(_command, swaps)), [(swap.ref, swap.new) for swap in swaps])
            while held and result is None:
                held.pop().follow()
            return result
        finally:
            for step in held:
                step.release()

    def _update(self, commands: str, moves: Sequence[tuple[str, str | None]]) -> GitResult | None:
        """Move refs in one transaction, and note it for the agents at work; return None on success."""
        text = f"start\0{commands}prepare\0commit\0"
        args = ("-c", "core.filesRefLockTimeout=1000", "update-ref", "-m", "planner", "--stdin", "-z")
        with noted_moves(self.repo.private(TURNS), moves) as take_back:
            result = self.repo.git.run(*args, stdin=os.fsencode(text))
            if result.status == 0:
                return None
            take_back()
        return result

    def _is_disturbed(self, error: PlannerError, batch: Batch, written: int) -> bool:
        """Return whether git failed since a concurrent gc deleted what was just written."""
        if error.code != "E_GIT":
            return False
        return is_folder_removed(error.message.encode()) or fresh_objects.is_one_missing(
            self.repo, batch, written
        )

    def _reader(self) -> AbstractContextManager[Batch]:
        return nullcontext(self._batch) if self._batch else self.repo.git.batch()

    def _writer_lock(self) -> AbstractContextManager[object]:
        if not (self._serialize and self._contended):
            return nullcontext()
        return _Queue(self.repo.private("store.lock"))


class _Queue:
    """Queue of writers on a lock file; a timeout ends the waiting, since correctness does not need it."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path, timeout=SERIALIZE_SECONDS)

    def __enter__(self) -> None:
        from filelock import Timeout

        with suppress(Timeout, OSError):
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _new_oids(swaps: Sequence[_Swap]) -> list[str]:
    return [swap.new for swap in swaps if swap.new is not None]


def _masked(step: Write, batch: Batch, before: str | None) -> Edits:
    """Mask the secrets in what is about to be committed, whichever command writes it."""
    if step.masked and all(path.endswith(".json") for path in step.edits):
        return step.edits
    from git_planner import redact

    read = lambda path: batch.read(f"{before}:{path}") if before else None  # noqa: E731
    return redact.mask_files(step.edits, read, documents=not step.masked)


def _command(swap: _Swap) -> str:
    if swap.new is None:
        return f"delete {swap.ref}\0{swap.old}\0"
    option = "option no-deref\0" if swap.plain else ""
    # 'create' means "must not exist", under SHA-1 and SHA-256 alike.
    if swap.old is None and not swap.anyhow:
        return f"{option}create {swap.ref}\0{swap.new}\0"
    return f"{option}update {swap.ref}\0{swap.new}\0{swap.old or ''}\0"
