"""Processes that fight for leases, some of which are killed at random."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Prints one line when it holds a lease, and one before it releases it.
WORKER = """
import random, sys, time
from pathlib import Path
from git_planner.host.leases.host_lease import HostLeases
from git_planner.rules.board.lease import Lease
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
leases = HostLeases(folder)
while True:
    request, lock = Lease(name="", kind="heavy", purpose="race", session="", ttl=60, is_locked=True), None
    while True:
        claim = leases.ask(request, limit, lambda: None, lock)
        lease, lock = claim.answer.lease, claim.lock
        request = lease
        if lease.is_granted:
            break
        time.sleep(0.01)
    print("began", lease.token, lease.asked_at, time.monotonic(), flush=True)
    time.sleep(random.random() / 50)
    print("ended", lease.token, lease.asked_at, time.monotonic(), flush=True)
    leases.release(lease.name)
"""


@dataclass(frozen=True)
class Grant:
    """A lease that a process held: its token, when it was asked for, began and ended."""

    worker: int
    token: int
    asked: float
    began: float
    ended: float


def race(folder: Path, *, processes: int, leases: int, seconds: float) -> tuple[list[Grant], int]:
    """Let processes fight for leases, and kill one now and then.

    It ends after `seconds`, but not before each process has held a lease and as many were killed as fight.

    Returns:
        The grants, and the number of kills.
    """
    luck = random.Random(7)

    def start(worker: int) -> tuple[subprocess.Popen[bytes], Path]:
        output = folder / f"{worker}-{time.monotonic_ns()}"
        with open(output, "wb") as file:
            argv = [sys.executable, "-c", WORKER, str(folder / "leases"), str(leases)]
            return subprocess.Popen(argv, stdout=file), output

    def end(worker: int) -> list[Grant]:
        program, output = running[worker]
        # Ended before its lock is seen to be free.
        at = time.monotonic()
        program.kill()
        program.wait()
        return read(worker, output, at)

    running = {worker: start(worker) for worker in range(processes)}
    grants: list[Grant] = []
    killed = 0
    stop = time.monotonic() + seconds
    while (
        time.monotonic() < stop
        or killed < processes
        or not all(output.stat().st_size for _, output in running.values())
    ):
        time.sleep(seconds / 20 * luck.random())
        worker = luck.choice(list(running))
        # One that has held no lease yet may still be starting.
        if (time.monotonic() < stop or killed < processes) and running[worker][1].stat().st_size:
            grants += end(worker)
            killed += 1
            running[worker] = start(worker)
    for worker in running:
        grants += end(worker)
    return grants, killed


def read(worker: int, output: Path, killed_at: float) -> list[Grant]:
    """Read the grants of a process that was killed at a time."""
    grants: dict[int, Grant] = {}
    for line in output.read_text().splitlines():
        word, token, asked, at = line.split()
        known = grants.get(int(token))
        began = known.began if known is not None else float(at)
        ended = float(at) if word == "ended" else killed_at
        grants[int(token)] = Grant(worker, int(token), float(asked), began, max(began, ended))
    return list(grants.values())
