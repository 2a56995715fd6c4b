"""A delegator that died on another machine: its task waits for the claim to expire, then another has it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.delegation.scripted_agent import DONE, begun, bench, delegate, kept, task, works
from tests.delegation.test_many_delegators import start
from tests.iterations.test_resume import wait_for
from tests.support.lab import Lab
from tests.support.two_clones import share

CLAIM = "refs/planner/claims/default/task_001"


def shared(lab: Lab) -> tuple[Lab, Path]:
    """Another clone, and the bare repository that both of them share."""
    bare = lab.root / "shared.git"
    lab.git("init", "-q", "--bare", "-b", "main", str(bare))
    lab.git("remote", "add", "origin", str(bare))
    lab.git("push", "-q", "origin", "main")
    assert share(lab, "push").status == 0
    other = lab.clone("other")
    other.git("remote", "set-url", "origin", str(bare))
    assert share(other, "pull").status == 0
    return other, bare


def rewritten(lab: Lab, bare: Path, **fields: str) -> None:
    """Let the claim on the remote say something else, as if another machine had written it."""
    at = f"--git-dir={bare}"
    claim = {**json.loads(lab.git(at, "cat-file", "blob", f"{CLAIM}:claim.json")), **fields}
    blob = lab.git(at, "hash-object", "-w", "--stdin", stdin=json.dumps(claim))
    tree = lab.git(at, "mktree", stdin=f"100644 blob {blob}\tclaim.json\n")
    lab.git(at, "update-ref", CLAIM, lab.git(at, "commit-tree", "-m", "claim", "-p", CLAIM, tree))


def killed_while_its_agent_works(lab: Lab) -> None:
    """Begin the first task, and end its delegator and its agent as a power cut would."""
    works(lab, f'echo $$ >"{lab.root}/agent"; sleep 77')
    process = start(lab, "--remote", "origin")
    wait_for(lab.root / "agent")
    os.kill(process.pid, signal.SIGKILL)
    os.killpg(int((lab.root / "agent").read_text()), signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("told", [False, True], ids=["plan not pushed", "plan pushed"])
def test_a_claim_from_another_machine_stands_until_it_expires(lab: Lab, told: bool) -> None:
    bench(lab, ("one", "--write-scope", "src/**"))
    other, bare = shared(lab)
    killed_while_its_agent_works(lab)
    if told:
        # Whether the others know that it was begun makes no difference but in what the new attempt is called.
        assert share(lab, "push").status == 0
    works(lab, "echo 80 >src/value", DONE)

    rewritten(lab, bare, host="elsewhere", expires_at="2999-01-01T00:00:00Z")
    status, done = delegate(other, "--remote", "origin")
    assert (status, done["runs"], begun(lab)) == (0, [], ["task_001"]), done

    rewritten(lab, bare, expires_at="2020-01-01T00:00:00Z")
    status, done = delegate(other, "--remote", "origin")
    assert (status, [each["outcome"] for each in done["runs"]]) == (0, ["done"]), done
    assert begun(lab) == ["task_001", "task_001"]
    assert lab.git("ls-remote", "origin", "refs/planner/claims/*") == ""

    # Back again, the first one finds its task done by somebody else, and leaves it alone.
    status, done = delegate(lab, "--remote", "origin")
    assert (status, begun(lab)) == (0, ["task_001", "task_001"]), done
    assert share(lab, "pull").status == 0
    one = task(lab)
    assert (one.status, one.attempt, len(one.commits)) == ("agent_done", 2 if told else 1, 1), one
    assert [each.outcome for each in kept(lab)] == ["stale"]
    assert lab.git("ls-remote", "origin", "refs/planner/claims/*") == ""
