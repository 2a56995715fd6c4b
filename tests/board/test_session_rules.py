"""Rules of sessions: their life, their recovery and their names; docs/sessions.md prints the tables."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from git_planner.errors import PlannerError
from git_planner.rules.board.session import (
    ACTIVE,
    RECOVERY,
    STATES,
    TRANSITIONS,
    RecoveryStep,
    Session,
    SessionState,
    Sight,
    check_session_name,
    recovery_step,
)

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")


def session(state: SessionState) -> Session:
    run = "20261130T120000Z-abcdefgh"
    return Session(
        run, "planner", "planner", "default", state, "codex", "tmux", "here", "2026-11-30T12:00:00Z"
    )


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_only_listed_states_follow(before: SessionState, after: SessionState) -> None:
    if before == after or after in TRANSITIONS[before]:
        assert session(before).moved(after).state == after
    else:
        with pytest.raises(PlannerError, match="cannot become"):
            session(before).moved(after)


def test_every_state_leads_to_the_end() -> None:
    for state in STATES:
        assert state == "ended" or "ended" in TRANSITIONS[state]


def test_the_page_prints_the_transitions() -> None:
    for state, following in TRANSITIONS.items():
        assert f"| `{state}` | {', '.join(following)} |".replace("|  |", "| |") in PAGE


def test_the_page_prints_the_recovery() -> None:
    for state in STATES:
        steps = (RECOVERY[state, "gone", False], RECOVERY[state, "gone", True])
        assert f"| `{state}` | {steps[0]} | {steps[1]} |" in PAGE


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("process", get_args(Sight))
@pytest.mark.parametrize("has_result", [False, True])
def test_recovery_leads_to_a_state_that_may_follow(
    state: SessionState, process: Sight, has_result: bool
) -> None:
    step = recovery_step(state, process, has_result=has_result)
    goals: dict[RecoveryStep, set[str]] = {
        "end": {"ended"},
        "suspend": {"suspended", "ended"},
        "finish": {"ended", "needs_input"},
        "leave": {state},
    }
    allowed = {state, *TRANSITIONS[state]}
    assert goals[step] <= allowed
    # What lives, or cannot be seen, is left alone; what is dead does not stay active.
    assert step == "leave" if process != "gone" else not (step == "leave" and state in ACTIVE)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("planner", "planner"),
        ("worker-task_001", "worker-task_001"),
        ("worker-task-001", "worker-task_001"),
        ("task_7", "worker-task_007"),
        ("TASK-12", "worker-task_012"),
    ],
)
def test_names_are_found_by_any_spelling(spelled: str, name: str) -> None:
    assert check_session_name(spelled) == name


@pytest.mark.parametrize("name", ["", "-t", "a;rm", "worker-../x", "planner\n", "task_", "#{x}", "x" * 500])
def test_names_that_a_shell_or_tmux_would_misread_are_refused(name: str) -> None:
    if name == "planner\n":
        assert check_session_name(name) == "planner"
        return
    with pytest.raises(PlannerError, match="is no session"):
        check_session_name(name)
