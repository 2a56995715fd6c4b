"""The family rule, the summary of attempts and what else a packet tells."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.planning import packet
from git_planner.rules.policy.policy import Families, Metric
from git_planner.rules.records.ranking import attempts_since_best
from git_planner.rules.records.record import MeasuredMetric, Record

FAMILIES = Families(("schedule", "reduce_loads", "break_deps"), streak=2, bonus_streak=3, bonus_gain=10)
CYCLES = Metric("cycles", ("true",), r"(\d+)", None, "cycles", "lower", "deterministic", 1, 60)


def row(number: int, family: str | None, value: float | None, **more: Any) -> Record:
    """An attempt; without a value it is invalid."""
    better = more.pop("better", "lower")
    measured = (MeasuredMetric("cycles", "cycles", better, (value,), value, 0.0),) if value else ()
    verdict = more.pop("verdict", "worse" if value else "invalid")
    return Record(
        id=f"r{number}",
        plan="default",
        kind=more.pop("kind", "attempt"),
        verdict=verdict,
        reason=more.pop("reason", None if value else "incorrect"),
        commit="c" * 40,
        tree="t" * 40,
        patch_id=None,
        base="b" * 40,
        branch=f"iter/{number:04d}-x",
        iteration=number,
        slug="x",
        instrument=more.pop("instrument", "i1"),
        environment_digest="e1",
        metrics=measured,
        strategy=(f"family:{family}",) if family else (),
        **more,
    )


def rule(*rows: Record, families: Families = FAMILIES) -> dict[str, Any]:
    document = packet.family_rule(rows, families).document()
    del document["policy"]
    return document


def verdict(blocked: str | None, current: str | None, streak: int, limit: int = 2) -> dict[str, Any]:
    names = [f"family:{name}" for name in FAMILIES.names]
    full = f"family:{current}" if current else None
    held = f"the last {streak} attempts were of '{full}'; at most {limit} in a row"
    return {
        "allowed_families": [name for name in names if name != f"family:{blocked}"],
        "blocked_families": [f"family:{blocked}"] if blocked else [],
        "current_family": full,
        "current_family_streak_len": streak,
        "last_attempt_meaningful_win": limit == 3,
        "max_consecutive": limit,
        "reason": held if blocked else None,
    }


def test_nothing_is_blocked_at_the_start() -> None:
    assert rule() == verdict(None, None, 0)


def test_two_of_one_family_block_it_valid_or_not() -> None:
    assert rule(row(1, "schedule", 100), row(2, "schedule", None)) == verdict("schedule", "schedule", 2)


def test_one_is_no_streak() -> None:
    assert rule(row(1, "break_deps", 100), row(2, "schedule", 99)) == verdict(None, "schedule", 1)


def test_an_unknown_family_ends_the_streak() -> None:
    assert rule(row(1, "schedule", 100), row(2, "magic", 90), row(3, "schedule", 95)) == verdict(
        None, "schedule", 1
    )
    assert rule(row(1, "schedule", 100), row(2, None, 90)) == verdict(None, None, 0)


def test_a_baseline_is_no_attempt() -> None:
    rows = row(1, "schedule", 100), row(2, None, 100, kind="baseline"), row(3, "schedule", 99)
    assert rule(*rows) == verdict("schedule", "schedule", 2)


def test_a_gain_of_ten_allows_a_third_and_a_gain_of_nine_does_not() -> None:
    assert rule(row(1, "schedule", 100), row(2, "schedule", 90)) == verdict(None, "schedule", 2, limit=3)
    assert rule(row(1, "schedule", 100), row(2, "schedule", 91)) == verdict("schedule", "schedule", 2)


def test_the_third_blocks_even_when_it_gained() -> None:
    rows = row(1, "schedule", 100), row(2, "schedule", 90), row(3, "schedule", 80)
    assert rule(*rows) == verdict("schedule", "schedule", 3, limit=3)


def test_the_gain_is_over_the_best_earlier_one_of_the_streak() -> None:
    rows = row(1, "schedule", 80), row(2, "schedule", 100), row(3, "schedule", 79)
    assert rule(*rows) == verdict("schedule", "schedule", 3)
    worse = row(1, "schedule", 100), row(2, "schedule", 80), row(3, "schedule", 75)
    assert rule(*worse)["last_attempt_meaningful_win"] is False
    outside = row(1, "break_deps", 10), row(2, "schedule", 100), row(3, "schedule", 90)
    assert rule(*outside) == verdict(None, "schedule", 2, limit=3)


def test_a_gain_counts_in_the_direction_of_the_metric() -> None:
    up = row(1, "schedule", 100, better="higher"), row(2, "schedule", 110, better="higher")
    assert rule(*up) == verdict(None, "schedule", 2, limit=3)
    down = row(1, "schedule", 110, better="higher"), row(2, "schedule", 100, better="higher")
    assert rule(*down) == verdict("schedule", "schedule", 2)


def test_values_of_different_instruments_are_never_a_gain() -> None:
    rows = row(1, "schedule", 100), row(2, "schedule", 50, instrument="i2")
    assert rule(*rows) == verdict("schedule", "schedule", 2)


def test_an_invalid_last_attempt_has_gained_nothing() -> None:
    lost = row(2, "schedule", 50, verdict="invalid", reason="incorrect")
    assert rule(row(1, "schedule", 100), lost) == verdict("schedule", "schedule", 2)


def test_the_only_family_is_never_blocked() -> None:
    only = Families(("schedule",), 2, 3, 10)
    rows = [row(number, "schedule", 100) for number in (1, 2, 3)]
    assert rule(*rows, families=only)["allowed_families"] == ["family:schedule"]


@given(
    st.lists(st.tuples(st.sampled_from(["schedule", "reduce_loads", "magic", None]), st.integers(0, 60))),
    st.sampled_from(["lower", "higher"]),
)
def test_at_least_one_known_family_is_always_allowed(steps: list[tuple[Any, int]], better: str) -> None:
    rows = [row(n, family, value or None, better=better) for n, (family, value) in enumerate(steps, 1)]
    rule = packet.family_rule(rows, FAMILIES)
    known = {f"family:{name}" for name in FAMILIES.names}
    assert set(rule.allowed) | set(rule.blocked) == known
    assert rule.allowed
    assert (rule.blocked != ()) == (rule.streak >= rule.limit)
    tail = [packet.family_of(record) for record in rows[len(rows) - rule.streak :]]
    assert set(tail) <= {rule.current}
    if rule.streak < len(rows) and rule.streak:
        assert packet.family_of(rows[len(rows) - rule.streak - 1]) != rule.current


def test_an_equal_result_does_not_end_a_plateau() -> None:
    rows = [
        row(1, None, 100),
        row(2, None, 90, verdict="improved"),
        row(3, None, 90, verdict="within_noise"),
        row(4, None, None),
        row(5, None, 95),
    ]
    assert attempts_since_best(rows) == 2


def test_the_summary_of_a_campaign() -> None:
    rows = [
        row(0, None, 100, kind="baseline"),
        row(1, "schedule", 90, verdict="improved", delta=-10.0, summary="better"),
        row(2, "schedule", None, reason="guard"),
        row(3, "break_deps", 95),
        row(4, None, None, reason="incorrect"),
    ]
    last = {
        "record": "r4",
        "iteration": 4,
        "branch": "iter/0004-x",
        "commit": "c" * 40,
        "valid": False,
        "verdict": "invalid",
        "value": None,
        "delta": None,
        "strategy_tags": [],
        "result_summary": "",
        "reason": "tests failed",
    }
    summary = packet.experiment_summary(rows)
    assert summary["last_attempt"] == last
    assert [attempt["iteration"] for attempt in summary["recent_attempts"]] == [1, 2, 3, 4]
    assert summary["last_valid_attempt"] == packet.summarize_attempt(rows[3])
    assert summary["recent_strategy_combos"] == [
        {
            "iteration": number,
            "strategy_tags": [f"family:{family}"],
            "valid": value is not None,
            "value": value,
            "reason": reason,
        }
        for number, family, value, reason in [
            (1, "schedule", 90, None),
            (2, "schedule", None, "guarded paths changed"),
            (3, "break_deps", 95, None),
        ]
    ]
    assert {key: summary[key] for key in ("best_value", "best_by_family", "invalid_counts")} == {
        "best_value": 90,
        "best_by_family": {"family:schedule": 90, "family:break_deps": 95},
        "invalid_counts": {"total": 2, "guard": 1, "incorrect": 1},
    }


def test_the_summary_of_nothing() -> None:
    assert packet.experiment_summary([]) == {
        "best_value": None,
        "best_by_family": {},
        "last_attempt": None,
        "last_valid_attempt": None,
        "recent_attempts": [],
        "recent_strategy_combos": [],
        "invalid_counts": {"total": 0},
    }


def test_the_best_is_of_the_newest_instrument_only() -> None:
    rows = [row(1, "schedule", 10), row(2, "schedule", 90, instrument="i2")]
    assert packet.experiment_summary(rows)["best_value"] == 90


def test_the_summary_is_bounded() -> None:
    rows = [row(number, "schedule", 1000 - number) for number in range(1, 100)]
    summary = packet.experiment_summary(rows)
    assert [attempt["iteration"] for attempt in summary["recent_attempts"]] == list(range(92, 100))
    assert [combo["iteration"] for combo in summary["recent_strategy_combos"]] == list(range(85, 100))
    assert [item["iteration"] for item in packet.log_tail(rows)] == list(range(80, 100))
    assert [item["iteration"] for item in packet.log_tail(rows, 2)] == [98, 99]
    assert packet.log_tail(rows, 0) == []


def test_aspiration_is_one_better_than_a_whole_best() -> None:
    up = Metric("score", ("true",), r"(\d+)", None, "points", "higher", "deterministic", 1, 60)
    assert packet.compute_aspiration(1363.0, CYCLES, "best") == 1362
    assert packet.compute_aspiration(1363.0, up, "best") == 1364
    assert packet.compute_aspiration(1.5, CYCLES, "best") is None
    assert packet.compute_aspiration(1363.0, CYCLES, "threshold") is None
    assert packet.compute_aspiration(None, CYCLES, "best") is None
    assert packet.compute_aspiration(1363.0, None, "best") is None


def test_cold_start_ends_with_the_first_valid_attempt() -> None:
    baseline = row(0, None, 100, kind="baseline")
    assert packet.is_cold_start([baseline, row(1, "schedule", None)])
    assert not packet.is_cold_start([baseline, row(1, "schedule", 99)])


def test_inspirations_are_the_best_and_the_recent_each_once() -> None:
    rows = [row(number, None, value) for number, value in enumerate([100, 60, 95, 70, 80, 90, 94], 1)]
    assert [inspiration.iteration for inspiration in packet.pick_inspirations(rows, 2)] == [2, 4, 7, 6]
    assert packet.pick_inspirations([row(1, None, None)]) == []


def test_the_hint_tells_best_plateau_and_failures() -> None:
    rows = [row(1, None, 90), row(2, None, 90), row(3, None, None), row(4, None, None, reason="guard")]
    assert packet.iteration_hint([], "cycles") is None
    assert packet.iteration_hint(rows, "cycles") == (
        "4 attempt(s) so far. The best is 90 cycles. 1 valid attempt(s) since the last improvement. "
        "The last 2 attempt(s) gave no valid result: guarded paths changed; tests failed."
    )


def test_a_commit_with_its_record() -> None:
    record = row(3, "schedule", 90, summary="good", change_summary=("x",), hypothesis="h")
    assert packet.commit_context("c" * 40, "a subject", record) == {
        "commit": "c" * 40,
        "summary": "a subject",
        "highlights": ["x"],
        "evaluation_summary": "good",
        "metrics": [{"name": "cycles", "value": 90, "unit": "cycles", "better": "lower", "summary": None}],
        "extra_context": {"strategy_tags": ["family:schedule"], "iteration": 3, "hypothesis": "h"},
    }
    assert packet.commit_context("c" * 40, "a subject", None) == {
        "commit": "c" * 40,
        "summary": "a subject",
        "highlights": [],
        "evaluation_summary": None,
        "metrics": [],
        "extra_context": {},
    }


@pytest.mark.parametrize(
    ("origin", "web"),
    [
        ("https://github.com/ada/engine.git", "https://github.com/ada/engine"),
        ("https://token:x-oauth@github.com/ada/engine", "https://github.com/ada/engine"),
        ("http://forge.local:3000/ada/engine.git/", "http://forge.local:3000/ada/engine"),
        ("git@github.com:ada/engine.git", "https://github.com/ada/engine"),
        ("ssh://git@github.com:22/ada/engine.git", "https://github.com/ada/engine"),
        ("/srv/git/engine.git", None),
        ("file:///srv/git/engine.git", None),
        ("../engine", None),
        ("C:/engine", None),
        (None, None),
        ("https://github.com/", None),
    ],
)
def test_web_addresses(origin: str | None, web: str | None) -> None:
    assert packet.web_url(origin) == web


def test_an_origin_loses_its_password() -> None:
    assert packet.strip_credentials("https://ada:secret@forge/x.git") == "https://forge/x.git"
    assert packet.strip_credentials("git@forge:x.git") == "git@forge:x.git"
    assert packet.strip_credentials("/srv/x") == "/srv/x"
