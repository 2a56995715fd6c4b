"""Measurements that a worker returns: only what proves that the right thing was measured is accepted."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from git_planner import documents
from git_planner.config.policy_file import parse_policy
from git_planner.rules.measuring.measurement import (
    SCHEMA,
    MeasurementError,
    MeasuringRequest,
    read_measurement,
)
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.policy.policy import Policy
from git_planner.rules.stats.paired_design import plan_comparison

BASE, TREE, RIVAL, DIGEST, PLACE = "a" * 40, "b" * 40, "c" * 40, "d" * 64, "e" * 64
TESTS = {"passed": ["t::one", "t::two"], "skipped": [], "failed": []}
ROUND = {"order": "AABBA", "values": [100, 100, 80, 80, 100]}
Change = Callable[[dict[str, Any]], object]


def policy(kind: str) -> Policy:
    """Return a policy with tests and two metrics, of which the first one decides."""
    pairs = ", pairs: {alpha: 0.1}" if kind == "noisy" else ""
    text = f"""\
schema: git-planner/policy@1
base: main
correctness: {{run: [run], proof: junit}}
metrics:
  - {{name: cost, run: [run], pattern: "(1)", better: lower, kind: {kind}, repeats: 2{pairs}}}
  - {{name: size, run: [run], pattern: "(1)", better: lower, kind: deterministic, repeats: 1}}
"""
    return parse_policy(text.encode(), "the policy")


def request(kind: str) -> MeasuringRequest:
    """Return a request for a tree, by pairs if the metric is noisy."""
    asked = policy(kind)
    assert asked.metric is not None
    rival = (RIVAL, plan_comparison(asked.metric.pairs, 1)) if kind == "noisy" else None
    before = Proof({"t::one": "passed"})
    return MeasuringRequest(BASE, DIGEST, asked, TREE, rival, before=before, environment=PLACE)


def document(kind: str) -> dict[str, Any]:
    """Return the document of a good measurement."""
    size = {"name": "size", "values": [7]}
    return copy.deepcopy(
        {
            "schema": SCHEMA,
            "base": BASE,
            "tree": TREE,
            "rival": RIVAL if kind == "noisy" else None,
            "instrument": DIGEST,
            "environment": {"host": "one"},
            "environment_digest": PLACE,
            "refusal": None,
            "proof": TESTS,
            "samples": [size] if kind == "noisy" else [{"name": "cost", "values": [5, 5]}, size],
            "rounds": [ROUND] * 9 if kind == "noisy" else [],
            "seconds": {"cost": 0.5},
            "notes": [],
            "logs": [{"name": "cost-1.stdout", "text": "5"}],
        }
    )


def put(*path: Any, value: Any) -> Change:
    """Return a change of a document that sets what a path leads to."""

    def change(changed: dict[str, Any]) -> None:
        place: Any = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value

    return change


def test_samples_give_the_metrics() -> None:
    good = document("deterministic")
    assert documents.validate("measurement", good) == []
    measured = read_measurement(good, request("deterministic"))
    assert {name: metric.median for name, metric in measured.metrics.items()} == {"cost": 5.0, "size": 7.0}
    assert measured.proof is not None
    assert measured.proof.tests.passed == 2
    paired = document("noisy")
    assert documents.validate("measurement", paired) == []
    assert len(read_measurement(paired, request("noisy")).rounds) == 9


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("deterministic", put("tree", value=RIVAL), "its 'tree' is"),
        ("deterministic", put("base", value=RIVAL), "its 'base' is"),
        ("deterministic", put("instrument", value=PLACE), "its 'instrument' is"),
        ("deterministic", put("environment_digest", value=DIGEST), "its 'environment_digest' is"),
        ("noisy", put("rival", value=None), "its 'rival' is None"),
        ("deterministic", put("rival", value=TREE), "its 'rival' is"),
        ("deterministic", put("proof", value=None), "it has no tests"),
        ("deterministic", put("proof", "failed", value=["t::three"]), "1 of 3 failed"),
        ("deterministic", put("proof", "skipped", value=["t::one"]), "a test has two outcomes"),
        ("deterministic", put("proof", "passed", value=["t::two"]), "were not collected"),
        ("deterministic", put("samples", value=[]), "it has 0 samples of 'cost', not 2"),
        ("deterministic", put("samples", 0, "values", value=[5]), "it has 1 samples of 'cost', not 2"),
        ("deterministic", put("samples", 0, "values", value=[5, 4]), "changed between repeats"),
        ("deterministic", put("samples", 1, "name", value="speed"), "which was not asked for"),
        ("noisy", put("rounds", value=[ROUND] * 4), "the comparison has not ended"),
        ("noisy", put("rounds", value=[ROUND] * 10), "the comparison went on after its end"),
        ("noisy", put("rounds", 3, "values", value=[1, 2]), "a round of the comparison is not complete"),
    ],
)
def test_what_was_not_asked_for_is_refused(kind: str, change: Change, message: str) -> None:
    changed = document(kind)
    change(changed)
    assert documents.validate("measurement", changed) == []
    with pytest.raises(MeasurementError, match=message):
        read_measurement(changed, request(kind))


@pytest.mark.parametrize(
    "change",
    [
        put("schema", value="git-planner/record@1"),
        put("verdict", value="improved"),
        put("refusal", value={"reason": "guard", "sentence": "no"}),
        put("logs", 0, "name", value="../cost"),
        put("logs", value=[{"name": "a", "text": "x"}] * 201),
        put("rounds", value=[{"order": "ABBA", "values": [1, 2, 3, 4]}]),
        put("samples", 0, "values", value=["5"]),
        put("seconds", "cost", value=-1),
        put("tree", value="HEAD"),
    ],
)
def test_the_schema_bounds_what_is_read(change: Change) -> None:
    changed = document("deterministic")
    change(changed)
    assert documents.validate("measurement", changed) != []
