"""Typed policies from a full and from a minimal document."""

from __future__ import annotations

import json

from git_planner.config.policy_file import parse_policy
from git_planner.rules.policy.gates import Gate, Gates
from git_planner.rules.policy.model_rule import GEMINI, ModelRule
from git_planner.rules.policy.policy import (
    AgentSettings,
    Correctness,
    Critics,
    CriticSettings,
    Families,
    Metric,
    Program,
    Stop,
)
from git_planner.rules.policy.review_rule import Reviewer, ReviewRule
from tests.policy.test_settings import HEAD, JUDGED, METRIC
from tests.support import samples

AGENTS = AgentSettings(
    planner="command",
    implementer="patches",
    planner_model="p",
    implementer_model=None,
    planner_timeout=5.0,
    implementer_timeout=6.0,
    attempts=2,
    command_planner=Program(("plan",), 7.0),
    command_implementer=Program(("do",), 600.0),
    patches="patches",
    researcher="command",
    researcher_model="r",
    researcher_timeout=7.0,
    command_researcher=Program(("look",), 600.0),
    critic="command",
    command_critic=Program(("judge",), 600.0),
)
CRITICS = Critics(
    budget=20_000,
    gemini=CriticSettings("gemini-4-pro", 8.0, ModelRule("gemini", "4", ("pro",), (), "2027-01-01")),
    codex=CriticSettings("gpt-6", 900.0, None),
)
REVIEW = ReviewRule(
    directives=True,
    remote="upstream",
    reviewers=(
        Reviewer("ann@example.org"),
        Reviewer("ben@example.org", "ben@example.org ssh-ed25519 AAAA1"),
    ),
    others=True,
    queue=2,
    draft=True,
    labels=("plan",),
)


def test_a_full_policy_becomes_its_typed_value() -> None:
    policy = parse_policy(json.dumps(samples.POLICY).encode(), "p.yml")
    fields = policy._asdict()
    assert fields == {
        "base": "main",
        "max_file_mb": 100,
        "max_new_files": 20_000,
        "guard": ("tests/**", "pytest.ini"),
        "allow": ("src/**",),
        "forbid": ("src/simulator.py",),
        "correctness": Correctness(("python", "-m", "pytest"), "junit", ("t::a",), 60.0),
        "metrics": (
            Metric(
                name="cycles",
                run=("python", "tests/bench.py"),
                pattern=r"CYCLES:\s*(\d+)",
                pointer=None,
                unit="cycles",
                better="lower",
                kind="deterministic",
                repeats=3,
                timeout=60.0,
            ),
            Metric("size", ("size",), None, "/a/0", "", "lower", "deterministic", 1, 600.0),
        ),
        "families": Families(("schedule", "reduce_loads"), 2, 3, 10.0),
        "profile": Program(("python", "profile.py"), 5.0),
        "context": ("src/kernel.py",),
        "goal": "Fewer cycles",
        "constraints": ("Stay in the kernel",),
        "acceptance": ("Tests pass",),
        "prompt_budget": 50_000,
        "environment": ("CI",),
        "agents": AGENTS,
        "critics": CRITICS,
        "stop": Stop(count=5, wall=60.0, tokens=1000, invalid=None, plateau=4),
        "document": samples.POLICY,
        "digest": policy.digest,
        "unguard": (),
        "jail": "auto",
        "verify": (("python", "-m", "pytest", "-q", "my tests"), ("make", "check")),
        "clients": (),
        "modules": {},
        "gates": Gates(
            (Gate("guard"), Gate("canon")),
            (
                Gate("tests"),
                Gate("lint", ("ruff", "check", "."), 60.0, required=False),
                Gate("side_effects", ("python", "run.py"), effects=("FS:write",), write=("out/**",)),
            ),
        ),
        "review": REVIEW,
        "prepare": (),
        "build": (),
    }


def test_a_small_policy_gets_the_defaults() -> None:
    policy = parse_policy(JUDGED.encode(), "p.yml")
    assert policy.correctness == Correctness(("make", "test"), "junit", (), 600.0)
    assert policy.guarded == (".git-planner.yml",)
    assert (policy.base, policy.metric, policy.prompt_budget) == ("main", None, 60_000)
    assert policy.families == Families((), 2, 3, 10.0)
    assert (policy.agents, policy.stop) == (AgentSettings(), Stop())
    guard = (Gate("guard"), Gate("scope"))
    assert policy.gates == Gates(guard, (*guard, Gate("tests")))
    assert (policy.review, policy.review.is_off) == (ReviewRule(), True)
    assert policy.goal == "Improve the code and keep every test passing."
    timed = parse_policy((HEAD + METRIC.format(more="pattern: '(a)'")).encode(), "p.yml")
    assert timed.goal == "Make 'm' lower and keep every test passing."
    long = parse_policy((JUDGED + "families: {streak: 5}").encode(), "p.yml")
    assert long.families == Families((), 5, 5, 10.0)


def test_critics_have_defaults_and_a_rule_can_be_replaced() -> None:
    policy = parse_policy(JUDGED.encode(), "p.yml")
    assert policy.critics.of("gemini") == CriticSettings("gemini-3-pro-preview", 900.0, GEMINI)
    assert policy.critics.of("codex") == policy.critics.of("command") == CriticSettings(None, 900.0, None)
    assert (policy.critics.budget, policy.agents.critic, policy.agents.researcher) == (
        400_000,
        "gemini",
        "codex",
    )
    rule = "critics: {codex: {models: {family: gpt, min_version: '6.1', refuse: [mini], as_of: 2027-01-01}}}"
    policy = parse_policy((JUDGED + rule).encode(), "p.yml")
    assert policy.critics.codex.models == ModelRule("gpt", "6.1", (), ("mini",), "2027-01-01")
    assert policy.critics.gemini.models == GEMINI
