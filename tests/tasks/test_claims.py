"""Claims on tasks: who holds one, until when, races for them, and kills."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.tasks.claims import Claimant, claim_task, read_claims, release_task
from git_planner.flows.tasks.edit import read_tasks
from git_planner.host.clock import utc_now
from git_planner.host.process_identity import ProcessIdentity, identity
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json
from git_planner.rules.timestamps import add_seconds
from tests.support.lab import Lab
from tests.support.workshop import workshop
from tests.tasks.test_tasks import error, task

NOW = "2026-11-28T12:00:00Z"


def claimant(owner: str, **more: Any) -> Claimant:
    return Claimant(owner, NOW, add_seconds(utc_now(), 3600), **more)


def test_the_claim_of_a_dead_process_is_replaced_and_of_a_live_one_is_kept(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one")
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = identity(program.pid)
    claim_task(lab.repo, "default", "task_001", claimant("first", process=alive))
    latecomer = claimant("second")
    with pytest.raises(PlannerError, match="claimed by 'first'"):
        claim_task(lab.repo, "default", "task_001", latecomer)
    program.communicate(b"\n")
    claimed, claim = claim_task(lab.repo, "default", "task_001", latecomer)
    assert (claimed.owner, claimed.attempt, claim.owner) == ("second", 2, "second")
    assert read_claims(lab.repo, "default")["task_001"] == claim


def test_a_task_claimed_by_a_live_process_cannot_be_moved(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one")
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claim_task(lab.repo, "default", "task_001", claimant("agent", process=identity(program.pid)))
    for argv in (
        ("resume", "task_001"),
        ("update", "task_001", "--status", "blocked"),
        ("input", "task_001", "--summary", "?"),
    ):
        assert error(lab, "task", *argv) == "E_BUSY"
    assert task(lab, "update", "task_001", "--note", "seen")["task"]["status"] == "in_progress"
    program.communicate(b"\n")
    assert task(lab, "resume", "task_001")["task"]["attempt"] == 2
    assert read_claims(lab.repo, "default") == {}


def test_a_persons_claim_ends_with_the_status(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one")
    task(lab, "claim", "task_001")
    task(lab, "input", "task_001", "--summary", "which?")
    assert read_claims(lab.repo, "default") == {}


def test_a_claim_from_another_machine_is_in_force_until_it_expires(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one")
    dead_process = ProcessIdentity(4_000_000, 1.0, "another boot", "x")
    _, claim = claim_task(lab.repo, "default", "task_001", claimant("far", process=dead_process))
    ref = refnames.claim_ref("default", "task_001")
    foreign_claim = canonical_json.dumps({**claim.document(), "host": "elsewhere"}).decode()
    lab.rival(ref, "claim.json", foreign_claim)
    with pytest.raises(PlannerError, match="on 'elsewhere'"):
        claim_task(lab.repo, "default", "task_001", claimant("near"))
    lab.rival(ref, "claim.json", foreign_claim.replace(claim.uid, "another0"))
    release_task(lab.repo, "default", "task_001", owner=None)
    claim_task(lab.repo, "default", "task_001", claimant("near"))
    lab.rival(ref, "claim.json", foreign_claim.replace(claim.expires_at, "2020-01-01T00:00:00Z"))
    assert claim_task(lab.repo, "default", "task_001", claimant("near"))[0].owner == "near"
    lab.rival(ref, "claim.json", "no claim at all")
    release_task(lab.repo, "default", "task_001", owner="anybody")
    assert read_tasks(lab.repo, "default").task("task_1").status == "todo"


@pytest.mark.parametrize("date", ["1000000000 +0000", "4000000000 +0000"], ids=["2001", "2096"])
def test_git_s_date_neither_ends_a_claim_nor_prolongs_it(lab: Lab, date: str) -> None:
    workshop(lab)
    task(lab, "add", "one")
    lab.env.update(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    task(lab, "claim", "task_001", "--owner", "me")
    lab._tick()
    assert error(lab, "task", "claim", "task_001", "--owner", "you") == "E_BUSY"
    lab.env.update(GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    assert error(lab, "task", "claim", "task_001", "--owner", "you") == "E_BUSY"
    (claim,) = read_claims(lab.repo, "default").values()
    assert claim.expires_at < add_seconds(utc_now(), 366 * 86400)
    expired = canonical_json.dumps({**claim.document(), "expires_at": "2020-01-01T00:00:00Z"}).decode()
    lab.rival(refnames.claim_ref("default", "task_001"), "claim.json", expired)
    assert task(lab, "claim", "task_001", "--owner", "you")["task"]["owner"] == "you"


RACE = """\
import sys
from git_planner.errors import PlannerError
from git_planner.flows.tasks.claims import Claimant, claim_task
from git_planner.gitio.repository import open_repository
got = []
for number in range(1, 11):
    try:
        claim_task(open_repository(), "default", f"task_{number}", Claimant(
            sys.argv[1], "2026-11-28T12:00:00Z", "2999-01-01T00:00:00Z"))
        got.append(number)
    except PlannerError as error:
        assert error.code == "E_BUSY", error
print(*got)
"""


def test_many_claimants_share_the_tasks_without_overlap(lab: Lab) -> None:
    workshop(lab)
    for number in range(10):
        task(lab, "add", f"task {number}")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, f"racer {number}"], stdout=subprocess.PIPE, env=lab.env, cwd=lab.path
        )
        for number in range(8)
    ]
    numbers_by_racer = {
        racer.args[-1]: [int(word) for word in racer.communicate()[0].split()] for racer in racers
    }  # type: ignore[index]
    assert all(racer.returncode == 0 for racer in racers)
    assert sorted(number for numbers in numbers_by_racer.values() for number in numbers) == list(range(1, 11))
    owners = {task.number: task.owner for task in read_tasks(lab.repo, "default").tasks}
    assert owners == {number: racer for racer, numbers in numbers_by_racer.items() for number in numbers}


def test_a_kill_at_any_call_of_git_keeps_task_and_claim_consistent(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one")
    for call in range(1, 60):
        env = lab.crash_after(call, after=call % 2 == 0)
        ran = lab.spawn("git-plan", "task", "claim", "task_001", "--owner", "me", **env)
        claims = read_claims(lab.repo, "default")
        status = read_tasks(lab.repo, "default").task("task_001").status
        assert (status == "in_progress") == ("task_001" in claims)
        if claims:
            assert task(lab, "release", "task_001", "--owner", "me")["task"]["status"] == "todo"
        if ran.status == 0:
            break
    assert ran.status == 0
    lab.fsck()


def test_a_claim_whose_process_cannot_be_seen_is_in_force_until_it_expires(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one")
    mine = identity(os.getpid())
    assert mine is not None
    # In another container of the same name, its process id is nobody's here.
    far = replace(mine, pid=2**22, namespace="pid:[1]")
    claim_task(
        lab.repo, "default", "task_001", claimant("agent", process=far, run="20261130T120000Z-abcdefgh")
    )
    assert lab.run("git-plan", "sync").status == 0
    assert [one.owner for one in read_claims(lab.repo, "default").values()] == ["agent"]
    assert read_tasks(lab.repo, "default").task("task_001").status == "in_progress"
    ref = refnames.claim_ref("default", "task_001")
    late = {**read_claims(lab.repo, "default")["task_001"].document(), "expires_at": NOW}
    lab.rival(ref, "claim.json", canonical_json.dumps(late).decode())
    assert lab.run("git-plan", "sync").status == 0
    assert read_tasks(lab.repo, "default").task("task_001").status == "todo"
