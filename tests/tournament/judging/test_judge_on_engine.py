"""Judging on a worker of an engine: the same choice as on this host, from runs on one worker."""

from __future__ import annotations

import json

from git_planner.flows.tournament.run_store import RunStore
from git_planner.gitio.repository import open_repository
from git_planner.rules.tournament import event
from tests.support.lab import Lab
from tests.tournament.tournament_lab import gated_run, noisy_campaign


def test_screening_and_confirmation_run_on_one_worker(lab: Lab) -> None:
    noisy_campaign(lab)
    gated_run(lab, {1: {"src/value": "98"}, 2: {"src/value": "80"}, 3: {"src/broken": "<failure/>"}})
    ran = lab.run("git-bo4", "judge", "speed", "--engine", "local", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["run"]["stages"]["judge"]["facts"]["winner"] == 2
    assert ran.err.count("measured on ") == 1
    view = RunStore(open_repository(lab.path), "speed").read()
    confirmation = view.variant(2).confirmation
    assert confirmation is not None
    assert set(confirmation) == {"base", "v1"}
    assert (view.variant(3).screening or {})["reason"] == "incorrect"
    # The same command again starts no worker; a comparison has spent one share.
    again = lab.run("git-bo4", "judge", "speed", "--engine", "local")
    assert (again.status, "measured on" in again.err) == (0, False), again.err
    codes = [row.get("detail", {}).get("code") for row in event.read(view.events)]
    assert codes.count(event.COMPARISON) == 1
