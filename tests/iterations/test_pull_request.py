"""The text of a pull request."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.documents.escape_markdown import escape_line
from git_planner.rules.iterations.pull_request import render_body
from git_planner.rules.planning.directive import Directive, IterationState
from git_planner.rules.records import record as records
from git_planner.rules.records.record import MeasuredMetric, Record

DIRECTIVE = Directive(
    objective="Lower the cost",
    primary_hypothesis="Fewer loads",
    strategy_family="family:schedule",
    strategy_modifiers=("early",),
    risk="Low",
    expected_effect=-10,
    change_summary=("Move the load",),
    step_plan=("a", "b", "c"),
    commands=("x",),
    pass_criteria=("y",),
    next_packet_requests=(),
    did_web_search=False,
)
STATE = IterationState(
    plan="default",
    iteration=2,
    slug="x",
    branch="iter/0002-x",
    base="b" * 40,
    base_ref="main",
    goal="best",
    threshold=None,
    packet="p" * 64,
    directive=DIRECTIVE,
    directive_digest="d" * 64,
    planner={"name": "offline", "model": None, "attempts": 1, "seconds": 0.0},
    created_at="2026-11-21T12:00:00Z",
)


def measured(value: float, spread: float = 0.0) -> MeasuredMetric:
    """One metric."""
    return MeasuredMetric("cost", "points", "lower", (value,), value, spread)


def record(name: str, value: float | None, **more: object) -> Record:
    """A record with the fields that matter here."""
    plain = Record(
        id=name,
        plan="default",
        kind="attempt",
        verdict="improved",
        reason=None,
        commit="c" * 40,
        tree="t" * 40,
        patch_id=None,
        base="b" * 40,
        branch="iter/0002-x",
        iteration=2,
        slug="x",
        instrument="i" * 64,
        environment_digest=None,
        metrics=(measured(value),) if value is not None else (),
        hypothesis="Fewer loads",
        summary="cost 80 points",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


BASELINE = record("r0", 100.0, kind="baseline", verdict="within_noise", branch=None)
BAD = record("r1", None, verdict="invalid", reason="guard", branch="iter/0001-bad")
GOOD = record("r2", 80.0, tests=records.TestCounts(collected=5, passed=4, failed=0, skipped=1, ids="e" * 64))


def test_the_whole_text() -> None:
    assert (
        render_body(STATE, GOOD, [BASELINE, BAD, GOOD])
        == f"""\
## Directive

**Lower the cost**

Fewer loads

Risk: Low. Strategy: family:schedule, early.

- Move the load

## Result

| metric | before | after | change |
| --- | ---: | ---: | ---: |
| cost (lower is better) | 100 points | 80 points | -20 (-20.0%) |

Verdict: improved. cost 80 points

## Tests

4 of 5 passed, 0 failed, 1 skipped; run from the trusted base's own tests.

## Other attempts

- `iter/0001-bad`: invalid, guarded paths changed. Fewer loads

## Where this comes from

- Instrument: `{"i" * 64}`
- Record: `r2` on `plan/default`
- Directive: `{"d" * 64}`
- Reproduce: `git record verify {"c" * 40}`
"""
    )


def test_without_tests_baseline_or_others_it_is_shorter() -> None:
    text = render_body(STATE, replace(GOOD, tests=None, metrics=(measured(80.0, 1.5),)), [])
    assert "## Tests" not in text
    assert "## Other attempts" not in text
    assert "| cost | | 80 ± 1.5 points | |" in text


def test_many_attempts_are_cut() -> None:
    many = [replace(BAD, id=f"b{turn}") for turn in range(45)]
    text = render_body(STATE, GOOD, [*many, GOOD])
    assert text.count("`iter/0001-bad`") == 30
    assert "- and 15 before these" in text


@given(st.text())
def test_foreign_words_stay_words(text: str) -> None:
    shown = escape_line(text)
    assert "\n" not in shown
    for character in "<>[]!|@#":
        assert character not in shown.replace(f"\\{character}", "")
