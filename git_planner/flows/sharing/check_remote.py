"""Check what a remote sent of a plan, before anything follows it."""

from __future__ import annotations

from collections.abc import Iterator

from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.records.ledger import damaged_records
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Snapshot
from git_planner.rules import refnames
from git_planner.rules.tasks.handoff import is_handoff

# Longer lists are cut: a remote may send any number of files.
_MOST = 20


def check_plan(repo: Repository, source: str, plan: str, commit: str) -> tuple[str, ...]:
    """Validate a fetched tip of a plan's branch.

    Args:
        repo: the repository.
        source: the remote's name.
        plan: the plan's name.
        commit: the tip.

    Returns:
        A sentence for each file or value that is invalid by itself and is ignored here.

    Raises:
        PlannerError: E_JSON, E_SCHEMA when the plan itself is invalid.
    """
    try:
        notes = list(_ignored(repo, plan, commit))
    except PlannerError as error:
        raise PlannerError(
            error.code,
            f"the plan on '{source}' is invalid: {error.message}",
            hint=f"repair it there, at {commit[:12]}; nothing was changed here",
            details=error.details,
        ) from None
    more = [f"and {len(notes) - _MOST} more"] if len(notes) > _MOST else []
    return tuple(f"ignored, of '{source}': {note}" for note in (*notes[:_MOST], *more))


def _ignored(repo: Repository, plan: str, commit: str) -> Iterator[str]:
    folder = refnames.plan_dir(plan)
    with repo.git.batch() as batch:
        plan_pages = Pages(repo, plan).read(Snapshot(refnames.plan_ref(plan), commit, batch))
    for page in plan_pages.values():
        for task in page["tasks"]:
            if task["handoff"] is not None and not is_handoff(folder, task["handoff"]):
                place = task["handoff"][:200]
                yield f"the handoff of '{task['id']}' is not in '{folder}/handoffs': {place!r}"
    yield from damaged_records(repo, plan, commit)
