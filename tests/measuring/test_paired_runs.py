"""Measurement of noisy metrics: pairs with the best in random order, the record, cache and budget."""

from __future__ import annotations

from typing import get_args

import pytest

from git_planner.flows.measuring.paired_runs import Rival, compare_in_pairs
from git_planner.flows.records.ledger import read_ledger
from git_planner.flows.records.record import record_commit
from git_planner.flows.records.recorder import RecordResult
from git_planner.flows.records.verify import verify_record
from git_planner.rules import refnames
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.ranking import pick_best
from git_planner.rules.stats import paired_design
from git_planner.rules.stats.paired_design import Order
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
scope: {allow: ["src/**"]}
metrics:
  - {name: wall, run: [sh, tests/bench], pattern: 'WALL: (\\d+)', unit: ms, better: lower, kind: noisy,
     timeout: 20, pairs: {screen: 4, min: 8, max: 24, alpha: 0.5, horizon: 1}}
"""
# The value in the tree, and on top of it less than 256 by chance; quiet when src/quiet is there.
BENCH = """\
noise=$(od -An -N1 -tu1 /dev/urandom)
test -e src/quiet && noise=0
value=$(grep -x "[0-9]*" src/value) || exit 3
echo "WALL: $((value + noise))"
"""


def project(lab: Lab, policy: str = POLICY, **files: str) -> None:
    """Prepare a value of 5000, measured with noise."""
    lab.commit("project", {".git-planner.yml": policy, "tests/bench": BENCH, "src/value": "5000\n", **files})


def attempt(lab: Lab, number: int, value: int, base: str = "main", **files: str) -> None:
    """Check out an iteration that sets the value."""
    iteration(lab, number, base)
    lab.commit(f"value {value}", {"src/value": f"{value}\n", **files})


def measured(lab: Lab, **options: bool) -> RecordResult:
    """Record the checked-out commit."""
    return record_commit(lab.repo, "HEAD", progress=lambda _: None, **options)  # type: ignore[arg-type]


def numbers(lab: Lab) -> list[str]:
    """Return the reserved numbers of comparisons."""
    return sorted(ref for ref in lab.refs() if ref.startswith(refnames.COMPARISONS))


def test_a_real_gain_is_kept_with_all_that_shows_it(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 4000)
    done = measured(lab)
    assert (done.record.verdict, done.advanced) == ("improved", True)
    comparison = done.record.comparison
    assert comparison is not None
    base = read_ledger(lab.repo, "default")[0]
    assert (base.kind, base.comparison, comparison.rival) == ("baseline", None, base.id)
    assert (comparison.number, comparison.alpha, comparison.level, comparison.ending) == (
        1,
        0.25,
        0.125,
        "improved",
    )
    assert (comparison.orders, comparison.runs, comparison.p) == (
        comparison.orders[:4],
        16 + len(comparison.lead_ins),
        1 / 16,
    )
    assert set(comparison.orders) <= set(get_args(Order))
    assert (len(comparison.base), len(comparison.candidate)) == (8, 8)
    assert len(comparison.lead_ins) == sum(len(order) - 4 for order in comparison.orders)
    assert all(5000 <= value < 5256 for value in comparison.base)
    assert all(4000 <= value < 4256 for value in comparison.candidate)
    assert done.record.metrics[0].samples == comparison.candidate
    assert -1256 < comparison.effect < -744
    assert (done.record.delta, done.record.best_before) == (comparison.effect, comparison.base_median)
    assert numbers(lab) == [f"{refnames.COMPARISONS}default/0001"]


def test_what_is_worse_is_dropped_at_the_screening(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 9000)
    done = measured(lab).record
    assert done.comparison is not None
    assert (done.verdict, done.comparison.ending, len(done.comparison.orders)) == ("worse", "worse", 3)


def test_no_change_is_within_noise_and_that_is_a_result(lab: Lab) -> None:
    project(lab, **{"src/quiet": ""})
    attempt(lab, 1, 5000, **{"src/note": "nothing\n"})
    done = measured(lab)
    assert done.record.comparison is not None
    assert (done.record.verdict, done.record.comparison.ending, done.exit) == ("within_noise", "futile", 0)
    runs = sum(map(len, done.record.comparison.orders))
    assert (len(done.record.comparison.orders), done.record.comparison.runs) == (4, runs)
    assert done.record.summary == f"wall 5000 ms, +0 ms against 5000, p 1, {runs} runs"
    assert not done.advanced


def test_the_best_s_own_tree_is_never_compared_with_itself(lab: Lab) -> None:
    project(lab)
    measured(lab)
    iteration(lab, 1, "main")
    for force in (False, True):
        done = measured(lab, force=force).record
        assert (done.verdict, done.comparison) == ("within_noise", None)
    assert numbers(lab) == []


def test_each_comparison_takes_a_number_and_a_smaller_share(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 4000)
    measured(lab)
    attempt(lab, 2, 3000, "iter/0001-next")
    second = measured(lab).record
    assert second.comparison is not None
    assert (second.verdict, second.comparison.number) == ("improved", 2)
    assert second.comparison.alpha == pytest.approx(0.5 / 6)
    assert second.comparison.rival == read_ledger(lab.repo, "default")[1].id
    top = pick_best(read_ledger(lab.repo, "default"))
    assert top is not None
    assert top.id == second.id


def test_a_number_that_others_took_is_not_taken_again(lab: Lab) -> None:
    project(lab)
    lab.git("update-ref", f"{refnames.COMPARISONS}default/0007", "HEAD")
    attempt(lab, 1, 4000)
    done = measured(lab).record
    assert done.comparison is not None
    assert done.comparison.number == 8


def test_a_known_tree_serves_while_the_best_is_the_same(lab: Lab) -> None:
    project(lab, **{"src/quiet": ""})
    attempt(lab, 1, 6000)
    first = measured(lab).record
    lab.commit("an empty one", {})
    again = measured(lab)
    assert (again.cached, again.record.verdict, again.record.cached_from) == (True, "worse", first.id)
    assert again.record.comparison == first.comparison
    attempt(lab, 2, 4000)
    assert measured(lab).advanced
    attempt(lab, 3, 6000)
    anew = measured(lab)
    assert (anew.cached, anew.record.verdict, anew.record.cached_from) == (False, "worse", None)
    assert len(numbers(lab)) == 3


def test_force_compares_anew_and_pays_for_it(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 6000)
    measured(lab)
    measured(lab, force=True)
    assert len(numbers(lab)) == 2


def test_a_comparison_is_verified_by_another_one(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 4000)
    done = measured(lab).record
    reserved = numbers(lab)
    again = verify_record(lab.repo, "HEAD", plan=None, progress=lambda _: None)
    assert (again.record.id, again.holds) == (done.id, True)
    assert again.why.startswith("improved now, improved then: -")
    base = verify_record(lab.repo, "main", plan=None, progress=lambda _: None)
    assert base.holds is True
    assert numbers(lab) == reserved


def test_a_collected_tree_is_composed_again(lab: Lab) -> None:
    project(lab)
    lab.git("checkout", "-q", "-b", "aside")
    measured(lab)
    tree = read_ledger(lab.repo, "default")[0].tree
    attempt(lab, 1, 4000)
    loose = lab.path / ".git" / "objects" / tree[:2] / tree[2:]
    if tree != lab.git("rev-parse", "main^{tree}"):
        loose.unlink()
    assert measured(lab).record.verdict == "improved"


def test_a_crash_is_never_cached_and_its_number_is_spent(lab: Lab) -> None:
    project(lab)
    attempt(lab, 1, 4000, **{"src/value": "four thousand\n"})
    for number in (1, 2):
        done = measured(lab)
        assert (done.cached, done.record.reason, done.record.comparison) == (False, "crash", None)
        assert len(numbers(lab)) == number


def test_a_base_that_fails_is_not_the_candidate_s_fault() -> None:
    metric = Metric("wall", ("true",), "(a)", None, "ms", "lower", "noisy", 1, 1)
    against = Rival("id", "tree", paired_design.plan_comparison(metric.pairs, 1))

    def sample(tree: str | None, _: str) -> float | Refusal:
        return 1.0 if tree is None else Refusal("no_metric", "'wall' was not printed on stdout")

    refusal = compare_in_pairs(metric, against, sample, lambda _: None)
    assert refusal == Refusal("crash", "the base it is compared with: 'wall' was not printed on stdout")
    assert refusal.verdict == "unmeasured"
