"""Valid documents and typed values, and hypothesis strategies that generate more."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from git_planner.rules.planning.directive import Directive, IterationState
from git_planner.rules.records.record import MeasuredMetric, Record, TestCounts

OID, OTHER, DIGEST = "a" * 40, "0123456789abcdef" * 4, "c" * 64
TIME = "2026-11-21T11:40:55Z"
RECORD_ID = "20261121T114055Z-k3v9x2ab"

DIRECTIVE = Directive(
    objective="Fewer loads",
    primary_hypothesis="A load costs more than two adds",
    strategy_family="family:reduce_loads",
    strategy_modifiers=("hoist",),
    risk="Low",
    expected_effect=-12,
    change_summary=("Hoist the load",),
    step_plan=("Find it", "Hoist it", "Run it"),
    commands=("make test",),
    pass_criteria=("fewer cycles",),
    next_packet_requests=(),
    did_web_search=False,
)
STATE = IterationState(
    plan="default",
    iteration=7,
    slug="next",
    branch="iter/0007-next",
    base=OID,
    base_ref="iter/best",
    goal="threshold",
    threshold=1363.0,
    packet=DIGEST,
    directive=DIRECTIVE,
    directive_digest=DIGEST,
    planner={
        "name": "codex",
        "model": None,
        "attempts": 2,
        "seconds": 1.5,
        "usage": {"input": 1, "output": 2},
    },
    created_at=TIME,
)
STEP: dict[str, Any] = {
    "id": "s1",
    "title": "Hoist",
    "intent": "Fewer loads",
    "actions": ["Do it"],
    "files": ["src/a.py"],
    "dependencies": [],
    "validation": ["make test"],
    "risks": ["none"],
    "references": ["a1b2c3"],
}
PLANNING_PLAN: dict[str, Any] = {
    "schema": "git-planner/planning-plan@1",
    "plan_summary": "Hoist, then schedule",
    "rationale": "Loads first",
    "focus_metrics": ["cycles"],
    "guardrails": ["tests stay"],
    "risks": ["none"],
    "validation": ["make test"],
    "steps": [STEP, {**STEP, "id": "s2", "title": "Schedule", "files": [], "dependencies": ["s1"]}],
    "handoff_notes": ["good luck"],
    "fallback_plan": None,
}
RECORD = Record(
    id=RECORD_ID,
    plan="default",
    kind="attempt",
    verdict="improved",
    reason=None,
    commit=OID,
    tree=OTHER,
    patch_id=OID,
    base=OID,
    branch="iter/0007-next",
    iteration=7,
    slug="next",
    instrument=DIGEST,
    environment_digest=DIGEST,
    environment={"python": "3.11", "cpus": 2, "quiet": True, "load": None},
    metrics=(MeasuredMetric("cycles", "cycles", "lower", (1441.0, 1443.0), 1442.0, 2.0),),
    tests=TestCounts(3, 2, 0, 1, DIGEST),
    best_before=1500.0,
    delta=-58.0,
    threshold=1363.0,
    cached_from=RECORD_ID,
    directive=DIGEST,
    packet=DIGEST,
    strategy=DIRECTIVE.strategy,
    hypothesis="A load costs more than two adds",
    change_summary=("Hoist the load",),
    files=("src/a.py",),
    violations=("tests/x.py",),
    summary="1442 cycles, 58 fewer",
    notes=("noted",),
    agents={"planner": {"name": "codex", "model": None}},
    usage={"input": 10},
    seconds={"metric": 0.5},
    created_at=TIME,
)
POLICY: dict[str, Any] = {
    "schema": "git-planner/policy@1",
    "base": "main",
    "goal": "Fewer cycles",
    "constraints": ["Stay in the kernel"],
    "acceptance": ["Tests pass"],
    "verify": ["python -m pytest -q 'my tests'", ["make", "check"]],
    "guard": ["tests/**", "pytest.ini"],
    "scope": {"allow": ["src/**"], "forbid": ["src/simulator.py"]},
    "correctness": {"run": ["python", "-m", "pytest"], "proof": "junit", "require": ["t::a"], "timeout": 60},
    "metrics": [
        {
            "name": "cycles",
            "run": ["python", "tests/bench.py"],
            "pattern": r"CYCLES:\s*(\d+)",
            "agree": "all",
            "unit": "cycles",
            "better": "lower",
            "kind": "deterministic",
            "repeats": 3,
            "timeout": 60,
        },
        {"name": "size", "run": ["size"], "pointer": "/a/0", "better": "lower"},
    ],
    "families": {"names": ["schedule", "reduce_loads"], "streak": 2, "bonus_streak": 3, "bonus_gain": 10},
    "profile": {"run": ["python", "profile.py"], "timeout": 5},
    "context": ["src/kernel.py"],
    "prompt_budget": 50_000,
    "environment": ["CI"],
    "agents": {
        "planner": "command",
        "implementer": "patches",
        "researcher": "command",
        "critic": "command",
        "models": {"planner": "p", "researcher": "r"},
        "timeouts": {"planner": 5, "implementer": 6, "researcher": 7},
        "attempts": 2,
        "command": {
            "planner": {"run": ["plan"], "timeout": 7},
            "implementer": {"run": ["do"]},
            "researcher": {"run": ["look"]},
            "critic": {"run": ["judge"]},
        },
        "patches": "patches",
    },
    "critics": {
        "budget": 20_000,
        "gemini": {
            "model": "gemini-4-pro",
            "timeout": 8,
            "models": {"family": "gemini", "min_version": 4, "require": ["pro"], "as_of": "2027-01-01"},
        },
        "codex": {"model": "gpt-6"},
    },
    "stop": {"count": 5, "wall": 60, "tokens": 1000, "invalid": None, "plateau": 4},
    "gates": {
        "conceptual": ["guard", "canon"],
        "shipping": [
            "tests",
            {"name": "lint", "run": ["ruff", "check", "."], "timeout": 60, "required": False},
            {
                "name": "side_effects",
                "run": ["python", "run.py"],
                "effects": ["FS:write"],
                "write": ["out/**"],
            },
        ],
    },
    "review": {
        "directives": "required",
        "plans": "off",
        "by": "merge",
        "remote": "upstream",
        "reviewers": ["ann@example.org", "ben@example.org ssh-ed25519 AAAA1"],
        "others": True,
        "queue": 2,
        "draft": True,
        "labels": ["plan"],
    },
}
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"), min_size=1, max_size=20
).filter(str.strip)


def lists(least: int, most: int) -> st.SearchStrategy[list[str]]:
    """Return a strategy of lists of texts."""
    return st.lists(TEXTS, min_size=least, max_size=most)


def texts(least: int, most: int) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a strategy of tuples of texts."""
    return lists(least, most).map(tuple)


DIRECTIVES = st.builds(
    Directive,
    objective=TEXTS,
    primary_hypothesis=TEXTS,
    strategy_family=st.from_regex(r"family:[a-z0-9]+([_.-][a-z0-9]+)*", fullmatch=True).filter(
        lambda family: len(family) <= 80
    ),
    strategy_modifiers=texts(0, 3),
    risk=st.sampled_from(["Low", "Medium", "High"]),
    expected_effect=st.integers(-(2**53) + 1, 2**53 - 1),
    change_summary=texts(1, 5),
    step_plan=texts(3, 12),
    commands=texts(1, 6),
    pass_criteria=texts(1, 6),
    next_packet_requests=texts(0, 6),
    did_web_search=st.booleans(),
)
PATHS = st.from_regex(r"[a-z]{1,8}(/[a-z*.]{3,8}){0,3}", fullmatch=True)
STEPS = st.fixed_dictionaries(
    {
        "id": TEXTS,
        "title": TEXTS,
        "intent": TEXTS,
        "actions": lists(1, 4),
        "files": st.lists(PATHS, max_size=4),
        "dependencies": lists(0, 3),
        "validation": lists(1, 3),
        "risks": lists(0, 2),
        "references": lists(0, 2),
    }
)
PLANNING_PLANS = st.fixed_dictionaries(
    {
        "schema": st.just("git-planner/planning-plan@1"),
        "plan_summary": TEXTS,
        "rationale": TEXTS,
        "focus_metrics": lists(1, 3),
        "guardrails": lists(1, 3),
        "risks": lists(1, 3),
        "validation": lists(1, 3),
        "steps": st.lists(STEPS, min_size=1, max_size=6),
        "handoff_notes": lists(0, 3),
        "fallback_plan": st.none() | TEXTS,
    }
)
