"""`git plan task` and `git plan lint`: the life of tasks, races for claims, and kills."""

from __future__ import annotations

import json
import subprocess
import sys
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
from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop

NOW = "2026-11-28T12:00:00Z"


def plan(lab: Lab, *argv: str) -> Ran:
    return lab.run("git-plan", *argv)


def task(lab: Lab, *argv: str) -> dict[str, Any]:
    """Return the JSON output of 'git plan task …'."""
    ran = plan(lab, "task", *argv, "--json")
    assert ran.status == 0, ran.out + ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def error(lab: Lab, *argv: str) -> str:
    ran = plan(lab, *argv, "--json")
    assert ran.status != 0, ran.out
    return str(json.loads(ran.out)["code"])


def claimant(owner: str, **more: Any) -> Claimant:
    return Claimant(owner, NOW, add_seconds(utc_now(), 3600), **more)


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "a\rb", "a\x1b[31m", "a\u2028b", "caf\udce9"])
def test_a_title_is_one_line_of_text(lab: Lab, title: str) -> None:
    workshop(lab)
    task(lab, "add", "one")
    before = lab.refs()
    for argv in (("add", title), ("update", "task_001", "--title", title)):
        ran = plan(lab, "task", *argv)
        assert (ran.status, "(E_USAGE)\nhint: " in ran.err) == (2, True), ran.err
    assert lab.refs() == before
    assert plan(lab, "task", "add", "one", "--note", "caf\udce9").status == 2


def test_direction_controls_in_titles_are_escaped(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "see \u202egnp.exe\u2069, \u05d0\u05d1")
    row = "task_001  todo          see \\u202egnp.exe\\u2069, \u05d0\u05d1\n"
    assert plan(lab, "task", "list").out == row


def test_dependency_cycles_are_refused(lab: Lab) -> None:
    workshop(lab)
    for number in range(4):
        task(lab, "add", "one more", *(("--after", f"task_{number}") if number else ()))
    before = lab.refs()
    for name, after in (("task_001", "task_001"), ("task_001", "task_004"), ("TASK-2", "task_3")):
        ran = plan(lab, "task", "update", name, "--after", after)
        assert (ran.status, " would depend on itself: " in ran.err) == (2, True), ran.err
    assert "task_002 -> task_003 -> task_002" in ran.err
    assert lab.refs() == before
    task(lab, "update", "task_003", "--clear", "dependencies")
    assert task(lab, "update", "task_002", "--after", "task_003")["task"]["dependencies"] == [
        "task_001",
        "task_003",
    ]


def test_the_life_of_a_task(lab: Lab) -> None:
    workshop(lab)
    with lab.undisturbed():
        first = plan(lab, "task", "add", "Make it shorter", "--write-scope", "src/**", "--verify", "true")
        assert (first.status, first.out) == (0, "task_001  todo          Make it shorter\n"), first.err
        task(lab, "add", "Say so", "--after", "TASK-1", "--write-scope", "docs/**")
        assert [ready["id"] for ready in task(lab, "ready")["tasks"]] == ["task_001"]
        assert error(lab, "task", "claim", "task_002") == "E_TRANSITION"
        claimed = task(lab, "claim", "task_1", "--owner", "me")
        assert (claimed["task"]["status"], claimed["task"]["owner"]) == ("in_progress", "me")
        assert error(lab, "task", "claim", "task_001", "--owner", "you") == "E_BUSY"
        assert error(lab, "task", "release", "task_001", "--owner", "you") == "E_BUSY"
        assert task(lab, "ready")["tasks"] == []
        asked = task(
            lab, "input", "task_001", "--summary", "How short?", "--detail", "9 or 8", "--by", "agent"
        )
        assert asked["task"]["status"] == "needs_input"
        task(lab, "answer", "task_001", "8", "--by", "planner")
        handoff = plan(lab, "task", "show", "task_001", "--handoff").out
        assert (
            handoff.index("How short?")
            < handoff.index("- 9 or 8")
            < handoff.index("8", handoff.index("Answer"))
        )
        resumed = task(lab, "resume", "task_001", "--note", "8 it is")
        assert (resumed["task"]["status"], resumed["task"]["attempt"]) == ("todo", 2)
        task(lab, "update", "task_001", "--status", "blocked", "--reason", "no compiler")
        assert task(lab, "show", "task_001")["task"]["reason"] == "no compiler"
        assert error(lab, "task", "update", "task_001", "--status", "done") == "E_EVIDENCE"
        assert error(lab, "task", "update", "task_001", "--status", "pending") == "E_USAGE"
        task(lab, "cancel", "task_002", "--reason", "not needed")
        listed = plan(lab, "task", "list").out.splitlines()
    assert listed == [
        "task_001  blocked       Make it shorter",
        "task_002  cancelled     Say so (after task_001)",
    ]
    assert plan(lab, "validate", "plan/default:.plans/default/plan.json").status == 0
    lab.fsck()


def test_lists_are_appended_to_and_cleared(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "x", "--acceptance", "a", "--acceptance", "b")
    changed = task(lab, "update", "task_1", "--title", "y")
    assert (changed["task"]["title"], changed["task"]["acceptance"]) == ("y", ["a", "b"])
    more = task(lab, "update", "task_001", "--acceptance", "c", "--acceptance", "a")
    assert more["task"]["acceptance"] == ["a", "b", "c"]
    fresh = task(lab, "update", "task_001", "--clear", "acceptance", "--acceptance", "d")
    assert fresh["task"]["acceptance"] == ["d"]
    before = lab.git("rev-parse", "plan/default")
    task(lab, "update", "task_001", "--acceptance", "d")
    assert lab.git("rev-parse", "plan/default") == before
    assert error(lab, "task", "update", "task_001", "--clear", "status") == "E_USAGE"


@pytest.mark.parametrize(
    "argv",
    [
        ("add", ""),
        ("add", "x\x1b[2J"),
        ("add", "x" * 201),
        ("add", "x", "--write-scope", "../x"),
        ("add", "x", "--write-scope", "/etc"),
        ("add", "x", "--read-scope", "a/.git/config"),
        ("add", "x", "--verify", "a && b"),
        ("add", "x", "--verify", "<fill>"),
        ("add", "x", "--after", "task_009"),
        ("add", "x", "--after", "../../evil"),
        ("show", "../../evil"),
        ("show", "task_009"),
        ("claim", "task_0"),
        ("answer", "task_001", "nobody asked"),
        ("resume", "task_001"),
        ("list", "--plan", "../../evil"),
        ("list", "--plan", "nowhere"),
    ],
)
def test_refused_commands_change_nothing(lab: Lab, argv: tuple[str, ...]) -> None:
    workshop(lab)
    task(lab, "add", "the first")
    before = lab.refs()
    ran = plan(lab, "task", *argv, "--json")
    assert ran.status in (1, 2, 3)
    assert json.loads(ran.out)["hint"]
    assert lab.refs() == before


def test_lint_reports_overlaps_and_drift(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one", "--write-scope", "src/**", "--verify", "true")
    task(lab, "add", "two", "--write-scope", "src/size.txt", "--verify", "true")
    task(lab, "add", "far", "--plan", "other", "--write-scope", "src/*.txt", "--verify", "true")
    lab.commit("the base moves", {"src/size.txt": "99\n"})
    ran = plan(lab, "lint")
    assert (ran.status, ran.out.splitlines()) == (
        0,
        [
            "overlap: task task_001 and task task_002: 'src/**' and 'src/size.txt'",
            "overlap: task task_001 and task other task_001: 'src/**' and 'src/*.txt'",
            "overlap: task task_002 and task other task_001: 'src/size.txt' and 'src/*.txt'",
            f"drift: task_001: changed since {lab.git('rev-parse', 'main~1')[:12]}: src/size.txt",
            f"drift: task_002: changed since {lab.git('rev-parse', 'main~1')[:12]}: src/size.txt",
        ],
    )


def test_lint_reads_a_plan_broken_by_hand(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "one", "--verify", "true")
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    page["tasks"][0] |= {"status": "delegated", "verify": ["pytest"], "dependencies": ["task_002"]}
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", json.dumps(page))
    result = json.loads(plan(lab, "lint", "--json").out)
    assert not result["ok"]
    assert {fault["code"] for fault in result["faults"]} == {
        "schema",
        "status",
        "verify",
        "unknown-dependency",
    }
    assert error(lab, "task", "list") == "E_SCHEMA"
    page["tasks"] = [{"id": "task_201"}, {"id": 7}, None, "x"]
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", json.dumps(page))
    assert "page" in {fault["code"] for fault in json.loads(plan(lab, "lint", "--json").out)["faults"]}
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", "{")
    assert [fault["code"] for fault in json.loads(plan(lab, "lint", "--json").out)["faults"]] == ["json"]
    assert error(lab, "task", "add", "more") == "E_JSON"


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
    (made,) = read_claims(lab.repo, "default").values()
    assert made.expires_at < add_seconds(utc_now(), 366 * 86400)
    expired = canonical_json.dumps({**made.document(), "expires_at": "2020-01-01T00:00:00Z"}).decode()
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


def test_five_hundred_tasks_over_several_pages(lab: Lab) -> None:
    workshop(lab)
    task(lab, "add", "the first")
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    first = page["tasks"][0]
    edits = {}
    for name, numbers in (
        ("plan.json", range(1, 201)),
        ("plan-0002.json", range(201, 401)),
        ("plan-0003.json", range(401, 501)),
    ):
        tasks = [{**first, "id": f"task_{n:03d}", "uid": f"uid{n:05d}"} for n in numbers]
        edits[f".plans/default/{name}"] = canonical_json.dumps({**page, "tasks": tasks})
    from git_planner.gitio.store import Message

    lab.store.edit("refs/heads/plan/default", lambda _: edits, Message("many"))
    assert task(lab, "add", "another")["task"]["id"] == "task_501"
    task(lab, "update", "task_450", "--title", "changed")
    changed = lab.git("diff", "--name-only", "plan/default~1", "plan/default")
    assert changed == ".plans/default/plan-0003.json"
    assert len(task(lab, "list")["tasks"]) == 501
