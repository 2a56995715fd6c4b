"""Measure base and candidate of a noisy metric in interleaved rounds of random order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.gitio import export
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.progress import Progress, Step
from git_planner.rules import refnames
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric, pathspecs
from git_planner.rules.records import recorded_comparison
from git_planner.rules.records.recorded_comparison import RecordedComparison
from git_planner.rules.records.row import RecordRow
from git_planner.rules.stats import paired_design

# Tosses a coin that no candidate can foresee.
Coin = Callable[[], bool]
# Measures one run: tree id (None for the candidate's tree) and name of the run -> value of the metric.
Sample = Callable[[str | None, str], float | Refusal]
# The order of a round, and the values of its runs so far.
BegunRound = tuple[paired_design.Order, Sequence[float]]


def _extra_runs() -> int:
    return secrets.randbelow(paired_design.MOST_EXTRA + 1)


def _fair_coin() -> bool:
    return secrets.randbits(1) == 1


@dataclass(frozen=True, slots=True)
class Rival:
    """The best record that a candidate is compared with, its tree, and the schedule of the comparison.

    `begun` are the rounds of an interrupted comparison, which goes on: the order and the values of each, of
    which the last may be incomplete. `keep` is called with all of them before each round and after each run,
    so an interruption cannot toss a coin again.
    """

    record: str
    tree: str
    plan: paired_design.Schedule
    begun: Sequence[BegunRound] = ()
    keep: Callable[[Sequence[BegunRound]], None] = lambda _: None


def prepare_rival(
    repo: Repository, plan: str, metric: Metric, *, top: RecordRow, tree: str, rows: Sequence[RecordRow]
) -> Rival:
    """Prepare a comparison and reserve its number in the campaign before anything is measured.

    An interrupted comparison has therefore spent its share of the error budget, and concurrent ones never
    use the same share.

    Args:
        repo: the repository.
        plan: the plan of the campaign.
        metric: the deciding metric.
        top: the best record.
        tree: its measured tree.
        rows: the plan's ledger.
    """
    numbers = [row.number for row in rows if row.number is not None]
    number = Store(repo).reserve(f"{refnames.COMPARISONS}{plan}/", refnames.next_number, numbers)
    return Rival(top.id, tree, paired_design.plan_comparison(metric.pairs, number))


def restore_tree(repo: Repository, subject: Subject, tree: str, commit: str) -> str:
    """Return a measured tree, composed again if git has garbage-collected it.

    Args:
        repo: the repository.
        subject: the candidate to compare with it, of the same instrument.
        tree: the tree's id.
        commit: the commit it was composed from.
    """
    if repo.maybe(tree, "tree") is not None:
        return tree
    guard = pathspecs(subject.policy.protected)
    return export.compose(repo, commit, subject.base, guard, (trusted_base.STATE_FOLDER_SPEC,)).tree


def compare_in_pairs(
    metric: Metric,
    against: Rival,
    sample: Sample,
    progress: Progress,
    *,
    coin: Coin = _fair_coin,
    extra: Callable[[], int] = _extra_runs,
) -> RecordedComparison | Refusal:
    """Measure base and candidate alternately until the comparison is decided.

    Args:
        metric: the deciding metric.
        against: the rival of the candidate.
        sample: measures one run.
        progress: called with each progress message.
        coin: decides the order of each round.
        extra: decides how many lead-ins a round has besides the first.

    Returns:
        The comparison, or the refusal of a run without a value.
    """
    plan, begun = against.plan, list(against.begun)
    began, measured = time.monotonic(), 0
    while True:
        rounds = [
            paired_design.Round(order, tuple(values)) for order, values in begun if len(values) == len(order)
        ]
        standing = paired_design.evaluate_rounds(plan, rounds, metric.better)
        if standing.ending is not None:
            return recorded_comparison.summarize_comparison(metric, against.record, plan, rounds, standing)
        if len(rounds) == len(begun):
            begun.append((paired_design.round_order(coin=coin(), extra=extra()), ()))
            against.keep(begun)
        order, values = begun[-1]
        text = f"{metric.name}: round {len(rounds) + 1} of at most {plan.most}, {order}"
        progress(Step(text, _seconds_left(began, measured, plan.most - len(rounds)), is_most=True))
        for place, letter in list(enumerate(order))[len(values) :]:
            run = f"{metric.name}-{len(rounds) + 1}{'abcdefg'[place]}{letter}"
            value = sample(against.tree if letter == "A" else None, run)
            if isinstance(value, Refusal):
                return _base_refusal(value) if letter == "A" else value
            values = (*values, value)
            begun[-1] = (order, values)
            against.keep(begun)
        measured += 1


def _seconds_left(began: float, measured: int, rounds: int) -> float | None:
    """Return how long so many rounds will take, by those measured so far; None before the first one."""
    return (time.monotonic() - began) / measured * rounds if measured else None


def _base_refusal(refusal: Refusal) -> Refusal:
    """Return the refusal for a failed run of the base: the candidate counts as not measured."""
    reason = refusal.reason if refusal.verdict == "unmeasured" else "crash"
    return Refusal(reason, f"the base it is compared with: {refusal.sentence}")
