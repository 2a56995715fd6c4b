"""Carrying out a directive by hand, instead of giving it to an agent."""

from __future__ import annotations

import json

from tests.support.lab import Lab
from tests.support.small_campaign import campaign


def test_a_person_s_commit_is_recorded_as_the_iteration_s(lab: Lab) -> None:
    campaign(lab)
    planned = lab.run("git-plan", "offline", "--slug", "x")
    assert "by hand: git switch iter/0001-x" in planned.out
    ran = lab.run("git-iterate", "resume", "1", "--impl", "manual", "--json")
    assert (ran.status, json.loads(ran.out)["code"]) == (1, "E_NO_CHANGE")
    lab.git("switch", "-q", "iter/0001-x")
    (lab.path / "value").write_text("70\n")
    ran = lab.run("git-iterate", "resume", "1", "--impl", "manual", "--json")
    assert json.loads(ran.out)["code"] == "E_DIRTY"
    assert (lab.path / "value").read_text() == "70\n"
    lab.git("commit", "-qam", "lower")
    ran = lab.run("git-iterate", "resume", "--impl", "manual", "--json")
    assert ran.status == 0, ran.err
    record = json.loads(ran.out)["record"]
    assert record["verdict"] == "improved"
    assert record["agents"]["implementer"] == {"name": "manual"}
    assert lab.show("iter/best:value") == "70\n"
    # The branch and the checkout are the person's: neither was moved.
    assert lab.git("status", "--porcelain") == ""


def test_a_guarded_file_is_guarded_from_a_person_too(lab: Lab) -> None:
    campaign(lab)
    assert lab.run("git-plan", "offline", "--slug", "x").status == 0
    lab.git("switch", "-q", "iter/0001-x")
    (lab.path / "tests/test_it").write_text("mine\n")
    lab.git("commit", "-qam", "change a test")
    ran = lab.run("git-iterate", "resume", "1", "--impl", "manual", "--json")
    assert json.loads(ran.out)["record"]["reason"] == "guard"
