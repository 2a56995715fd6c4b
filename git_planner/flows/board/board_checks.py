"""Checks of `git planner doctor` about sessions, their worktrees, and leases."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_planner.config.settings import read_settings
from git_planner.flows.board.sessions import session_store
from git_planner.flows.setup.doctor import CheckContext
from git_planner.host.leases.host_lease import HostLeases
from git_planner.rules.diagnostic import Diagnostic


def check_board(context: CheckContext) -> Iterator[Diagnostic]:
    """Yield what is wrong with sessions, the folder for worktrees, and leases."""
    repo = context.repo
    for session in session_store.host_sessions(repo):
        if session.session.is_active and session.sight() == "gone":
            name = session.session.name
            message = f"the process of the session '{name}' has gone"
            yield Diagnostic("warning", "session-dead", message, name, "heal it: git plan resume")
    folder = read_settings(repo).worktrees
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        message = f"the folder for worktrees cannot be written: '{folder}'"
        fix = "git config planner.worktrees FOLDER"
        yield Diagnostic("error", "worktrees", message, str(folder), fix)
    for lease in HostLeases().read_lost():
        message = f"the lease '{lease.name}' belongs to a process that has ended; the next request frees it"
        yield Diagnostic("info", "lease-dead", message, lease.name, "nothing to do")
