"""What a remote sends is checked before anything follows it; what is invalid is set aside by its name."""

from __future__ import annotations

import json

from git_planner.rules import refnames
from tests.support.lab import Lab
from tests.support.two_clones import FOLDER, PAGE, PLAN, page, share, two_clones

QUESTION = {
    "at": "2026-11-30T10:00:00Z",
    "by": "agent",
    "summary": "which?",
    "details": [],
    "next": None,
    "answer": None,
}


def test_a_handoff_outside_of_its_folder_is_not_written_to(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    document = page(other)
    document["tasks"][0] |= {"status": "needs_input", "inputs": [QUESTION], "handoff": PAGE}
    other.rival(PLAN, PAGE, json.dumps(document))
    other.git("push", "-q", "origin", PLAN)
    pulled = share(lab, "pull")
    assert pulled.status == 0, pulled.err
    assert (
        f"ignored, of 'origin': the handoff of 'task_001' is not in '{FOLDER}/handoffs': '{PAGE}'"
        in pulled.out
    )
    assert PAGE not in lab.run("git-plan", "task", "show", "task_001", "--handoff").out
    answered = lab.run("git-plan", "task", "answer", "task_001", "this one")
    assert answered.status == 0, answered.err
    assert page(lab)["tasks"][0]["handoff"] == f"{FOLDER}/handoffs/task_001.md"
    assert "this one" in lab.show(f"plan/default:{FOLDER}/handoffs/task_001.md")
    assert lab.run("git-plan", "task", "list").status == 0


def test_bad_records_are_named_and_the_rest_is_pulled(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    for name in ("20261121T100001Z-aaaaaaaa", "zzz"):
        other.rival(PLAN, refnames.record_path(name), "{}")
    other.git("push", "-q", "origin", PLAN)
    pulled = share(lab, "pull")
    assert pulled.status == 0, pulled.err
    lines = [line for line in pulled.out.splitlines() if "is not a record" in line]
    assert [line.split("'")[3] for line in lines] == ["20261121T100001Z-aaaaaaaa.json", "zzz.json"]
    assert lab.run("git-record", "log").status == 0


def test_an_invalid_plan_is_set_aside_and_the_others_are_pulled_and_pushed(lab: Lab) -> None:
    lab, other, bare = two_clones(lab)
    assert other.run("git-plan", "task", "add", "x", "--plan", "second").status == 0
    assert share(other, "push", "--all").status == 0
    before = lab.refs()[PLAN]
    other.rival(PLAN, PAGE, "{")
    other.git("push", "-q", "origin", PLAN)
    pulled = share(lab, "pull", "--all")
    assert pulled.status == 0, pulled.err
    assert f"default: invalid on the remote, set aside ({before[:12]})" in pulled.out
    assert "second: created from the remote" in pulled.out
    assert lab.refs()[PLAN] == before
    assert lab.run("git-plan", "task", "add", "y", "--plan", "second").status == 0
    assert share(lab, "push", "--all").status == 0
    moved = lab.git(f"--git-dir={bare}", "rev-parse", PLAN, "refs/heads/plan/second").split()
    assert moved == [other.refs()[PLAN], lab.refs()["refs/heads/plan/second"]]
    # By its name it is refused.
    assert share(lab, "pull").status != 0


def test_a_fresh_clone_is_told_to_pull(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    other.git("fetch", "-q", "origin")
    other.git("branch", "-q", "-D", "plan/default")
    pull = "git plan pull origin --plan default"
    for argv in (
        ("task", "list"),
        ("sync",),
        ("lint",),
        ("task", "add", "another first one"),
        ("use", "default"),
    ):
        ran = other.run("git-plan", *argv)
        assert (ran.status != 0, pull in ran.err) == (True, True), (argv, ran.err)
    assert pull in other.run("git-plan", "list").err
    assert other.run(*pull.replace(" ", "-", 1).split()).status == 0
    assert other.run("git-plan", "task", "list").status == 0
