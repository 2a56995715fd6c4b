"""Many tasks and many delegators: each task is begun once, over a remote, too; side by side where it goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from git_planner.rules.documents import canonical_json
from tests.delegation.scripted_agent import DONE, begun, bench, delegate, kept, refused, task, works
from tests.iterations.test_resume import CODE, runs, wait_for
from tests.support.lab import Lab
from tests.support.two_clones import PAGE, PLAN, page

FULL = os.environ.get("LAB_RACE") == "full"
# A whole race takes minutes.
DELEGATORS, TASKS = (32, 200) if FULL else (8, 24)
AFAR, TASKS_AFAR = (32, 200) if FULL else (4, 8)


def start(lab: Lab, *argv: str) -> subprocess.Popen[bytes]:
    """Start a real `git plan delegate`."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "git-plan", "delegate", *argv],
        cwd=lab.path,
        env=lab.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def tasks(count: int) -> list[tuple[str, ...]]:
    return [(f"task number {number}", "--write-scope", f"src/{number}") for number in range(count)]


def trivial(lab: Lab) -> None:
    """An agent that writes its result by itself: no interpreter is started, so that many can be."""
    result = (
        '{"schema": "git-planner/result@1", "plan": "default", "task": "%s", "uid": "%s", "attempt": 1, '
        '"run": "%s", "status": "done", "summary": "x", "details": [], "next": null, "question": null, '
        '"at": "2026-11-28T12:00:00Z"}'
    )
    uid = 'sed -n \'s/.*"uid": "\\(.*\\)".*/\\1/p\' "$(dirname "$GIT_PLANNER_RESULT")/../meta.json"'
    works(
        lab, f'printf \'{result}\' "$GIT_PLANNER_TASK" "$({uid})" "$GIT_PLANNER_RUN" >"$GIT_PLANNER_RESULT"'
    )


def all_once(lab: Lab, count: int) -> None:
    assert sorted(begun(lab)) == [f"task_{number:03d}" for number in range(1, count + 1)]
    with lab.entered():
        from git_planner.flows.tasks.edit import read_tasks

        found = read_tasks(lab.repo, "default").tasks
    assert {(each.status, each.attempt) for each in found} == {("agent_done", 1)}


def test_of_many_delegators_each_task_is_begun_by_one(lab: Lab) -> None:
    bench(lab, *tasks(TASKS))
    trivial(lab)
    racers = [start(lab, "--max-tasks", "1000", "--parallel", "1") for _ in range(DELEGATORS)]
    said = [each.communicate()[1].decode() for each in racers]
    assert [each.returncode for each in racers] == [0] * DELEGATORS, said
    all_once(lab, TASKS)
    assert [each for each in lab.refs() if each.startswith("refs/planner/claims/")] == []


def test_over_a_remote_that_two_clones_share_each_task_is_begun_once(lab: Lab) -> None:
    bench(lab, *tasks(TASKS_AFAR))
    trivial(lab)
    lab.git("clone", "-q", "--bare", str(lab.path), str(lab.root / "shared.git"))
    lab.git("remote", "add", "origin", str(lab.root / "shared.git"))
    other = lab.clone("other")
    other.git("remote", "set-url", "origin", str(lab.root / "shared.git"))
    other.git("fetch", "-q", "origin", "plan/default:plan/default")
    for clone in (lab, other):
        clone.git("config", "planner.remote", "origin")
    racers = [
        start(clone, "--max-tasks", "1000", "--remote", "origin")
        for clone in (lab, other)
        for _ in range(AFAR // 2)
    ]
    said = [each.communicate()[1].decode() for each in racers]
    assert [each.returncode for each in racers] == [0] * len(racers), "\n".join(said)
    assert sorted(begun(lab)) == [f"task_{number:03d}" for number in range(1, TASKS_AFAR + 1)]
    ran = lab.run("git-plan", "pull")
    assert ran.status == 0, ran.err
    all_once(lab, TASKS_AFAR)
    there = lab.git("ls-remote", "origin", "refs/planner/claims/*")
    assert there == "", [line for each in said for line in each.splitlines() if "works in" not in line]
    lab.fsck()
    other.fsck()


def test_agents_work_side_by_side_where_scopes_do_not_overlap(lab: Lab) -> None:
    bench(
        lab,
        ("one", "--write-scope", "src/a/**"),
        ("two", "--write-scope", "src/**"),
        ("three", "--write-scope", "docs/**"),
    )
    meet = f'mkdir -p "{lab.root}/here"; touch "{lab.root}/here/$GIT_PLANNER_TASK"'
    works(
        lab,
        meet,
        f'case $GIT_PLANNER_TASK in task_002) test ! -e "{lab.root}/busy";; *) touch "{lab.root}/busy"',
        f'while ! [ -e "{lab.root}/here/task_001" ] || ! [ -e "{lab.root}/here/task_003" ]',
        "do sleep 0.05; done;; esac",
        f'rm -f "{lab.root}/busy"',
        DONE,
    )
    status, done = delegate(lab, "--max-tasks", "9", "--parallel", "3")
    assert (status, [each["outcome"] for each in done["runs"]]) == (0, ["done"] * 3), done
    assert begun(lab)[2] == "task_002"


def test_a_cycle_is_not_nothing_to_do(lab: Lab) -> None:
    bench(lab, ("one",), ("two", "--after", "task_001"))
    assert (
        refused(lab.run("git-plan", "task", "update", "task_001", "--after", "task_002", "--json"))
        == "E_USAGE"
    )
    # Two clones can each add half of it, and a merge has both.
    found = page(lab)
    found["tasks"][0]["dependencies"] = ["task_002"]
    lab.rival(PLAN, PAGE, canonical_json.dumps(found).decode())
    status, done = delegate(lab)
    assert (status, [each["code"] for each in done["faults"]]) == (1, ["cycle"])
    assert begun(lab) == []


def test_what_a_task_builds_on_is_its_base(lab: Lab) -> None:
    bench(
        lab,
        ("one",),
        ("two",),
        ("three", "--after", "task_001"),
        ("four", "--after", "task_001", "--after", "task_002"),
    )
    works(lab, 'echo "$GIT_PLANNER_TASK" >"src/$GIT_PLANNER_TASK"', DONE)
    assert delegate(lab, "--max-tasks", "9")[0] == 0
    for name in ("task_001", "task_002"):
        _proven(lab, name)
    status, done = delegate(lab, "--max-tasks", "9")
    assert (status, [each["task"] for each in done["runs"]]) == (1, ["task_003"])
    assert [each["task"] for each in done["skipped"]] == ["task_004"]
    assert "have not been merged" in done["skipped"][0]["reason"]
    three = task(lab, "task_003")
    assert three.base == task(lab, "task_001").commits[-1]
    assert lab.show(f"{three.branch}:src/task_001") == "task_001\n"
    before = lab.refs()
    named = lab.run("git-plan", "delegate", "--task", "task_004", "--json")
    assert (refused(named), lab.refs()) == ("E_MERGE", before)
    lab.git("checkout", "-q", "-b", "both", str(task(lab, "task_001").branch))
    lab.git("merge", "-q", "-s", "ours", str(task(lab, "task_002").branch))
    assert delegate(lab, "--task", "TASK-4", "--from", "both")[0] == 0
    assert task(lab, "task_004").base == lab.git("rev-parse", "both")


def _proven(lab: Lab, name: str) -> None:

    from git_planner.flows.tasks.edit import change_task
    from git_planner.rules.tasks.task import TaskEvidence

    proof = TaskEvidence("manual", "2026-11-28T12:00:00Z", "me", 1, None, None, ok=True)
    with lab.entered():
        change_task(
            lab.repo,
            "default",
            name,
            lambda each: each._replace(status="done", evidence=(proof,)),
            op="verify",
        )


@pytest.mark.parametrize(
    "argv",
    [
        ("--approval", "on-request"),
        ("--sandbox", "read-only"),
        ("--sandbox", "danger-full-access", "--allow-danger"),
        ("--impl", "codex", "--sandbox", "danger-full-access"),
        ("--impl", "codex", "--allow-danger"),
        ("--impl", "codex", "--approval", "untrusted", "--sandbox", "workspace-write"),
        ("--impl", "codex", "--sandbox", "none"),
        ("--parallel", "0"),
        ("--max-tasks", "0"),
        ("--timeout", "0"),
    ],
)
def test_what_an_agent_cannot_honour_is_refused(lab: Lab, argv: tuple[str, ...]) -> None:
    bench(lab, ("one",))
    before = lab.refs()
    assert refused(lab.run("git-plan", "delegate", "--json", *argv)) == "E_USAGE"
    assert (lab.refs(), begun(lab)) == (before, [])


def test_a_named_task_that_is_not_ready_is_refused_with_the_reasons(lab: Lab) -> None:
    bench(lab, ("one",), ("two", "--after", "task_001"))
    assert refused(lab.run("git-plan", "delegate", "--task", "task_2", "--json")) == "E_TRANSITION"
    assert refused(lab.run("git-plan", "delegate", "--task", "task_3", "--json")) == "E_UNKNOWN_TASK"
    assert refused(lab.run("git-plan", "delegate", "--plan", "nowhere", "--json")) == "E_NO_PLAN"
    assert begun(lab) == []


def test_a_refusal_takes_no_number_of_an_iteration(lab: Lab) -> None:
    bench(lab, ("one", "--write-scope", "src/**"), ("two", "--write-scope", "src/**"), ("three",))
    lab.run("git-plan", "task", "claim", "task_1", "--owner", "me")
    before = lab.refs()
    for name, code in (("task_2", "E_TRANSITION"), ("task_1", "E_BUSY"), ("task_2", "E_TRANSITION")):
        assert refused(lab.run("git-plan", "delegate", "--task", name, "--json")) == code
    assert (lab.refs(), begun(lab)) == (before, [])
    status, done = delegate(lab, "--task", "task_3")
    assert (status, done["runs"][0]["iteration"]) == (0, 1), done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_all_agents_and_puts_their_tasks_back(lab: Lab, number: int) -> None:
    bench(lab, *tasks(3))
    works(lab, f'sleep 77 & echo $! >"{lab.root}/pid-$GIT_PLANNER_TASK"; wait')
    process = start(lab, "--max-tasks", "9", "--parallel", "2", "--json")
    for name in ("task_001", "task_002"):
        wait_for(lab.root / f"pid-{name}")
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert b"E_INTERRUPTED" in out
    for name in ("task_001", "task_002"):
        one = task(lab, name)
        assert (one.status, one.attempt, one.reason) == ("todo", 2, "the delegator was interrupted")
        assert not runs(int((lab.root / f"pid-{name}").read_text()))
    assert (task(lab, "task_003").status, sorted(begun(lab))) == ("todo", ["task_001", "task_002"])
    assert {each.outcome for each in kept(lab)} == {"interrupted"}
