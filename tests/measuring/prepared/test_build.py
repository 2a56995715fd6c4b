"""Steps of 'build' for each candidate, chains of steps, homes, copies, and who else sees the outputs."""

from __future__ import annotations

import json

import pytest

from tests.measuring.prepared.test_prepare import kept, record
from tests.support.benchmark_project import attempt, project
from tests.support.lab import Lab

HEAD = """\
schema: git-planner/policy@1
guard: ["tests/**"]
jail: '{jail}'
"""
BUILDING = (
    HEAD.replace("{jail}", "auto")
    + """\
prepare:
  - {name: tool, run: [sh, -c, "mkdir -p ~/cache && cp lock.txt ~/cache/lock"], inputs: [lock.txt],
     outputs: [~/cache/lock]}
build:
  - {name: compile, run: [sh, -c, "mkdir built && cat ~/cache/lock src/value.py > built/program.py"],
     outputs: [built]}
metrics:
  - {name: cycles, run: [python, -c, "from built.program import VALUE; print('CYCLES:', VALUE)"],
     pattern: 'CYCLES: (\\d+)', better: lower}
  - {name: size, run: ["true"], reader: file-size, file: built/program.py, better: lower}
"""
)


def test_each_candidate_is_built_from_what_was_prepared(lab: Lab) -> None:
    project(lab, BUILDING, **{"lock.txt": "A = 1\n"})
    base = record(lab)
    assert base["verdict"] == "baseline", base
    assert {"prepare-tool", "build-compile"} <= base["seconds"].keys()
    attempt(lab, 1, 90)
    better = record(lab)
    assert [metric["median"] for metric in better["metrics"]] == [90.0, 17.0]
    assert len(kept(lab)) == 3, "the tool, and two builds"


def test_a_build_that_fails_is_invalid_with_its_last_lines(lab: Lab) -> None:
    policy = BUILDING.replace("mkdir built", "python src/value.py && mkdir built")
    project(lab, policy, **{"lock.txt": "A = 1\n"})
    record(lab)
    attempt(lab, 1, "(")
    document = record(lab)
    assert (document["verdict"], document["reason"]) == ("invalid", "build_failed")
    assert "SyntaxError" in document["summary"]


def test_a_build_has_no_network(lab: Lab) -> None:
    interfaces = "cat /proc/net/dev | wc -l > built/program.py; grep -c lo: /proc/net/dev"
    policy = BUILDING.replace("cat ~/cache/lock", f"{interfaces} && cat ~/cache/lock")
    project(lab, policy, **{"lock.txt": "A = 1\n"})
    assert record(lab)["verdict"] == "baseline"
    (built,) = [path for path in kept(lab) if (path / "0").is_dir()]
    assert json.loads((built / "seal.json").read_text())["step"] == "compile"


@pytest.mark.parametrize("jail", ["auto", "off"])
@pytest.mark.parametrize("writable", [True, False])
def test_outputs_are_read_only_or_a_copy_of_each_run(lab: Lab, jail: str, writable: bool) -> None:
    steps = (
        "prepare: [{name: a, run: [sh, -c, 'mkdir out && echo 1 > out/n'], inputs: [src/value.py], "
        f"outputs: [out], writable: {str(writable).lower()}}}]\n"
        "metrics: [{name: n, run: [sh, -c, 'echo N: $(wc -l < out/n); echo 2 >> out/n || true'], "
        "pattern: 'N: (\\d+)', better: lower, repeats: 2}]\n"
    )
    project(lab, HEAD.format(jail=jail) + steps)
    document = record(lab)
    assert document["metrics"][0]["samples"] == [1.0, 1.0]
    (entry,) = kept(lab)
    assert (entry / "0" / "n").read_text() == "1\n"


def test_verify_commands_of_tasks_see_the_outputs(lab: Lab) -> None:
    policy = BUILDING + "verify: ['grep -q VALUE built/program.py']\n"
    project(lab, policy, **{"lock.txt": "A = 1\n"})
    assert (
        lab.run("git-plan", "task", "add", "a task", "--verify", "grep -q VALUE built/program.py").status == 0
    )
    lab.run("git-plan", "task", "claim", "task_001")
    lab.commit("task_001: a change", {"src/value.py": "VALUE = 90\n"})
    ran = lab.run("git-plan", "task", "verify", "task_001", "--commit", "HEAD")
    assert ran.status == 0, ran.out + ran.err


def test_gates_see_the_outputs(lab: Lab) -> None:
    gates = "gates: {shipping: [guard, {name: lint, run: [grep, -q, VALUE, built/program.py]}]}\n"
    project(lab, BUILDING + gates, **{"lock.txt": "A = 1\n"})
    ran = lab.run("git-bo4", "gate", "--ref", "HEAD", "--set", "shipping", "--json")
    assert '"lint"' in ran.out, ran.err
    assert ran.status == 0, ran.out
