"""Mistakes of the first hour: each message says what is wrong, and its hint works when it is pasted."""

from __future__ import annotations

import json
import re
import sys

import pytest

from git_planner.cli import COMMANDS
from tests.support.lab import Lab
from tests.support.small_campaign import campaign

POLICY = "schema: git-planner/policy@1\nbase: main\njail: off\n"


def policy(lab: Lab, text: str) -> None:
    """Commit a policy that adds keys to the usual ones."""
    lab.commit("policy", {".git-planner.yml": POLICY + text})


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        ("git-iterate --impl codx", "did you mean 'codex'?"),
        ("git-iterate --planner offlin", "did you mean 'offline'?"),
        ("git-plan choose d", "see 'git plan choose -h'"),
        ("git-planner ci gitlub", "did you mean 'gitlab' or 'github'?"),
        ("git-planner completion fisch", "did you mean 'fish'?"),
        ("git-record mian", "did you mean 'main'?"),
        ("git-record verify relase", "did you mean 'release'?"),
        ("git-iterate --from relase", "did you mean 'release'?"),
        ("git-record lgo", "did you mean 'git record log'?"),
        # The command that measures has no name of its own in the help.
        ("git-record mesure", "list names with 'git branch --all'"),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(lab: Lab, argv: str, hint: str) -> None:
    campaign(lab)
    lab.git("tag", "release")
    ran = lab.run(*argv.split())
    assert (ran.status, ran.err.splitlines()[-1]) == (2, f"hint: {hint}")


def test_a_missing_choice_is_told_in_one_line(lab: Lab) -> None:
    for argv in (["git-planner", "ci"], ["git-planner", "completion"], ["git-plan", "choose"]):
        lines = lab.run(*argv).err.splitlines()
        assert len(lines) == 2
        assert re.fullmatch(r"error: missing argument '\{[a-z|]+\}' \(E_USAGE\)", lines[0])


def test_one_fault_is_told_once(lab: Lab) -> None:
    policy(lab, "corectness: {run: [true]}\n")
    ran = lab.run("git-record", "--json")
    assert ran.err.count("did you mean 'correctness'?") == 1
    assert len(json.loads(ran.out)["details"]) == 1


def test_an_unknown_number_is_an_iteration(lab: Lab) -> None:
    campaign(lab)
    assert lab.run("git-iterate", "why", "2").err == (
        "error: there is no iteration 2 here (E_UNKNOWN_REF)\nhint: list them with 'git iterate list'\n"
    )


@pytest.mark.parametrize(
    ("patches", "code"), [("", "E_POLICY"), (", patches: patches", "E_MISSING_FOLDER")], ids=["none", "gone"]
)
def test_patches_are_looked_for_before_an_iteration_is_made(lab: Lab, patches: str, code: str) -> None:
    metric = "metrics: [{name: n, run: [cat, README.md], pattern: '(h)', better: lower}]\n"
    policy(lab, f"{metric}agents: {{planner: offline, implementer: patches{patches}}}\n")
    before = lab.refs()
    ran = lab.run("git-iterate", "--json")
    assert json.loads(ran.out)["code"] == code
    assert json.loads(ran.out)["hint"]
    assert lab.refs() == before
    assert not (lab.root / "repo.iter").exists()


def test_an_empty_policy_is_not_sent_to_a_command_that_keeps_it(lab: Lab) -> None:
    lab.commit("empty", {".git-planner.yml": "\n"})
    ran = lab.run("git-record")
    assert "(E_POLICY)" in ran.err
    assert "git planner init" not in ran.err


def test_the_doctor_names_a_module_that_is_not_installed(lab: Lab) -> None:
    for module, codes in (("no_such_runner.main", ["module-missing"]), ("unittest", []), ("mine.bench", [])):
        lab.commit("module", {"mine/__init__.py": f"# {module}\nraise SystemExit('imported')\n"})
        agents = "agents: {planner: offline, implementer: patches, patches: patches}\n"
        policy(lab, f"correctness: {{run: [{sys.executable}, -m, {module}]}}\n{agents}")
        report = json.loads(lab.run("git-planner", "doctor", "--json").out)
        reported = [row["code"] for row in report["findings"] if row["code"].startswith("module")]
        assert reported == codes


def test_a_policy_without_a_metric(lab: Lab) -> None:
    policy(lab, "correctness: {run: [sh, -c, 'cp report.xml {proof}']}\n")
    report = '<testsuites><testsuite><testcase classname="a" name="b"/></testsuite></testsuites>'
    lab.commit("report", {"report.xml": report})
    ran = lab.run("git-record")
    assert ran.status == 0, ran.err
    assert ran.out.count("has no metric") == 1
    best = lab.run("git-record", "best")
    assert best.err.startswith(
        "error: plan 'default' has no record with a value yet (E_NO_RECORD)\nhint: add a"
    )
    assert lab.run("git-planner", "plot").out == "plan 'default' has no record with a value yet\n"


@pytest.mark.parametrize(
    "argv", ["git-record log", "git-record best", "git-planner plot", "git-plan status", "git-plan list"]
)
def test_a_fresh_clone_is_told_to_pull(lab: Lab, argv: str) -> None:
    campaign(lab)
    assert lab.run("git-plan", "task", "add", "the first").status == 0
    clone = lab.root / "clone"
    lab.git("clone", "-q", str(lab.path), str(clone))
    ran = lab.run(*argv.split(), cwd=clone)
    assert "git plan pull origin --plan default" in ran.out + ran.err
    assert lab.run("git-plan", "pull", "origin", "--plan", "default", cwd=clone).status == 0
    again = lab.run(*argv.split(), cwd=clone)
    assert "git plan pull" not in again.out + again.err


def test_no_suggestion_names_a_hidden_command() -> None:
    hidden = [name for rows in COMMANDS.values() for name, row in rows.items() if not row.help]
    assert sorted(hidden) == ["gate", "launch", "measure", "once", "session-program", "variant-program"]
