"""`git plan use`: set the plan that commands use by default."""

from __future__ import annotations

from contextlib import suppress

from git_planner.config.settings import config_key
from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import missing_plan
from git_planner.flows.tasks.follow_branch import advance_plan, configured_plan
from git_planner.flows.tasks.plan_shares import note_start
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames

_DEFAULT = "default"
_UNSET = 5  # Exit status of 'git config --unset-all' for a key that is not set.


def select_plan(repo: Repository, plan: str) -> None:
    """Store a plan as the current one in the local git configuration.

    Commits made until now belong to the plan that was current.

    Raises:
        PlannerError: E_NAME, E_NO_PLAN.
    """
    refnames.check_plan_name(plan)
    if repo.maybe(refnames.plan_ref(plan)) is None:
        raise missing_plan(plan, repo)
    _leave_current(repo, plan)
    repo.git.bytes("config", "--local", config_key("plan"), plan)


def unselect_plan(repo: Repository) -> bool:
    """Remove the current plan from the local git configuration; return whether one was set."""
    _leave_current(repo, _DEFAULT)
    result = repo.git.run("config", "--local", "--unset-all", config_key("plan"))
    if result.status not in (0, _UNSET):
        repo.git.bytes("config", "--local", "--unset-all", config_key("plan"))
    return result.status == 0


def _leave_current(repo: Repository, plan: str) -> None:
    """Let the current plan follow the commits made until now, before another one becomes the current plan."""
    current = configured_plan(repo)
    if current == plan or repo.maybe(f"{refnames.HEADS}{refnames.PLAN}{current}") is None:
        return
    # A damaged or checked out plan must not keep anyone from leaving it.
    with suppress(PlannerError):
        advance_plan(repo, current)
    note_start(repo, plan)
