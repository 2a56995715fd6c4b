"""Judging: measurement, screening and confirmation of the variants of a turn."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from git_planner.atomic_file import lock_now
from git_planner.errors import PlannerError
from git_planner.flows.tournament.run_store import RunChange, RunStore
from git_planner.flows.tournament.tree_measurer import TreeMeasurer, load_rows, save_rows
from git_planner.gitio.repository import Repository, open_repository
from git_planner.rules.stats.simulation import NOISES
from git_planner.rules.tournament import event, judging
from git_planner.rules.tournament.judging import Contender
from git_planner.rules.tournament.simulation import simulate_tournaments
from tests.support.lab import Lab
from tests.tournament.tournament_lab import exact_campaign, gated_run, judged, noisy_campaign


def test_the_largest_gain_wins_and_of_equal_ones_the_smallest_patch(lab: Lab) -> None:
    exact_campaign(lab)
    gated_run(
        lab,
        {1: {"value": "80"}, 2: {"value": "70\n\n"}, 3: {"value": "70"}, 4: {"value": "120"}},
        lines={2: 9},
    )
    status, facts, view = judged(lab)
    assert (status, facts["winner"]) == (0, 3), facts
    figures = view.variant(1).screening
    assert figures is not None
    assert (figures["values"], figures["base"], figures["gain"]) == ([80.0], [100.0], 20.0)
    tip = lab.git("rev-parse", "bo4/speed/run")
    assert judged(lab)[0] == 0
    assert lab.git("rev-parse", "bo4/speed/run") == tip


SIZE = "  - {name: size, run: [cat, size], pattern: '([0-9]+)', unit: bytes, better: lower,\n"


@pytest.mark.parametrize("bound", ["at_most: 12", "no_worse_than: 20%", "possible: [0, 12]"])
@pytest.mark.parametrize("noisy", [False, True])
def test_a_variant_that_misses_a_constraint_does_not_win(lab: Lab, bound: str, noisy: bool) -> None:
    (noisy_campaign if noisy else exact_campaign)(lab)
    policy, value = (lab.path / ".git-planner.yml").read_text(), "src/value" if noisy else "value"
    second = f"{SIZE}     kind: deterministic, timeout: 20, {bound}}}\n"
    policy = f"{policy}{second}" if noisy else policy.replace("agents:", f"{second}agents:")
    policy = policy.replace('allow: ["value"', 'allow: ["value", "size"')
    lab.commit("a second metric", {".git-planner.yml": policy, "size": "10\n"})
    gated_run(lab, {1: {value: "50", "size": "13\n"}, 2: {value: "80", "size": "11\n"}})
    status, facts, view = judged(lab)
    assert (status, facts["winner"]) == (0, 2), facts
    figures = view.variant(1).screening or {}
    assert figures["reason"] == ("implausible" if "possible" in bound else "constraint")
    assert "size" in figures["text"]
    assert "13" in figures["text"]


def test_no_variant_better_than_the_base_is_a_result(lab: Lab) -> None:
    exact_campaign(lab)
    gated_run(lab, {1: {"value": "100\n\n"}, 2: {"value": "120"}, 3: {"tests/test_it": "changed"}})
    status, facts, view = judged(lab)
    assert (status, facts["winner"]) == (1, None)
    assert "no variant is better than the base" in facts["rationale"]
    assert (view.variant(3).screening or {})["reason"] == "guard"


def test_a_noisy_winner_is_confirmed_in_runs_of_its_own(lab: Lab) -> None:
    noisy_campaign(lab)
    broken = "<failure message='no'/>"
    gated_run(
        lab, {1: {"src/value": "98"}, 2: {"src/value": "80"}, 3: {"src/broken": broken}, 4: {"src/x": "1"}}
    )
    status, facts, view = judged(lab)
    assert (status, facts["winner"]) == (0, 2), facts
    confirmation = view.variant(2).confirmation
    assert confirmation is not None
    assert set(confirmation) == {"base", "v1"}
    assert confirmation["base"]["better"]
    assert confirmation["base"]["p"] < judging.ALPHA
    assert len((view.variant(2).screening or {})["values"]) == 4
    assert (view.variant(3).screening or {})["reason"] == "incorrect"


def test_what_an_interrupted_judge_has_measured_is_kept(lab: Lab) -> None:
    noisy_campaign(lab)
    gated_run(lab, {1: {"src/value": "80"}})
    assert judged(lab)[0] == 0
    (folder,) = (lab.path / ".git" / "planner" / "bo4").glob("*/*")
    (compared,) = folder.glob("compare-*.json")
    whole = json.loads(compared.read_text())["rows"]
    # As after a kill in the sixth round, and before the run's branch has the result.
    order, values = whole[5]
    compared.write_text(json.dumps({"rows": [*whole[:5], [order, values[:3]]]}))
    lab.git("update-ref", "refs/heads/bo4/speed/run", "bo4/speed/run~1")
    assert judged(lab)[0] == 0
    again = json.loads(compared.read_text())["rows"]
    assert again[:5] == whole[:5]
    assert (again[5][0], again[5][1][:3]) == (order, values[:3])
    assert [len(row[1]) for row in again] == [len(row[0]) for row in again]
    assert len(again) >= 8


def test_each_comparison_with_the_base_has_a_share_of_its_own(lab: Lab) -> None:
    noisy_campaign(lab, most=24)
    gated_run(lab, {1: {"src/value": "90"}})
    assert judged(lab)[0] == 0
    # A further variant is the finalist now.
    store = RunStore(open_repository(lab.path), "speed")
    lab.git("switch", "-q", "-C", "bo4/speed/v2", "main")
    lab.commit("variant 2", {"src/value": "80"})
    row = replace(
        store.read().variant(1),
        number=2,
        commit=lab.git("rev-parse", "HEAD"),
        tree=lab.git("rev-parse", "HEAD^{tree}"),
    )
    lab.git("switch", "-q", "main")
    store.change(lambda view: RunChange(view.run, [row]), "test")
    status, facts, view = judged(lab)
    assert (status, facts["winner"]) == (0, 2), facts
    confirmation = view.variant(2).confirmation
    assert confirmation is not None
    assert confirmation["base"]["number"] == 2
    assert confirmation["base"]["alpha"] == pytest.approx(judging.ALPHA / 3)


def comparisons(repo: Repository) -> list[int]:
    """Return the numbers of the comparisons with the base that the run's branch has."""
    details = [row.get("detail", {}) for row in event.read(RunStore(repo, "speed").read().events)]
    return [detail["count"] for detail in details if detail.get("code") == event.COMPARISON]


def test_another_clone_counts_on(lab: Lab) -> None:
    noisy_campaign(lab)
    gated_run(lab, {1: {"src/value": "80"}})
    assert judged(lab)[0] == 0
    other = lab.root / "clone"
    lab.git("clone", "-q", str(lab.path), str(other))
    for branch in ("bo4/speed/run", "bo4/speed/v1"):
        lab.git("-C", str(other), "branch", "-q", branch, f"origin/{branch}")
    repo = open_repository(other)
    measurer = TreeMeasurer(repo, RunStore(repo, "speed").read().run, lambda _: None)
    tree = str(measurer.candidate_tree("bo4/speed/v1"))
    verdict = measurer.compare(tree, measurer.base_tree, "v1 against base")
    assert (verdict.figures["number"], comparisons(repo)) == (2, [1, 2])


def test_a_comparison_that_a_crash_has_ended_begins_anew_with_another_share(lab: Lab) -> None:
    noisy_campaign(lab)
    gated_run(lab, {1: {"src/value": "1e400"}})
    repo = open_repository(lab.path)
    run = RunStore(repo, "speed").read().run
    measurer = TreeMeasurer(repo, run, lambda _: None)
    tree = str(measurer.candidate_tree("bo4/speed/v1"))
    place = measurer.place(f"compare-{tree}-{measurer.base_tree}")
    for number in (1, 2):
        save_rows(place, [["AABBA", [100, 100, 80, 80, 100]]])
        assert not measurer.compare(tree, measurer.base_tree, "v1").is_better
        assert load_rows(place) == []
        assert comparisons(repo) == list(range(1, number + 1))


def test_two_processes_do_not_compare_the_same_trees(lab: Lab) -> None:
    noisy_campaign(lab)
    gated_run(lab, {1: {"src/value": "80"}})
    repo = open_repository(lab.path)
    measurer = TreeMeasurer(repo, RunStore(repo, "speed").read().run, lambda _: None)
    tree = str(measurer.candidate_tree("bo4/speed/v1"))
    place = measurer.place(f"compare-{tree}-{measurer.base_tree}")
    place.parent.mkdir(parents=True)
    with place.with_suffix(".lock").open("ab") as file:
        assert lock_now(file)
        with pytest.raises(PlannerError) as caught:
            measurer.compare(tree, measurer.base_tree, "v1 against base")
    assert caught.value.code == "E_BUSY"


def test_a_base_that_fails_its_tests_stops_it(lab: Lab) -> None:
    noisy_campaign(lab)
    lab.commit("red", {"src/broken": "<failure message='no'/>"})
    gated_run(lab, {1: {"src/value": "80"}})
    ran = lab.run("git-bo4", "judge", "speed")
    assert (ran.status, "has no valid result" in ran.err) == (4, True), ran.err


@pytest.mark.parametrize(
    ("over_base", "over_next", "next_over_base", "winner"),
    [
        (False, None, None, None),
        (True, None, None, 1),
        (True, True, None, 1),
        (True, False, None, 1),
        (True, False, False, 1),
        (True, False, True, 2),
    ],
)
def test_choice_by_comparisons(
    over_base: bool, over_next: bool | None, next_over_base: bool | None, winner: int | None
) -> None:
    ranked = [Contender(1, 2.0, 20), Contender(2, 1.0, 10)]
    choice = judging.choose_confirmed(
        ranked, better_than_base=over_base, better_than_next=over_next, next_better_than_base=next_over_base
    )
    assert choice.winner == winner


@pytest.mark.parametrize("noise", NOISES)
def test_luck_does_not_ship_and_a_real_gain_does(noise: str) -> None:
    luck = simulate_tournaments((0, 0, 0, 0), 1000, 1, noise=noise)
    assert luck.shipped <= 10
    real = simulate_tournaments((0, 0, 2, 0), 200, 1, noise=noise)
    assert real.shipped_best >= 0.79 * real.tournaments
