"""A repository in a folder whose name is not UTF-8: agents are started there, and their work is kept."""

from __future__ import annotations

import json
import os

import pytest

from tests.delegation.scripted_agent import delegate, set_agent_script, set_up_lab, task
from tests.support.lab import Lab


@pytest.fixture
def latin(lab: Lab) -> Lab:
    """Make a repository with a task and an agent in such a folder."""
    set_up_lab(lab, ("Make it smaller", "--write-scope", "src/**"))
    lab.path = lab.path.rename(lab.root / os.fsdecode(b"n\xe9w\nfolder"))
    return lab


def test_an_agent_can_be_given_a_task_there(latin: Lab) -> None:
    status, document = delegate(latin)
    assert (status, [run["outcome"] for run in document["runs"]]) == (0, ["done"])
    assert task(latin).status == "agent_done"
    assert latin.run("git-plan", "runs", "--json").status == 0


def test_an_attempt_there_is_measured(latin: Lab) -> None:
    set_agent_script(latin, "echo 90 >src/value")
    ran = latin.run("git-iterate", "--planner", "offline", "--json")
    record = json.loads(ran.out)["record"]
    assert (ran.status, record["verdict"]) == (0, "improved"), record["notes"]
