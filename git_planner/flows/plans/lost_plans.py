"""Plans whose branch was deleted by other means than this program, with the way back."""

from __future__ import annotations

from collections.abc import Iterator

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
