"""Lease of a measurement: while workers are at work here, it waits for its turn on this host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from git_planner.flows.runs.store import has_open_sessions
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress

# The variable that 'git plan lease run' sets: this process has a lease already.
_LEASE = "GIT_PLANNER_LEASE"
# It ends with this process; a measurement may take long.
_TTL_SECONDS = 86_400.0


@contextmanager
def measuring_lease(repo: Repository, progress: Progress) -> Iterator[None]:
    """Hold a lease for heavy work while something is measured, so that workers do not make it noisy.

    Without sessions at work here, or under a lease, it does nothing.

    Raises:
        PlannerError: E_BUSY.
    """
    if os.environ.get(_LEASE) or not has_open_sessions(repo):
        yield
        return
    from git_planner.flows.runs.leases import held_lease

    with held_lease(repo, kind="heavy", purpose="measure", ttl=_TTL_SECONDS, tell=progress):
        yield
