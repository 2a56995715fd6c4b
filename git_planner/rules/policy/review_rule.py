"""The review rule of a policy: what runs only after people have approved it, and who may approve. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

ReviewKind = Literal["directive", "plan", "spec"]
REVIEW_KINDS: tuple[ReviewKind, ...] = ("directive", "plan", "spec")
_KEY = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+")
_FINGERPRINT = re.compile(r"gpg:([0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})")
_ADDRESS = re.compile(r"[^\s@,\"'<>]+@[^\s@,\"'<>]+")


class Reviewer(NamedTuple):
    """One entry of the reviewers.

    `address` is an e-mail address, or the principals of a line for ssh's allowed signers; `signer` is that
    whole line, `fingerprint` that of an OpenPGP key.
    """

    address: str
    signer: str | None = None
    fingerprint: str | None = None


class ReviewRule(NamedTuple):
    """The rule of what needs an approval, by whom, and how it is asked for.

    `by` 'merge': the approved is what was merged into the plan's branch on `remote`; 'approval': what a
    reviewer has signed. `others`: the author alone may not approve. `queue` is the number of directives of a
    plan that may wait for an approval. `draft` and `labels` are for pull requests.
    """

    directives: bool = False
    plans: bool = False
    specs: bool = False
    by: Literal["merge", "approval"] = "merge"
    remote: str = "origin"
    reviewers: tuple[Reviewer, ...] = ()
    others: bool = False
    queue: int = 3
    draft: bool = False
    labels: tuple[str, ...] = ()

    def requires(self, kind: ReviewKind) -> bool:
        """Return whether things of this kind need an approval."""
        return {"directive": self.directives, "plan": self.plans, "spec": self.specs}[kind]

    @property
    def is_off(self) -> bool:
        """Return whether nothing needs an approval."""
        return not (self.directives or self.plans or self.specs)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the reviewers."""
        return tuple(dict.fromkeys(reviewer.address for reviewer in self.reviewers))


def review_from(document: Mapping[str, Any]) -> ReviewRule:
    """Build the review rule of a policy document, with its defaults."""
    default = ReviewRule()
    return ReviewRule(
        directives=document.get("directives") == "required",
        plans=document.get("plans") == "required",
        specs=document.get("specs") == "required",
        by=document.get("by", default.by),
        remote=document.get("remote", default.remote),
        reviewers=tuple(parse_reviewer(text) for text in document.get("reviewers", ())),
        others=document.get("others", default.others),
        queue=document.get("queue", default.queue),
        draft=document.get("draft", default.draft),
        labels=tuple(document.get("labels", ())),
    )


def parse_reviewer(text: str) -> Reviewer:
    """Parse an address, a line of ssh's allowed signers, or an address with 'gpg:FINGERPRINT'."""
    principals, _, rest = " ".join(text.split()).partition(" ")
    fingerprint = _FINGERPRINT.fullmatch(rest)
    if fingerprint:
        return Reviewer(principals, None, fingerprint[1].upper())
    return Reviewer(principals, f"{principals} {rest}" if rest else None)


def review_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of a review rule that the schema cannot express, '<json pointer>: what is wrong'."""
    for place, text in enumerate(document.get("reviewers", ())):
        reviewer, at = parse_reviewer(text), f"/review/reviewers/{place}"
        if reviewer.signer is None and not _ADDRESS.fullmatch(reviewer.address):
            yield f"{at}: '{reviewer.address[:80]}' is not an e-mail address"
        elif reviewer.signer is not None and not _is_signer(reviewer.signer):
            yield f"{at}: after '{reviewer.address[:80]}', neither a public key of ssh nor 'gpg:FINGERPRINT'"
    rule = review_from(document)
    has_keys = any(reviewer.signer or reviewer.fingerprint for reviewer in rule.reviewers)
    if rule.by == "approval" and not rule.is_off and not has_keys:
        yield "/review/reviewers: has no key; with 'by: approval' only a signature of a listed key approves"


def _is_signer(line: str) -> bool:
    words = line.split(" ")
    types = [place for place, word in enumerate(words) if place and _KEY.fullmatch(word)]
    return bool(types) and len(words) > types[0] + 1
