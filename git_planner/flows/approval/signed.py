"""Approval by a signed commit: `git plan review --approve` makes it, and the policy's keys verify it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.approval.evidence import decide_by, has_other_version, subject_authors
from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval
from git_planner.gitio import history
from git_planner.gitio.content import signatures
from git_planner.gitio.objects import commit_tree, splice
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Message, Move, Snapshot, Step, Store
from git_planner.rules import refnames
from git_planner.rules.approval.decide import Approval, ApprovalState
from git_planner.rules.approval.subject import (
    SIGNED,
    ReviewSubject,
    approval_document,
    approvals_folder,
    signed_path,
)
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.policy import Policy

OPERATION = "approve"
# Approvals of one subject whose signatures are verified.
_MAX_VERIFIED = 20


@dataclass(frozen=True, slots=True)
class _SignedCommit:
    """The commit that added an approval. `operation` are the values of its trailers."""

    oid: str
    parents: str
    author: str
    at: str
    operation: str
    arguments: str


def signed_approval(
    repo: Repository, policy: Policy, subject: ReviewSubject, tips: Sequence[str]
) -> Approval:
    """Decide whether reviewers have signed the approval of a subject, on one of some tips of its plan."""
    failed = Approval("missing")
    for tip in tips:
        result = _approval_on(repo, policy, subject, tip)
        if result.ok:
            return result
        failed = failed if failed.state != "missing" else result
    return failed


def _approval_on(repo: Repository, policy: Policy, subject: ReviewSubject, tip: str) -> Approval:
    folder = approvals_folder(subject.plan, SIGNED)
    prefix = "plan-" if subject.kind == "plan" else f"{subject.kind}-{subject.digest}-"

    def proposals() -> Iterator[tuple[str, Mapping[str, Any]]]:
        verified = 0
        for path in list_approvals(repo, tip, folder, prefix):
            document = read_approval(repo, f"{tip}:{path}")
            if document is not None and verified < _MAX_VERIFIED:
                verified += 1
                yield path, document

    result = decide_by(
        repo, policy, subject, proposals(), lambda path, _: _prove(repo, policy, subject, tip, path)
    )
    if result.state == "missing" and has_other_version(repo, subject, tip, SIGNED):
        return Approval("changed")
    return result


def _prove(repo: Repository, policy: Policy, subject: ReviewSubject, tip: str, path: str) -> Approval:
    """Verify the commit that added an approval: it adds only that, and a reviewer signed it."""
    rule = policy.review
    commit = _added_by(repo, tip, path)
    if commit is None or not _is_approval(repo, commit, tip, path):
        return Approval("unsigned")
    signers = [reviewer.signer for reviewer in rule.reviewers if reviewer.signer]
    signature = signatures.verify(repo, commit.oid, signers)
    if signature is None:
        return Approval("unsigned", commit=commit.oid)
    by = signature.principal or next(
        (
            reviewer.address
            for reviewer in rule.reviewers
            if reviewer.fingerprint and reviewer.fingerprint in signature.fingerprints
        ),
        None,
    )
    if by is None:
        return Approval("not_reviewer", commit=commit.oid)
    own = {author.lower() for author in subject_authors(repo, subject)} if rule.others else set()
    state: ApprovalState = "alone" if own & {by.lower(), commit.author.lower()} else "approved"
    return Approval(state, by=by, at=commit.at, how="approval", commit=commit.oid)


def _added_by(repo: Repository, tip: str, path: str) -> _SignedCommit | None:
    trailers = "%(trailers:key=Planner-Op,valueonly,unfold)%x00%(trailers:key=Planner-Args,valueonly,unfold)"
    args = ("log", "-1", "--no-show-signature", "--no-color", "--encoding=UTF-8", "--diff-filter=A")
    form = (f"--format=%H%x00%P%x00%ae%x00%cd%x00{trailers}", "--date=format-local:%Y-%m-%dT%H:%M:%SZ")
    raw = repo.git.line(*args, *form, tip, "--", f":(top,literal){path}", env={"TZ": "UTC"})
    if not raw:
        return None
    oid, parents, author, at, operation, arguments = raw.split("\0", 5)
    return _SignedCommit(oid, parents, author, at, operation.strip(), arguments.strip())


def _is_approval(repo: Repository, commit: _SignedCommit, tip: str, path: str) -> bool:
    """Return whether a commit is what `approve` makes; a signed commit of other work may hold any file."""
    document = read_approval(repo, f"{commit.oid}:{path}")
    if document is None or " " in commit.parents or not commit.parents:
        return False
    added = repo.maybe(f"{commit.oid}:{path}", "blob")
    return (
        commit.operation == OPERATION
        and commit.arguments == f"{document['kind']} {document['digest']}"
        and added == repo.maybe(f"{tip}:{path}", "blob")
        and [change.path for change in history.changes(repo.git, commit.parents, commit.oid)] == [path]
    )


def approve(
    repo: Repository, policy: Policy, subject: ReviewSubject, note: str, *, base: str, sign_seconds: float
) -> str:
    """Commit a signed approval to the plan's branch; return its commit. Approving again changes nothing.

    Args:
        repo: the repository.
        policy: the policy of the trusted base.
        subject: what is approved.
        note: remarks.
        base: the commit from which the plan's branch starts if there is none.
        sign_seconds: the time for the signing program.

    Raises:
        PlannerError: E_USAGE where the policy approves by merge; E_SIGN, E_IDENTITY, E_CHECKED_OUT.
    """
    if policy.review.by != "approval":
        raise PlannerError(
            "E_USAGE",
            "a signed approval does not count: the policy has 'by: merge'",
            hint=f"git plan review {subject.name} --open",
        )
    author = repo.ident()
    ref, path = refnames.plan_ref(subject.plan), signed_path(subject, author.rpartition("<")[2])
    document = redact.mask_document(approval_document(subject, author, repo.now(), note))
    documents.check("approval", document, path)
    content = canonical_json.dumps(document)
    message = Message(
        f"approve {subject.name}",
        (("Planner-Op", OPERATION), ("Planner-Args", f"{subject.kind} {subject.digest}")),
    )

    def decide(snapshots: Mapping[str, Snapshot]) -> Sequence[Step]:
        tip = snapshots[ref].tip
        if tip is not None and _prove(repo, policy, subject, tip, path).ok:
            return []
        parent = tip or base
        with repo.git.batch() as batch:
            root = repo.resolve(parent, "tree")
            if tip is not None and snapshots[ref].read(path) is not None:
                # What was there has no valid signature: the new commit must be the one that adds it.
                bare = splice(repo.git, batch, root, {path: None})
                parent, root = commit_tree(repo.git, bare, (parent,), f"approve {subject.name} anew\n"), bare
            tree = splice(repo.git, batch, root, {path: content})
        return [Move(ref, commit_tree(repo.git, tree, (parent,), message.text(), sign_seconds=sign_seconds))]

    commit = Store(repo).transact([ref], decide)[ref]
    assert commit is not None
    return commit
