"""Collect what a reviewer of a guard proposal is shown."""

from __future__ import annotations

from git_planner.errors import PlannerError
from git_planner.flows.guard.compare_trees import GuardChecker
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.plans.remarks import read_remarks
from git_planner.flows.review.shown import shown
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.plans.remarks import packet_remarks
from git_planner.rules.printable import printable_path
from git_planner.rules.review.guard_review import GuardReview

_MAX_DIFF, _MAX_PATHS = 15_000, 200


def review_guard(repo: Repository, branch: str, ref: str) -> GuardReview:
    """Collect the review of a proposed change of guarded files.

    Args:
        repo: the repository.
        branch: the short name of the proposal's branch.
        ref: its full name, local or of a remote.

    Raises:
        PlannerError: E_UNKNOWN_REF, E_NO_BASE, E_BASE, E_POLICY; E_MERGE without a common history.
    """
    commit = repo.resolve(ref)
    checker = GuardChecker(repo)
    tip = checker.base_tips(commit)[0]
    anchor = history.merge_base(repo.git, tip, commit)
    if anchor is None:
        raise PlannerError("E_MERGE", f"'{branch}' and the base branch have no common history")
    policy = checker.rule_at(anchor).policy
    differences = checker.differences(anchor, commit)
    guarded = {difference.path for difference in differences}
    changes = history.changes(repo.git, anchor, commit)
    args = ("diff-tree", "-p", "--no-ext-diff", "--no-textconv", "--no-color", anchor, commit)
    diff = repo.git.short_output(*args, most=_MAX_DIFF) or b""
    message, _, author = _commit_texts(repo, commit)
    return GuardReview(
        branch=branch,
        commit=commit,
        base=anchor,
        base_ref=policy.base if policy else "the base branch",
        message=shown(message),
        author=shown(author),
        guarded=shown(tuple(difference.message for difference in differences[:_MAX_PATHS])),
        other=tuple(printable_path(change.path) for change in changes if change.path not in guarded)[
            :_MAX_PATHS
        ],
        diff=shown(diff.decode(errors="replace")),
        is_policy_changed=any(change.path == refnames.POLICY_FILE for change in changes),
        remarks=shown(tuple(_remarks(repo, branch))),
    )


def _remarks(repo: Repository, branch: str) -> list[dict[str, str]]:
    """Return what reviewers said about a proposal, as 'git plan review sync' has brought it."""
    plan = current_plan(repo, None)
    if repo.maybe(refnames.plan_ref(plan)) is None:
        return []
    return packet_remarks(
        [remark for remark in read_remarks(repo, plan) if remark.about == f"guard {branch}"]
    )


def _commit_texts(repo: Repository, commit: str) -> tuple[str, str, str]:
    """Return message and author of a commit, divided by a NUL."""
    raw = repo.git.bytes("log", "-1", "--no-show-signature", "--no-color", "--format=%B%x00%an", commit)
    return raw.decode(errors="replace").rstrip("\n").rpartition("\0")
