"""Packets, policies, requests and briefs for the tests of agents."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from git_planner import documents
from git_planner.agents.confinement import Confinement
from git_planner.agents.contract import AnswerKind, Brief, PlanningRequest
from git_planner.agents.prompts import planner_prompt
from git_planner.config.policy_file import parse_policy
from git_planner.host.jail import NoJail
from git_planner.rules.planning import planning_plan
from git_planner.rules.planning.directive import directive_from
from git_planner.rules.policy.policy import Policy

# Agents of the tests run without a jail, unless the test is about it.
UNCONFINED = Confinement(NoJail("turned off by the test"))
FAMILIES = ("family:schedule", "family:reduce_loads")
DIRECTIVE: Mapping[str, Any] = {
    "schema": "git-planner/directive@1",
    "objective": "Fewer cycles.",
    "primary_hypothesis": "Loads wait.",
    "strategy_family": "family:schedule",
    "strategy_modifiers": [],
    "risk": "Low",
    "expected_effect": -5,
    "change_summary": ["Loads come first."],
    "step_plan": ["Read.", "Move the loads.", "Check."],
    "validation": {"commands": ["make test"], "pass_criteria": ["Tests pass."]},
    "next_packet_requests": [],
    "did_web_search": False,
}


def packet(**changes: Any) -> dict[str, Any]:
    """Return a valid packet: iteration 3, best 1441 cycles, two families of which one is blocked."""
    oid = "1" * 40
    document: dict[str, Any] = {
        "schema": "git-planner/packet@1",
        "iteration": 3,
        "timestamp": "2026-11-21T12:00:00Z",
        "plan": "default",
        "branch": "iter/0003-next",
        "base": oid,
        "base_ref": "refs/heads/iter/best",
        "repo": {"origin_url": None, "github_web_url": None, "base": oid, "worktree_path": None},
        "goal": "best",
        "goal_text": "Make the kernel faster.",
        "threshold": None,
        "metric": {"name": "cycles", "unit": "cycles", "better": "lower"},
        "best": 1441.0,
        "aspiration": 1440.0,
        "plateau_valid_iters_since_best": 2,
        "constraints": {
            "allow": ["src/**"],
            "forbid": ["src/simulator.py"],
            "guard": ["tests/**"],
            "notes": ["Keep it readable."],
        },
        "acceptance_criteria": ["All tests pass."],
        "strategy_family_constraints": {
            "allowed_families": ["family:reduce_loads"],
            "blocked_families": ["family:schedule"],
            "current_family": "family:schedule",
            "current_family_streak_len": 2,
            "last_attempt_meaningful_win": False,
            "max_consecutive": 2,
            "policy": {"max_consecutive_default": 2, "max_consecutive_bonus": 3, "bonus_min_improvement": 10},
            "reason": "the last 2 attempts were of 'family:schedule'; at most 2 in a row",
        },
        "iteration_hint": "2 attempt(s) so far. The best is 1441 cycles.",
        "cold_start": False,
        "base_context": commit(oid, "base of it all"),
        "inspirations": [commit("2" * 40, "loads first"), commit("3" * 40, "loads last")],
        "experiment_log_tail": [row(number) for number in (1, 2)],
        "experiment_summary": {
            "best_value": 1441.0,
            "best_by_family": {"family:schedule": 1441.0},
            "last_attempt": attempt(2),
            "last_valid_attempt": attempt(2),
            "recent_attempts": [attempt(1), attempt(2)],
            "recent_strategy_combos": [],
            "invalid_counts": {"total": 1, "guard": 1},
        },
        "code_context": {"src/kernel.py": "def kernel():\n    return 1\n"},
        "performance_profile": {"loads": 12},
        "planner_model": None,
        **changes,
    }
    documents.check("packet", document, "the packet of the tests")
    return document


def commit(oid: str, summary: str) -> dict[str, Any]:
    """Return a commit of a packet."""
    metric = {"name": "cycles", "value": 1441.0, "unit": "cycles", "better": "lower", "summary": None}
    return {
        "commit": oid,
        "summary": summary,
        "highlights": ["One point."],
        "evaluation_summary": "PASS; cycles=1441",
        "metrics": [metric],
        "extra_context": {"strategy_tags": ["family:schedule"]},
    }


def attempt(number: int) -> dict[str, Any]:
    """Return an attempt of a packet."""
    return {
        "record": f"20261121T1200{number:02d}Z-abcdefgh",
        "iteration": number,
        "branch": f"iter/{number:04d}-next",
        "commit": f"{number}" * 40,
        "valid": True,
        "verdict": "improved",
        "value": 1440.0 + number,
        "delta": -2.0,
        "strategy_tags": ["family:schedule", "gather"],
        "result_summary": f"PASS; cycles={1440 + number}",
        "reason": None,
    }


def row(number: int) -> dict[str, Any]:
    """Return a row of the experiment log."""
    return {
        **attempt(number),
        "created_at": "2026-11-21T12:00:00Z",
        "hypothesis": "Loads wait.",
        "change_summary": ["Loads come first."],
        "files": ["src/kernel.py"],
        "violations": [],
        "notes": [],
        "threshold_met": False,
    }


def request(
    folder: Path, kind: AnswerKind = "directive", *, seconds: float = 20, attempts: int = 3, **changes: Any
) -> PlanningRequest:
    """Return a planning request as the flows make it."""
    request_packet = packet()
    choice: dict[str, Sequence[str]] = (
        {"families": FAMILIES, "blocked": ("family:reduce_loads",)} if kind == "directive" else {}
    )
    if kind == "directive":
        request_packet["strategy_family_constraints"]["allowed_families"] = ["family:schedule"]
        request_packet["strategy_family_constraints"]["blocked_families"] = ["family:reduce_loads"]
    schema = documents.schema(kind, **choice)
    planning_request = PlanningRequest(
        kind=kind,
        packet=request_packet,
        prompt=planner_prompt(request_packet, kind, schema, 30_000),
        schema=schema,
        strict_schema=documents.strict_schema(kind, **choice),
        check=partial(_faults, kind, choice),
        working_dir=folder,
        folder=folder / "run",
        seconds=seconds,
        attempts=attempts,
    )
    return replace(planning_request, **changes)


def _faults(kind: AnswerKind, choice: Mapping[str, Sequence[str]], document: Any) -> list[str]:
    faults = documents.validate(kind, document, **choice)
    return faults or (planning_plan.find_step_faults(document) if kind == "planning-plan" else [])


def brief(worktree: Path, folder: Path, **changes: Any) -> Brief:
    """Return a brief as the flows make it."""
    implementer_brief = Brief(
        directive=directive_from(DIRECTIVE),
        prompt="Carry it out: ümlaut.",
        worktree=worktree,
        folder=folder,
        index=0,
        seconds=20,
    )
    return replace(implementer_brief, **changes)


def policy(agents: str = "{}") -> Policy:
    """Return a policy with an 'agents' part in YAML flow style."""
    text = (
        "schema: git-planner/policy@1\nguard: ['tests/**']\n"
        "metrics: [{name: cycles, run: ['true'], pattern: '(\\d+)', better: lower}]\n"
        f"agents: {agents}\n"
    )
    return parse_policy(text.encode(), "the policy of the tests")


def outcome(folder: Path, number: int) -> dict[str, Any]:
    """Return the outcome of one attempt without its duration."""
    document: dict[str, Any] = json.loads((folder / f"attempt-{number}" / "outcome.json").read_text())
    document.pop("seconds")
    return document


@contextmanager
def variables(**values: str | None) -> Iterator[None]:
    """Set environment variables of this process temporarily; None unsets one."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Progress(list[str]):
    """Progress messages of an agent; its `append` is passed as `progress`."""
