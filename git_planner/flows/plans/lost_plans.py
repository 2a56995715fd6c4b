"""Plans whose branch was deleted by other means than this program, with the way back."""

from __future__ import annotations

from collections.abc import Iterator

from git_planner.flows.plans.page_store import pull_hint
from git_planner.gitio.history import list_refs
from git_planner.gitio.refs.branch_tips import lost_branches
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.diagnostic import Diagnostic


def find_lost_plans(repo: Repository) -> Iterator[Diagnostic]:
    """Yield a finding for every plan whose branch is gone; `target` is the branch, `fix` brings it back."""
    for ref, oid in lost_branches(repo).items():
        if not ref.startswith(refnames.HEADS + refnames.PLAN):
            continue
        branch = refnames.short_name(ref)
        message = f"the branch '{branch}' is gone, with its tasks and records; it was last at {oid[:12]}"
        if repo.maybe(oid) is not None:
            yield Diagnostic("error", "plan-gone", message, branch, f"git branch {branch} {oid}")
        else:
            message += ", which git has deleted since"
            plan = branch.removeprefix(refnames.PLAN)
            yield Diagnostic("error", "plan-gone", message, branch, f"git plan pull --plan {plan}")


def find_missing_plans(repo: Repository) -> Iterator[Diagnostic]:
    """Yield the lost plans, and in a clone without a plan what shows that there was or is one elsewhere."""
    lost = list(find_lost_plans(repo))
    yield from lost
    if lost or list_refs(repo, refnames.HEADS + refnames.PLAN):
        return
    pull = pull_hint(repo, None)
    tags = sorted(list_refs(repo, refnames.BEST_TAG))
    if pull is not None:
        message = "a remote has a plan, with its tasks and records, and this clone has none"
        yield Diagnostic("warning", "plan-not-pulled", message, pull.rpartition(" ")[2], pull)
    elif tags:
        message = "tags name the bests of records, and no plan with these records is here"
        fetch = "git fetch a remote with branches 'plan/*', then: git plan pull"
        yield Diagnostic("warning", "records-missing", message, refnames.short_name(tags[-1]), fetch)
