"""Approval by merge: what was merged into the reviewed branch, and by whom as far as git shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from git_planner.flows.approval.evidence import address_of, decide_by, has_other_version, subject_authors
from git_planner.flows.approval.reviewed_branch import list_approvals, read_approval
from git_planner.gitio.repository import Repository
from git_planner.rules.approval.decide import Approval, ArrivalCommit, approvers, decide_people
from git_planner.rules.approval.subject import APPROVED, ReviewSubject, approvals_folder, approved_path
from git_planner.rules.policy.policy import Policy

# Merges of `git plan pull` between the reviewed branch and the merge that is looked for.
_MAX_PULLS = 200


def merged_approval(
    repo: Repository, policy: Policy, subject: ReviewSubject, tip: str, *, details: bool
) -> Approval:
    """Decide whether a subject was merged into the reviewed branch.

    Args:
        repo: the repository.
        policy: the policy of the trusted base.
        subject: what is to run.
        tip: the tip of the reviewed branch.
        details: also find who merged it and when; without, only if the policy's rule is about people.
    """
    rule = policy.review

    def prove(path: str, document: Mapping[str, Any]) -> Approval:
        if not (details or rule.others or rule.reviewers):
            return Approval("approved", how="merge")
        arrival = find_arrival(repo, tip, path)
        if arrival is None:
            return Approval("missing")
        authors = [*arrival.authors, address_of(document["author"]), *subject_authors(repo, subject)]
        state, who = decide_people(rule, approvers(arrival), authors)
        return Approval(state, by=who, at=arrival.at, how="merge", commit=arrival.oid)

    if subject.kind == "plan":
        paths = list(list_approvals(repo, tip, approvals_folder(subject.plan, APPROVED), "plan-"))
    else:
        paths = [approved_path(subject)]
    documents = ((path, read_approval(repo, f"{tip}:{path}")) for path in paths)
    proposals = [(path, document) for path, document in documents if document is not None]
    if not proposals and has_other_version(repo, subject, tip, APPROVED):
        return Approval("changed")
    return decide_by(repo, policy, subject, proposals, prove)


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
        "--diff-filter=AM",
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
            "log",
            "--no-show-signature",
            "--max-count=20",
            "--format=%ae",
            "--diff-filter=AM",
            oid,
            "--",
            spec,
        )
        return ArrivalCommit(oid, bool(others), author, committer, at, message, tuple(lines.split()))
    return None
