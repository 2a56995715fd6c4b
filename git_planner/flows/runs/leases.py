"""Leases for heavy work: ask for one, wait for one, run a command under one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner.config.settings import Settings, read_settings
from git_planner.errors import DONE, NO, PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.leases.host_lease import AskedLease, HostLeases
from git_planner.host.leases.host_state import read_state
from git_planner.host.start_program import check_program
from git_planner.progress import Progress
from git_planner.rules.board.admission import (
    HostState,
    Thresholds,
    default_limit,
    refusal,
    without_figures,
)
from git_planner.rules.board.lease import Book, Clock, Kind, Lease, LeaseAnswer
from git_planner.rules.timestamps import format_time

LEASE, TOKEN = "GIT_PLANNER_LEASE", "GIT_PLANNER_LEASE_TOKEN"
# Seconds after which a waiting session had better ask again.
RETRY_SECONDS = 15
_PAUSE_SECONDS = 0.2
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """LeaseLimits of this host for heavy work and for starting workers."""

    heavy: int
    heavy_thresholds: Thresholds
    spawn_thresholds: Thresholds

    def of(self, kind: Kind) -> tuple[int, Thresholds]:
        """Return the number of leases of a kind and its thresholds."""
        return (self.heavy, self.heavy_thresholds) if kind == "heavy" else (1, self.spawn_thresholds)


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """A lease as it is shown."""

    answer: LeaseAnswer
    clock: Clock

    @property
    def exit(self) -> int:
        """Return exit status 1 for a lease that waits."""
        return DONE if self.answer.lease.is_granted else NO

    def document(self) -> dict[str, Any]:
        """Return the lease as JSON."""
        waits = not self.answer.lease.is_granted
        return {
            "schema": "git-planner/lease@1",
            **lease_document(self.answer.lease, self.clock),
            "queue_position": self.answer.position or None,
            "reason": self.answer.reason or None,
            "retry_after_seconds": RETRY_SECONDS if waits else None,
        }


@dataclass(frozen=True, slots=True)
class Resources:
    """State of this host, its limits and its leases; why heavy work or a new worker would not be admitted."""

    state: HostState
    limits: LeaseLimits
    book: Book
    clock: Clock
    refusals: Mapping[str, str | None]

    def document(self) -> dict[str, Any]:
        """Return them as JSON."""
        kinds = {}
        for kind in ("heavy", "spawn"):
            limit, thresholds = self.limits.of(kind)
            kinds[kind] = {
                "limit": limit,
                "held": len(self.book.holders(kind)),
                "waiting": len(self.book.queue(kind)),
                "max_loadavg_1": thresholds.max_load,
                "min_mem_available_gb": thresholds.min_memory,
                "admitted": self.refusals[kind] is None,
                "reason": self.refusals[kind],
            }
        return {
            "schema": "git-planner/resources@1",
            "cpus": self.state.cpus,
            "loadavg_1": self.state.load,
            "mem_available_gb": self.state.memory,
            **kinds,
        }


def read_limits(settings: Settings, state: HostState) -> LeaseLimits:
    """Return the limits of this host: the settings, else its CPUs.

    Workers inherit the thresholds of heavy work that are not set for them.
    """
    heavy = Thresholds(settings.max_loadavg_1, settings.min_mem_available_gb)
    return LeaseLimits(
        heavy=settings.max_heavy_leases or default_limit(state.cpus),
        heavy_thresholds=heavy,
        spawn_thresholds=Thresholds(
            settings.worker_spawn_max_loadavg_1 or heavy.max_load,
            settings.worker_spawn_min_mem_available_gb or heavy.min_memory,
        ),
    )


def acquire_lease(
    repo: Repository,
    *,
    kind: Kind,
    purpose: str,
    session: str = "",
    pid: int | None = None,
    ttl: float | None = None,
    wait: float = 0.0,
    tell: Progress,
) -> LeaseReport:
    """Ask for a lease that lasts until it is released, or is not renewed within its time to live.

    Args:
        repo: the repository whose settings hold.
        kind: 'heavy', or 'spawn' to start a session.
        purpose: what it is for.
        session: the name of the session that asks; asking again means the same lease.
        pid: a process that it ends with.
        ttl: its time to live in seconds; the setting when None.
        wait: seconds to wait until it is granted.
        tell: gets messages while it waits.

    Raises:
        PlannerError: E_USAGE for texts and processes; E_BUSY.
    """
    if pid is None and not session:
        raise PlannerError(
            "E_USAGE",
            "a lease needs an owner",
            hint="name a session with '--session', or a process with '--pid', such as '--pid $$'",
        )
    settings = read_settings(repo, lease_ttl_seconds=ttl)
    process = None
    if pid is not None:
        process = process_identity.identity(pid)
        if process is None:
            raise PlannerError("E_USAGE", f"no process has the number {pid}")
    request = _request(kind, purpose, session, settings)
    if process is not None:
        request = replace(request, pid=process.pid, process=process.document())
    leases = HostLeases()
    asked = _wait_for(leases, request, settings, wait, tell)
    return LeaseReport(asked.answer, leases.read()[1])


def run_under_lease(
    repo: Repository,
    argv: Sequence[str],
    *,
    kind: Kind,
    purpose: str,
    session: str = "",
    ttl: float | None = None,
    wait: float | None = None,
    tell: Progress,
) -> int:
    """Wait for a lease, run a command under it in the foreground, and release it.

    The lease is renewed while the command runs. If this process is killed, the command holds the lease on.

    Args:
        repo: the repository whose settings hold.
        argv: the command and its arguments.
        kind: 'heavy', or 'spawn' to start a session.
        purpose: what it is for.
        session: the name of the session that asks.
        ttl: time to live in seconds; the setting when None.
        wait: seconds to wait for the lease; any time when None.
        tell: gets messages.

    Returns:
        The command's exit status, as a shell gives it.

    Raises:
        PlannerError: E_DEADLINE, not granted in time; E_MISSING_TOOL; E_BUSY.
    """
    from git_planner.host.terminals.foreground import Foreground

    check_program(argv[0], Path.cwd(), os.environ)
    with held_lease(
        repo, kind=kind, purpose=purpose, session=session, ttl=ttl, wait=wait, tell=tell
    ) as asked:
        lease = asked.answer.lease
        assert asked.lock is not None
        environment = {**os.environ, LEASE: lease.name, TOKEN: str(lease.token)}
        with Foreground(argv, environment, inherited=asked.lock.fileno()) as command:
            # Renewed three times in its life, so that one late renewal loses nothing.
            while (status := command.wait(lease.ttl / 3)) is None:
                lease = _kept(HostLeases(), lease, tell)
            return status


@contextmanager
def held_lease(
    repo: Repository,
    *,
    kind: Kind,
    purpose: str,
    session: str = "",
    ttl: float | None = None,
    wait: float | None = None,
    tell: Progress,
) -> Iterator[AskedLease]:
    """Wait for a lease of this process, hold it, and release it; it is lost when this process dies.

    Args:
        repo: the repository whose settings hold.
        kind: 'heavy', or 'spawn' to start a session.
        purpose: what it is for.
        session: the name of the session that asks.
        ttl: time to live in seconds; the setting when None.
        wait: seconds to wait for the lease; any time when None.
        tell: gets messages.

    Raises:
        PlannerError: E_DEADLINE, not granted in time; E_BUSY.
    """
    settings = read_settings(repo, lease_ttl_seconds=ttl)
    request = replace(_request(kind, purpose, session, settings), pid=os.getpid(), is_locked=True)
    leases = HostLeases()
    asked = _wait_for(leases, request, settings, float("inf") if wait is None else wait, tell)
    try:
        if not asked.answer.lease.is_granted:
            raise PlannerError(
                "E_DEADLINE",
                f"no lease was granted in {wait:g} seconds: {asked.answer.reason}",
                hint="see what is held with 'git plan lease list'",
            )
        yield asked
    finally:
        with suppress(PlannerError):
            leases.release(asked.answer.lease.name)


def read_resources(repo: Repository) -> Resources:
    """Read the state of this host, and judge whether heavy work or a worker would be admitted now."""
    state = read_state()
    limits = read_limits(read_settings(repo), state)
    book, clock = HostLeases().read()
    refusals = {}
    for kind in ("heavy", "spawn"):
        limit, thresholds = limits.of(kind)
        queue, held = book.queue(kind), book.holders(kind)
        reason = f"{len(queue)} wait already" if queue else None
        if len(held) >= limit:
            reason = "the only lease is held" if limit == 1 else f"all {limit} leases are held"
        refusals[kind] = reason or refusal(state, thresholds)
    return Resources(state, limits, book, clock, refusals)


def lease_document(lease: Lease, clock: Clock) -> dict[str, Any]:
    """Return a lease as JSON, with times as people read them."""
    return {
        "lease": lease.name,
        "kind": lease.kind,
        "granted": lease.is_granted,
        "token": lease.token or None,
        "purpose": lease.purpose,
        "session": lease.session or None,
        "pid": lease.pid or None,
        "asked_at": format_time(lease.asked_at),
        "granted_at": format_time(lease.granted_at) if lease.is_granted else None,
        "expires_at": format_time(lease.expires_at(clock)),
    }


def _wait_for(
    leases: HostLeases, request: Lease, settings: Settings, seconds: float, tell: Progress
) -> AskedLease:
    """Ask until the lease is granted or the time is over; leave the queue when interrupted."""
    deadline = time.monotonic() + seconds
    state = read_state()
    limit, thresholds = read_limits(settings, state).of(request.kind)
    lock, last_reason = None, ""

    def refused() -> str | None:
        return refusal(read_state(), thresholds)

    is_answered = False
    try:
        while True:
            asked = leases.ask(request, limit, refused, lock)
            request, lock = replace(request, name=asked.answer.lease.name), asked.lock
            left = deadline - time.monotonic()
            if asked.answer.lease.is_granted or left <= 0:
                is_answered = True
                return asked
            reason = f"number {asked.answer.position} in the queue: {asked.answer.reason}"
            if without_figures(reason) != last_reason:
                last_reason = without_figures(reason)
                tell(f"waiting for a lease, {reason}")
            time.sleep(min(_PAUSE_SECONDS, left))
    finally:
        if not is_answered:
            with suppress(PlannerError):
                leases.release(request.name)


def _kept(leases: HostLeases, lease: Lease, tell: Progress) -> Lease:
    """Renew the lease of a running command; a lost one is told, and the command goes on."""
    try:
        return leases.renew(lease.name)
    except PlannerError as error:
        tell(f"warning: {error.message}; the command goes on without it")
        return replace(lease, ttl=float("inf"))


def _request(kind: Kind, purpose: str, session: str, settings: Settings) -> Lease:
    return Lease(
        name="",
        kind=kind,
        purpose=_checked(purpose, "purpose"),
        session=_checked(session, "session") if session else "",
        ttl=settings.lease_ttl_seconds,
    )


def _checked(text: str, name: str) -> str:
    if not text.strip() or len(text) > _MOST_TEXT or not text.isprintable():
        raise PlannerError(
            "E_USAGE", f"the {name} must be one line of at most {_MOST_TEXT} printable characters"
        )
    return text
