"""Decide whether a document approves a subject, and whose approval it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from git_planner.rules.approval.subject import ReviewSubject
from git_planner.rules.documents import canonical_json
from git_planner.rules.policy.review_rule import ReviewRule

ApprovalState = Literal[
    "off", "approved", "missing", "changed", "wrong_base", "alone", "not_reviewer", "unsigned", "unreachable"
]
# Committers of sites that merge for a person, whom they do not name.
_SITES = ("noreply@github.com", "noreply@gitlab.com")
_TRAILER = re.compile(r"(?im)^(?:reviewed|approved)-by:[^\n<]*<([^\s<>]{3,200})>\s*$")
_SENTENCES: dict[str, str] = {
    "missing": "has no approval",
    "changed": "is not what was approved: it was changed since",
    "wrong_base": "was approved for another base, whose files in its scope are not those of this one",
    "alone": "is approved by its author alone, and the policy wants another person",
    "not_reviewer": "is approved by nobody whom the policy names",
    "unsigned": "has an approval without a valid signature of a reviewer",
    "unreachable": "may be approved, but the remote could not be asked",
}


@dataclass(frozen=True, slots=True)
class Approval:
    """The answer to whether a subject is approved.

    `by` is who approved it, `at` when, `how` in which way ('merge' or 'approval'), `commit` the commit that
    shows it. `asked` are those who may approve. `reason` says more than the state.
    """

    state: ApprovalState
    by: str | None = None
    at: str | None = None
    how: str | None = None
    commit: str | None = None
    asked: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Return whether the subject may run."""
        return self.state in ("off", "approved")

    def document(self) -> dict[str, Any]:
        """Return the approval as JSON."""
        return {**asdict(self), "asked": list(self.asked), "ok": self.ok}


def sentence(approval: Approval) -> str:
    """Return the end of a sentence that begins with the subject: why it may not run."""
    return approval.reason or _SENTENCES.get(approval.state, "is approved")


def check_document(
    document: Mapping[str, Any], subject: ReviewSubject
) -> Literal["approved", "changed", "wrong_base"]:
    """Compare a valid approval document with a subject; another base may still be an equal one."""
    same = (document["kind"], document["plan"]) == (subject.kind, subject.plan)
    inner = document["document"]
    # The document that people read in the pull request is the one that runs.
    is_whole = inner is None or canonical_json.digest(inner) == document["digest"]
    if subject.kind == "directive":
        is_whole = is_whole and inner is not None
    if subject.kind == "plan":
        approved = same and all(
            document["items"].get(name) == digest for name, digest in subject.items.items()
        )
    else:
        approved = same and is_whole and document["digest"] == subject.digest
    if not approved:
        return "changed"
    return "approved" if document["base"] == subject.base else "wrong_base"


@dataclass(frozen=True, slots=True)
class ArrivalCommit:
    """The commit by which an approval arrived on the reviewed branch, and the authors of what it brought."""

    oid: str
    is_merge: bool
    author: str
    committer: str
    at: str
    message: str
    authors: tuple[str, ...]


def approvers(arrival: ArrivalCommit) -> tuple[str, ...]:
    """Return the addresses that a merge names as its approvers: in trailers, and who made it.

    A squash made by a site has the author of the request, and names nobody else. The message of a commit that
    was rebased or fast-forwarded is the author's own: its trailers are no reviews.
    """
    made_by = [arrival.author, arrival.committer] if arrival.is_merge else [arrival.committer]
    is_of_site = arrival.is_merge or arrival.committer.lower() in _SITES
    named = [*(_TRAILER.findall(arrival.message) if is_of_site else ()), *made_by]
    return tuple(dict.fromkeys(name.lower() for name in named if name and name.lower() not in _SITES))


def decide_people(
    rule: ReviewRule, names: Sequence[str], authors: Iterable[str]
) -> tuple[Literal["approved", "alone", "not_reviewer"], str | None]:
    """Decide whether the approvers suffice; return the one who counts."""
    own = {author.lower() for author in authors}
    if rule.reviewers:
        listed = {address.lower() for address in rule.addresses}
        names = [name for name in names if name in listed]
        if not names:
            return "not_reviewer", None
    others = [name for name in names if name not in own]
    if rule.others and not others:
        return "alone", None
    chosen = others or list(names)
    return "approved", chosen[0] if chosen else None
