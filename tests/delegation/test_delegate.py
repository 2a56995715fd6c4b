"""`git plan delegate`: the outcome of a task for every end of its agent. The agents are shell scripts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from git_planner.host import agent_jail
from git_planner.host.jail import Jail
from git_planner.rules.delegation.outcome import OUTCOMES
from tests.delegation.scripted_agent import (
    DONE,
    RESULT_COMMAND,
    delegate,
    error_code,
    saved_runs,
    set_agent_script,
    set_up_lab,
    started_tasks,
    task,
)
from tests.support.lab import Lab
from tests.support.small_campaign import agent

HERE = agent_jail.find("auto", os.environ["PATH"])
WHO = "command for C O Mitter <committer@example.com>"
BRANCH = "iter/0001-task-001-make-it-smaller"
ONE = ("Make it smaller", "--write-scope", "src/**", "--action", "write 90")


def test_a_task_is_claimed_worked_on_in_a_worktree_and_committed(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    with lab.undisturbed():
        status, document = delegate(lab)
    assert (status, [run["outcome"] for run in document["runs"]]) == (0, ["done"])
    done_task = task(lab)
    assert (done_task.status, done_task.owner, done_task.attempt) == (
        "agent_done",
        WHO,
        1,
    )
    assert done_task.branch == "iter/0001-task-001-make-it-smaller"
    assert done_task.commits == (lab.git("rev-parse", done_task.branch),)
    assert lab.show(f"{done_task.branch}:src/value") == "90\n"
    subject, _, body = lab.git("log", "-1", "--format=%B", done_task.branch).partition("\n")
    assert subject == "task_001: Make it smaller"
    assert "- write 90" in body
    trailers = dict(line.split(": ", 1) for line in body.strip().splitlines()[-5:])
    assert trailers == {
        "Planner-Task": "task_001",
        "Planner-Plan": "default",
        "Planner-Directive": trailers["Planner-Directive"],
        "Planner-Run": done_task.run,
        "Assisted-by": "command:default",
    }
    assert lab.git("rev-parse", f"{done_task.branch}~2") == lab.git("rev-parse", "main") == done_task.base
    state = json.loads(lab.show(f"{done_task.branch}:.advisor/state.json"))
    assert state["directive"]["step_plan"][0] == "write 90"
    assert [ref for ref in lab.refs() if ref.startswith("refs/planner/claims/")] == []
    assert [line for line in lab.git("worktree", "list").splitlines() if "iter/" in line] == []
    run = saved_runs(lab)[0]
    assert (run.outcome, run.plan, run.task, run.attempt) == ("done", "default", "task_001", 1)
    folder = lab.path / ".git" / "planner" / "runs" / run.run
    assert {"meta.json", "heartbeat.json", "prompt.md", "command.json", "stdout", "stderr", "out"} <= {
        path.name for path in folder.iterdir()
    }
    prompt = (folder / "prompt.md").read_text()
    assert prompt.startswith("You carry out one task")
    assert f"/git-plan task result task_001 --run {run.run} --status done" in prompt
    assert "- src/**" in prompt
    assert delegate(lab) == (0, {**document, "runs": [], "recovered": []})
    assert started_tasks(lab) == ["task_001"]
    lab.fsck()


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        (f"echo 95 >src/value; {RESULT_COMMAND} --status partial --summary half", "partial", "partial: half"),
        (f"{RESULT_COMMAND} --status failed --summary 'no way'", "failed", "failed: no way"),
        (
            f"{RESULT_COMMAND} --status blocked --summary 'no compiler'; exit 3",
            "blocked",
            "blocked: no compiler",
        ),
        ("echo 90 >src/value", "no_result", "it ended without a result"),
        ("echo 90 >src/value; echo last words >&2; exit 7", "agent_failed", "ended with status 7"),
        (f"echo 90 >src/value; {DONE}; exit 7", "agent_failed", "ended with status 7"),
        (f"echo changed >tests/test_it; {DONE}", "refused", "tests/test_it"),
        (f"mkdir docs; echo x >docs/x; {DONE}", "refused", "docs/x"),
        (f"echo x >elsewhere; {DONE}", "refused", "elsewhere"),
        (f"rm .advisor/state.json; {DONE}", "refused", ".advisor/state.json"),
        (
            f"git checkout -q --orphan x; git commit -qm x; git branch -qf {BRANCH}; {DONE}",
            "refused",
            ".advisor/state.json",
        ),
        (f"echo x >elsewhere; {DONE}; rm .git", "refused", "elsewhere"),
        ("echo 90 >src/value; rm .git; git init -q .", "no_result", "it ended without a result"),
        ('echo "[]" >"$GIT_PLANNER_RESULT"', "bad_result", "not a valid result"),
        ('echo "{" >"$GIT_PLANNER_RESULT"', "bad_result", "its result cannot be used"),
        ('ln -s /etc/passwd "$GIT_PLANNER_RESULT"', "bad_result", "cannot be read"),
        ('mkdir "$GIT_PLANNER_RESULT"', "bad_result", "not a plain file"),
        ('mkfifo "$GIT_PLANNER_RESULT"', "bad_result", "not a plain file"),
        ('head -c 10000000 /dev/zero >"$GIT_PLANNER_RESULT"', "bad_result", "more than 262,144 bytes"),
        (
            f'{DONE}; sed -i s/\\"attempt\\":.*/\\"attempt\\":2,/ "$GIT_PLANNER_RESULT"',
            "bad_result",
            "the attempt '2'",
        ),
        (f'{DONE}; sed -i s/\\"done\\"/\\"finished\\"/ "$GIT_PLANNER_RESULT"', "bad_result", "/status"),
    ],
)
def test_an_agent_that_does_not_finish_blocks_its_task(
    lab: Lab, script: str, outcome: str, reason: str
) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, script)
    with lab.undisturbed(allow=["0001-task-001-make-it-smaller"]):
        status, document = delegate(lab)
    assert (status, [run["outcome"] for run in document["runs"]]) == (1, [outcome])
    blocked = task(lab)
    assert (blocked.status, blocked.commits) == ("blocked", ()) == (OUTCOMES[outcome][0], ())
    assert reason in (blocked.reason or "")
    assert lab.git("rev-parse", f"{blocked.branch}~1") == lab.git("rev-parse", "main")
    kept_ref = document["runs"][0]["kept"]
    has_changes = any(word in script for word in ("echo 9", "echo changed", "echo x", "rm ", "checkout"))
    assert (kept_ref is not None) == has_changes
    if kept_ref:
        assert f"kept as '{kept_ref}'" in blocked.notes[-1]
        assert "Planner-Task" not in lab.git("log", "-1", "--format=%B", kept_ref)
    lab.fsck()


def test_the_answer_to_a_question_is_in_the_next_prompt(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(
        lab,
        f"{RESULT_COMMAND} --status needs_input --summary 'not sure' "
        "--question 'How small?' --detail '9 or 8'",
    )
    status, document = delegate(lab)
    assert (status, document["runs"][0]["outcome"]) == (1, "needs_input")
    # It prints the question and the command that answers it, and so does the list of runs.
    prompts = [
        "  question: How small?",
        "  answer it: git plan task answer task_001 TEXT --plan default",
        "  then:      git plan task resume task_001 --plan default",
    ]
    assert document["questions"] == [prompts]
    assert lab.run("git-plan", "runs").out.splitlines()[-3:] == prompts
    asked = task(lab)
    assert asked.status == "needs_input"
    assert asked.open_question is not None
    assert (asked.open_question.summary, asked.open_question.by) == ("How small?", "command")
    handoff = lab.run("git-plan", "task", "show", "task_001", "--handoff").out
    assert "- 9 or 8" in handoff
    lab.run("git-plan", "task", "answer", "task_001", "Eight it is")
    lab.run("git-plan", "task", "resume", "task_001", "--note", "take your time")
    set_agent_script(lab, "echo 8 >src/value", DONE)
    assert delegate(lab)[0] == 0
    answered = task(lab)
    assert (answered.status, answered.attempt, answered.branch) == (
        "agent_done",
        2,
        "iter/0002-task-001-2-make-it-smaller",
    )
    prompt = (lab.path / ".git/planner/runs" / str(answered.run) / "prompt.md").read_text()
    for text in ("How small?", "Eight it is", "take your time", "9 or 8"):
        assert text in prompt


def test_the_deadline_ends_all_that_the_agent_started(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, f'echo 90 >src/value; setsid sleep 77 & echo $! >"{lab.root}/pid"; exec sleep 77')
    status, done = delegate(lab, "--timeout", "1")
    assert (status, done["runs"][0]["outcome"]) == (1, "deadline")
    assert "was ended after 1 s" in (task(lab).reason or "")
    assert lab.show(f"{done['runs'][0]['kept']}:src/value") == "90\n"
    assert not (lab.path.parent / "x").exists()
    pid = int((lab.root / "pid").read_text())
    assert lab.run_program("sh", "-c", f"grep -c 'State:.[RS]' /proc/{pid}/status || true").out.strip() in (
        "",
        "0",
    )


def test_the_result_command_reports_one_result_for_its_own_run(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(
        lab,
        'exec 2>>"$HOME/errors"',
        'git-plan task result task_002 --run "$GIT_PLANNER_RUN" --status done --summary x || true',
        "git-plan task result task_001 --run 20261128T000000Z-abcdefgh --status done --summary x || true",
        "git-plan task result task_001 --run ../../x --status done --summary x || true",
        f"{RESULT_COMMAND} --status needs_input --summary x || true",
        f"{RESULT_COMMAND} --status done --summary x --question y || true",
        f"{RESULT_COMMAND} --status finished --summary x || true",
        DONE,
        DONE,
        f"{RESULT_COMMAND} --status failed --summary x || true",
        "echo 90 >src/value",
    )
    assert delegate(lab)[0] == 0
    errors = (lab.home / "errors").read_text()
    for message in (
        "is about 'task_001'",
        "there is no run '20261128T000000Z-abcdefgh'",
        "there is no run '../../x'",
        "a question goes with the status 'needs_input'",
        "is not one of",
        "has another result already",
    ):
        assert message in errors
    run = saved_runs(lab)[0].run
    late = lab.run(
        "git-plan", "task", "result", "task_001", "--run", run, "--status", "done", "--summary", "x", "--json"
    )
    assert error_code(late) == "E_RESULT"


def test_an_earlier_attempts_result_never_counts(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, f"{RESULT_COMMAND} --status failed --summary no")
    delegate(lab)
    lab.run("git-plan", "task", "resume", "task_001")
    assert delegate(lab, "--dry-run")[1]["would"] == ["task_001"]
    assert task(lab).status == "todo"
    set_agent_script(
        lab,
        f'cp "$(ls -d "{lab.path}"/.git/planner/runs/2*/out/result.json | head -1)" "$GIT_PLANNER_RESULT"',
    )
    assert delegate(lab)[1]["runs"][0]["outcome"] == "bad_result"
    lab.run("git-plan", "task", "resume", "task_001")
    set_agent_script(lab, "echo 90 >src/value", DONE)
    assert delegate(lab)[0] == 0
    assert (task(lab).status, task(lab).attempt, started_tasks(lab)) == ("agent_done", 3, ["task_001"] * 3)


def test_a_task_that_was_put_back_meanwhile_is_left_alone(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(
        lab, "echo 90 >src/value", "git-plan task release task_001 --force --reason 'not now'", DONE
    )
    status, done = delegate(lab)
    assert (status, done["runs"][0]["outcome"]) == (1, "stale")
    assert lab.show(f"{done['runs'][0]['kept']}:src/value") == "90\n"
    assert lab.run("git-plan", "sync").status == 0
    assert (task(lab).status, task(lab).attempt, task(lab).reason) == ("todo", 2, "not now")


def test_an_agent_that_cannot_be_started_blocks_no_task(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    lab.env["GIT_PLANNER_CODEX"] = "/there/is/no/codex"
    ran = lab.run("git-plan", "delegate", "--impl", "codex", "--json")
    assert error_code(ran) in ("E_MISSING_TOOL", "E_CODEX_AUTH")
    # Nothing was claimed for it.
    assert (task(lab).status, task(lab).attempt) == ("todo", 1)
    assert saved_runs(lab) == []


def test_patches_need_no_result(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    diff = "--- a/src/value\n+++ b/src/value\n@@ -1 +1 @@\n-100\n+90\n"
    lab.commit("patches", {"patches/1.patch": diff})
    lab.env["GIT_PLANNER_PATCHES"] = str(lab.path / "patches")
    assert delegate(lab, "--impl", "patches")[0] == 0
    assert lab.show("iter/0001-task-001-make-it-smaller:src/value") == "90\n"


def test_a_hook_of_a_person_does_not_decide_about_a_run(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    hook = lab.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nread answer </dev/tty\nexit 1\n")
    hook.chmod(0o755)
    status, done = delegate(lab)
    assert (status, done["runs"][0]["outcome"]) == (0, "done")


def test_with_hooks_installed_the_end_of_a_run_is_recorded_once(lab: Lab) -> None:
    set_up_lab(lab, ONE, ("two", "--write-scope", "docs/**"))
    installed = lab.run("git-planner", "hooks", "install")
    assert installed.status == 0, installed.err
    status, document = delegate(lab)
    assert (status, document["runs"][0]["outcome"]) == (0, "done"), document
    done_task = task(lab)
    assert (done_task.status, len(done_task.commits), done_task.reason) == ("agent_done", 1, None)
    set_agent_script(lab, f"echo x >tests/test_it; {DONE}")
    assert delegate(lab)[1]["runs"][0]["outcome"] == "refused"
    assert task(lab, "task_002").status == "blocked"
    before = lab.git("rev-parse", "plan/default")
    assert lab.run("git-plan", "sync").status == 0
    assert (task(lab), task(lab, "task_002").status) == (done_task, "blocked"), lab.git("log", "-3", before)


def test_task_worktrees_are_pruned_and_their_iterations_not_resumed(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, "echo 90 >src/value", f"{RESULT_COMMAND} --status partial --summary half")
    delegate(lab)
    nothing = lab.run("git-iterate", "resume", "--json")
    assert json.loads(nothing.out)["found"] == "nothing", nothing.err
    pruned = json.loads(lab.run("git-iterate", "prune", "--json").out)
    assert [place["removed"] for place in pruned["places"]] == [True], pruned


@pytest.mark.parametrize(("end", "status"), [(DONE, "agent_done"), ("true", "blocked")])
def test_resuming_the_iteration_of_a_task_leaves_the_task_alone(lab: Lab, end: str, status: str) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, "echo 90 >src/value", end)
    delegate(lab)
    before, worktrees = task(lab), lab.git("worktree", "list")
    resumed = lab.run("git-iterate", "resume", "1", "--json")
    answer = json.loads(resumed.out)
    if status == "agent_done":
        assert (answer["did"], answer["record"]["verdict"]) == ("recorded the commit", "improved")
    else:
        assert (answer["code"], answer["hint"]) == ("E_USAGE", "git plan runs --plan default")
    assert (task(lab), before.status) == (before, status)
    assert lab.git("worktree", "list") == worktrees
    assert started_tasks(lab) == ["task_001"]


def test_changes_are_committed_although_the_agent_deleted_the_git_file_of_its_worktree(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, "echo 90 >src/value", DONE, "rm .git")
    status, done = delegate(lab)
    assert (status, done["runs"][0]["outcome"]) == (0, "done"), done
    assert lab.show(f"{task(lab).commits[0]}:src/value") == "90\n"
    assert [path.name for path in (lab.root / "repo.iter").iterdir()] == []


def test_prune_names_a_folder_that_is_no_registered_worktree(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(lab, "echo 90 >src/value", f"{RESULT_COMMAND} --status partial --summary half")
    delegate(lab)
    (place,) = (lab.root / "repo.iter").iterdir()
    (place / ".git").rename(place / "link")
    lab.git("worktree", "prune")
    other = lab.clone("other")
    other.git("worktree", "add", "-q", "-b", "x", str(lab.root / "repo.iter" / "0009-another-s"))
    for argv in (["--dry-run"], []):
        pruned = json.loads(lab.run("git-iterate", "prune", "--json", *argv).out)
        (only,) = pruned["places"]
        assert (only["path"], only["iteration"], only["removed"]) == (str(place), 1, False)
        assert only["why_kept"].startswith("not a registered worktree")
    assert (place / "src/value").is_file()


def test_what_cannot_be_committed_blocks_the_task_and_is_left(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    set_agent_script(
        lab, "echo 90 >src/value; truncate -s 300M src/big; git init -q src/n; echo 1 >src/n/f", DONE
    )
    status, done = delegate(lab)
    run = done["runs"][0]
    assert (status, run["outcome"]) == (1, "refused")
    assert task(lab).reason == (
        "left what cannot be committed: larger than 100 MB ('scope.max_file_mb'): src/big"
    )
    assert lab.show(f"{run['kept']}:src/value") == "90\n"
    assert lab.show(f"{run['kept']}:src/n/f") == "1\n"
    assert (Path(run["worktree"]) / "src" / "big").exists()


def test_very_many_files_block_the_task_and_are_left(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    policy = (lab.path / ".git-planner.yml").read_text()
    assert "scope: {" in policy
    policy = policy.replace("scope: {", "scope: {max_new_files: 20, ")
    lab.commit("limit", {".git-planner.yml": policy})
    set_agent_script(lab, "echo 90 >src/value; mkdir src/m; for f in $(seq 30); do : >src/m/$f; done", DONE)
    status, done = delegate(lab)
    run = done["runs"][0]
    assert (status, run["outcome"]) == (1, "refused")
    assert task(lab).reason == (
        "left what cannot be committed: one of more than 20 new files ('scope.max_new_files'): src/m/1"
    )
    assert lab.show(f"{run['kept']}:src/value") == "90\n"
    assert len(os.listdir(Path(run["worktree"], "src/m"))) == 30


@pytest.mark.skipif(not isinstance(HERE, Jail), reason=f"the jail of this machine: {HERE.shown}")
def test_an_agent_in_its_jail_reports_its_result_and_writes_to_nothing_else(lab: Lab) -> None:
    set_up_lab(lab, ONE)
    policy = lab.show("main:.git-planner.yml").replace("sandbox: off", "sandbox: required")
    lab.commit("the jail", {".git-planner.yml": policy})
    meta = '"${GIT_PLANNER_RESULT%/out/*}/meta.json"'
    writes = f"(echo x >{meta}) 2>/dev/null && echo meta\ngit update-ref refs/heads/mine HEAD 2>/dev/null"
    agent(lab, f"{writes}\necho 90 >src/value\n{DONE}")
    status, document = delegate(lab)
    assert (status, [run["outcome"] for run in document["runs"]]) == (0, ["done"])
    (run,) = saved_runs(lab)
    assert run.confined_by == HERE.shown
    folder = lab.path / ".git/planner/runs" / run.run
    assert "meta" not in (folder / "stdout").read_text().split()
    assert "refs/heads/mine" not in lab.refs()
    assert f"  sandbox: {HERE.shown}\n" in lab.run("git-plan", "runs", "--run", run.run).out
