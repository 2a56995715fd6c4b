"""From judged variants to a branch for review: git bo4 meta, compose, ship and apply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from git_planner.flows.tournament.run_store import RunChange, RunStore, begun, ended
from git_planner.gitio.repository import open_repository
from git_planner.rules.documents import canonical_json
from git_planner.rules.tournament import event
from git_planner.rules.tournament.variant import Variant
from tests.support.lab import Lab
from tests.support.sweeps import sampled
from tests.tournament.tournament_lab import gated_run, noisy_campaign
from tests.tournament.two_modules import (
    ALPHA,
    BASE,
    BETA,
    COVERAGE,
    NOTES,
    command,
    file_in,
    tournament,
    two_halves,
    view,
)


@pytest.fixture
def halves(lab: Lab) -> Lab:
    """Return a laboratory with a judged run of two halves."""
    return lab.prepare("two halves", two_halves)


def covered(lab: Lab, coverage: Any = COVERAGE) -> dict[str, Any]:
    """Choose by coverage; return the document."""
    return command(lab, "meta", "--coverage", str(file_in(lab, "coverage.json", coverage)))


def events(lab: Lab) -> list[dict[str, Any]]:
    """Return the events of the run, which are valid."""
    stream = view(lab).events
    assert event.validate(stream, strict=True) == []
    return event.read(stream)


def files(lab: Lab, *revisions: str) -> list[str]:
    return lab.git("diff", "--name-status", *revisions).split("\n")


def test_a_composition_that_is_better_than_the_best_variant_is_shipped(halves: Lab) -> None:
    lab = halves
    with lab.undisturbed():
        chosen = covered(lab)
        done = command(lab, "compose")
        shipped = command(lab, "ship", "--strict-events")
        applied = command(lab, "apply")
    assert [pick["module"] for pick in chosen["picks"]] == ["alpha@var1", "beta@var2"]
    assert chosen["compose_sha256"] == canonical_json.digest(chosen["composition"])
    assert files(lab, "main", "bo4/speed/winner") == [f"M\t{ALPHA}", f"M\t{BETA}"]
    assert lab.show(f"bo4/speed/winner:{ALPHA}") == "60\n"
    assert lab.show(f"bo4/speed/winner:{BETA}") == "70\n"
    assert "better than v1: 130 points against 159" in done["rationale"]
    assert done["selection"]["left_out"] == {"v1": [NOTES]}
    assert shipped["passed"]
    for part in (
        "| alpha | 0.1.0 | v1 |",
        "Not taken from v1",
        "cost: 130 points, gain 29",
        "- tests: passed",
    ):
        assert part in shipped["body"], shipped["body"]
    assert applied["branch"] == "pr/speed"
    assert lab.git("rev-parse", "pr/speed^{tree}") == lab.git("rev-parse", "bo4/speed/winner^{tree}")
    message = lab.git("log", "-1", "--format=%B", "pr/speed")
    assert f"Planner-Compose: {chosen['compose_sha256']}" in message
    assert {row["context"]["compose_sha256"] for row in events(lab)[-5:]} == {chosen["compose_sha256"]}
    picks = [row["detail"] for row in events(lab) if row["event"] == "META_PICK"]
    assert [(pick["module"], pick["profile"]) for pick in picks] == [
        ("alpha@var1", "conservative"),
        ("beta@var2", "conservative"),
    ]
    report = json.loads(lab.show("bo4/speed/run:runs/speed/winner/report.json"))
    assert report["bill_of_materials"] == [
        {"id": "alpha", "version": "0.1.0", "variant": 1},
        {"id": "beta", "version": "0.1.0", "variant": 2},
    ]
    lab.fsck()


def test_the_same_commands_again_change_nothing(halves: Lab) -> None:
    covered(halves)
    words = (("compose",), ("ship",), ("apply",))
    first = [command(halves, *argv)["commit"] for argv in words]
    before = halves.refs()
    covered(halves)
    assert [command(halves, *argv)["commit"] for argv in words] == first
    assert halves.refs() == before


def test_without_coverage_the_best_variant_wins_as_a_whole(halves: Lab) -> None:
    chosen = command(halves, "meta")
    assert chosen["composition"]["modules"] == [{"id": "tree", "version": "0.1.0", "variant": 1}]
    done = command(halves, "compose")
    assert (
        done["commit"] == halves.git("rev-parse", "bo4/speed/v1") == halves.git("rev-parse", done["branch"])
    )
    body = command(halves, "ship")["body"]
    for part in (
        "**v1**",
        "cost: 159 points, gain 41 (base: 200)",
        "- v2: another variant gains more",
        "- v3: it gains nothing over the base",
    ):
        assert part in body, body


def test_a_composition_that_is_not_better_than_the_best_variant_does_not_win(lab: Lab) -> None:
    tournament(lab, {1: {ALPHA: "60\n", BETA: "60\n"}, 2: {ALPHA: "61\n", BETA: "70\n"}})
    covered(lab)
    done = command(lab, "compose")
    assert done["commit"] == lab.git("rev-parse", "bo4/speed/v1")
    assert done["rationale"].startswith("v1 wins: the composition is not better than v1")
    # Its digest is that of what won.
    assert done["compose_sha256"] == canonical_json.digest(
        json.loads(lab.show("bo4/speed/run:runs/speed/winner/compose.json"))
    )
    assert "**v1**" in command(lab, "ship")["body"]


def test_a_composition_that_fails_its_gates_does_not_win(lab: Lab) -> None:
    tournament(lab, {1: {ALPHA: "40\n"}, 2: {BETA: "45\n"}})
    covered(lab)
    done = command(lab, "compose")
    assert done["rationale"].startswith("v1 wins: the composition failed its gates: 'tests' failed")
    failed = [row["detail"] for row in events(lab) if row["event"] == "GATES_FAIL"]
    assert [row["gate"] for row in failed] == ["tests"]


def test_no_winner_is_a_result(lab: Lab) -> None:
    tournament(lab, {1: {ALPHA: "200\n"}})
    assert command(lab, "meta", expect=1)["composition"] is None
    done = command(lab, "compose", expect=1)
    assert (done["commit"], done["branch"]) == (None, None)
    assert command(lab, "ship", expect=3)["code"] == "E_STAGE"


def test_a_person_may_choose_a_variant(halves: Lab) -> None:
    assert command(halves, "meta", "--variant", "2")["rationale"] == "v2 was chosen with '--variant'"
    assert command(halves, "compose")["commit"] == halves.git("rev-parse", "bo4/speed/v2")
    only_one = {**COVERAGE, "variants": []}
    only_one["provides"] = [{"module": "alpha", "covers": ["fast alpha", "fast beta"]}]
    path = str(file_in(halves, "coverage.json", only_one))
    refused = command(halves, "meta", "--coverage", path, expect=1)
    assert refused["message"] == "'alpha' names no variant, and 3 may be chosen"
    chosen = command(halves, "meta", "--coverage", path, "--variant", "2")
    assert chosen["composition"]["modules"] == [{"id": "alpha", "version": "0.1.0", "variant": 2}]


def test_the_same_winner_chosen_in_another_way_stays_the_winner(halves: Lab) -> None:
    lab = halves
    for words in (("meta",), ("compose",), ("ship",), ("meta", "--variant", "1")):
        command(lab, *words)
    again = command(lab, "compose")
    assert again["commit"] == lab.git("rev-parse", "bo4/speed/winner") == lab.git("rev-parse", "bo4/speed/v1")
    assert again["rationale"] == "v1 was chosen with '--variant'"
    command(lab, "ship")
    assert "shipping" in view(lab).run.selection["gates"]
    assert command(lab, "apply")["branch"] == "pr/speed"


def test_variants_that_failed_their_gates_are_not_chosen(lab: Lab) -> None:
    lab.commit("two modules", BASE)
    gated_run(lab, {1: {ALPHA: "60\n"}, 2: {BETA: "70\n"}}, gates={"passed": False})
    refused = command(lab, "meta", "--coverage", str(file_in(lab, "c.json", COVERAGE)), expect=1)
    assert (refused["code"], refused["details"]) == (
        "E_NO_VARIANT",
        ["variant 1 failed its gates", "variant 2 failed its gates"],
    )


def test_a_goal_that_nobody_covers_stops_the_choice(halves: Lab) -> None:
    more = {**COVERAGE, "goals": [*COVERAGE["goals"], "small"]}
    path = str(file_in(halves, "coverage.json", more))
    refused = command(halves, "meta", "--coverage", path, expect=1)
    assert (refused["code"], refused["details"]) == ("E_COVERAGE", ["'small': no module covers it"])
    tangled = file_in(halves, "coverage.json", 0)
    tangled.write_text('{"goals": ["g"], "provides": [{"module": "mm", "covers": [], "risk": NaN}]}')
    assert command(halves, "meta", "--coverage", path, expect=1)["code"] == "E_JSON"


def test_coverage_is_that_of_its_turn(halves: Lab) -> None:
    lab = halves
    covered(lab)
    assert command(lab, "meta")["picks"], "the file that was given before counts"
    command(lab, "compose")
    assert command(lab, "followup", "--prompt", "halve the values", "--follows", "1")["run"]["turns"][1]
    store = RunStore(open_repository(lab.path), "speed")
    commit, tree = (lab.git("rev-parse", name) for name in ("bo4/speed/v2", "bo4/speed/v2^{tree}"))
    gated = Variant(2, 1, "harvested", commit=commit, tree=tree, gates={"passed": True})
    store.end_stage("gate", ended(begun(store.read().run, "0" * 64), "done"), RunChange(variants=[gated]))
    assert command(lab, "meta", expect=3)["message"].startswith("the stage 'judge'")
    store.end_stage("judge", ended(begun(store.read().run, "0" * 64), "done", winner=1))
    assert command(lab, "meta")["composition"]["modules"] == [
        {"id": "tree", "version": "0.1.0", "variant": 1}
    ]
    assert command(lab, "apply", expect=3)["code"] == "E_STAGE"
    assert command(lab, "compose")["commit"] == commit


def test_overrides_change_the_composition_and_are_told(halves: Lab) -> None:
    covered(halves)
    overrides = file_in(halves, "overrides.json", {"modules": ["-beta"]})
    done = command(halves, "compose", "--overrides", str(overrides))
    # Alone 'alpha' is better than v1, whose other module is only a little better than the base's.
    assert done["selection"]["modules"] == {"tree": 1}
    (applied,) = [row for row in events(halves) if row["event"] == "COMPOSE_OVERRIDES_APPLIED"]
    assert (applied["detail"]["removed"], applied["detail"]["sections"]) == (["beta"], ["modules"])
    bad = file_in(halves, "overrides.json", {"modules": ["-gamma"]})
    refused = command(halves, "compose", "--overrides", str(bad), expect=1)
    assert refused["code"] == "E_COMPOSE_OVERRIDES"


def test_a_composition_of_what_was_not_harvested_is_refused(halves: Lab) -> None:
    covered(halves)
    overrides = file_in(halves, "overrides.json", {"modules": [{"id": "beta", "variant": 7}]})
    refused = command(halves, "compose", "--overrides", str(overrides), expect=2)
    assert refused["code"] == "E_UNKNOWN_VARIANT"


def test_apply_refuses_what_was_not_shipped_or_was_chosen_anew(halves: Lab) -> None:
    lab = halves
    command(lab, "meta")
    command(lab, "compose")
    assert command(lab, "apply", expect=3)["message"].startswith("the stage 'ship' of the tournament")
    command(lab, "ship")
    covered(lab)
    command(lab, "compose")
    refused = command(lab, "apply", expect=3)
    assert refused["message"] == "the winner of 'speed' was chosen anew after it was shipped"
    command(lab, "ship")
    lab.git("update-ref", "refs/heads/bo4/speed/winner", "main")
    assert command(lab, "apply", expect=3)["code"] == "E_STAGE"
    command(lab, "compose")
    assert command(lab, "apply", "--check")["commit"] is None
    assert "refs/heads/pr/speed" not in lab.refs()


def test_what_a_person_committed_on_the_winner_is_not_replaced(halves: Lab) -> None:
    lab = halves
    command(lab, "meta")
    command(lab, "compose")
    lab.git("switch", "-q", "bo4/speed/winner")
    own = lab.commit("by hand", {NOTES: "mine\n"})
    lab.git("switch", "-q", "main")
    covered(lab)
    refused = command(lab, "compose", expect=5)
    assert (refused["code"], own[:12] in refused["message"]) == ("E_CONFLICT", True)
    assert "git branch -m bo4/speed/winner NAME" in refused["hint"]
    assert lab.git("rev-parse", "bo4/speed/winner") == own
    lab.git("branch", "-m", "bo4/speed/winner", "mine")
    assert command(lab, "compose")["commit"] == lab.git("rev-parse", "bo4/speed/winner")


def test_a_winner_that_fails_its_shipping_gates_is_not_applied(lab: Lab) -> None:
    tournament(lab, {1: {ALPHA: "40\n", BETA: "40\n"}})
    command(lab, "meta", "--variant", "1")
    command(lab, "compose")
    shipped = command(lab, "ship", expect=1)
    assert (shipped["passed"], shipped["body"]) == (False, "")
    assert "tests: failed" in lab.run("git-bo4", "ship", "speed").out
    refused = command(lab, "apply", expect=3)
    assert refused["message"].startswith("the stage 'ship' of the tournament 'speed' has failed: 'tests'")


def test_apply_merges_with_a_base_that_moved_and_refuses_a_conflict(halves: Lab) -> None:
    lab = halves
    for words in (("meta",), ("compose",), ("ship",)):
        command(lab, *words)
    lab.commit("elsewhere", {"other": "1\n"})
    applied = command(lab, "apply")
    assert files(lab, "main", "pr/speed") == [f"A\t{NOTES}", f"M\t{ALPHA}", f"M\t{BETA}"]
    assert lab.git("rev-parse", "pr/speed^") == lab.git("rev-parse", "main")
    assert applied["files"] == 3
    lab.commit("the same lines", {ALPHA: "7\n"})
    refused = command(lab, "apply", expect=3)
    assert (refused["code"], refused["details"]) == ("E_MERGE", [ALPHA])


def test_apply_pushes_only_when_asked(halves: Lab, make_lab: Any) -> None:
    lab, remote = halves, make_lab("--bare")
    lab.git("remote", "add", "origin", str(remote.path))
    for words in (("meta",), ("compose",), ("ship",), ("apply",)):
        command(lab, *words)
    assert remote.refs() == {}
    assert command(lab, "apply", "--push")["pushed"] == "origin"
    assert remote.refs() == {"refs/heads/pr/speed": lab.git("rev-parse", "pr/speed")}


STEPS = (("compose",), ("ship",), ("apply",))


@sampled(23, whole=3)
def test_a_kill_at_any_call_of_git_is_repaired_by_the_same_commands(halves: Lab, stride: int) -> None:
    lab = halves
    covered(lab)
    start = lab.refs()
    for words in STEPS:
        command(lab, *words)
    wanted = {ref: oid for ref, oid in lab.refs().items() if not ref.endswith("/run")}
    tree = lab.git("rev-parse", "bo4/speed/winner^{tree}")
    killed = 0
    for words in STEPS:
        for calls in range(1, 400, stride):
            restore(lab, start)
            for earlier in STEPS[: STEPS.index(words)]:
                command(lab, *earlier)
            ran = lab.spawn("git-bo4", words[0], "speed", **lab.crash_after(calls, after=bool(calls % 2)))
            if ran.status >= 0 and ran.status != 137:
                assert ran.status == 0, ran.err
                break
            killed += 1
            for again in STEPS:
                command(lab, *again)
            assert lab.git("rev-parse", "bo4/speed/winner^{tree}") == tree
            assert event.validate(view(lab).events, strict=True) == []
            assert lab.refs().keys() - {"refs/heads/bo4/speed/run"} >= wanted.keys()
    assert killed > 2


def restore(lab: Lab, refs: dict[str, str]) -> None:
    """Bring all refs back to where they were."""
    moves = [f"update {ref} {oid}" for ref, oid in refs.items() if ref != "HEAD"]
    gone = [f"delete {ref}" for ref in lab.refs() if ref not in refs]
    lab.git("update-ref", "--stdin", stdin="\n".join([*moves, *gone]) + "\n")


def test_a_noisy_winner_is_told_with_its_interval(lab: Lab) -> None:
    noisy_campaign(lab)
    gated_run(lab, {1: {"src/value": "80\n"}, 2: {"src/value": "101\n"}})
    store = RunStore(open_repository(lab.path), "speed")
    # As the judge leaves them: the effect is candidate minus base.
    compared = {"candidate": [80.0, 81.0], "effect": -19.5, "low": -20.0, "high": -19.0, "better": True}
    screening = {"metric": "cost", "unit": "points", "values": [80.0], "base": [100.0], "gain": 20.0}
    one, two = store.read().current
    rows = [
        replace(one, screening=screening, confirmation={"base": compared}),
        replace(two, screening={**screening, "values": [101.0], "gain": -1.0}),
    ]
    stage = ended(begun(store.read().run, "0" * 64), "done", "v1 is better than the base", winner=1)
    store.end_stage("judge", stage, RunChange(variants=rows))
    for words in (("meta",), ("compose",)):
        command(lab, *words)
    body = command(lab, "ship")["body"]
    assert "- cost: 80.5 points, gain 19.5 [19, 20] (base: 100)" in body, body
    assert "- v2: it gains nothing over the base" in body
