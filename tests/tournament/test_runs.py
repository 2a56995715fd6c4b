"""Runs of tournaments: creating them, reading them, many writers at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView, begun, ended
from git_planner.gitio.repository import open_repository
from git_planner.rules.tournament.event import EventDraft
from git_planner.rules.tournament.variant import Variant
from tests.support.lab import Lab
from tests.support.small_campaign import campaign

NEW = ("git-bo4", "new", "--prompt", "make it faster", "--best-of", "3", "--run", "speed")


def new(lab: Lab, *words: str) -> Any:
    ran = lab.run(*NEW, "--json", *words)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def test_a_new_run_is_a_branch_of_its_base(lab: Lab) -> None:
    campaign(lab)
    with lab.undisturbed():
        run = new(lab)["run"]
    assert (run["run"], run["attempts"], run["turns"][0]["turn"]) == ("speed", 3, 1)
    assert lab.git("rev-parse", "bo4/speed/run^") == lab.git("rev-parse", "main") == run["base"]
    assert lab.show("bo4/speed/run:runs/speed/prompt.md") == "make it faster\n"
    (event,) = lab.show("bo4/speed/run:runs/speed/artifacts/events.ndjson").splitlines()
    assert json.loads(event)["detail"]["code"] == "RUN_NEW"
    line = json.loads(lab.show("bo4/speed/run:.codex/bo4_runs.jsonl"))
    assert (line["base"], line["best_of"], line["prompt_file"]) == ("main", 3, "runs/speed/prompt.md")
    assert lab.run("git-bo4", "list", "--jsonl").out == json.dumps(line, sort_keys=True) + "\n"
    assert "SOURCE: local, best of 3" in lab.run("git-bo4", "status").out
    assert lab.run("git-bo4", "list").out.splitlines()[1].split()[:3] == ["speed", "1", "3"]


def test_the_same_command_again_names_the_same_run(lab: Lab) -> None:
    campaign(lab)
    first = new(lab)
    tip = lab.git("rev-parse", "bo4/speed/run")
    assert new(lab) == first
    assert lab.git("rev-parse", "bo4/speed/run") == tip
    refused = lab.run("git-bo4", "new", "--prompt", "something else", "--run", "speed", "--json")
    assert (refused.status, json.loads(refused.out)["code"]) == (3, "E_RUN_EXISTS")


def test_a_name_is_made_from_date_and_prompt(lab: Lab) -> None:
    campaign(lab)
    names = [
        json.loads(lab.run("git-bo4", "new", "--prompt", prompt, "--json").out)["run"]["run"]
        for prompt in ("Make it faster!\nplease", "Make it faster!\nnow", "Make it faster!\nplease")
    ]
    assert names[0].endswith("-make-it-faster")
    assert names == [names[0], f"{names[0]}-2", names[0]]


def test_twenty_writers_lose_nothing(lab: Lab) -> None:
    campaign(lab)
    new(lab)

    def write(number: int) -> None:
        def decide(view: RunView) -> RunChange:
            facts = {**(view.run.selection or {}), str(number): True}
            rows = [Variant(1, 1, "pending", note=f"{len(facts)}")]
            event = EventDraft("GATES_WARN", "NOTE", {"message": f"writer {number}"}, "2026-01-01T00:00:00Z")
            return RunChange(replace(view.run, selection=facts), rows, {f"meta/{number}": b"x"}, [event])

        RunStore(open_repository(lab.path), "speed").change(decide, f"write-{number}")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(write, range(20)))
    view = RunStore(open_repository(lab.path), "speed").read()
    assert sorted(map(int, view.run.selection or {})) == list(range(20))
    assert view.variants[1, 1].note == "20"
    assert len(view.events.splitlines()) == 21
    assert all(view.read(f"meta/{number}") == b"x" for number in range(20))


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("new",), 2, "needs a prompt"),
        (("new", "--prompt", " "), 2, "is empty"),
        (("new", "--prompt", "x", "--run", "../x"), 2, "is not the name of a run"),
        (("new", "--prompt", "x", "--source", "patches"), 2, "--patches FOLDER"),
        (("new", "--prompt", "x", "--agent", "nobody"), 2, "'nobody' is not an agent"),
        (("new", "--prompt", "x", "--source", "branches", "--agent", "codex"), 2, "does not belong"),
        (("status", "speeed"), 2, "did you mean 'speed'?"),
        (("status", "x/../y"), 2, "is not the name of a run"),
        (("show", "7", "speed"), 2, "has no variant 7"),
    ],
)
def test_what_cannot_be(lab: Lab, words: tuple[str, ...], status: int, part: str) -> None:
    campaign(lab)
    new(lab)
    ran = lab.run("git-bo4", *words)
    assert (ran.status, part in ran.err) == (status, True), ran.err


@pytest.mark.parametrize(
    "content", ["{}", "[" * 100_000, "\x00\xff", '{"schema": "git-planner/tournament@1"}']
)
def test_a_document_that_is_no_run_is_told(lab: Lab, content: str) -> None:
    campaign(lab)
    new(lab)
    lab.git("switch", "-q", "bo4/speed/run")
    lab.commit("hostile", {"runs/speed/run.json": content})
    lab.git("switch", "-q", "main")
    ran = lab.run("git-bo4", "status", "speed")
    assert (ran.status, "runs/speed/run.json" in ran.err) == (1, True), ran.err
    assert lab.run("git-bo4", "list").status == 0


def test_another_task_or_environment_is_another_run(lab: Lab) -> None:
    campaign(lab)
    sources = (("--task", "task_a"), ("--task", "task_b"), ("--env", "a"), ("--env", "b"), ("--env", "a"))
    runs = [
        json.loads(lab.run("git-bo4", "new", "--prompt", "go", *words, "--json").out)["run"]
        for words in sources
    ]
    assert len({run["run"] for run in runs}) == 4
    assert runs[2] == runs[4]
    assert [run["turns"][0]["task"] for run in runs[:3]] == ["task_a", "task_b", None]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--task", "x" * 10_000), "E_NAME"),
        (("--task", "../../x"), "E_NAME"),
        (("--env", "x" * 10_000), "E_SCHEMA"),
        (("--ref", "HEAD", "--run", ""), "E_NAME"),
        (("--source", "local", "--task", "x"), "E_USAGE"),
    ],
)
def test_a_run_that_could_not_be_read_again_is_not_made(lab: Lab, words: tuple[str, ...], code: str) -> None:
    campaign(lab)
    before = lab.refs()
    ran = lab.run("git-bo4", "new", "--prompt", "go", *words, "--json")
    assert json.loads(ran.out)["code"] == code
    assert lab.refs() == before


def test_stages_are_shown_as_they_are_played(lab: Lab) -> None:
    campaign(lab)
    new(lab)
    store = RunStore(open_repository(lab.path), "speed")
    for name in ("watch", "harvest", "gate", "judge"):
        store.end_stage(name, ended(begun(store.read().run, "0" * 64), "done"))
    lines = lab.run("git-bo4", "status").out.splitlines()
    assert [line.split()[0] for line in lines[4:]] == ["new", "watch", "harvest", "gate", "judge"]
    assert lab.run("git-bo4", "list").out.splitlines()[1].split()[3] == "judge"


def test_a_variant_is_shown_with_its_gates_and_figures_a_line_each(lab: Lab) -> None:
    campaign(lab)
    new(lab)
    gate = {"name": "guard", "verdict": "failed", "code": "E_GUARD", "message": "'tests/x'", "required": True}
    gates = {"passed": False, "results": [gate]}
    screening = {"metric": "cost", "unit": "points", "values": [80.0], "base": [100.0], "gain": 20.0}
    row = Variant(1, 1, "harvested", "forged\n  v9 harvested", gates=gates, screening=screening, files=1)
    RunStore(open_repository(lab.path), "speed").change(lambda _: RunChange(variants=[row]), "note")
    shown = lab.run("git-bo4", "show", "1").out
    assert "gates failed: guard, cost 80 points, gain 20" in shown
    assert "gate             guard failed E_GUARD: 'tests/x'\n" in shown
    assert "{" not in shown
    assert "forged\\x0a  v9 harvested" in lab.run("git-bo4", "status").out


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("run", "other"),
        ("source", {"kind": "branches", "refs": 5}),
        ("source", {"kind": "branches"}),
        ("source", {"kind": "patches", "folder": 7}),
        ("source", {"kind": "local", "agents": 7}),
        ("coverage", {"path": 5}),
        ("selection", {"variant": "x"}),
        ("selection", {"commit": "zzz"}),
        ("selection", {"gates": {"results": [5]}}),
        ("turns", []),
    ],
)
def test_a_run_that_was_edited_by_hand_is_told(lab: Lab, path: str, words: Any) -> None:
    campaign(lab)
    new(lab)
    edited = {**json.loads(lab.show("bo4/speed/run:runs/speed/run.json")), path: words}
    lab.git("switch", "-q", "bo4/speed/run")
    lab.commit("edited", {"runs/speed/run.json": json.dumps(edited)})
    before = lab.refs()
    for command in ("status", "watch", "harvest", "compose"):
        ran = lab.run("git-bo4", command, "speed", "--json")
        assert (json.loads(ran.out)["code"], "runs/speed/run.json" in ran.err) == ("E_SCHEMA", True), ran.err
    assert lab.refs() == before


@pytest.mark.parametrize(
    "words",
    [
        {"gates": {"passed": True, "key": 5, "results": [5]}},
        {"gates": {"passed": True, "results": 5}},
        {"screening": {"values": "x"}},
        {"confirmation": {"base": 5}},
        {"score": {"orders": ["a", "b"]}},
    ],
)
def test_a_variant_that_was_edited_by_hand_is_told(lab: Lab, words: dict[str, Any]) -> None:
    campaign(lab)
    new(lab)
    lab.git("switch", "-q", "bo4/speed/run")
    row = {**Variant(1, 1, "harvested").document(), **words}
    lab.commit("edited", {"runs/speed/variants/var1.json": json.dumps(row)})
    for command in (("show", "1"), ("gate",), ("judge",), ("status",)):
        ran = lab.run("git-bo4", *command, "speed", "--json")
        assert (json.loads(ran.out)["code"], "variants/var1.json" in ran.err) == ("E_SCHEMA", True), ran.err


def test_a_run_of_another_clone_is_fetched_as_the_hint_says(lab: Lab) -> None:
    campaign(lab)
    new(lab)
    other = lab.clone("other")
    for words in (("status",), ("status", "speed")):
        refusal = json.loads(other.run("git-bo4", *words, "--json").out)
        assert refusal["hint"] == "git fetch origin 'refs/heads/bo4/*:refs/heads/bo4/*'"
    other.git("fetch", "-q", "origin", "refs/heads/bo4/*:refs/heads/bo4/*")
    assert other.run("git-bo4", "status", "speed").status == 0
