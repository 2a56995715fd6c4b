"""When loops end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import CODES
from git_planner.rules.iterations import stop
from git_planner.rules.iterations.stop import LoopProgress
from git_planner.rules.policy.policy import Stop

FREE = Stop(invalid=None)


@pytest.mark.parametrize(
    ("rules", "progress", "sentence"),
    [
        (FREE, LoopProgress(attempts=900, seconds=1e6, tokens=10**9, invalid=50, flat=50), None),
        (Stop(count=3), LoopProgress(attempts=2), None),
        (Stop(count=3), LoopProgress(attempts=3), "3 of 3 attempts are done"),
        (Stop(wall=60.0), LoopProgress(seconds=59.9), None),
        (Stop(wall=60.0), LoopProgress(seconds=61.2), "61 of 60 seconds are used"),
        (Stop(tokens=1000), LoopProgress(tokens=1200), "1200 of 1000 tokens are used"),
        (Stop(), LoopProgress(invalid=2), None),
        (Stop(), LoopProgress(invalid=3), "3 attempts in a row gave no valid result"),
        (Stop(plateau=5), LoopProgress(flat=5), "5 valid attempts in a row were no improvement"),
        (FREE, LoopProgress(threshold_met=True), "the threshold is met"),
        (FREE, LoopProgress(exhausted=True), "the implementer has nothing left to try"),
        (Stop(count=0), LoopProgress(), "0 of 0 attempts are done"),
    ],
)
def test_the_sentence_names_the_rule(rules: Stop, progress: LoopProgress, sentence: str | None) -> None:
    assert stop.stop_reason(rules, progress) == sentence


def test_an_attempt_counts_where_it_belongs() -> None:
    progress = LoopProgress()
    progress = progress.after(seconds=1.0, tokens=10, valid=True, improved=True, threshold_met=False)
    progress = progress.after(seconds=2.0, tokens=5, valid=True, improved=False, threshold_met=False)
    progress = progress.after(seconds=3.0, tokens=0, valid=False, improved=False, threshold_met=False)
    assert progress == LoopProgress(attempts=3, seconds=3.0, tokens=15, invalid=1, flat=1)
    progress = progress.after(seconds=4.0, tokens=1, valid=True, improved=True, threshold_met=True)
    assert progress == LoopProgress(attempts=4, seconds=4.0, tokens=16, threshold_met=True)


def test_flags_win_over_the_policy_and_silence_does_not() -> None:
    policy = Stop(count=5, invalid=3, plateau=4)
    assert stop.merge_stop_rules(policy, {"count": 2, "invalid": None, "wall": 9.0}) == Stop(
        2, 9.0, None, 3, 4
    )


def test_errors_that_pass_are_known_errors() -> None:
    assert sorted(stop.TRANSIENT_CODES - CODES.keys()) == []
    assert not stop.is_transient_code("E_MISSING_TOOL")
    assert stop.is_transient_code("E_DEADLINE")


attempt = st.tuples(st.booleans(), st.booleans())


@given(st.lists(attempt, max_size=40), st.integers(1, 6))
def test_a_loop_ends_at_the_first_run_of_invalid_attempts(
    attempts: list[tuple[bool, bool]], limit: int
) -> None:
    progress, row = LoopProgress(), 0
    for valid, improved in attempts:
        progress = progress.after(
            seconds=0.0, tokens=0, valid=valid, improved=valid and improved, threshold_met=False
        )
        row = 0 if valid else row + 1
        assert (stop.stop_reason(Stop(invalid=limit), progress) is not None) == (row >= limit)
