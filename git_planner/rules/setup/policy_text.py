"""Write the short policy of a project: one line of comment a key. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from git_planner.rules.setup.detect_benchmarks import SuggestedMetric
from git_planner.rules.setup.detect_steps import SuggestedStep
from git_planner.rules.setup.detect_tests import DetectedTests

_PLAIN = re.compile(r"[A-Za-z0-9_./=-]*[A-Za-z_./=][A-Za-z0-9_./=-]*")
# Reasons of refusals that are about a metric.
_OF_METRICS = ("no_metric", "ambiguous_metric", "unsteady_metric", "implausible", "crash")
# Reasons of refusals that are about a step.
_OF_STEPS = ("unprepared", "prepare_failed")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def policy_text(
    base: str,
    tests: DetectedTests,
    metrics: Sequence[SuggestedMetric] = (),
    steps: Sequence[SuggestedStep] = (),
) -> str:
    """Return the text of a policy.

    Args:
        base: the base branch.
        tests: how the project runs its tests.
        metrics: metrics to suggest, as comments.
        steps: what is prepared for the tests.
    """
    lines = [
        "# The policy of git-planner; 'git help gitplanner-policy' explains every key.",
        "schema: git-planner/policy@1",
        "",
        "# The branch that iterations start from.",
        f"base: {_yaml(base)}",
        "",
        "# Paths that no iteration may change: tests, what configures them, lockfiles.",
        f"guard: {_flow(tests.guard)}",
        "",
        *_prepare(steps),
        *_correctness(tests),
        "",
        "# The metrics, of which the first decides; without them, only the tests are checked.",
        *(_metrics(metrics) if metrics else _EXAMPLE),
    ]
    return "\n".join(lines) + "\n"


_EXAMPLE = (
    "# metrics:",
    "#   - {name: cycles, run: [./bench], pattern: 'CYCLES: (\\d+)', better: lower}",
)


def _prepare(steps: Sequence[SuggestedStep]) -> list[str]:
    if not steps:
        return []
    lines = [
        "# What the tests need and git does not hold: made once for the same inputs, kept outside the tree.",
        "prepare:",
    ]
    for step in steps:
        lines += [
            f"  - name: {step.name}",
            f"    run: {_flow(step.run)}",
            f"    inputs: {_flow(step.inputs)}",
            f"    outputs: {_flow(step.outputs)}",
            *([] if step.network else ["    network: false"]),
        ]
    return [*lines, ""]


def _correctness(tests: DetectedTests) -> list[str]:
    how = (
        "Only the exit status counts: deleted or skipped tests go unnoticed."
        if tests.proof == "exit-status"
        else f"'{tests.proof}' is the format of the report that must list them."
    )
    return [
        f"# The command that runs the tests ({tests.name}, by {_comment(tests.why)}). {how}",
        "correctness:",
        f"  run: {_flow(tests.run)}",
        f"  proof: {tests.proof}",
        *([f"  report: {_yaml(tests.report)}"] if tests.report else []),
        "  timeout: 600",
    ]


def _metrics(metrics: Sequence[SuggestedMetric]) -> list[str]:
    lines = ["# metrics:"]
    for metric in metrics:
        file = f", file: {_yaml(metric.file)}" if metric.file else ""
        lines.append(
            f"#   - {{name: {metric.reader}, run: {_flow(metric.run)}, reader: {metric.reader}{file},"
        )
        lines.append("#      better: lower, kind: noisy}  # of several benchmarks, 'benchmark' names one")
    return lines


def _comment(text: str) -> str:
    """Return a text for a comment: a path may hold line breaks."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])


def _flow(words: Sequence[str]) -> str:
    return f"[{', '.join(map(_yaml, words))}]"


def _yaml(word: str) -> str:
    """Return a word as YAML: plain where that is surely the same text, else quoted as in JSON."""
    is_plain = _PLAIN.fullmatch(word) and word.lower() not in _WORDS and not re.match(r"[.\d=-]+$", word)
    if is_plain and not word.startswith(("-", "=", ".")):
        return word
    return json.dumps(word, ensure_ascii=not word.isprintable())


def line_to_change(text: str, reason: str) -> str:
    """Return the line of a policy that a refusal is about, with its number.

    Args:
        text: the policy.
        reason: the reason code of the refusal.
    """
    key = "prepare:" if reason in _OF_STEPS else "metrics:" if reason in _OF_METRICS else "correctness:"
    lines = text.splitlines()
    start = next((place for place, line in enumerate(lines) if line.startswith(key)), 0)
    place = next((place for place in range(start, len(lines)) if "run: " in lines[place]), start)
    return f"{place + 1}: {lines[place].strip()}" if lines else "1:"
