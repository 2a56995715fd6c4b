"""The key 'review' of the policy: who may approve, and what is refused."""

from __future__ import annotations

import pytest

from git_planner.rules.policy.review_rule import Reviewer, parse_reviewer
from tests.policy.test_settings import JUDGED, refused

FINGERPRINT = "0123456789ABCDEF0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "reviewer"),
    [
        ("ann@example.org", Reviewer("ann@example.org")),
        ("a@b.c  ssh-rsa  AAAA", Reviewer("a@b.c", "a@b.c ssh-rsa AAAA")),
        (
            '*@b.c namespaces="git" ecdsa-sha2-nistp256 AAAA me',
            Reviewer("*@b.c", '*@b.c namespaces="git" ecdsa-sha2-nistp256 AAAA me'),
        ),
        (f"a@b.c gpg:{FINGERPRINT}", Reviewer("a@b.c", None, FINGERPRINT.upper())),
    ],
)
def test_a_reviewer_is_an_address_or_an_address_with_a_key(text: str, reviewer: Reviewer) -> None:
    assert parse_reviewer(text) == reviewer


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ("{reviewers: [ann]}", "/review/reviewers/0: 'ann' is not an e-mail address"),
        (
            "{reviewers: ['a@b.c hello there']}",
            "/review/reviewers/0: after 'a@b.c', neither a public key of ssh nor 'gpg:FINGERPRINT'",
        ),
        (
            "{reviewers: ['a@b.c gpg:1234']}",
            "/review/reviewers/0: after 'a@b.c', neither a public key of ssh nor 'gpg:FINGERPRINT'",
        ),
        (
            "{plans: required, by: approval, reviewers: [a@b.c]}",
            "/review/reviewers: has no key; with 'by: approval' only a signature of a listed key approves",
        ),
        ("{directives: yes}", "/review/directives: must be one of 'off', 'required', not 'yes'"),
        ("{remote: -x}", None),
        ("{queue: 0}", None),
    ],
)
def test_a_rule_that_could_never_approve_is_refused(rule: str, detail: str | None) -> None:
    problem = refused(f"{JUDGED}review: {rule}\n")
    assert problem.code == "E_POLICY"
    if detail is not None:
        assert problem.details == (detail,)
