"""Book of the leases of this host, below the user's state folder, shared by all repositories.

One folder for each boot holds `book.json`, which is replaced whole under a file lock. The owner of a lease
locks `owners/<name>` for as long as it lives, and the command that it starts inherits that lock: the system
itself tells, across containers, too, whether any of them is left.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.folders import remove_folder
from git_planner.host import process_identity
from git_planner.rules.board import lease as rules
from git_planner.rules.board.lease import Book, Clock, Lease, LeaseAnswer

BOOK, _LOCK, _OWNERS = "book.json", "book.lock", "owners"
_MAX_BYTES = 4 * 1024 * 1024
# A process that is stopped in the middle of a change must not hang all others.
_LOCK_SECONDS = 20.0
_OLD_BOOT_SECONDS = 30 * 24 * 3600.0


def state_folder() -> Path:
    """Return the folder for the leases of this boot of this host, `$XDG_STATE_HOME/git-planner/leases/…`."""
    home = os.environ.get("XDG_STATE_HOME", "")
    top = Path(home) if os.path.isabs(home) else Path(os.path.expanduser("~/.local/state"))
    return top / "git-planner" / "leases" / sha256(process_identity.boot().encode()).hexdigest()[:16]


def read_clock() -> Clock:
    """Read the clocks of this host. Linux and macOS do not count a suspended machine as awake."""
    return Clock(time.time(), time.monotonic())


@dataclass(slots=True)
class AskedLease:
    """An answer together with the lock that its owner holds; None where the owner holds none."""

    answer: LeaseAnswer
    lock: IO[bytes] | None = None


class HostLeases:
    """The leases of this host.

    Args:
        folder: where the book lies; see `state_folder`.
        clock: reads the clocks.
        lock_seconds: seconds to wait for another process that changes the book.
    """

    def __init__(
        self,
        folder: Path | None = None,
        clock: Callable[[], Clock] = read_clock,
        lock_seconds: float = _LOCK_SECONDS,
    ) -> None:
        self.folder = folder or state_folder()
        self._clock, self._lock_seconds = clock, lock_seconds

    def ask(
        self,
        request: Lease,
        limit: int,
        refusal: Callable[[], str | None],
        lock: IO[bytes] | None = None,
    ) -> AskedLease:
        """Ask for a lease, for the first time or again; see rules.board.lease.ask.

        Args:
            request: the lease; an empty name asks for a new one.
            limit: maximum number of granted leases of its kind.
            refusal: returns why the host takes no more work now.
            lock: the lock of an earlier request by this owner.
        """
        with self._changed() as change:
            request = request if request.name else replace(request, name=_new_name(request.kind, change.book))
            if request.is_locked and (lock is None or not self._is_own(request, lock)):
                lock = self._lock_owner(request)
            change.book, answer = rules.ask(change.book, request, self._clock(), limit, refusal)
        return AskedLease(answer, lock)

    def renew(self, name: str) -> Lease:
        """Renew a lease.

        Raises:
            PlannerError: E_LEASE, E_BUSY.
        """
        with self._changed() as change:
            change.book, lease = rules.renew(change.book, name, self._clock())
        return lease

    def release(self, name: str) -> Lease:
        """Release a lease, or leave the queue.

        Raises:
            PlannerError: E_LEASE, E_BUSY.
        """
        with self._changed() as change:
            change.book, lease = rules.release(change.book, name)
        return lease

    def read(self) -> tuple[Book, Clock]:
        """Return the book without its lost leases, and the time; nothing is written."""
        clock = self._clock()
        return rules.drop_lost(self._stored(), clock, self._is_gone)[0], clock

    def made_folder(self) -> Path:
        """Return the folder where the book lies; a missing one is made."""
        self._make_folder()
        return self.folder

    def read_lost(self) -> tuple[Lease, ...]:
        """Return the leases whose owner has ended; the next change of the book removes them."""
        book = self._stored()
        kept = {lease.name for lease in rules.drop_lost(book, self._clock(), self._is_gone)[0].leases}
        return tuple(lease for lease in book.leases if lease.name not in kept)

    @contextmanager
    def _changed(self) -> Iterator[_BookChange]:
        """Yield the book for a change, under its lock and without lost leases; write it at the end."""
        self._make_folder()
        with open(self.folder / _LOCK, "ab") as file:
            self._take(file)
            before = self._stored()
            change = _BookChange(rules.drop_lost(before, self._clock(), self._is_gone)[0])
            yield change
            if change.book != before:
                content = json.dumps(change.book.document(), sort_keys=True).encode()
                atomic_file.write(self.folder / BOOK, content, 0o600)
            self._remove_owners(change.book)

    def _take(self, file: IO[bytes]) -> None:
        deadline = time.monotonic() + self._lock_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PlannerError(
                        "E_BUSY",
                        f"another process has been changing the leases for {self._lock_seconds:g} seconds",
                        hint=f"see who holds '{self.folder / _LOCK}' with 'fuser'",
                    ) from None
                time.sleep(0.005)
            else:
                return

    def _make_folder(self) -> None:
        if self.folder.is_dir():
            return
        (self.folder / _OWNERS).mkdir(mode=0o700, parents=True, exist_ok=True)
        # Leases end with the boot that they were made in.
        with suppress(OSError):
            for boot in self.folder.parent.iterdir():
                if boot != self.folder and boot.stat().st_mtime < time.time() - _OLD_BOOT_SECONDS:
                    remove_folder(boot)

    def _stored(self) -> Book:
        try:
            return rules.book_from(json.loads(atomic_file.read(self.folder / BOOK, _MAX_BYTES)))
        except FileNotFoundError:
            # Tokens never begin anew, not even after a restart.
            return Book(last_token=int(time.time()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise PlannerError(
                "E_LEASE",
                f"'{self.folder / BOOK}' cannot be read: {str(error)[:200] or type(error).__name__}",
                hint="end what holds leases, then move that file away",
            ) from None

    def _lock_owner(self, request: Lease) -> IO[bytes]:
        """Make and lock the file that tells whether the owner of a lease is left."""
        (self.folder / _OWNERS).mkdir(mode=0o700, exist_ok=True)
        lock = open(self.folder / _OWNERS / request.name, "ab")  # noqa: SIM115 - held by the caller
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock

    def _is_own(self, request: Lease, lock: IO[bytes]) -> bool:
        """Return whether a lock is still the one of the lease's file."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(lock.fileno()), os.stat(self.folder / _OWNERS / request.name))
        return False

    def _is_gone(self, lease: Lease) -> bool:
        """Return whether the owner of a lease is known to have ended."""
        if lease.is_locked:
            return not _is_held(self.folder / _OWNERS / lease.name)
        if lease.process is None:
            return False
        return process_identity.sight(process_identity.identity_from(lease.process)) == "gone"

    def _remove_owners(self, book: Book) -> None:
        """Remove the files of owners that have no lease."""
        names = {lease.name for lease in book.leases}
        with suppress(OSError):
            for owner in (self.folder / _OWNERS).iterdir():
                if owner.name not in names:
                    owner.unlink(missing_ok=True)


@dataclass(slots=True)
class _BookChange:
    book: Book


def _is_held(path: Path) -> bool:
    """Return whether a process holds the lock on a file."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError:
        # Where it cannot be told, only time ends a lease.
        return True
    return False


def _new_name(kind: str, book: Book) -> str:
    known = {lease.name for lease in book.leases}
    while (name := f"{kind.upper()}-{secrets.token_hex(4)}") in known:
        pass
    return name
