"""The example of the best-of-four loop's document, with a program in the place of the cloud service."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.lab import Lab
from tests.support.sweeps import sampled
from tests.tournament.collecting.cloud_case import module, row, serve, value

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
scope: {allow: ["value", "modules/**"]}
modules: {cache: ["value", "modules/cache/**"]}
metrics:
  - {name: cost, run: [cat, value], pattern: '(\\d+)', unit: points, better: lower, kind: deterministic,
     timeout: 20}
"""
COVERAGE = {
    "goals": ["fast"],
    "provides": [
        {"module": "cache@var2", "covers": ["fast"], "evidence_strength": 0.9, "risk": 0.1},
        {"module": "cache@var1", "covers": ["fast"], "evidence_strength": 0.2, "risk": 0.8},
    ],
}
COMMAND = ("git-bo4", "run", "--task", "demo-headless", "--coverage", "examples/coverage.json")


def example(lab: Lab) -> Path:
    """Commit the example's files, and let the service have its task; return the file of its calls."""
    files = {".git-planner.yml": POLICY, "value": "100\n", "tests/test_it": "guarded\n"}
    lab.commit("base", {**files, "examples/coverage.json": json.dumps(COVERAGE)})
    variants = [
        row(1, diff=value(90) + module("cache")),
        row(2, diff=value(80) + module("cache")),
        row(3, "failed"),
        row(4, diff="not a patch"),
    ]
    return serve(lab, name="demo-headless", variants=variants)


def test_one_command_from_task_to_winner(lab: Lab) -> None:
    calls = example(lab)
    with lab.undisturbed():
        ran = lab.run(*COMMAND, "--json")
    assert ran.status == 0, ran.out + ran.err
    document = json.loads(ran.out)
    run = document["run"]["run"]
    assert [variant["state"] for variant in document["variants"]] == [
        *("harvested", "harvested", "failed", "broken")
    ]
    assert document["winner"] == lab.git("rev-parse", f"bo4/{run}/winner")
    assert lab.show(f"bo4/{run}/winner:value") == "80\n"
    folder = f"bo4/{run}/run:runs/{run}"
    assert json.loads(lab.show(f"{folder}/winner/report.json"))
    assert json.loads(lab.show(f"{folder}/meta/coverage.json"))["goals"] == ["fast"]
    assert lab.run("git-bo4", "events", "validate", run, "--strict").status == 0
    refs = lab.refs()
    calls.unlink()
    again = lab.run(*COMMAND, "--json")
    assert (again.status, json.loads(again.out)["winner"]) == (0, document["winner"])
    assert lab.refs() == refs
    # Only the broken variant is tried once more.
    exports = [line for line in calls.read_text().splitlines() if line.startswith("export")]
    assert [line.split()[2] for line in exports] == ["4"]


@sampled(61, 7)
def test_the_command_is_killed_and_given_again(lab: Lab, stride: int) -> None:
    example(lab)
    for call in range(9, 900, stride):
        ran = lab.spawn(*COMMAND, "--json", **lab.crash_after(call))
        if ran.status == 0:
            break
    run = json.loads(ran.out)["run"]["run"]
    assert lab.show(f"bo4/{run}/winner:value") == "80\n"
    assert lab.run("git-bo4", "list").out.count("demo-headless") == 1
    assert lab.run("git-bo4", "events", "validate", run, "--strict").status == 0
    lab.fsck()
