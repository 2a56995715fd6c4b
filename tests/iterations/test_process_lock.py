"""Many processes that find the same dead owner: one after the other has the iteration, never two at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations import process_lock
from git_planner.gitio.repository import open_repository
from git_planner.host import process_identity
from git_planner.host.process_identity import ProcessIdentity
from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab

ROUNDS = range(1, 41)
WORKERS = 6


def dead(lab: Lab, number: int) -> Path:
    """Leave an iteration to a process that is no more."""
    place = process_lock.log_folder(lab.repo, number) / process_lock.OWNER
    place.parent.mkdir(parents=True)
    place.write_bytes(
        canonical_json.dumps(ProcessIdentity(2**22 + 1, 1.0, process_identity.boot(), "gone").document())
    )
    return place


def work(start: float) -> None:
    """Take one iteration after the other, each at its time, and say so on stdout when another is inside."""
    repo, sight = open_repository(), process_identity.sight

    def slowly(who: ProcessIdentity, host: str | None = None) -> process_identity.Sight:
        seen = sight(who, host)
        time.sleep(random.uniform(0, 0.004))
        return seen

    process_identity.sight = slowly
    for number in ROUNDS:
        inside = Path(f"inside-{number}")
        time.sleep(max(0.0, start + number * 0.05 - time.time()))
        with suppress(PlannerError), process_lock.lock_iteration(repo, number):
            try:
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                print(f"two have {number}")
                continue
            time.sleep(0.01)
            inside.unlink()
            print(f"one had {number}")


def test_one_at_a_time_takes_a_dead_owner_s_place(lab: Lab) -> None:
    notes = [dead(lab, number) for number in ROUNDS]
    command = f"from tests.iterations.test_process_lock import work; work({time.time() + 2})"
    env = {**lab.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    workers = [
        subprocess.Popen([sys.executable, "-c", command], cwd=lab.path, env=env, stdout=subprocess.PIPE)
        for _ in range(WORKERS)
    ]
    output_lines = [
        line for worker in workers for line in worker.communicate(timeout=60)[0].decode().splitlines()
    ]
    assert [worker.returncode for worker in workers] == [0] * WORKERS
    assert [line for line in output_lines if line.startswith("two")] == []
    assert {line for line in output_lines if line.startswith("one")} == {
        f"one had {number}" for number in ROUNDS
    }
    assert [note for note in notes if note.exists()] == []


def test_only_one_s_own_note_is_taken_away(lab: Lab) -> None:
    note = process_lock.log_folder(lab.repo, 7) / process_lock.OWNER
    with process_lock.lock_iteration(lab.repo, 7):
        note.write_bytes(b"another's")
    assert note.read_bytes() == b"another's"


def test_an_owner_in_another_container_is_believed_while_its_file_is_locked(lab: Lab) -> None:
    mine = process_identity.identity(os.getpid())
    assert mine is not None
    note = process_lock.log_folder(lab.repo, 7) / process_lock.OWNER
    far = canonical_json.dumps(replace(mine, namespace="pid:[1]").document())
    with process_lock.lock_iteration(lab.repo, 7):
        note.write_bytes(far)
        assert process_lock.lock_holder(lab.repo, 7) == mine.pid
        with pytest.raises(PlannerError, match="in another container is working on iteration 7"):
            process_lock.lock_iteration(lab.repo, 7).__enter__()
    # Its kernel is ours: without the lock it is gone. Of another machine nobody knows.
    assert process_lock.lock_holder(lab.repo, 7) is None
    note.write_bytes(canonical_json.dumps(replace(mine, boot="another", machine="another").document()))
    assert process_lock.lock_holder(lab.repo, 7) == mine.pid
    note.write_bytes(far)
    with process_lock.lock_iteration(lab.repo, 7):
        assert process_lock.lock_holder(lab.repo, 7) == mine.pid
