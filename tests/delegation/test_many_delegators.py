"""Many tasks and many delegators: each task starts once, over a remote, too; in parallel where possible."""

from __future__ import annotations

import os
import signal

import pytest

from git_planner.rules.documents import canonical_json
from tests.delegation.scripted_agent import (
    DONE,
    delegate,
    error_code,
    saved_runs,
    set_agent_script,
    set_up_lab,
    started_tasks,
    task,
)
from tests.support.lab import Lab
from tests.support.signalling import is_running, wait_for
from tests.support.two_clones import PAGE, PLAN, page
from tests.support.waiting import HANG_SECONDS

# Delegators and tasks of a race: a few in the suite, many with 'make test-real'.
RACES = pytest.mark.parametrize(
    ("delegators", "tasks"), [(4, 8), pytest.param(12, 40, marks=pytest.mark.real)]
)


def task_arguments(count: int) -> list[tuple[str, ...]]:
    return [(f"task number {number}", "--write-scope", f"src/{number}") for number in range(count)]


def set_fast_agent(lab: Lab) -> None:
    """Set an agent that writes its result file itself: without a Python start, many can run."""
    result = (
        '{"schema": "git-planner/result@1", "plan": "default", "task": "%s", "uid": "%s", "attempt": 1, '
        '"run": "%s", "status": "done", "summary": "x", "details": [], "next": null, "question": null, '
        '"at": "2026-11-28T12:00:00Z"}'
    )
    uid = 'sed -n \'s/.*"uid": "\\(.*\\)".*/\\1/p\' "$(dirname "$GIT_PLANNER_RESULT")/../meta.json"'
    set_agent_script(
        lab, f'printf \'{result}\' "$GIT_PLANNER_TASK" "$({uid})" "$GIT_PLANNER_RUN" >"$GIT_PLANNER_RESULT"'
    )


def check_all_done_once(lab: Lab, count: int) -> None:
    assert sorted(started_tasks(lab)) == [f"task_{number:03d}" for number in range(1, count + 1)]
    with lab.entered():
        from git_planner.flows.tasks.edit import read_tasks

        task_arguments = read_tasks(lab.repo, "default").tasks
    assert {(task.status, task.attempt) for task in task_arguments} == {("agent_done", 1)}


@RACES
def test_many_delegators_start_each_task_once(lab: Lab, delegators: int, tasks: int) -> None:
    set_up_lab(lab, *task_arguments(tasks))
    set_fast_agent(lab)
    racers = [
        lab.start("git-plan", "delegate", "--max-tasks", "1000", "--parallel", "1") for _ in range(delegators)
    ]
    stderrs = [racer.communicate()[1].decode() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * delegators, stderrs
    check_all_done_once(lab, tasks)
    assert [ref for ref in lab.refs() if ref.startswith("refs/planner/claims/")] == []


@RACES
def test_two_clones_of_a_remote_start_each_task_once(lab: Lab, delegators: int, tasks: int) -> None:
    set_up_lab(lab, *task_arguments(tasks))
    set_fast_agent(lab)
    lab.git("clone", "-q", "--bare", str(lab.path), str(lab.root / "shared.git"))
    lab.git("remote", "add", "origin", str(lab.root / "shared.git"))
    other = lab.clone("other")
    other.git("remote", "set-url", "origin", str(lab.root / "shared.git"))
    other.git("fetch", "-q", "origin", "plan/default:plan/default")
    for clone in (lab, other):
        clone.git("config", "planner.remote", "origin")
    racers = [
        clone.start("git-plan", "delegate", "--max-tasks", "1000", "--remote", "origin")
        for clone in (lab, other)
        for _ in range(delegators // 2)
    ]
    stderrs = [racer.communicate()[1].decode() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * len(racers), "\n".join(stderrs)
    assert sorted(started_tasks(lab)) == [f"task_{number:03d}" for number in range(1, tasks + 1)]
    ran = lab.run("git-plan", "pull")
    assert ran.status == 0, ran.err
    check_all_done_once(lab, tasks)
    claims = lab.git("ls-remote", "origin", "refs/planner/claims/*")
    assert claims == "", [
        line for stderr in stderrs for line in stderr.splitlines() if "works in" not in line
    ]
    lab.fsck()
    other.fsck()


def test_agents_work_in_parallel_on_disjoint_scopes(lab: Lab) -> None:
    set_up_lab(
        lab,
        ("one", "--write-scope", "src/a/**"),
        ("two", "--write-scope", "src/**"),
        ("three", "--write-scope", "docs/**"),
    )
    meet = f'mkdir -p "{lab.root}/here"; touch "{lab.root}/here/$GIT_PLANNER_TASK"'
    set_agent_script(
        lab,
        meet,
        f'case $GIT_PLANNER_TASK in task_002) test ! -e "{lab.root}/busy";; *) touch "{lab.root}/busy"',
        f'while ! [ -e "{lab.root}/here/task_001" ] || ! [ -e "{lab.root}/here/task_003" ]',
        "do sleep 0.05; done;; esac",
        f'rm -f "{lab.root}/busy"',
        DONE,
    )
    status, document = delegate(lab, "--max-tasks", "9", "--parallel", "3")
    assert (status, [run["outcome"] for run in document["runs"]]) == (0, ["done"] * 3), document
    assert started_tasks(lab)[2] == "task_002"


def test_a_dependency_cycle_is_a_fault(lab: Lab) -> None:
    set_up_lab(lab, ("one",), ("two", "--after", "task_001"))
    assert (
        error_code(lab.run("git-plan", "task", "update", "task_001", "--after", "task_002", "--json"))
        == "E_USAGE"
    )
    # Two clones can each add half of the cycle, which a merge then completes.
    document = page(lab)
    document["tasks"][0]["dependencies"] = ["task_002"]
    lab.rival(PLAN, PAGE, canonical_json.dumps(document).decode())
    status, result = delegate(lab)
    assert (status, [fault["code"] for fault in result["faults"]]) == (1, ["cycle"])
    assert started_tasks(lab) == []


def test_the_dependencies_of_a_task_are_its_base(lab: Lab) -> None:
    set_up_lab(
        lab,
        ("one",),
        ("two",),
        ("three", "--after", "task_001"),
        ("four", "--after", "task_001", "--after", "task_002"),
    )
    set_agent_script(lab, 'echo "$GIT_PLANNER_TASK" >"src/$GIT_PLANNER_TASK"', DONE)
    assert delegate(lab, "--max-tasks", "9")[0] == 0
    for name in ("task_001", "task_002"):
        _mark_done(lab, name)
    status, document = delegate(lab, "--max-tasks", "9")
    assert (status, [run["task"] for run in document["runs"]]) == (1, ["task_003"])
    assert [skipped["task"] for skipped in document["skipped"]] == ["task_004"]
    assert "diverged branches" in document["skipped"][0]["reason"]
    three = task(lab, "task_003")
    assert three.base == task(lab, "task_001").commits[-1]
    assert lab.show(f"{three.branch}:src/task_001") == "task_001\n"
    before = lab.refs()
    refusal = lab.run("git-plan", "delegate", "--task", "task_004", "--json")
    assert (error_code(refusal), lab.refs()) == ("E_MERGE", before)
    lab.git("checkout", "-q", "-b", "both", str(task(lab, "task_001").branch))
    lab.git("merge", "-q", "-s", "ours", str(task(lab, "task_002").branch))
    assert delegate(lab, "--task", "TASK-4", "--from", "both")[0] == 0
    assert task(lab, "task_004").base == lab.git("rev-parse", "both")


def _mark_done(lab: Lab, name: str) -> None:

    from git_planner.flows.tasks.edit import change_task
    from git_planner.rules.tasks.task import TaskEvidence

    evidence = TaskEvidence("manual", "2026-11-28T12:00:00Z", "me", 1, None, None, ok=True)
    with lab.entered():
        change_task(
            lab.repo,
            "default",
            name,
            lambda task: task._replace(status="done", evidence=(evidence,)),
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
def test_unsupported_options_are_refused(lab: Lab, argv: tuple[str, ...]) -> None:
    set_up_lab(lab, ("one",))
    # A program that is there: a missing one is told first.
    lab.env["GIT_PLANNER_CODEX"] = "sh"
    before = lab.refs()
    assert error_code(lab.run("git-plan", "delegate", "--json", *argv)) == "E_USAGE"
    assert (lab.refs(), started_tasks(lab)) == (before, [])


def test_a_named_task_that_is_not_ready_is_refused_with_the_reasons(lab: Lab) -> None:
    set_up_lab(lab, ("one",), ("two", "--after", "task_001"))
    assert error_code(lab.run("git-plan", "delegate", "--task", "task_2", "--json")) == "E_TRANSITION"
    assert error_code(lab.run("git-plan", "delegate", "--task", "task_3", "--json")) == "E_UNKNOWN_TASK"
    assert error_code(lab.run("git-plan", "delegate", "--plan", "nowhere", "--json")) == "E_NO_PLAN"
    assert started_tasks(lab) == []


def test_a_refusal_uses_up_no_iteration_number(lab: Lab) -> None:
    set_up_lab(lab, ("one", "--write-scope", "src/**"), ("two", "--write-scope", "src/**"), ("three",))
    lab.run("git-plan", "task", "claim", "task_1", "--owner", "me")
    before = lab.refs()
    for name, code in (("task_2", "E_TRANSITION"), ("task_1", "E_BUSY"), ("task_2", "E_TRANSITION")):
        assert error_code(lab.run("git-plan", "delegate", "--task", name, "--json")) == code
    assert (lab.refs(), started_tasks(lab)) == (before, [])
    status, done = delegate(lab, "--task", "task_3")
    assert (status, done["runs"][0]["iteration"]) == (0, 1), done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_all_agents_and_puts_their_tasks_back(lab: Lab, number: int) -> None:
    set_up_lab(lab, *task_arguments(3))
    set_agent_script(lab, f'sleep 77 & echo $! >"{lab.root}/pid-$GIT_PLANNER_TASK"; wait')
    process = lab.start("git-plan", "delegate", "--max-tasks", "9", "--parallel", "2", "--json")
    for name in ("task_001", "task_002"):
        wait_for(lab.root / f"pid-{name}")
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 128 + number, err
    assert b"E_INTERRUPTED" in out
    for name in ("task_001", "task_002"):
        task_now = task(lab, name)
        assert (task_now.status, task_now.attempt, task_now.reason) == (
            "todo",
            2,
            "the delegator was interrupted",
        )
        assert not is_running(int((lab.root / f"pid-{name}").read_text()))
    assert (task(lab, "task_003").status, sorted(started_tasks(lab))) == ("todo", ["task_001", "task_002"])
    assert {run.outcome for run in saved_runs(lab)} == {"interrupted"}
