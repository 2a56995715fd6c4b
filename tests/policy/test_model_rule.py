"""Admitted models: the policy's rule applied to names as services and people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.policy.model_rule import GEMINI, ModelRule, parse_model_name, refusal_reason


@pytest.mark.parametrize(
    "name",
    [
        "gemini-3-pro-preview",
        "gemini-3.1-pro-preview",
        "gemini-3-pro",
        "models/gemini-3-pro",
        "publishers/google/models/gemini-3.5-pro",
        "Gemini-3-Pro",
        "gemini-10-pro-exp-0801",
    ],
)
def test_admitted(name: str) -> None:
    assert refusal_reason(GEMINI, name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gemini-2.5-pro", "is older than 3"),
        ("gemini-2-pro", "is older than 3"),
        ("gemini-3-flash", "is a 'flash' model"),
        ("gemini-3.5-flash-lite", "is a 'flash' model"),
        ("gemini-3-pro-flash", "is a 'flash' model"),
        ("gemini-3-flashlite-pro", "is a 'flash' model"),
        ("gemini-3-ultra", "is no 'pro' model"),
        ("gemini-3-professional", "is no 'pro' model"),
        ("gpt-5.5-pro", "is not of the family 'gemini'"),
        ("gemini-pro-latest", "names no version"),
        ("gemini-pro-3", "names no version"),
        ("gemini", "names no version"),
        ("pro", "names no version"),
        ("auto", "names no version"),
        ("", "names no version"),
        ("gemini-3-pro --yolo", "names no version"),
        ("-gemini-3-pro", "names no version"),
        ("gemini-3-pro\n", "names no version"),
        ("gemini-٣-pro", "names no version"),
        ("gemini-3-pro and gemini-3-flash", "names no version"),
        ("gemini-3-pro" * 100, "names no version"),
    ],
)
def test_refused(name: str, why: str) -> None:
    assert why in (refusal_reason(GEMINI, name) or "")


def test_a_version_counts_by_number() -> None:
    rule = ModelRule("gemini", "3.2", (), (), "2026-11-28")
    assert refusal_reason(rule, "gemini-3.10-x") is None
    assert refusal_reason(rule, "gemini-3.2-x") is None
    assert refusal_reason(rule, "gemini-3.2.0-x") is None
    assert "older than 3.2" in (refusal_reason(rule, "gemini-3-x") or "")
    assert GEMINI.describe() == "'gemini' 3 or later, with 'pro', without 'flash' (as of 2026-11-28)"


@given(st.text(max_size=40))
def test_any_text_is_judged(name: str) -> None:
    assert (refusal_reason(GEMINI, name) is None) <= (parse_model_name(name) is not None)
