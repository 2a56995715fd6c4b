"""Bounds of metrics: values that are possible at all, and constraints of what counts as better. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from git_planner.rules.measuring.verdict import Decision, Refusal
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.ranking import is_better
from git_planner.rules.records.record import MeasuredMetric
from git_planner.rules.refnames import number_text


def implausible(metric: Metric, value: float) -> Refusal | None:
    """Return the refusal of a value beyond what the policy calls possible."""
    low, high = metric.possible
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if low is not None and high is not None:
        bounds = f"from {number_text(low)} to {number_text(high)}"
    else:
        bounds = (
            f"of at least {number_text(low)}" if low is not None else f"of at most {number_text(high or 0)}"
        )
    sentence = f"'{metric.name}' is {number_text(value)}, and only values {bounds} are possible"
    return Refusal("implausible", sentence)


def constraint_problems(
    metrics: Sequence[Metric], measured: Sequence[MeasuredMetric], best: Sequence[MeasuredMetric]
) -> list[str]:
    """Return a clause for each constraint that a result does not meet.

    Args:
        metrics: the metrics of the policy.
        measured: those of the candidate.
        best: those of the best record that it is compared with; empty if there is none.
    """
    own = {metric.name: metric for metric in measured}
    before = {metric.name: metric for metric in best}
    problems = []
    for metric in metrics:
        result = own.get(metric.name)
        if result is not None:
            problems += _problems(metric, result.median, before.get(metric.name))
    return problems


def constrained(decision: Decision, problems: Sequence[str]) -> Decision:
    """Return a decision in which a result that does not meet its constraints is worse."""
    if not problems or decision.reason is not None or decision.verdict == "baseline":
        return decision
    return replace(decision, verdict="worse", summary="; ".join((decision.summary, *problems)))


def _problems(metric: Metric, value: float, before: MeasuredMetric | None) -> list[str]:
    problems = []
    if metric.at_most is not None and value > metric.at_most:
        problems.append(f"{_shown(metric, value)} is more than {number_text(metric.at_most)}")
    if metric.at_least is not None and value < metric.at_least:
        problems.append(f"{_shown(metric, value)} is less than {number_text(metric.at_least)}")
    if metric.no_worse_than is not None and before is not None:
        sign = 1 if metric.better == "lower" else -1
        limit = before.median + sign * abs(before.median) * metric.no_worse_than
        if is_better(limit, value, metric.better):
            allowed = f"{number_text(metric.no_worse_than * 100)}%"
            problems.append(
                f"{_shown(metric, value)} is worse than {number_text(before.median)} by more than {allowed}"
            )
    return problems


def _shown(metric: Metric, value: float) -> str:
    return f"{metric.name} {number_text(value)} {metric.unit}".rstrip()
