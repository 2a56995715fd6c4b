"""A delegator that died on another machine: its task is free once the claim expires."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from tests.delegation.scripted_agent import (
    DONE,
    delegate,
    saved_runs,
    set_agent_script,
    set_up_lab,
    started_tasks,
    task,
)
from tests.support.lab import Lab
from tests.support.signalling import wait_for
from tests.support.two_clones import share

CLAIM = "refs/planner/claims/default/task_001"


def share_with_clone(lab: Lab) -> tuple[Lab, Path]:
    """Make another clone and the bare repository that both share."""
    bare = lab.root / "shared.git"
    lab.git("init", "-q", "--bare", "-b", "main", str(bare))
    lab.git("remote", "add", "origin", str(bare))
    lab.git("push", "-q", "origin", "main")
    assert share(lab, "push").status == 0
    other = lab.clone("other")
    other.git("remote", "set-url", "origin", str(bare))
    assert share(other, "pull").status == 0
    return other, bare


def rewrite_claim(lab: Lab, bare: Path, **fields: str) -> None:
    """Change fields of the claim on the remote, as if another machine had written it."""
    git_dir = f"--git-dir={bare}"
    claim = {**json.loads(lab.git(git_dir, "cat-file", "blob", f"{CLAIM}:claim.json")), **fields}
    claim["process"]["boot"] = "another machine's"
    blob = lab.git(git_dir, "hash-object", "-w", "--stdin", stdin=json.dumps(claim))
    tree = lab.git(git_dir, "mktree", stdin=f"100644 blob {blob}\tclaim.json\n")
    lab.git(git_dir, "update-ref", CLAIM, lab.git(git_dir, "commit-tree", "-m", "claim", "-p", CLAIM, tree))


def kill_delegator_and_agent(lab: Lab) -> None:
    """Start the first task, then kill its delegator and its agent as a power cut would."""
    set_agent_script(lab, f'echo $$ >"{lab.root}/agent"; sleep 77')
    process = lab.start("git-plan", "delegate", "--remote", "origin")
    wait_for(lab.root / "agent")
    os.kill(process.pid, signal.SIGKILL)
    # The agent ends with its delegator, where that works.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(int((lab.root / "agent").read_text()), signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("is_pushed", [False, True], ids=["plan not pushed", "plan pushed"])
def test_a_claim_from_another_machine_stands_until_it_expires(lab: Lab, is_pushed: bool) -> None:
    set_up_lab(lab, ("one", "--write-scope", "src/**"))
    other, bare = share_with_clone(lab)
    kill_delegator_and_agent(lab)
    if is_pushed:
        # A pushed start changes only the number of the new attempt.
        assert share(lab, "push").status == 0
    set_agent_script(lab, "echo 80 >src/value", DONE)

    rewrite_claim(lab, bare, host="elsewhere", expires_at="2999-01-01T00:00:00Z")
    status, document = delegate(other, "--remote", "origin")
    assert (status, document["runs"], started_tasks(lab)) == (0, [], ["task_001"]), document

    rewrite_claim(lab, bare, expires_at="2020-01-01T00:00:00Z")
    status, document = delegate(other, "--remote", "origin")
    assert (status, [run["outcome"] for run in document["runs"]]) == (0, ["done"]), document
    assert started_tasks(lab) == ["task_001", "task_001"]
    assert lab.git("ls-remote", "origin", "refs/planner/claims/*") == ""

    # The first clone finds its task done by the other, and leaves it alone.
    status, document = delegate(lab, "--remote", "origin")
    assert (status, started_tasks(lab)) == (0, ["task_001", "task_001"]), document
    assert share(lab, "pull").status == 0
    done_task = task(lab)
    assert (done_task.status, done_task.attempt, len(done_task.commits)) == (
        "agent_done",
        2 if is_pushed else 1,
        1,
    ), done_task
    assert [run.outcome for run in saved_runs(lab)] == ["stale"]
    assert lab.git("ls-remote", "origin", "refs/planner/claims/*") == ""
