"""Approval by a signed commit: `git plan review --approve` makes it, and the policy's keys verify it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.approval.evidence import decide_by, has_other_version, subject_authors
from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval
from git_planner.gitio.content import signatures
from git_planner.gitio.objects import commit_tree, read_tree, splice
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
_TRAILERS = ("Planner-Op", "Planner-Args")
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
    signature: signatures.Signature | None


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
        repo, policy, subject, proposals(), lambda *proposal: _prove(repo, policy, subject, tip, proposal)
    )
    if result.state == "missing" and has_other_version(repo, subject, tip, SIGNED):
        return Approval("changed")
    return result


def _prove(
    repo: Repository,
    policy: Policy,
    subject: ReviewSubject,
    tip: str,
    proposal: tuple[str, Mapping[str, Any]],
) -> Approval:
    """Verify the commit that added an approval: it adds only that, and a reviewer signed it."""
    rule, (path, document) = policy.review, proposal
    signers = [reviewer.signer for reviewer in rule.reviewers if reviewer.signer]
    commit = _added_by(repo, tip, path, signers)
    if commit is None or not _is_approval(repo, commit, tip, path, document):
        return Approval("unsigned")
    signature = commit.signature
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


def _added_by(repo: Repository, tip: str, path: str, signers: Sequence[str]) -> _SignedCommit | None:
    fields = ("%H", "%P", "%ae", "%cI", *(f"%(trailers:key={key},valueonly,unfold)" for key in _TRAILERS))
    args = ("--diff-filter=A", tip, "--", f":(top,literal){path}")
    logged = signatures.signed_log(repo, signers, fields, *args)
    if logged is None:
        return None
    (oid, parents, author, at, operation, arguments), signature = logged
    return _SignedCommit(oid, parents, author, at, operation.strip(), arguments.strip(), signature)


def _is_approval(
    repo: Repository, commit: _SignedCommit, tip: str, path: str, document: Mapping[str, Any]
) -> bool:
    """Return whether a commit is what `approve` makes; a signed commit of other work may hold any file."""
    if " " in commit.parents or not commit.parents:
        return False
    added = repo.maybe(f"{commit.oid}:{path}", "blob")
    return (
        commit.operation == OPERATION
        and commit.arguments == f"{document['kind']} {document['digest']}"
        and added is not None
        and added == repo.maybe(f"{tip}:{path}", "blob")
        and _adds_only(repo, commit.parents, commit.oid, path)
    )


def _adds_only(repo: Repository, parent: str, commit: str, path: str) -> bool:
    """Return whether a commit adds one file and changes nothing else, by the trees along its path."""
    batch, folder = repo.git.batch(), ""
    for name in path.split("/"):
        before, after = (read_tree(batch, f"{oid}:{folder}") for oid in (parent, commit))
        if {entry for entry in before | after if before.get(entry) != after.get(entry)} != {name}:
            return False
        folder = f"{folder}/{name}".removeprefix("/")
    return name not in before


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
        known = read_approval(repo, f"{tip}:{path}") if tip is not None else None
        is_same = known is not None and known["base"] == subject.base
        if tip and known and is_same and _prove(repo, policy, subject, tip, (path, known)).ok:
            return []
        parent = tip or base
        with repo.git.batch() as batch:
            root = repo.resolve(parent, "tree")
            if tip is not None and snapshots[ref].read(path) is not None:
                # It is of another base, or not signed: the new commit must be the one that adds it.
                bare = splice(repo.git, batch, root, {path: None})
                parent, root = commit_tree(repo.git, bare, (parent,), f"approve {subject.name} anew\n"), bare
            tree = splice(repo.git, batch, root, {path: content})
        return [Move(ref, commit_tree(repo.git, tree, (parent,), message.text(), sign_seconds=sign_seconds))]

    commit = Store(repo).transact([ref], decide)[ref]
    assert commit is not None
    return commit
