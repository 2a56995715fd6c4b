"""Find the approvals of a subject among documents, whichever way they are proven."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules.approval.decide import Approval, check_document
from git_planner.rules.approval.subject import ReviewSubject, approvals_folder
from git_planner.rules.policy.policy import Policy, pathspecs

# Proves the approval of a document by its path: who approved, or why it does not count.
Prove = Callable[[str, Mapping[str, Any]], Approval]


def decide_by(
    repo: Repository,
    policy: Policy,
    subject: ReviewSubject,
    proposals: Iterable[tuple[str, Mapping[str, Any]]],
    prove: Prove,
) -> Approval:
    """Decide whether documents approve a subject.

    Args:
        repo: the repository.
        policy: the policy of the trusted base.
        subject: what is to run.
        proposals: the documents that may approve it, with their paths.
        prove: proves the approval of a document.
    """
    if subject.kind == "plan":
        return _cover_items(subject, proposals, prove)
    first: Approval | None = None
    for path, document in proposals:
        state = check_document(document, subject)
        if state == "wrong_base" and is_equal_base(repo, policy, str(document["base"]), str(subject.base)):
            state = "approved"
        result = prove(path, document) if state == "approved" else Approval(state)
        if result.ok:
            return result
        first = first or result
    return first or Approval("missing")


def _cover_items(
    subject: ReviewSubject, proposals: Iterable[tuple[str, Mapping[str, Any]]], prove: Prove
) -> Approval:
    """Decide for a plan: each of its items is in some approval of the plan."""
    left, result, other = dict(subject.items), Approval("missing"), Approval("missing")
    for path, document in proposals:
        if (document["kind"], document["plan"]) != ("plan", subject.plan):
            continue
        items = document["items"]
        covered = {name for name, digest in left.items() if items.get(name) == digest}
        if covered:
            proof = prove(path, document)
            if proof.ok:
                result = proof
                left = {name: digest for name, digest in left.items() if name not in covered}
            else:
                other = proof
        elif not left.keys().isdisjoint(items) and other.state == "missing":
            other = Approval("changed")
    return other if left else result


def is_equal_base(repo: Repository, policy: Policy, approved: str, base: str) -> bool:
    """Return whether two bases have the same files in scope and guard."""
    if repo.maybe(approved) is None or repo.maybe(base) is None:
        return False
    specs = [":(top)", ":(top,exclude,literal).advisor"]
    if policy.allow:
        specs = pathspecs((*policy.allow, *policy.protected, *policy.sectioned))
    return not history.changes(repo.git, approved, base, specs)


def has_other_version(repo: Repository, subject: ReviewSubject, tip: str, how: str) -> bool:
    """Return whether an approval of the same name exists: the subject was changed since."""
    for path in list_approvals(repo, tip, approvals_folder(subject.plan, how), f"{subject.kind}-"):
        document = read_approval(repo, f"{tip}:{path}")
        if document is not None and document["name"] == subject.name:
            return True
    return False


def subject_authors(repo: Repository, subject: ReviewSubject) -> tuple[str, ...]:
    """Return the address of the author of the commit that a subject came with."""
    if subject.commit is None:
        return ()
    raw = repo.git.bytes("log", "-1", "--no-show-signature", "--format=%ae", subject.commit)
    return (os.fsdecode(raw).strip(),)


def address_of(author: str) -> str:
    """Return the address of 'Name <address>'."""
    return author.rpartition("<")[2].rstrip(">").strip()
