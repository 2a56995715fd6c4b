"""Read the JSON reports of RSpec, and of Jest and Vitest. Pure."""

from __future__ import annotations

import json
from typing import Any

from git_planner.rules.measuring.proofs.proof import INSIDE, Outcomes, TestOutcome, no_proof, report_text
from git_planner.rules.measuring.verdict import Refusal

# Any other word, such as 'pending', 'todo' or 'disabled', is no success.
_OUTCOMES: dict[str, TestOutcome] = {"passed": "passed", "failed": "failed"}


def read_rspec(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of RSpec's JSON, with ids 'file::description'."""
    report = _load(content)
    if isinstance(report, Refusal):
        return report
    try:
        examples, summary = report["examples"], report["summary"]
        outcomes: Outcomes = [
            (
                f"{_text(example['file_path']).removeprefix('./')}::{_text(example['full_description'])}",
                _OUTCOMES.get(example["status"], "skipped"),
            )
            for example in examples
        ]
        counted, outside = summary["example_count"], summary.get("errors_outside_of_examples_count", 0)
    except (KeyError, TypeError, AttributeError):
        return no_proof("the report is not the JSON of RSpec")
    if counted != len(outcomes):
        return no_proof(f"the report counts {counted} examples but names {len(outcomes)}")
    return [*outcomes, ("(outside of examples)", "failed")] if outside else outcomes


def read_jest(content: bytes) -> Outcomes | Refusal:
    """Return the outcomes of the JSON of Jest or Vitest, with ids 'file::titles'."""
    report = _load(content)
    if isinstance(report, Refusal):
        return report
    outcomes: Outcomes = []
    tests = 0
    try:
        for file in report["testResults"]:
            name, assertions = _text(file["name"]), file["assertionResults"]
            tests += len(assertions)
            for assertion in assertions:
                titles = INSIDE.join(map(_text, (*assertion["ancestorTitles"], assertion["title"])))
                outcomes.append((f"{name}::{titles}", _OUTCOMES.get(assertion["status"], "skipped")))
            failed = any(assertion["status"] == "failed" for assertion in assertions)
            if file.get("status") == "failed" and not failed:
                outcomes.append((f"{name}::(file)", "failed"))
        counted = report["numTotalTests"]
    except (KeyError, TypeError, AttributeError):
        return no_proof("the report is not the JSON of Jest or Vitest")
    if counted != tests:
        return no_proof(f"the report counts {counted} tests but names {tests}")
    return outcomes


def _load(content: bytes) -> dict[str, Any] | Refusal:
    try:
        report = json.loads(report_text(content))
    except (ValueError, RecursionError) as error:
        return no_proof(f"the report is not complete JSON ({str(error)[:80]})")
    return report if isinstance(report, dict) else no_proof("the report is not a JSON object")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
