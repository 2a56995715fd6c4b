"""Steps that fail, inputs and outputs that are wrong, and kept outputs that were changed since."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from git_planner.config.policy_file import policy_at
from git_planner.errors import PlannerError
from git_planner.flows.measuring.command_runner import CommandRunner
from git_planner.flows.measuring.prepared import kept_outputs
from git_planner.flows.measuring.prepared.preparation import Preparation
from git_planner.flows.records.ledger import read_ledger
from git_planner.gitio.content.reused_export import ReusedExport
from tests.measuring.prepared.test_prepare import COMMAND, kept, preparing, record
from tests.support.benchmark_project import attempt, iteration
from tests.support.lab import Lab, command_line

LINKED = "mkdir /tmp/elsewhere; ln -s /tmp/elsewhere vendored"
NO_SPACE = "echo 'write: No space left on device' >&2; exit 1"


@pytest.mark.parametrize(
    ("command", "more", "sentence"),
    [
        (
            "echo first; echo the cause >&2; exit 3",
            "",
            "ended with status 3; last lines: the cause; log: prepare-dependencies.stderr",
        ),
        ("sleep 60", "timeout: 0.3", "took more than 0.3 seconds"),
        ("true", "", "its output 'vendored' is missing"),
        (LINKED, "", "its output 'vendored' is neither a file nor a folder"),
        ("mkdir vendored; mkfifo vendored/pipe", "", "holds 'pipe', which is no file, folder or link"),
        (NO_SPACE, "", "No space left on device"),
    ],
)
def test_a_step_that_fails_with_the_inputs_of_the_base_leaves_it_unmeasured(
    lab: Lab, command: str, more: str, sentence: str
) -> None:
    preparing(lab, command=command, more=more)

    for _ in range(2):
        document = record(lab)
        assert (document["verdict"], document["reason"]) == ("unmeasured", "unprepared")
        assert "'dependencies': " in document["summary"]
        assert sentence in document["summary"]
    assert kept(lab) == []


def test_inputs_that_a_candidate_changes_are_prepared_afresh(lab: Lab) -> None:
    preparing(lab)
    iteration(lab, 1, "main")
    lab.commit("the answer is given otherwise", {"lock.txt": "ANSWER = 6 * 7\n"})
    assert record(lab)["verdict"] == "within_noise"
    assert len(kept(lab)) == 2

    lab.commit("the lockfile is away", {"lock.txt": None})
    lost = record(lab)
    assert (lost["verdict"], lost["reason"]) == ("invalid", "prepare_failed")
    assert "no file matches its input 'lock.txt'" in lost["summary"]


def test_a_step_that_fails_with_changed_inputs_is_the_fault_of_the_change(lab: Lab) -> None:
    preparing(lab, command="grep -q 42 lock.txt && " + COMMAND)
    iteration(lab, 1, "main")
    lab.commit("another answer", {"lock.txt": "ANSWER = 43\n"})
    document = record(lab)
    assert (document["verdict"], document["reason"]) == ("invalid", "prepare_failed")
    assert [row.verdict for row in read_ledger(lab.repo, "default")] == ["baseline", "invalid"]


def test_an_input_without_a_file_is_an_error_of_the_policy(lab: Lab) -> None:
    preparing(lab, **{"lock.txt": "ANSWER = 42\n"})
    policy = (lab.path / ".git-planner.yml").read_text().replace("[lock.txt]", "[lock.txt, 'absent/**']")
    lab.commit("one more input", {".git-planner.yml": policy})
    document = record(lab)
    assert document["reason"] == "unprepared"
    assert "'/prepare/0' of the policy: no file matches its input 'absent/**'" in document["summary"]


def test_outputs_that_are_tracked_are_refused(lab: Lab) -> None:
    preparing(lab)
    iteration(lab, 1, "main")
    lab.commit("the output is tracked", {"vendored/answer.py": "ANSWER = 42\n"})
    document = record(lab)
    assert (document["verdict"], document["reason"]) == ("invalid", "prepare_failed")
    assert "'vendored/answer.py' is tracked, and is no output" in document["summary"]
    os.unlink(lab.path / "vendored/answer.py")
    os.rmdir(lab.path / "vendored")
    os.symlink("src", lab.path / "vendored")
    lab.git("add", "-A")
    lab.commit("the output is a link", {})
    assert "'vendored' is tracked" in record(lab)["summary"]


def test_kept_outputs_that_were_changed_are_made_again(lab: Lab) -> None:
    preparing(lab)
    assert record(lab)["verdict"] == "baseline"
    (entry,) = kept(lab)
    answer = entry / "0" / "answer.py"
    status = answer.stat()
    answer.write_text("ANSWER = 43\n")
    os.utime(answer, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not kept_outputs.is_sealed(entry)

    attempt(lab, 1, 90)
    assert record(lab)["verdict"] == "improved"

    assert answer.read_text() == "ANSWER = 42\n"
    assert kept_outputs.is_sealed(entry)


@pytest.mark.parametrize("damage", ["no seal", "half a seal", "another seal", "a file less", "a file more"])
def test_damaged_outputs_are_not_used(lab: Lab, damage: str) -> None:
    preparing(lab)
    record(lab)
    (entry,) = kept(lab)
    seal = entry / kept_outputs.SEAL
    if damage == "no seal":
        seal.unlink()
    elif damage == "half a seal":
        seal.write_bytes(seal.read_bytes()[:100])
    elif damage == "another seal":
        seal.write_text(json.dumps({**json.loads(seal.read_text()), "content": "0" * 64}))
    elif damage == "a file less":
        (entry / "0" / "answer.py").unlink()
    else:
        (entry / "0" / "more.py").write_text("")
    assert not kept_outputs.is_sealed(entry)


def test_outputs_that_were_only_copied_are_sealed_again(lab: Lab) -> None:
    preparing(lab)
    record(lab)
    (entry,) = kept(lab)
    other = entry.with_name("other")
    subprocess.run(["cp", "-a", entry, other], check=True)
    before = kept_outputs.read_seal(other)
    assert before is not None
    assert kept_outputs.is_sealed(other)
    after = kept_outputs.read_seal(other)
    assert after is not None
    assert before["state"] != after["state"]


def test_two_records_prepare_once(lab: Lab) -> None:
    preparing(lab, command=COMMAND + " && sleep 0.5")
    policy = policy_at(lab.repo, "HEAD")
    tree = lab.git("rev-parse", "HEAD^{tree}")
    messages: list[str] = []

    def prepare() -> None:
        logs = lab.root / f"logs-{threading.get_ident()}"
        runner = CommandRunner(lab.repo, policy, logs)
        seconds: dict[str, float] = {}
        preparation = Preparation(runner, None, lambda step: messages.append(str(step)), seconds)
        with preparation.holding(tree, ReusedExport(lab.repo, reuse=False)) as place:
            messages.append(f"{len(seconds)} run")
            assert (place / "tree" / "lock.txt").is_file()
        preparation.close()

    with lab.entered():
        threads = [threading.Thread(target=prepare) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(message for message in messages if message.endswith("run")) == ["0 run", "1 run"]
    assert any("waits for another record" in message for message in messages)


def test_a_step_is_ended_before_it_fills_the_disk(lab: Lab) -> None:
    preparing(lab, command="sleep 60")
    policy = policy_at(lab.repo, "HEAD")
    runner = CommandRunner(lab.repo, policy, lab.root / "logs")
    with lab.entered():
        preparation = Preparation(runner, None, lambda _: None, {}, reserve=1 << 60)
        reused = ReusedExport(lab.repo, reuse=False)
        with (
            pytest.raises(PlannerError) as error,
            preparation.holding(lab.git("rev-parse", "HEAD^{tree}"), reused),
        ):
            pass
        preparation.close()
    assert error.value.code == "E_NO_SPACE"
    assert kept(lab) == []


def test_a_killed_record_leaves_nothing_that_is_used(lab: Lab) -> None:
    preparing(lab, command=COMMAND + " && touch vendored/half && sleep 60")
    process = subprocess.Popen(command_line("git-record"), cwd=lab.path, env=lab.env, stderr=subprocess.PIPE)
    assert process.stderr is not None
    folder = Path(lab.env["XDG_CACHE_HOME"]) / "git-planner" / "prepared"
    while not [*folder.glob("making-*/tree/vendored/half")]:
        assert process.poll() is None
        threading.Event().wait(0.05)
    process.kill()
    process.communicate()
    assert [path for path in kept(lab) if (path / kept_outputs.SEAL).exists()] == []
    policy = (lab.path / ".git-planner.yml").read_text().replace(" && sleep 60", " && sleep 0")
    lab.commit("it ends", {".git-planner.yml": policy})
    assert record(lab)["verdict"] == "baseline"
