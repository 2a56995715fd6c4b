"""Which plan a command is about, when none is named."""

from __future__ import annotations

from contextlib import suppress

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames


def current_plan(repo: Repository, flag: str | None) -> str:
    """The plan that is meant: the one named, the checked-out iteration's own, or the settings' one."""
    if flag is not None:
        return refnames.check_plan_name(flag)
    head = repo.head_branch()
    if head is not None and refnames.parse_iteration(refnames.HEADS + head):
        # Judging states takes imports that no other branch needs.
        from git_planner.flows.guard.trusted_base import find_state

        # A state that was tampered with says nothing; it is not what is asked here.
        with suppress(PlannerError):
            state = find_state(repo, "HEAD")
            if state is not None:
                return state.plan
    return read_settings(repo).plan
