"""Leases of a host: who may do heavy work now, and who waits, in the order of asking.

A lease begins as a place in the queue of its kind. It is granted when it is the first there and a slot is
free. It is lost when its process has ended, or when it is not renewed in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from git_planner.errors import PlannerError

Kind = Literal["heavy", "spawn"]
KINDS: tuple[Kind, ...] = ("heavy", "spawn")
# Seconds after which a waiting lease that was not asked for again leaves the queue.
WAITING_SECONDS = 60.0
# Seconds from one grant to the next, until the first one's work shows in load and memory.
SETTLE_SECONDS: Mapping[Kind, float] = {"heavy": 0.0, "spawn": 2.0}
MOST_LEASES = 1000


@dataclass(frozen=True, slots=True)
class Clock:
    """A reading of both clocks of a host, in seconds.

    `wall` counts from 1970, for people. `awake` counts while the machine runs, and not while it is
    suspended. It alone decides whether a lease was renewed in time, so neither a suspended laptop nor a clock
    that was set costs a lease.
    """

    wall: float
    awake: float


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease, granted or waiting.

    `ttl` is in seconds. `asked_at` and `granted_at` are times of the wall clock, `seen` is the awake time of
    the last request or renewal. `token` grows with every grant of the host; it is 0 while the lease waits.
    `process` is the identity of the process that it ends with; `is_locked`: its owner holds a lock on the
    lease's file.
    """

    name: str
    kind: Kind
    purpose: str
    session: str
    ttl: float
    pid: int = 0
    process: Mapping[str, Any] | None = None
    is_locked: bool = False
    asked_at: float = 0.0
    seen: float = 0.0
    granted_at: float = 0.0
    token: int = 0

    @property
    def is_granted(self) -> bool:
        """Return whether its owner may work now."""
        return self.token > 0

    def expires_at(self, clock: Clock) -> float:
        """Return the time of the wall clock at which it is lost unless it is renewed."""
        return clock.wall + (self.ttl if self.is_granted else WAITING_SECONDS) - _silence(self, clock)

    def is_for(self, other: Lease) -> bool:
        """Return whether two leases are one request: of one lock, or of one owner for one purpose."""
        if self.is_locked or other.is_locked:
            return self.name == other.name
        own, its = (
            (lease.kind, lease.purpose, lease.session, lease.pid, lease.process) for lease in (self, other)
        )
        return own == its


@dataclass(frozen=True, slots=True)
class Book:
    """All leases of a host in the order of asking.

    `last_token` is the token of the last grant; `granted` has the awake time of the last grant of each kind.
    """

    leases: tuple[Lease, ...] = ()
    last_token: int = 0
    granted: Mapping[str, float] = field(default_factory=dict)

    def find(self, name: str) -> Lease:
        """Return the lease of a name.

        Raises:
            PlannerError: E_LEASE.
        """
        for lease in self.leases:
            if lease.name == name:
                return lease
        raise PlannerError(
            "E_LEASE",
            f"there is no lease '{name[:80]}' on this host: it was released, or lost",
            hint="list them with 'git plan lease list'; ask for a new one with 'git plan lease acquire'",
        )

    def holders(self, kind: str) -> list[Lease]:
        """Return the granted leases of a kind."""
        return [lease for lease in self.leases if lease.kind == kind and lease.is_granted]

    def queue(self, kind: str) -> list[Lease]:
        """Return the waiting leases of a kind, the next one first."""
        return [lease for lease in self.leases if lease.kind == kind and not lease.is_granted]

    def document(self) -> dict[str, Any]:
        """Return the book as JSON."""
        return {
            "schema": "git-planner/leases@1",
            "leases": [asdict(lease) for lease in self.leases],
            "last_token": self.last_token,
            "granted": dict(self.granted),
        }


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """Answer to a request.

    `position` counts from 1 in the queue and is 0 for a granted lease; `reason` says why it waits.
    """

    lease: Lease
    position: int
    reason: str = ""


def book_from(document: Mapping[str, Any]) -> Book:
    """Read a book back from its JSON document.

    Raises:
        ValueError, KeyError, TypeError: it is no such document.
    """
    leases = tuple(_lease_from(entry) for entry in document["leases"])
    if len({lease.name for lease in leases}) < len(leases):
        raise ValueError("two leases of one name")
    granted: dict[str, float] = {
        kind: float(document["granted"][kind]) for kind in KINDS if kind in document["granted"]
    }
    token = max([int(document["last_token"]), *(lease.token for lease in leases)])
    return Book(leases, token, granted)


def drop_lost(
    book: Book, clock: Clock, is_gone: Callable[[Lease], bool]
) -> tuple[Book, list[tuple[Lease, str]]]:
    """Return the book without its lost leases, and these with the reason.

    Args:
        book: the book.
        clock: the current time.
        is_gone: returns whether the process of a lease is known to have ended.
    """
    lost = []
    for lease in book.leases:
        if is_gone(lease):
            lost.append((lease, "its process has ended"))
        elif _silence(lease, clock) >= (lease.ttl if lease.is_granted else WAITING_SECONDS):
            lost.append((lease, "it was not renewed in time"))
    names = {lease.name for lease, _ in lost}
    return replace(book, leases=tuple(lease for lease in book.leases if lease.name not in names)), lost


def ask(
    book: Book, request: Lease, clock: Clock, limit: int, refusal: Callable[[], str | None]
) -> tuple[Book, LeaseAnswer]:
    """Ask for a lease, for the first time or again.

    Args:
        book: a book without lost leases.
        request: the lease as asked for; its name counts if the request is new.
        clock: the current time.
        limit: maximum number of granted leases of the kind.
        refusal: returns why the host takes no more work now; called only if nothing else is in the way.

    Returns:
        The new book and the answer.

    Raises:
        PlannerError: E_BUSY, the queue is full.
    """
    lease = next((known for known in book.leases if known.is_for(request)), None)
    if lease is None:
        if len(book.leases) >= MOST_LEASES:
            raise PlannerError(
                "E_BUSY",
                f"{MOST_LEASES:,} leases are held or waited for on this host",
                hint="see who holds them with 'git plan lease list'",
            )
        lease = replace(request, asked_at=clock.wall, granted_at=0.0, token=0)
        book = replace(book, leases=(*book.leases, lease))
    lease = replace(lease, seen=clock.awake)
    book = _replaced(book, lease)
    if lease.is_granted:
        return book, LeaseAnswer(lease, 0)
    position = 1 + [waiting.name for waiting in book.queue(lease.kind)].index(lease.name)
    reason = _why_wait(book, lease, position, limit, clock) or refusal()
    if reason is not None:
        return book, LeaseAnswer(lease, position, reason)
    lease = replace(lease, token=book.last_token + 1, granted_at=clock.wall)
    granted = {**book.granted, lease.kind: clock.awake}
    return replace(_replaced(book, lease), last_token=lease.token, granted=granted), LeaseAnswer(lease, 0)


def renew(book: Book, name: str, clock: Clock) -> tuple[Book, Lease]:
    """Renew a lease for another `ttl` seconds, or keep its place in the queue.

    Raises:
        PlannerError: E_LEASE.
    """
    lease = replace(book.find(name), seen=clock.awake)
    return _replaced(book, lease), lease


def release(book: Book, name: str) -> tuple[Book, Lease]:
    """Remove a lease.

    Raises:
        PlannerError: E_LEASE.
    """
    lease = book.find(name)
    return replace(book, leases=tuple(other for other in book.leases if other.name != name)), lease


def _why_wait(book: Book, lease: Lease, position: int, limit: int, clock: Clock) -> str | None:
    if position > 1:
        return f"{position - 1} wait before it"
    if len(book.holders(lease.kind)) >= limit:
        return "the only lease of its kind is held" if limit == 1 else f"all {limit} leases are held"
    last = book.granted.get(lease.kind)
    if last is not None and 0 <= clock.awake - last < SETTLE_SECONDS[lease.kind]:
        return f"the last one was granted {clock.awake - last:.1f} seconds ago"
    return None


def _replaced(book: Book, lease: Lease) -> Book:
    leases = tuple(lease if known.name == lease.name else known for known in book.leases)
    return replace(book, leases=leases)


def _silence(lease: Lease, clock: Clock) -> float:
    """Return the seconds since the last request or renewal."""
    return max(0.0, clock.awake - lease.seen)


def _lease_from(entry: Mapping[str, Any]) -> Lease:
    kind: Kind = KINDS[KINDS.index(entry["kind"])]
    process = entry["process"]
    return Lease(
        name=str(entry["name"]),
        kind=kind,
        purpose=str(entry["purpose"]),
        session=str(entry["session"]),
        ttl=float(entry["ttl"]),
        pid=int(entry["pid"]),
        process=dict(process) if process is not None else None,
        is_locked=bool(entry["is_locked"]),
        asked_at=float(entry["asked_at"]),
        seen=float(entry["seen"]),
        granted_at=float(entry["granted_at"]),
        token=int(entry["token"]),
    )
