"""Default plan of a command."""

from __future__ import annotations

from contextlib import suppress

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames


def current_plan(repo: Repository, flag: str | None) -> str:
    """Return the named plan, else the checked-out iteration's, else the one in the settings."""
    if flag is not None:
        return refnames.check_plan_name(flag)
    head = repo.head_branch()
    if head is not None and refnames.parse_iteration(refnames.HEADS + head):
        # Reading a state needs imports that other branches do not.
        from git_planner.flows.guard.trusted_base import find_state

        # Ignore a forged state: other commands report it.
        with suppress(PlannerError):
            state = find_state(repo, "HEAD")
            if state is not None:
                return state.plan
    return read_settings(repo).plan
