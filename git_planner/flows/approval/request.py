"""The branch that proposes an approval: one file on top of the reviewed branch, for a pull request to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.approval import reviewed_branch
from git_planner.flows.approval.reviewed_branch import read_approval
from git_planner.gitio import history, remote
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store, Write
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.approval.subject import (
    APPROVED,
    ReviewSubject,
    approval_document,
    approvals_folder,
    approved_path,
    request_branch,
)
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A request for an approval: its branch (short name) and commit, and the branch it is to be merged into.

    `is_new` is False if the branch proposes the same already.
    """

    branch: str
    commit: str
    target: str
    remote: str
    path: str
    is_new: bool

    @property
    def ref(self) -> str:
        """The full name of the branch."""
        return refnames.HEADS + self.branch


def make_request(
    repo: Repository, policy: Policy, subject: ReviewSubject, progress: Progress
) -> ApprovalRequest:
    """Write the branch that proposes to approve a subject; nothing is pushed.

    Made again for the same subject it is the same commit; for a changed one it is a further commit.

    Raises:
        PlannerError: E_REMOTE; E_NO_PLAN if the remote has no branch of the plan; E_IDENTITY; E_CONFLICT.
    """
    rule = policy.review
    tip = reviewed_branch.refresh(repo, rule.remote, subject.plan, progress)
    if tip is None:
        raise PlannerError(
            "E_NO_PLAN",
            f"'{rule.remote}' has no branch '{refnames.PLAN}{subject.plan}' into which approvals are merged",
            hint=f"git plan push {rule.remote} --plan {subject.plan}",
        )
    ref, path = refnames.HEADS + request_branch(subject), approved_path(subject)
    document = redact.mask_document(approval_document(subject, repo.ident(), repo.now()))
    documents.check("approval", document, path)
    content = canonical_json.dumps(document)
    before = repo.maybe(ref)
    remarked = before and _remarked_tip(repo, rule.remote, ref, before, progress)

    message = Message(
        f"review {subject.name}: approve by merging",
        (("Planner-Op", "review-request"), ("Planner-Args", f"{subject.kind} {subject.digest}")),
    )

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        old = snapshots[ref].tip
        if old is None or history.is_ancestor(repo.git, old, tip):
            # What was merged once, and taken back, would not be merged again.
            return [Move(ref, _commit_on(repo, tip, {path: content}, message))]
        proposed = read_approval(repo, f"{old}:{path}")
        if proposed is not None and proposed["base"] == subject.base:
            return []
        edits = {**_outdated(repo, subject, snapshots[ref], tip), path: content}
        if remarked and old == before:
            return [Move(ref, _commit_on(repo, remarked, edits, message))]
        return [Write(ref, edits, message)]

    commit = Store(repo).transact([ref], decide)[ref]
    assert commit is not None
    target = refnames.PLAN + subject.plan
    return ApprovalRequest(
        refnames.short_name(ref), commit, target, rule.remote, path, is_new=commit != before
    )


def _remarked_tip(repo: Repository, remote_name: str, ref: str, tip: str, progress: Progress) -> str | None:
    """Return the remote's tip of a branch if it only adds commits without changes: reviewers' remarks."""
    there = remote.listing(repo, remote_name, ref).get(ref)
    if there is None or there == tip:
        return None
    if not history.is_complete(repo.git, there):
        remote.fetch_commits(repo, remote_name, [ref], progress)
    is_remark = history.is_ancestor(repo.git, tip, there) and not history.changes(repo.git, tip, there)
    return there if is_remark else None


def _commit_on(repo: Repository, tip: str, edits: Mapping[str, bytes | None], message: Message) -> str:
    with repo.git.batch() as batch:
        tree = splice(repo.git, batch, repo.resolve(tip, "tree"), edits)
    return commit_tree(repo.git, tree, (tip,), message.text())


def _outdated(repo: Repository, subject: ReviewSubject, snapshot: Snapshot, tip: str) -> dict[str, None]:
    """Return the earlier proposals for the subject on its branch, which nobody has merged."""
    if snapshot.tip is None:
        return {}
    folder = approvals_folder(subject.plan, APPROVED)
    names = [name for name in snapshot.names(folder) if name.startswith(f"{subject.kind}-")]
    earlier: dict[str, None] = {}
    for name in names[: reviewed_branch.MAX_READ]:
        path = f"{folder}/{name}"
        document = read_approval(repo, f"{snapshot.tip}:{path}")
        is_merged = repo.maybe(f"{tip}:{path}", "blob") is not None
        if document is not None and document["name"] == subject.name and not is_merged:
            earlier[path] = None
    return earlier
