"""Compositions: one digest, overrides, and the provider of each port."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament.winner import compose
from git_planner.rules.tournament.winner.compose import Manifest
from git_planner.rules.tournament.winner.coverage import coverage_from, profile_weights
from git_planner.rules.tournament.winner.coverage_score import choose_modules


def composition(*modules: str, **more: Any) -> dict[str, Any]:
    document = {"run_id": "r", "modules": [{"id": name, "version": "0.1.0"} for name in modules], **more}
    assert documents.validate("compose", document) == []
    return document


def manifest(module: str, provides: str = "", requires: str = "", version: str = "0.1.0") -> Manifest:
    return Manifest(module, version, tuple(provides.split()), tuple(requires.split()))


def providers(document: dict[str, Any], *manifests: Manifest) -> list[tuple[str, ...]]:
    return [tuple(row) for row in compose.resolve_ports(document, {own.module: own for own in manifests})]


def refusal(code: str, document: dict[str, Any], *manifests: Manifest) -> str:
    with pytest.raises(PlannerError) as raised:
        providers(document, *manifests)
    assert raised.value.code == code
    return raised.value.message


def test_picks_make_a_composition_with_one_digest_wherever_it_is_read() -> None:
    coverage = coverage_from(
        {
            "goals": ["g"],
            "provides": [
                {"module": "top@var2", "covers": ["g"], "requires": ["P@1"]},
                {"module": "base@var1", "covers": [], "provides_ports": ["P@1"]},
            ],
        }
    )
    picks = choose_modules(coverage, profile_weights("fast"))
    document = compose.composition_of_picks(picks, "fast", {("top", 2): "1.4.0"})
    content = {key: value for key, value in document.items() if key != "run_id"}
    assert document == {
        "schema": "git-planner/compose@1",
        "run_id": f"meta:fast:{canonical_json.digest(content)}",
        "modules": [
            {"id": "top", "version": "1.4.0", "variant": 2},
            {"id": "base", "version": "0.1.0", "variant": 1},
        ],
        "wiring": [],
        "glue": [],
        "constraints": ["no-cross-imports", "ports-only-coupling"],
    }
    assert documents.validate("compose", document) == []
    # The digest is that of the content, whatever the layout of the file.
    for text in (json.dumps(document, indent=7), canonical_json.dumps(document).decode()):
        assert compose.digest(documents.read("compose", text, "compose.json")) == compose.digest(document)


def test_a_variant_as_a_whole_is_a_composition_of_its_tree() -> None:
    document = compose.composition_of_variant(3)
    assert documents.validate("compose", document) == []
    assert compose.modules_of(document) == (("tree", "0.1.0", 3),)
    assert compose.whole_variant(document) == 3
    assert compose.whole_variant(composition("tree", "more")) is None
    assert compose.whole_variant(composition("tree")) is None


def test_overrides_add_replace_and_remove_and_tell_what_they_did() -> None:
    before = composition(
        "beta",
        "alpha",
        wiring=[{"from": "alpha:P", "to": "beta:P"}],
        constraints=["no-cross-imports", "prefer:P@1=alpha"],
    )
    overrides = {
        "modules": ["-beta", {"id": "alpha", "variant": 2}, {"id": "new.one", "version": "2.0.0"}],
        "wiring": [
            {"from": "alpha:P", "to": "beta:P", "remove": True},
            {"from": "alpha:P", "to": "new.one:P"},
        ],
        "constraints": ["-prefer:P@1=alpha", {"preferred_providers": {"P@1": "new.one"}}],
    }
    assert documents.validate("compose-overrides", overrides) == []
    after, applied = compose.apply_overrides(before, overrides)
    assert after == {
        "run_id": "r",
        "modules": [
            {"id": "alpha", "version": "0.1.0", "variant": 2},
            {"id": "new.one", "version": "2.0.0"},
        ],
        "wiring": [{"from": "alpha:P", "to": "new.one:P"}],
        "constraints": ["no-cross-imports", {"preferred_providers": {"P@1": "new.one"}}],
    }
    assert applied.document() == {
        "added": ["new.one"],
        "replaced": ["alpha"],
        "removed": ["beta"],
        "removed_constraints": ["prefer:P@1=alpha"],
        "sections": ["modules", "wiring", "constraints"],
    }
    assert compose.apply_overrides(before, {})[1].sections == ()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"modules": ["-gone"]}, "the module 'gone' cannot be removed: it is not in the composition"),
        ({"modules": ["-alpha"]}, "the overrides remove every module"),
        ({"constraints": ["-gone"]}, "the constraint 'gone' cannot be removed: it is not there"),
        (
            {"wiring": [{"from": "alpha:P", "to": "beta:P", "remove": True}]},
            "the connection 'alpha:P' to 'beta:P' cannot be removed",
        ),
    ],
)
def test_overrides_that_do_not_fit_are_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(PlannerError) as raised:
        compose.apply_overrides(composition("alpha"), overrides)
    assert (raised.value.code, raised.value.message) == ("E_COMPOSE_OVERRIDES", message)


def test_a_port_has_its_only_provider() -> None:
    user, maker = manifest("user", requires="P@1"), manifest("maker", provides="P@1 Q@1")
    assert providers(composition("user", "maker"), user, maker) == [("user", "P@1", "P@1", "maker", "sole")]
    assert providers(composition("user", "maker"), manifest("user", requires="Q"), maker) == [
        ("user", "Q", "Q@1", "maker", "sole")
    ]


def test_a_required_port_must_be_provided_in_its_major() -> None:
    document = composition("user", "maker")
    message = refusal(
        "E_REQUIRE_UNSAT", document, manifest("user", requires="P@2"), manifest("maker", provides="P@1")
    )
    assert message == "'user' requires 'P@2', which no module of the composition provides"


def test_a_wired_provider_goes_before_a_preferred_one_and_that_before_none() -> None:
    user = manifest("user", requires="P@1")
    one, two, three = (manifest(name, provides="P@1") for name in ("one", "two", "three"))
    names = ("user", "one", "two", "three")
    assert refusal("E_DUP_PROVIDER", composition(*names), user, one, two, three) == (
        "'user' requires 'P@1', which one and three and two provide"
    )
    prefer = {"constraints": ["prefer:P@1=two"]}
    assert providers(composition(*names, **prefer), user, one, two, three) == [
        ("user", "P@1", "P@1", "two", "preferred")
    ]
    as_object = {"constraints": [{"preferred_providers": {"P@1": "two"}}]}
    assert providers(composition(*names, **as_object), user, one, two, three) == [
        ("user", "P@1", "P@1", "two", "preferred")
    ]
    for wire in ({"from": "three:P", "to": "user:P@1"}, {"from": "user:P", "to": "three:P@1"}):
        wired = composition(*names, **prefer, wiring=[wire])
        assert providers(wired, user, one, two, three) == [("user", "P@1", "P@1", "three", "wired")]


def test_several_majors_need_a_choice() -> None:
    user = manifest("user", requires="P")
    old, new = manifest("old", provides="P@1"), manifest("new", provides="P@2")
    names = ("user", "old", "new")
    assert refusal("E_PORT_VERSION_AMBIG", composition(*names), user, old, new) == (
        "'user' requires 'P', which is provided as P@1, P@2"
    )
    preferred = composition(*names, constraints=["prefer:P@2=new"])
    assert providers(preferred, user, old, new) == [("user", "P", "P@2", "new", "preferred")]


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (["prefer:P@1=user"], "the preferred provider 'user' of 'P@1' does not provide it"),
        (["prefer:P@1=gone"], "the preferred provider 'gone' of 'P@1' does not provide it"),
        (
            ["prefer:P@1=one", "prefer:P@1=two"],
            "two providers of 'P@1' are preferred: 'one' and 'two'",
        ),
    ],
)
def test_a_preference_that_cannot_be_met_is_refused(constraints: list[str], message: str) -> None:
    document = composition("user", "one", "two", constraints=constraints)
    manifests = (
        manifest("user", requires="P@1"),
        manifest("one", provides="P@1"),
        manifest("two", provides="P@1"),
    )
    assert refusal("E_PREFER_UNSAT", document, *manifests) == message


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        (
            [{"from": "gone:P", "to": "user:P"}],
            "'gone:P' names the module 'gone', which is not in the composition",
        ),
        (
            [{"from": "maker:Q", "to": "user:P"}],
            "the connection 'maker:Q' to 'user:P' fits no port that one end provides and the other requires",
        ),
        (
            [{"from": "maker:P", "to": "user:P"}, {"from": "other:P", "to": "user:P"}],
            "'user' is connected to two providers of 'P@1'",
        ),
    ],
)
def test_wiring_that_fits_no_port_is_refused(wiring: list[dict[str, str]], message: str) -> None:
    manifests = (
        manifest("user", requires="P@1"),
        manifest("maker", provides="P@1"),
        manifest("other", provides="P@1"),
    )
    assert refusal("E_COMPOSE", composition("user", "maker", "other", wiring=wiring), *manifests) == message


def test_the_orchestrator_may_be_an_end_of_a_connection() -> None:
    wiring = [{"from": "orchestrator:Start", "to": "user:P"}, {"from": "maker:P", "to": "orchestrator:P"}]
    manifests = (manifest("user", requires="P@1"), manifest("maker", provides="P@1"))
    assert providers(composition("user", "maker", wiring=wiring), *manifests) == [
        ("user", "P@1", "P@1", "maker", "sole")
    ]


def test_a_version_that_is_not_the_manifest_s_and_a_module_named_twice_are_refused() -> None:
    assert refusal("E_COMPOSE", composition("alpha"), manifest("alpha", version="2.0.0")) == (
        "the composition names version 0.1.0 of 'alpha', and its manifest says 2.0.0"
    )
    assert refusal("E_COMPOSE", composition("alpha", "alpha")) == (
        "the composition names the module 'alpha' twice"
    )
