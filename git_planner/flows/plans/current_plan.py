"""Default plan of a command."""

from __future__ import annotations

from contextlib import suppress

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames


def needed_plan(repo: Repository, flag: str | None) -> str:
    """Return the plan of a command that reads a plan or writes to it, as `current_plan` does.

    Raises:
        PlannerError: E_NO_PLAN if a remote has the plan and this clone has not: it would begin anew here;
            E_BRANCH_GONE if it was deleted here.
    """
    name = current_plan(repo, flag)
    check_pulled(repo, name)
    return name


def check_pulled(repo: Repository, plan: str) -> None:
    """Refuse to begin a plan anew that was deleted here, or that a remote has, as last fetched.

    Raises:
        PlannerError: E_NO_PLAN, E_BRANCH_GONE.
    """
    ref = refnames.plan_ref(plan)
    if repo.maybe(ref) is None:
        from git_planner.flows.plans.page_store import missing_plan, pull_hint
        from git_planner.gitio.refs.branch_tips import check_new

        check_new(repo, ref)
        if pull_hint(repo, plan) is not None:
            raise missing_plan(plan, repo)


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
