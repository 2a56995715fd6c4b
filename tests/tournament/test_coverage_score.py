"""The choice of modules by coverage.json: the documented score, and the defects of a plain greedy choice."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules.tournament.winner.coverage import (
    Coverage,
    ModuleOffer,
    coverage_from,
    profile_weights,
)
from git_planner.rules.tournament.winner.coverage_score import Pick, choose_modules


def offer(module: str, *covers: str, **more: Any) -> dict[str, Any]:
    return {"module": module, "covers": list(covers), **more}


def coverage(goals: str, *offers: dict[str, Any], **more: Any) -> Coverage:
    document = {"goals": goals.split(), "provides": list(offers), **more}
    assert documents.validate("coverage", document) == []
    return coverage_from(document)


def choose(goals: str, *offers: dict[str, Any], profile: str = "conservative", **more: Any) -> list[Pick]:
    return choose_modules(coverage(goals, *offers, **more), profile_weights(profile))


def names(picks: list[Pick]) -> list[list[str]]:
    return [[chosen.name for chosen in pick.bundle] for pick in picks]


def refusal(goals: str, *offers: dict[str, Any], **more: Any) -> PlannerError:
    with pytest.raises(PlannerError) as raised:
        choose(goals, *offers, **more)
    assert raised.value.code == "E_COVERAGE"
    return raised.value


MANAGER = offer(
    "worktree.manager@var2",
    "add",
    "list",
    "prune",
    evidence_strength=0.7,
    risk=0.2,
    delta_cost=1,
    hygiene=0.5,
)


def test_the_documented_example_has_the_documented_gain() -> None:
    (pick,) = choose("add list prune", MANAGER)
    assert pick.document("conservative") == {
        "module": "worktree.manager@var2",
        "gain": 2.92,
        "drivers": {
            "coverage_contribution": 3.0,
            "coverage_goals": ["add", "list", "prune"],
            "evidence_strength": 0.7,
            "risk": 0.2,
            "delta_cost": 1.0,
            "hygiene": 0.5,
            "bundle": ["worktree.manager@var2"],
        },
        "profile": "conservative",
    }


@pytest.mark.parametrize(
    ("profile", "gain"), [("conservative", 2.92), ("fast", 3.52), ("evidence-heavy", 3.45)]
)
def test_each_profile_has_its_weights(profile: str, gain: float) -> None:
    (pick,) = choose("add list prune", MANAGER, profile=profile)
    assert float(pick.gain) == gain


def test_weights_of_a_file_are_flat_or_by_profile() -> None:
    flat = {"coverage": 2, "evidence": 0, "risk": 0, "cost": 0, "hygiene": 0}
    goal = coverage("g", offer("one", "g"), weights={"g": 4})
    assert float(choose_modules(goal, profile_weights("conservative", flat))[0].gain) == 8
    assert profile_weights("mine", {"mine": flat, "other": {}}) == profile_weights("mine", flat)


@pytest.mark.parametrize(
    ("profile", "document", "message"),
    [
        ("quick", None, "'quick' is not a profile"),
        ("fast", {"slow": {}}, "the file of weights has no profile 'fast'"),
        ("fast", [], "the file of weights is not an object"),
        (
            "fast",
            {},
            "the file of weights lacks coverage_contribution, evidence_strength, risk, delta_cost, hygiene",
        ),
        (
            "fast",
            {"fast": {"speed": 1}},
            "profile 'fast' of the file of weights has an unknown or repeated key 'speed'",
        ),
        ("fast", {"risk": True}, "'risk' in the file of weights is not a number up to a million"),
        ("fast", {"risk": float("nan")}, "'risk' in the file of weights is not a number up to a million"),
        (
            "fast",
            {"risk": 1, "cost": 1, "delta_cost": 2},
            "the file of weights has an unknown or repeated key 'delta_cost'",
        ),
    ],
)
def test_weights_that_cannot_be_used_are_refused(profile: str, document: Any, message: str) -> None:
    with pytest.raises(PlannerError) as raised:
        profile_weights(profile, document)
    assert (raised.value.code, raised.value.message) == ("E_META_WEIGHTS", message)


def test_two_variants_of_a_module_are_two_offers_and_one_is_chosen() -> None:
    weak, strong = (
        offer("core@var1", "g", evidence_strength=0.2),
        offer("core@var3", "g", evidence_strength=0.9),
    )
    assert names(choose("g", weak, strong)) == [["core@var3"]]
    # Both are needed for both goals, and one module comes from one variant.
    error = refusal("g h", offer("core@var1", "g"), offer("core@var2", "h"))
    assert error.message == "no selection of modules covers all goals"
    assert error.details == ("each goal can be covered alone, but their modules exclude each other",)


def test_a_filler_is_not_taken_and_does_not_end_the_search() -> None:
    filler = offer("filler@var1", evidence_strength=1, risk=0, delta_cost=0, hygiene=1)
    costly = offer("only@var1", "g", risk=1, delta_cost=50)
    (pick,) = choose("g", filler, costly)
    assert pick.offer.name == "only@var1"
    assert pick.gain < 0
    # Nor as a module whose provider does all the work.
    user = offer("user@var1", requires=["P@1"], evidence_strength=1, hygiene=1, delta_cost=0)
    work = offer("work@var1", "g", provides_ports=["P@1"], evidence_strength=0)
    assert names(choose("g", user, work)) == [["work@var1"]]


def test_nothing_more_is_taken_once_all_goals_are_covered() -> None:
    again = offer("again@var2", "g", evidence_strength=0.4)
    assert names(choose("g", offer("first@var1", "g"), again)) == [["first@var1"]]


def test_uncovered_goals_fail_and_are_listed_with_their_reasons() -> None:
    error = refusal(
        "a b c d",
        offer("fine@var1", "a"),
        offer("lonely@var1", "b", requires=["Gone@1"]),
        offer("ring.one@var1", "c", requires=["Two@1"], provides_ports=["One@1"]),
        offer("ring.two@var1", requires=["One@1"], provides_ports=["Two@1"]),
    )
    assert error.message == "no selection of modules covers the goals 'b', 'c', 'd'"
    assert error.details == (
        "'b': 'lonely@var1' requires Gone@1, which no other module provides",
        "'c': 'ring.one@var1' requires itself: ring.one@var1 → ring.two@var1 → ring.one@var1",
        "'d': no module covers it",
    )
    assert refusal("a").details == ("'a': no module covers it",)


def test_a_variant_that_failed_is_not_chosen() -> None:
    offers = (offer("core@var1", "g", evidence_strength=1), offer("core@var2", "g", evidence_strength=0))
    both = coverage("g", *offers)
    weights = profile_weights("conservative")
    assert names(choose_modules(both, weights, excluded={1: "failed its gates"})) == [["core@var2"]]
    with pytest.raises(PlannerError) as raised:
        choose_modules(both, weights, excluded={1: "failed its gates", 2: "is broken"})
    (detail,) = raised.value.details
    first, second = detail.split("; ")
    assert first == "'g': 'core@var1' cannot be chosen: variant failed its gates"
    assert second == "'core@var2' cannot be chosen: variant is broken"


def test_a_failed_provider_is_rolled_back() -> None:
    # 'bad' comes first and takes the module of 'helper' before it fails on 'Gone@1'.
    offers = (
        offer("top@var1", "g", requires=["P@1"]),
        offer("bad@var1", provides_ports=["P@1"], requires=["Helped@1", "Zone@1"]),
        offer("good@var1", provides_ports=["P@1"], requires=["Helped@2"]),
        offer("helper@var1", provides_ports=["Helped@1"]),
        offer("helper@var2", provides_ports=["Helped@2"]),
    )
    assert names(choose("g", *offers)) == [["top@var1", "good@var1", "helper@var2"]]


def test_a_port_is_matched_with_its_major() -> None:
    user = offer("user@var1", "g", requires=["P@2"])
    old, new = (
        offer("a.old@var1", provides_ports=["P@1"]),
        offer("b.new@var1", provides_ports=["P@2"]),
    )
    assert names(choose("g", user, old, new)) == [["user@var1", "b.new@var1"]]
    assert refusal("g", user, old).details == (
        "'g': 'user@var1' requires P@2, which no other module provides",
    )


def test_a_choice_that_leaves_a_goal_uncovered_is_taken_back() -> None:
    # The first step alone would take var1, whose other goal nobody else covers.
    offers = (
        offer("core@var1", "g", evidence_strength=1, risk=0, delta_cost=0),
        offer("core@var2", "g", "h", evidence_strength=0, risk=1, delta_cost=3),
    )
    assert names(choose("g h", *offers)) == [["core@var2"]]


def test_equal_scores_are_settled_by_name_whatever_the_order() -> None:
    offers = [offer(name, "g", evidence_strength=0.1 + 0.2) for name in ("bb@var1", "aa@var10", "aa@var9")]
    for order in itertools.permutations(offers):
        assert names(choose("g", *order)) == [["aa@var9"]]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"weights": {"other": 1}}, "/weights: 'other' is not one of the goals"),
        ({"provides": [offer("m", "other")]}, "/provides/0/covers: 'other' is not one of the goals"),
        (
            {"provides": [offer("m@var1", "g"), offer("m@var1")]},
            "/provides/1/module: 'm@var1' is offered twice",
        ),
        (
            {"variants": ["var1"], "provides": [offer("mod@var2", "g")]},
            "/provides/0/module: 'var2' is not one of the variants",
        ),
        (
            {"provides": [offer("mod", "g", requires=["P@1"], provides_ports=["P@1"])]},
            "/provides/0/requires: the module itself provides 'P@1'",
        ),
    ],
)
def test_a_coverage_that_contradicts_itself_is_refused(change: dict[str, Any], detail: str) -> None:
    with pytest.raises(PlannerError) as raised:
        coverage_from({"goals": ["g"], "provides": [], **change})
    assert (raised.value.code, raised.value.details) == ("E_COVERAGE", (detail,))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"goals": ["g"], "provides": [{"module": "mod", "covers": [], "risk": NaN}]}', "E_JSON"),
        ('{"goals": ["g"], "provides": [{"module": "mod", "covers": [], "risk": 1e999}]}', "E_JSON"),
        ('{"goals": ["g"], "provides": [{"module": "mod@var0", "covers": []}]}', "E_SCHEMA"),
        ('{"goals": ["g"], "provides": [{"module": "../mod@var1", "covers": []}]}', "E_SCHEMA"),
        ('{"goals": ["g"], "provides": [{"module": "mod", "covers": [], "risk": 2}]}', "E_SCHEMA"),
        ('{"goals": [], "provides": []}', "E_SCHEMA"),
        ('{"goals": ["g"], "provides": [], "more": 1}', "E_SCHEMA"),
        ('{"goals": ["g"], "provides": [{"module": "mod", "covers": [], "requires": ["P"]}]}', "E_SCHEMA"),
    ],
)
def test_a_coverage_file_that_is_not_valid_is_refused(text: str, code: str) -> None:
    with pytest.raises(PlannerError) as raised:
        documents.read("coverage", text, "coverage.json")
    assert raised.value.code == code


def test_a_tangle_of_providers_ends_within_a_bound() -> None:
    # Every module needs all ports of the next layer, and the last layer's need is never met.
    offers = [offer("top@var1", "g", requires=[f"L0x{port}@1" for port in range(4)])]
    for layer, port, copy in itertools.product(range(9), range(4), range(4)):
        needs = [f"L{layer + 1}x{below}@1" for below in range(4)]
        offers.append(offer(f"m{layer}x{port}x{copy}", provides_ports=[f"L{layer}x{port}@1"], requires=needs))
    assert (
        refusal("g", *offers).message
        == "the offers can be combined in too many ways: more than 200,000 were tried"
    )


def test_a_chain_of_hundreds_of_providers_is_followed() -> None:
    offers = [offer("m000", "g", requires=["P001@1"])]
    offers += [
        offer(f"m{n:03}", provides_ports=[f"P{n:03}@1"], requires=[f"P{n + 1:03}@1"]) for n in range(1, 399)
    ]
    offers.append(offer("m399", provides_ports=["P399@1"]))
    (bundle,) = names(choose("g", *offers))
    assert bundle == [f"m{n:03}" for n in range(400)]


PORTS = ("P@1", "P@2", "Q@1")
OFFERS = st.builds(
    lambda module, variant, covers, ports, needs, numbers: offer(
        f"{module}@var{variant}",
        *sorted(covers),
        provides_ports=sorted(ports),
        requires=sorted(needs - ports),
        evidence_strength=numbers[0] / 10,
        risk=numbers[1] / 10,
        delta_cost=numbers[2],
    ),
    st.sampled_from(("ma", "mb", "mc", "md")),
    st.integers(1, 2),
    st.frozensets(st.sampled_from("gh"), max_size=2),
    st.frozensets(st.sampled_from(PORTS), max_size=1),
    st.frozensets(st.sampled_from(PORTS), max_size=2),
    st.tuples(*[st.integers(0, 9)] * 3),
)


def is_valid(selection: tuple[ModuleOffer, ...], goals: set[str]) -> bool:
    """Decide by the definition: all goals, one variant and one provider each, all needs met, no circle."""
    ports = [port for chosen in selection for port in chosen.ports]
    modules = [chosen.module for chosen in selection]
    if len(set(ports)) < len(ports) or len(set(modules)) < len(modules):
        return False
    if not {goal for chosen in selection for goal in chosen.covers} >= goals:
        return False
    done: set[str] = set()
    waiting = list(selection)
    while free := [chosen for chosen in waiting if done.issuperset(chosen.requires)]:
        done.update(port for chosen in free for port in chosen.ports)
        waiting = [chosen for chosen in waiting if chosen not in free]
    return not waiting


@given(st.lists(OFFERS, max_size=7, unique_by=lambda document: document["module"]))
def test_a_choice_exists_exactly_if_an_exhaustive_search_finds_one(offers: list[dict[str, Any]]) -> None:
    given_coverage = coverage("g h", *offers)
    selections = itertools.chain.from_iterable(
        itertools.combinations(given_coverage.offers, size) for size in range(len(offers) + 1)
    )
    possible = any(is_valid(selection, {"g", "h"}) for selection in selections)
    if not possible:
        assert refusal("g h", *offers).details
        return
    picks = choose_modules(given_coverage, profile_weights("conservative"))
    chosen = tuple(part for pick in picks for part in pick.bundle)
    assert is_valid(chosen, {"g", "h"})
    covered: set[str] = set()
    for pick in picks:
        assert pick.offer.covers - covered, "no filler"
        assert set(pick.drivers.coverage_goals) == {goal for part in pick.bundle for goal in part.covers} - (
            covered
        )
        covered.update(pick.drivers.coverage_goals)


@given(st.lists(OFFERS, min_size=1, max_size=6, unique_by=lambda document: document["module"]))
def test_without_ports_each_step_has_the_highest_gain(offers: list[dict[str, Any]]) -> None:
    plain = [{**document, "provides_ports": [], "requires": []} for document in offers]
    # Every module is one of its own, so that no choice shuts another out.
    plain = [{**document, "module": document["module"].replace("@", "-")} for document in plain]
    goals = sorted({goal for document in plain for goal in document["covers"]})
    if not goals:
        return
    weights = profile_weights("fast")
    picks = choose(" ".join(goals), *plain, profile="fast")
    covered: set[str] = set()
    for pick in picks:
        gains = [
            len(set(document["covers"]) - covered) * weights.coverage_contribution
            + part.evidence_strength * weights.evidence_strength
            + part.risk * weights.risk
            + part.delta_cost * weights.delta_cost
            + part.hygiene * weights.hygiene
            for document in plain
            for part in coverage(" ".join(goals), document).offers
            if set(document["covers"]) - covered
        ]
        assert pick.gain == max(gains)
        covered.update(pick.offer.covers)
    assert covered == set(goals)
