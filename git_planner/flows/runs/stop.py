"""End the agent of a run, after verifying the identity of its process."""

from __future__ import annotations

import json
from contextlib import suppress

from git_planner import atomic_file
from git_planner.agents.run_program import PROCESS
from git_planner.flows.runs.store import Run, run_folder
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.process_identity import ProcessIdentity


def agent_process(repo: Repository, run: Run) -> ProcessIdentity | None:
    """Return the agent process of a run as stored at its start; None when it has ended."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        return process_identity.identity_from(
            json.loads(atomic_file.read(run_folder(repo, run.run) / PROCESS))
        )
    return None


def end_agent(repo: Repository, run: Run) -> list[int]:
    """End a run's agent and its descendants if their identity matches; return their process ids."""
    agent = agent_process(repo, run)
    return process_identity.end(agent) if agent is not None and not run.is_remote else []
