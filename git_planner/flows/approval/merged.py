"""Approval by merge: what was merged into the reviewed branch, and by whom as far as git shows it."""

from __future__ import annotations

import os
from typing import Any

from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval
from git_planner.gitio import history
from git_planner.gitio.repository import Repository
from git_planner.rules.approval.decide import (
    Approval,
    ArrivalCommit,
    approvers,
    check_document,
    decide_people,
)
from git_planner.rules.approval.subject import APPROVED, ReviewSubject, approvals_folder, approved_path
from git_planner.rules.policy.policy import Policy, pathspecs

# Merges of `git plan pull` between the reviewed branch and the merge that is looked for.
_MAX_PULLS = 200


def merged_approval(
    repo: Repository, policy: Policy, subject: ReviewSubject, tip: str, *, details: bool
) -> Approval:
    """Decide whether a subject was merged into the reviewed branch.

    Args:
        tip: the tip of the reviewed branch.
        details: also find who merged it and when; without, only if the policy's rule is about people.
    """
    if subject.kind == "plan":
        return _merged_items(repo, policy, subject, tip, details=details)
    path = approved_path(subject)
    document = read_approval(repo, f"{tip}:{path}")
    if document is None:
        return _explain_missing(repo, subject, tip)
    state = check_document(document, subject)
    if state == "wrong_base" and is_equal_base(repo, policy, str(document["base"]), str(subject.base)):
        state = "approved"
    if state != "approved":
        return Approval(state)
    return _approved_by(repo, policy, subject, tip, [(path, document)], details=details)


def is_equal_base(repo: Repository, policy: Policy, approved: str, base: str) -> bool:
    """Return whether two bases have the same files in scope and guard."""
    if repo.maybe(approved) is None or repo.maybe(base) is None:
        return False
    specs = pathspecs((*policy.allow, *policy.protected, *policy.sectioned)) if policy.allow else []
    if not specs:
        specs = [":(top)", ":(top,exclude,literal).advisor"]
    return not history.changes(repo.git, approved, base, specs)


def _merged_items(
    repo: Repository, policy: Policy, subject: ReviewSubject, tip: str, *, details: bool
) -> Approval:
    """Decide for a plan: each of its items is in some approval of the plan."""
    left, used, seen = dict(subject.items), list[tuple[str, dict[str, Any]]](), False
    for path in list_approvals(repo, tip, approvals_folder(subject.plan, APPROVED), "plan-"):
        document: Any = read_approval(repo, f"{tip}:{path}")
        if document is None or (document["kind"], document["plan"]) != ("plan", subject.plan):
            continue
        seen = seen or not left.keys().isdisjoint(document["items"])
        covered = {name for name, digest in left.items() if document["items"].get(name) == digest}
        if covered:
            used.append((path, document))
            left = {name: digest for name, digest in left.items() if name not in covered}
    if left:
        return Approval("changed" if seen else "missing")
    return _approved_by(repo, policy, subject, tip, used, details=details)


def _explain_missing(repo: Repository, subject: ReviewSubject, tip: str) -> Approval:
    """Tell a subject that was changed after its approval from one that has none."""
    for path in list_approvals(repo, tip, approvals_folder(subject.plan, APPROVED), f"{subject.kind}-"):
        document = read_approval(repo, f"{tip}:{path}")
        if document is not None and document["name"] == subject.name:
            return Approval("changed")
    return Approval("missing")


def _approved_by(
    repo: Repository,
    policy: Policy,
    subject: ReviewSubject,
    tip: str,
    used: list[tuple[str, dict[str, Any]]],
    *,
    details: bool,
) -> Approval:
    rule, result = policy.review, Approval("approved", how="merge")
    if not (details or rule.others or rule.reviewers):
        return result
    for path, document in used:
        arrival = find_arrival(repo, tip, path)
        if arrival is None:
            return Approval("missing")
        authors = [*arrival.authors, address_of(str(document["author"])), *subject_authors(repo, subject)]
        state, who = decide_people(rule, approvers(arrival), authors)
        result = Approval(state, by=who, at=arrival.at, how="merge", commit=arrival.oid)
        if not result.ok:
            return result
    return result


def find_arrival(repo: Repository, tip: str, path: str) -> ArrivalCommit | None:
    """Find the commit by which a file arrived on the reviewed branch: a site's merge, squash or rebase.

    Merges of `git plan pull` continue the branch of another clone; the reviewed one is their other parent.
    """
    form = "--format=%H%x00%P%x00%ae%x00%ce%x00%cd%x00%(trailers:key=Planner-Op,valueonly,unfold)%x00%B"
    dates = "--date=format-local:%Y-%m-%dT%H:%M:%SZ"
    args = (
        "log",
        "-1",
        "--no-show-signature",
        "--no-color",
        "--encoding=UTF-8",
        "--diff-filter=A",
        form,
        dates,
    )
    spec = f":(top,literal){path}"
    for _ in range(_MAX_PULLS):
        raw = repo.git.line(*args, "--first-parent", tip, "--", spec, env={"TZ": "UTC"})
        if not raw:
            return None
        oid, parents, author, committer, at, operation, message = raw.split("\0", 6)
        others = parents.split()[1:]
        pulled = [parent for parent in others if repo.maybe(f"{parent}:{path}", "blob")]
        if operation.strip() == "pull" and pulled:
            tip = pulled[0]
            continue
        lines = repo.git.line(
            "log", "--no-show-signature", "--max-count=20", "--format=%ae", "--diff-filter=A", oid, "--", spec
        )
        return ArrivalCommit(oid, bool(others), author, committer, at, message, tuple(lines.split()))
    return None


def subject_authors(repo: Repository, subject: ReviewSubject) -> tuple[str, ...]:
    """Return the address of the author of the commit that a subject came with."""
    if subject.commit is None:
        return ()
    raw = repo.git.bytes("log", "-1", "--no-show-signature", "--format=%ae", subject.commit)
    return (os.fsdecode(raw).strip(),)


def address_of(author: str) -> str:
    """Return the address of 'Name <address>'."""
    return author.rpartition("<")[2].rstrip(">").strip()
