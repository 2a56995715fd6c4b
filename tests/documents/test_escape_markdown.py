"""Texts of others in Markdown: escaped, on one line, and without anything that a hosting site makes live."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.documents.escape_markdown import MAX_BODY, bound_body, code_span, escape_line

J = "\u200c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ask @user", f"ask \\@{J}user"),
        ("fixes #12 and !3", f"fixes \\#{J}12 and \\!{J}3"),
        ("GH-12", f"GH-{J}12"),
        ("see https://x.example", f"see https:{J}//x.example"),
        ("www.x.example", f"www{J}.x.example"),
        ("&#64;user $x$ ~y~", f"\\&\\#{J}64;user \\$x\\$ \\~y\\~"),
        ("a\x1b[31m\u202eb", "a\\\\x1b\\[31m\\\\u202eb"),
        ("two\nlines\u2028three", "two lines three"),
        ("a * b_c", "a \\* b\\_c"),
    ],
)
def test_what_is_live_is_disarmed(text: str, shown: str) -> None:
    assert escape_line(text) == shown


@given(st.text(), st.integers(1, 50))
def test_a_code_span_has_two_ticks_and_a_bound(text: str, most: int) -> None:
    span = code_span(text, most)
    assert span.count("`") == 2
    assert len(span) <= max(most, len("(empty)")) + 2
    assert "\n" not in span


def test_a_body_is_cut_at_a_line() -> None:
    assert bound_body("short\n", "cut") == "short\n"
    body = bound_body("a line of text\n" * MAX_BODY, "cut: see elsewhere")
    assert len(body) <= MAX_BODY
    assert body.endswith("a line of text\n\n(cut: see elsewhere)\n")
