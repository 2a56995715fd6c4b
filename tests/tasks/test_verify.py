"""`git plan task verify` and what `git plan sync` makes of records: evidence, and what it is worth."""

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


def one(lab: Lab, number: int = 1) -> dict[str, Any]:
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    found: dict[str, Any] = page["tasks"][number - 1]
    return found


def working(lab: Lab, *verify: str, text: str = "90\n") -> str:
    """A workshop with a task and a commit that works on it; no hooks."""
    workshop(lab)
    words = [word for each in verify for word in ("--verify", each)]
    assert plan(lab, "task", "add", "do it", *words).status == 0
    lab.git("switch", "-q", "-c", "iter/0001-x")
    commit = lab.commit("task_001: do it", {"src/size.txt": text})
    assert plan(lab, "sync").status == 0
    return commit


def verify(lab: Lab, *argv: str, status: int = 0) -> dict[str, Any]:
    ran = plan(lab, "task", "verify", "task_001", *argv, "--json")
    assert ran.status == status, ran.out + ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_commands_that_succeed_make_it_done(lab: Lab) -> None:
    commit = working(lab, "python -I -S tests/size.py", f"{PYTHON} 'print(1); raise SystemExit(0)'")
    with lab.undisturbed():
        found = verify(lab)
    proof = found["evidence"]
    assert (one(lab)["status"], one(lab)["evidence"]) == ("done", [proof])
    assert {name: proof[name] for name in ("kind", "by", "attempt", "commit", "tree", "ok", "note")} == {
        "kind": "verified",
        "by": "C O Mitter <committer@example.com>",
        "attempt": 1,
        "commit": commit,
        "tree": lab.git("rev-parse", f"{commit}^{{tree}}"),
        "ok": True,
        "note": None,
    }
    assert [each["run"][-1] for each in proof["runs"]] == ["tests/size.py", "print(1); raise SystemExit(0)"]
    assert [each["output"] for each in proof["runs"]] == [
        hashlib.sha256(text).hexdigest() for text in (b"SIZE: 90\n", b"1\n")
    ]
    assert (Path(found["logs"]) / "1.stdout").read_text() == "SIZE: 90\n"
    assert all(each["seconds"] >= 0 and each["status"] == 0 for each in proof["runs"])
    assert "evidence, " in plan(lab, "task", "show", "task_001").out
    lab.fsck()


def test_commands_that_fail_do_not(lab: Lab) -> None:
    commit = working(lab, "python -I -S tests/size.py", f"{PYTHON} 'raise SystemExit(7)'")
    ran = plan(lab, "task", "verify", "task_001")
    assert ran.status == 1
    reason = f"'python -I -S -c raise SystemExit(7)' ended with status 7 at {commit[:12]}"
    assert (one(lab)["status"], one(lab)["reason"]) == ("agent_done", reason)
    assert reason in ran.err
    assert [each["status"] for each in one(lab)["evidence"][0]["runs"]] == [0, 7]
    # What was done is done no longer when a later look fails.
    assert plan(lab, "task", "update", "task_001", "--clear", "verify", "--verify", "true").status == 0
    verify(lab)
    assert one(lab)["status"] == "done"
    assert plan(lab, "task", "update", "task_001", "--clear", "verify", "--verify", "false").status == 0
    verify(lab, status=1)
    assert (one(lab)["status"], [each["ok"] for each in one(lab)["evidence"]]) == (
        "agent_done",
        [False, True, False],
    )
    assert plan(lab, "sync").out == ""


def test_a_command_that_does_not_end(lab: Lab) -> None:
    working(lab, f"{PYTHON} 'import time; time.sleep(600)'")
    found = verify(lab, "--timeout", "0.5", status=124)
    assert found["evidence"]["runs"][0]["status"] is None
    assert "did not end in time" in one(lab)["reason"]


def test_what_cannot_be_run_is_no_evidence(lab: Lab) -> None:
    working(lab, "/there/is/no/such-program")
    before = lab.refs()
    assert verify(lab, status=4)["code"] == "E_MISSING_TOOL"
    assert lab.refs() == before


def test_nothing_of_the_person_and_of_other_commands_is_there(lab: Lab) -> None:
    lab.env["SECRET_THING"] = "x"
    code = "import os; assert 'SECRET_THING' not in os.environ; assert not os.path.exists('left')"
    working(lab, f"{PYTHON} \"{code}; open('left', 'w')\"", f'{PYTHON} "{code}"')
    (lab.path / "left").write_text("a file of the working tree")
    assert verify(lab)["evidence"]["ok"]


def test_secrets_are_masked_in_what_is_kept(lab: Lab) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    working(lab, f'{PYTHON} \'print("ghp_" + "{secret[4:]}")\'')
    found = verify(lab)
    kept = (Path(found["logs"]) / "1.stdout").read_bytes()
    assert secret.encode() not in kept
    assert found["evidence"]["runs"][0]["output"] == hashlib.sha256(kept).hexdigest()


def test_the_guarded_files_are_the_trusted_ones(lab: Lab) -> None:
    working(lab, "python -I -S tests/prove.py report.xml", text="-1\n")
    verify(lab, status=1)
    lab.commit("task_001: cheat", {"tests/prove.py": "print('all is well')\n"})
    plan(lab, "sync")
    found = verify(lab, status=1)
    base = lab.git("rev-parse", "main")[:12]
    assert found["evidence"]["note"] == (
        f"guarded paths were those of {base}, not the commit's own (changed: tests/prove.py)"
    )


def test_a_persons_word(lab: Lab) -> None:
    commit = working(lab)
    error = plan(lab, "task", "verify", "task_001")
    assert (error.status, "E_EVIDENCE" in error.err, "--note TEXT" in error.err) == (3, True, True)
    found = verify(lab, "--note", "device ok")
    proof = found["evidence"]
    assert (proof["kind"], proof["note"], proof["commit"], proof["runs"]) == (
        "manual",
        "device ok",
        commit,
        [],
    )
    assert one(lab)["status"] == "done"
    shown = plan(lab, "task", "show", "task_001").out
    assert "manual, by C O Mitter <committer@example.com>, passed: device ok" in shown
    # Also where there never was a commit.
    assert plan(lab, "task", "add", "on paper").status == 0
    assert plan(lab, "task", "verify", "task_002", "--note", "seen it").status == 0
    assert (one(lab, 2)["status"], one(lab, 2)["commits"]) == ("done", [])
    assert plan(lab, "sync").out == ""


@pytest.mark.parametrize("command", ["<fill: the tests>", "TBD"])
def test_a_placeholder_never_validates(lab: Lab, command: str) -> None:
    working(lab, "true")
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    page["tasks"][0]["verify"] = [[command]]
    lab.rival("refs/heads/plan/default", ".plans/default/plan.json", json.dumps(page))
    assert verify(lab, status=3)["code"] == "E_EVIDENCE"


def test_a_commit_by_name(lab: Lab) -> None:
    working(lab, "true")
    assert plan(lab, "task", "add", "another", "--verify", "true").status == 0
    error = json.loads(plan(lab, "task", "verify", "task_002", "--json").out)
    assert (error["code"], "--commit REF" in error["hint"]) == ("E_EVIDENCE", True)
    assert plan(lab, "task", "verify", "task_002", "--commit", "main").status == 0
    assert (one(lab, 2)["status"], one(lab, 2)["commits"]) == ("done", [lab.git("rev-parse", "main")])
    # Of another commit than the task's last it is kept, and shows nothing.
    verify(lab, "--commit", "main")
    assert (one(lab)["status"], len(one(lab)["evidence"])) == ("agent_done", 1)
    assert plan(lab, "sync").out == ""
    assert plan(lab, "task", "verify", "task_001", "--commit", "nowhere").status == 2


def test_evidence_of_an_attempt_that_is_over_moves_nothing(lab: Lab) -> None:
    again = f'{sys.executable} -c \'import os; os.execvp("true", ["true"])\''
    commit = working(lab, again)
    verify(lab)
    assert plan(lab, "task", "resume", "task_001").status == 0
    assert (one(lab)["status"], one(lab)["attempt"], one(lab)["commits"]) == ("todo", 2, [commit])
    assert plan(lab, "sync").out == ""
    assert plan(lab, "task", "update", "task_001", "--status", "done").status == 3


def test_a_record_is_evidence_for_the_policys_own_command(lab: Lab) -> None:
    run = 'python -I -S tests/prove.py "{proof}"'
    assert run.replace('"', "") in POLICY.replace(", ", " ").replace('"', "")
    commit = working(lab, run)
    assert plan(lab, "task", "add", "more", "--verify", run, "--verify", "true").status == 0
    lab.git("commit", "-q", "--amend", "-m", "task_001: x\n\nPlanner-Task: task_002")
    commit = lab.git("rev-parse", "HEAD")
    assert lab.run("git-record", "HEAD").status == 0
    found = json.loads(plan(lab, "sync", "--json").out)["changes"]
    assert [(each["task"], each["after"]) for each in found] == [
        ("task_001", "done"),
        ("task_002", "agent_done"),
    ]
    assert "record " in found[0]["why"]
    proof = one(lab)["evidence"][0]
    assert (proof["by"], proof["commit"], proof["runs"][0]["run"][-1]) == ("git record", commit, "{proof}")
    assert plan(lab, "sync").out == ""


def test_sync_says_what_and_why(lab: Lab) -> None:
    commit = working(lab, "true")
    lab.git("commit", "-q", "--amend", "-m", "task_001: better said")
    dry = plan(lab, "sync", "--dry-run")
    new = lab.git("rev-parse", "HEAD")
    line = f"task_001  agent_done: {new[:12]} works on it; {commit[:12]} is no longer on any branch\n"
    assert (dry.out, one(lab)["commits"]) == (line, [commit])
    lab.commit("task_009: who is that", {"src/b.txt": "b\n"})
    ran = plan(lab, "sync")
    assert (ran.out, one(lab)["commits"]) == (line, [new])
    assert ran.err == "commits name 'task_009', but the plan 'default' has no such task\n"
    again = plan(lab, "sync")
    assert (again.out, "nothing to change" in again.err) == ("", True)
    assert plan(lab, "sync", "--plan", "nowhere").status == 1


def test_a_kill_while_it_is_kept_leaves_the_task_as_it_was_or_done(lab: Lab) -> None:
    working(lab, "true")
    lab.git("commit", "-q", "--amend", "-m", "both\n\nPlanner-Task: task_001, task_002")
    assert plan(lab, "task", "add", "again", "--verify", "true").status == 0
    plan(lab, "sync")
    counted = lab.crash_after(1000)
    assert lab.spawn("git-plan", "task", "verify", "task_001", **counted).status == 0
    calls = (lab.root / "crash/1000/count").stat().st_size
    for call in range(calls - 6, calls + 1):
        env = lab.crash_after(call, after=call % 2 == 0)
        lab.spawn("git-plan", "task", "verify", "task_002", **env)
        assert (one(lab, 2)["status"], len(one(lab, 2)["evidence"])) in (("agent_done", 0), ("done", 1))
        if one(lab, 2)["evidence"]:
            break
    verify(lab)
    lab.fsck()


VERIFIER = """\
import sys
from git_planner.flows.tasks.verify import verify_task
from git_planner.gitio.repository import open_repository
for number in sys.argv[1:]:
    done = verify_task(open_repository(), "default", f"task_{number}", tell=lambda _: None)
    assert done.task.status == "done", done
"""


def test_of_eight_verifiers_at_once_nothing_is_lost(lab: Lab) -> None:
    # 5,000 tasks over 25 pages; each of the eight has two tasks on one page and one on another.
    commit = working(lab, "true")
    first = one(lab)
    about = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    tasks = [{**first, "id": task_id_for(n), "uid": f"uid{n:05d}"} for n in range(1, 5001)]
    edits = {
        f".plans/default/{name}": canonical_json.dumps({**about, "tasks": list(some)})
        for name, some in pages.split_tasks(tasks).items()
    }
    lab.store.edit("refs/heads/plan/default", lambda _: edits, Message("many"))
    # Judging the pages by their schema is done once, by whoever comes first.
    read_tasks(lab.repo, "default")
    mine = [[str(place + 8 * turn + 1) for turn in range(2)] + [str(4000 + place)] for place in range(8)]
    running = [
        subprocess.Popen([sys.executable, "-c", VERIFIER, *numbers], env=lab.env, cwd=lab.path)
        for numbers in mine
    ]
    assert [each.wait() for each in running] == [0] * 8
    found = read_tasks(lab.repo, "default")
    done = {task.number: task for task in found.tasks if task.status == "done"}
    assert sorted(done) == sorted(int(number) for numbers in mine for number in numbers)
    assert all(len(task.evidence) == 1 and task.evidence[0].commit == commit for task in done.values())
    assert len(found.tasks) == 5000
    lab.fsck()
