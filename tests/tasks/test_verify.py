"""`git plan task verify`, and records as evidence in `git plan sync`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio.store import Message
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans import pages
from git_planner.rules.tasks.task import task_id_for
from tests.support.lab import Lab, Ran
from tests.support.workshop import POLICY, workshop

PYTHON = "python -I -S -c"


def plan(lab: Lab, *argv: str) -> Ran:
    return lab.run("git-plan", *argv)


def read_task(lab: Lab, number: int = 1) -> dict[str, Any]:
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    task: dict[str, Any] = page["tasks"][number - 1]
    return task


def set_up_task(lab: Lab, *verify: str, text: str = "90\n") -> str:
    """Make a workshop with a task and its commit, without hooks; return the commit."""
    workshop(lab)
    argv = [word for command in verify for word in ("--verify", command)]
    assert plan(lab, "task", "add", "do it", *argv).status == 0
    lab.git("switch", "-q", "-c", "iter/0001-x")
    commit = lab.commit("task_001: do it", {"src/size.txt": text})
    assert plan(lab, "sync").status == 0
    return commit


def verify(lab: Lab, *argv: str, status: int = 0) -> dict[str, Any]:
    ran = plan(lab, "task", "verify", "task_001", *argv, "--json")
    assert ran.status == status, ran.out + ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def test_passed_commands_make_the_task_done(lab: Lab) -> None:
    commit = set_up_task(lab, "python -I -S tests/size.py", f"{PYTHON} 'print(1); raise SystemExit(0)'")
    with lab.undisturbed():
        document = verify(lab)
    evidence = document["evidence"]
    assert (read_task(lab)["status"], read_task(lab)["evidence"]) == ("done", [evidence])
    assert {name: evidence[name] for name in ("kind", "by", "attempt", "commit", "tree", "ok", "note")} == {
        "kind": "verified",
        "by": "C O Mitter <committer@example.com>",
        "attempt": 1,
        "commit": commit,
        "tree": lab.git("rev-parse", f"{commit}^{{tree}}"),
        "ok": True,
        "note": None,
    }
    assert [run["run"][-1] for run in evidence["runs"]] == ["tests/size.py", "print(1); raise SystemExit(0)"]
    assert [run["output"] for run in evidence["runs"]] == [
        hashlib.sha256(text).hexdigest() for text in (b"SIZE: 90\n", b"1\n")
    ]
    assert (Path(document["logs"]) / "1.stdout").read_text() == "SIZE: 90\n"
    assert all(run["seconds"] >= 0 and run["status"] == 0 for run in evidence["runs"])
    assert "evidence, " in plan(lab, "task", "show", "task_001").out
    lab.fsck()


def test_failed_commands_do_not(lab: Lab) -> None:
    commit = set_up_task(lab, "python -I -S tests/size.py", f"{PYTHON} 'raise SystemExit(7)'")
    ran = plan(lab, "task", "verify", "task_001")
    assert ran.status == 1
    reason = f"'python -I -S -c raise SystemExit(7)' ended with status 7 at {commit[:12]}"
    assert (read_task(lab)["status"], read_task(lab)["reason"]) == ("agent_done", reason)
    assert reason in ran.err
    assert [run["status"] for run in read_task(lab)["evidence"][0]["runs"]] == [0, 7]
    # A later failure makes a done task undone.
    assert plan(lab, "task", "update", "task_001", "--clear", "verify", "--verify", "true").status == 0
    verify(lab)
    assert read_task(lab)["status"] == "done"
    assert plan(lab, "task", "update", "task_001", "--clear", "verify", "--verify", "false").status == 0
    verify(lab, status=1)
    assert (
        read_task(lab)["status"],
        [evidence["ok"] for evidence in read_task(lab)["evidence"]],
    ) == (
        "agent_done",
        [False, True, False],
    )
    assert plan(lab, "sync").out == ""


def test_the_last_lines_of_a_failed_command_are_shown(lab: Lab) -> None:
    code = "import sys; print(*range(50), sep=chr(10)); print(99, file=sys.stderr); sys.exit(1)"
    set_up_task(lab, "true", f"{PYTHON} '{code}'")
    ran = plan(lab, "task", "verify", "task_001")
    shown = [line[4:] for line in ran.err.splitlines() if line.startswith("  | ")]
    assert (ran.status, shown) == (1, [*map(str, range(40, 50)), "99"])
    assert verify(lab, status=1)["output"] == shown


def test_a_command_that_does_not_end(lab: Lab) -> None:
    set_up_task(lab, f"{PYTHON} 'import time; time.sleep(600)'")
    document = verify(lab, "--timeout", "0.5", status=124)
    assert document["evidence"]["runs"][0]["status"] is None
    assert "did not end in time" in read_task(lab)["reason"]


def test_a_missing_program_is_no_evidence(lab: Lab) -> None:
    set_up_task(lab, "/there/is/no/such-program")
    before = lab.refs()
    assert verify(lab, status=4)["code"] == "E_MISSING_TOOL"
    assert lab.refs() == before


def test_commands_see_neither_the_users_environment_nor_each_others_files(lab: Lab) -> None:
    lab.env["SECRET_THING"] = "x"
    code = "import os; assert 'SECRET_THING' not in os.environ; assert not os.path.exists('left')"
    set_up_task(lab, f"{PYTHON} \"{code}; open('left', 'w')\"", f'{PYTHON} "{code}"')
    (lab.path / "left").write_text("a file of the working tree")
    assert verify(lab)["evidence"]["ok"]


def test_secrets_are_masked_in_the_stored_output(lab: Lab) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    set_up_task(lab, f'{PYTHON} \'print("ghp_" + "{secret[4:]}")\'')
    document = verify(lab)
    stdout = (Path(document["logs"]) / "1.stdout").read_bytes()
    assert secret.encode() not in stdout
    assert document["evidence"]["runs"][0]["output"] == hashlib.sha256(stdout).hexdigest()


def test_the_guarded_files_are_the_trusted_ones(lab: Lab) -> None:
    set_up_task(lab, "python -I -S tests/prove.py report.xml", text="-1\n")
    verify(lab, status=1)
    lab.commit("task_001: cheat", {"tests/prove.py": "print('all is well')\n"})
    plan(lab, "sync")
    document = verify(lab, status=1)
    base = lab.git("rev-parse", "main")[:12]
    assert document["evidence"]["note"] == (
        f"guarded paths were those of {base}, not the commit's own (changed: tests/prove.py)"
    )


def test_a_manual_sign_off(lab: Lab) -> None:
    commit = set_up_task(lab)
    error = plan(lab, "task", "verify", "task_001")
    assert (error.status, "E_EVIDENCE" in error.err, "--note TEXT" in error.err) == (3, True, True)
    document = verify(lab, "--note", "device ok")
    evidence = document["evidence"]
    assert (evidence["kind"], evidence["note"], evidence["commit"], evidence["runs"]) == (
        "manual",
        "device ok",
        commit,
        [],
    )
    assert read_task(lab)["status"] == "done"
    output = plan(lab, "task", "show", "task_001").out
    assert "manual, by C O Mitter <committer@example.com>, passed: device ok" in output
    # A task without any commit can be signed off, too.
    assert plan(lab, "task", "add", "on paper").status == 0
    assert plan(lab, "task", "verify", "task_002", "--note", "seen it").status == 0
    assert (read_task(lab, 2)["status"], read_task(lab, 2)["commits"]) == ("done", [])
    assert plan(lab, "sync").out == ""


@pytest.mark.parametrize("command", ["<fill: the tests>", "TBD"])
def test_a_placeholder_never_validates(lab: Lab, command: str) -> None:
    set_up_task(lab, "true")
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    page["tasks"][0]["verify"] = [[command]]
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", json.dumps(page))
    assert verify(lab, status=3)["code"] == "E_EVIDENCE"


def test_a_commit_by_name(lab: Lab) -> None:
    set_up_task(lab, "true")
    assert plan(lab, "task", "add", "another", "--verify", "true").status == 0
    error = json.loads(plan(lab, "task", "verify", "task_002", "--json").out)
    assert (error["code"], "--commit REF" in error["hint"]) == ("E_EVIDENCE", True)
    assert plan(lab, "task", "verify", "task_002", "--commit", "main").status == 0
    assert (read_task(lab, 2)["status"], read_task(lab, 2)["commits"]) == (
        "done",
        [lab.git("rev-parse", "main")],
    )
    # Evidence for another commit is recorded, but does not make the task done.
    verify(lab, "--commit", "main")
    assert (read_task(lab)["status"], len(read_task(lab)["evidence"])) == ("agent_done", 1)
    assert plan(lab, "sync").out == ""
    assert plan(lab, "task", "verify", "task_001", "--commit", "nowhere").status == 2


def test_evidence_of_an_earlier_attempt_changes_no_status(lab: Lab) -> None:
    command = f'{sys.executable} -c \'import os; os.execvp("true", ["true"])\''
    commit = set_up_task(lab, command)
    verify(lab)
    assert plan(lab, "task", "resume", "task_001").status == 0
    assert (read_task(lab)["status"], read_task(lab)["attempt"], read_task(lab)["commits"]) == (
        "todo",
        2,
        [commit],
    )
    assert plan(lab, "sync").out == ""
    assert plan(lab, "task", "update", "task_001", "--status", "done").status == 3


def test_a_record_is_evidence_for_the_policys_own_command(lab: Lab) -> None:
    run = 'python -I -S tests/prove.py "{proof}"'
    assert run.replace('"', "") in POLICY.replace(", ", " ").replace('"', "")
    commit = set_up_task(lab, run)
    assert plan(lab, "task", "add", "more", "--verify", run, "--verify", "true").status == 0
    lab.git("commit", "-q", "--amend", "-m", "task_001: x\n\nPlanner-Task: task_002")
    commit = lab.git("rev-parse", "HEAD")
    assert lab.run("git-record", "HEAD").status == 0
    changes = json.loads(plan(lab, "sync", "--json").out)["changes"]
    assert [(change["task"], change["after"]) for change in changes] == [
        ("task_001", "done"),
        ("task_002", "agent_done"),
    ]
    assert "record " in changes[0]["why"]
    evidence = read_task(lab)["evidence"][0]
    assert (evidence["by"], evidence["commit"], evidence["runs"][0]["run"][-1]) == (
        "git record",
        commit,
        "{proof}",
    )
    assert plan(lab, "sync").out == ""


def test_sync_prints_changes_and_reasons(lab: Lab) -> None:
    commit = set_up_task(lab, "true")
    lab.git("commit", "-q", "--amend", "-m", "task_001: better said")
    dry = plan(lab, "sync", "--dry-run")
    new = lab.git("rev-parse", "HEAD")
    line = f"task_001  agent_done: {new[:12]} works on it; {commit[:12]} is no longer on any branch\n"
    assert (dry.out, read_task(lab)["commits"]) == (line, [commit])
    lab.commit("task_009: who is that", {"src/b.txt": "b\n"})
    ran = plan(lab, "sync")
    assert (ran.out, read_task(lab)["commits"]) == (line, [new])
    assert ran.err == "commits name 'task_009', but the plan 'default' has no such task\n"
    again = plan(lab, "sync")
    assert (again.out, "is up to date" in again.err) == ("", True)
    assert plan(lab, "sync", "--plan", "nowhere").status == 1


def test_a_kill_while_evidence_is_recorded_leaves_the_task_unchanged_or_done(lab: Lab) -> None:
    set_up_task(lab, "true")
    lab.git("commit", "-q", "--amend", "-m", "both\n\nPlanner-Task: task_001, task_002")
    assert plan(lab, "task", "add", "again", "--verify", "true").status == 0
    plan(lab, "sync")
    counted = lab.crash_after(1000)
    assert lab.spawn("git-plan", "task", "verify", "task_001", **counted).status == 0
    calls = (lab.root / "crash/1000/count").stat().st_size
    for call in range(calls - 6, calls + 1):
        env = lab.crash_after(call, after=call % 2 == 0)
        lab.spawn("git-plan", "task", "verify", "task_002", **env)
        assert (read_task(lab, 2)["status"], len(read_task(lab, 2)["evidence"])) in (
            ("agent_done", 0),
            ("done", 1),
        )
        if read_task(lab, 2)["evidence"]:
            break
    verify(lab)
    lab.fsck()


VERIFIER = """\
import sys
from git_planner.flows.tasks.verify import verify_task
from git_planner.gitio.repository import open_repository
for number in sys.argv[1:]:
    verified = verify_task(open_repository(), "default", f"task_{number}", progress=lambda _: None)
    assert verified.task.status == "done", verified
"""


def test_eight_parallel_verifiers_lose_no_evidence(lab: Lab) -> None:
    # 5,000 tasks over 25 pages; each of the eight has two tasks on one page and one on another.
    commit = set_up_task(lab, "true")
    first = read_task(lab)
    about = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    tasks = [{**first, "id": task_id_for(n), "uid": f"uid{n:05d}"} for n in range(1, 5001)]
    edits = {
        f".plans/default/{name}": canonical_json.dumps({**about, "tasks": list(page_tasks)})
        for name, page_tasks in pages.split_tasks(tasks).items()
    }
    lab.store.edit("refs/heads/plan/default", lambda _: edits, Message("many"))
    # The first read validates the pages against their schema, once.
    read_tasks(lab.repo, "default")
    task_numbers = [
        [str(racer + 8 * turn + 1) for turn in range(2)] + [str(4000 + racer)] for racer in range(8)
    ]
    processes = [
        subprocess.Popen([sys.executable, "-c", VERIFIER, *numbers], env=lab.env, cwd=lab.path)
        for numbers in task_numbers
    ]
    assert [process.wait() for process in processes] == [0] * 8
    plan_tasks = read_tasks(lab.repo, "default")
    done = {task.number: task for task in plan_tasks.tasks if task.status == "done"}
    assert sorted(done) == sorted(int(number) for numbers in task_numbers for number in numbers)
    assert all(len(task.evidence) == 1 and task.evidence[0].commit == commit for task in done.values())
    assert len(plan_tasks.tasks) == 5000
    lab.fsck()
