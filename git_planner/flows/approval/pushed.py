"""Keep approvals that were made here from leaving with a push: only a merge on the remote approves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from git_planner.flows.approval.reviewed_branch import tracking_ref
from git_planner.gitio.objects import read_tree
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Snapshot, Store
from git_planner.rules import refnames
from git_planner.rules.approval.subject import APPROVED, approvals_folder


def align_approvals(
    repo: Repository,
    plan: str,
    remote_name: str,
    remote_tip: str | None,
    review_remote: Callable[[], str],
) -> tuple[str, ...]:
    """Make a plan's approvals by merge those that the remote has, before the plan is pushed there.

    Args:
        repo: the repository.
        plan: the plan, whose branch has been merged with the remote's.
        remote_name: the remote that it is pushed to.
        remote_tip: the tip of the plan's branch there, if there is one; its commits are here.
        review_remote: returns the remote on which the plan is reviewed. To another one, what that has goes,
            too.

    Returns:
        The names of the approvals that were removed here.
    """
    folder, ref = approvals_folder(plan, APPROVED), refnames.plan_ref(plan)
    removed: list[str] = []

    def change(snapshot: Snapshot) -> Mapping[str, bytes | None]:
        removed.clear()
        own = {name: entry.oid for name, entry in snapshot.tree(folder).items()}
        theirs = _entries(repo, remote_tip, folder)
        if own == theirs:
            return {}
        reviewed = review_remote()
        allowed = {**theirs}
        if reviewed != remote_name:
            allowed |= _entries(repo, tracking_ref(reviewed, plan), folder)
        batch = repo.git.batch()
        edits: dict[str, bytes | None] = {f"{folder}/{name}": None for name in own if name not in allowed}
        for name, oid in allowed.items():
            # What the other remote has is only kept here; what this one has is restored.
            if own.get(name) != oid and (name in theirs or name in own):
                edits[f"{folder}/{name}"] = batch.read(oid)
        removed.extend(name for name in own if name not in allowed)
        return edits

    message = Message(
        f"plan {plan}: approvals as '{remote_name}' has them",
        (("Planner-Op", "push"), ("Planner-Args", plan)),
    )
    Store(repo).edit(ref, change, message, masked=True)
    return tuple(removed)


def _entries(repo: Repository, commit: str | None, folder: str) -> dict[str, str]:
    if commit is None or repo.maybe(commit) is None:
        return {}
    return {name: entry.oid for name, entry in read_tree(repo.git.batch(), f"{commit}:{folder}").items()}
