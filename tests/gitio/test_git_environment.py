"""The environment of every git: its messages are English, and it reads paths and objects as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import git, remote
from git_planner.gitio.git import DROPPED, FIXED
from tests.hooks.hooked_repository import guarded_lab
from tests.support.lab import Lab
from tests.support.workshop import workshop

GERMAN = {"LANGUAGE": "de", "LC_ALL": "C.UTF-8", "LANG": "de_DE.UTF-8"}
# Variables that bend a git, as a person's command line or shell may set them.
BENT = {
    **GERMAN,
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_EXTERNAL_DIFF": "false",
    "GIT_DIFF_OPTS": "-U0",
    "GIT_REPLACE_REF_BASE": "refs/other/",
}


def traced(lab: Lab) -> Path:
    """Let every git write down how it was started, the variables in question too, a file a process."""
    folder = lab.root / "traces"
    folder.mkdir()
    lab.env.update(GIT_TRACE2_EVENT=str(folder), GIT_TRACE2_ENV_VARS=",".join((*FIXED, *DROPPED)))
    lab.env.update(BENT)
    return folder


def environments(folder: Path) -> dict[str, dict[str, str]]:
    """Return command -> the variables in question, for every git that git itself has not started."""
    variables = {}
    for trace in folder.iterdir():
        events = [json.loads(line) for line in trace.read_text().splitlines()]
        command = " ".join(next(event["argv"] for event in events if event["event"] == "start"))
        names = {event["name"] for event in events if event["event"] == "cmd_name"}
        # GitPython asks for the version when it is first imported.
        if not names & {"maintenance", "commit", "upload-pack", "_run_dashed_", "version"}:
            values = {event["param"]: event["value"] for event in events if event["event"] == "def_param"}
            variables[command] = {name: value for name, value in values.items() if name in (*FIXED, *DROPPED)}
    return variables


def check_environments(folder: Path, *parts: str) -> None:
    """Fail unless every git had the one environment, and gits with these parts in their command ran."""
    seen = environments(folder)
    assert {command: values for command, values in seen.items() if values != FIXED} == {}
    for part in parts:
        assert any(part in command for command in seen), sorted(seen)


def test_every_git_of_a_command_has_the_one_environment(lab: Lab) -> None:
    workshop(lab)
    folder = traced(lab)
    ran = lab.spawn("git-plan", "task", "add", "Größe messen")
    assert ran.status == 0, ran.err
    check_environments(folder, "update-ref", "unpack-objects")
    assert "Größe messen" in lab.show("plan/default:.plans/default/plan.json")


def test_git_of_gitpython_has_it_too(lab: Lab) -> None:
    bare = lab.root / "origin.git"
    lab.git("init", "-q", "--bare", str(bare))
    lab.git("remote", "add", "origin", str(bare))
    folder = traced(lab)
    with lab.entered():
        remote.listing(lab.repo, "origin")
    check_environments(folder, "ls-remote")


@pytest.mark.parametrize("ordinary", [False, True])
def test_git_in_the_hooks_has_it_too(lab: Lab, ordinary: bool) -> None:
    guarded_lab(lab, ordinary=ordinary)
    assert lab.run("git-plan", "task", "add", "Größe messen").status == 0
    (lab.path / "tests/test_code.py").write_text("def test(): pass\n")
    folder = traced(lab)
    for message in ("task_001: Größe", "Größe: nichts"):
        done = lab.run_git("commit", "-q", "--allow-empty", "-m", message)
        assert done.status == 0, done.err
    refused = lab.run_git("commit", "-q", "-m", "guarded", "--", "tests/test_code.py")
    assert (refused.status, "(E_GUARD)" in refused.err) == (1, True), refused.err
    check_environments(folder, "grep -G", "diff-index", "diff-tree", "rev-parse")


def test_a_failure_is_known_in_a_german_environment(lab: Lab) -> None:
    lab.env.update(GERMAN)
    if "Schwerwiegend" not in lab.run_git("-C", "/no/such/folder", "status").err:
        pytest.skip("git has no German messages here")
    with lab.entered():
        with pytest.raises(PlannerError) as caught:
            lab.repo.git.line("rev-parse", "--verify", "nowhere")
        assert caught.value.message == "Needed a single revision"
        with pytest.raises(PlannerError) as caught:
            remote.fetch(lab.repo, "origin", ["main"], lambda _: None)
        assert caught.value.code == "E_REMOTE"


def test_a_program_that_may_run_git_keeps_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**BENT, "GIT_DIR": "/elsewhere"}.items():
        monkeypatch.setenv(name, value)
    environment = git.program_environment({"ADDED": "1"})
    assert {name: environment.get(name) for name in (*GERMAN, "ADDED")} == {**GERMAN, "ADDED": "1"}
    assert environment["GIT_NO_REPLACE_OBJECTS"] == "1"
    assert environment.keys() & {"GIT_DIR", *DROPPED} == {"LANGUAGE"}
