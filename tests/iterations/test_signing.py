"""A signing program that fails or waits, or a full disk: the work is kept, and the way on is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import IterateOptions, interruptible
from git_planner.flows.iterations.unfinished.resume import resume_iteration
from git_planner.flows.planning.ask_planner import PlanOptions, make_iteration
from tests.delegation.scripted_agent import DONE, set_agent_script, set_up_lab, started_tasks, task
from tests.support.lab import Lab
from tests.support.small_campaign import agent, attempt, campaign, hush


def signer(lab: Lab) -> Path:
    """Configure a signing program; return the script that it runs first."""
    before, program = lab.root / "before.sh", lab.root / "gpg"
    before.write_text("")
    program.write_text(
        f'#!/bin/sh\n. "{before}"\ncat >/dev/null\n'
        "echo '-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----'\n"
        "echo '\n[GNUPG:] SIG_CREATED ' >&2\n"
    )
    program.chmod(0o755)
    lab.git("config", "gpg.program", str(program))
    lab.git("config", "commit.gpgSign", "true")
    return before


FAILURES = {"fails": ("exit 1", "failed"), "waits": ("sleep 60", "did not end within 1 seconds")}


@pytest.mark.parametrize(("script", "cause"), FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("in_place", [False, True])
def test_work_that_cannot_be_signed_is_kept_and_committed_later(
    lab: Lab, script: str, cause: str, in_place: bool
) -> None:
    campaign(lab)
    before = signer(lab)
    lab.git("config", "planner.signTimeout", "1")
    with pytest.raises(PlannerError) as caught:
        attempt(lab, f"echo 90 >value; echo '{script}' >'{before}'", in_place=in_place)
    assert caught.value.code == "E_SIGN"
    assert caught.value.message == (
        f"the commit cannot be signed: the signing program of 'commit.gpgSign' {cause}"
    )
    assert caught.value.hint == (
        "mend it, then 'git iterate resume 1' commits the work; no agent is run again"
    )
    before.write_text("")
    agent(lab, "echo 10 >value")
    lab.git("config", "--unset", "planner.signTimeout")
    done = resume_iteration(lab.repo, 1, IterateOptions(), hush)
    assert done.did == "committed the finished work"
    assert done.record is not None
    assert (done.record.verdict, done.record.value) == ("improved", 90.0)
    assert "gpgsig " in lab.show(done.record.commit)


def test_before_anyone_is_paid_the_signing_program_is_tried(lab: Lab) -> None:
    campaign(lab)
    signer(lab).write_text("exit 1")
    done = lab.run("git-iterate")
    assert (done.status, "E_SIGN" in done.err) == (4, True)
    assert lab.refs().keys() == {"refs/heads/main"}


def test_a_signing_program_of_the_tree_is_not_run(lab: Lab) -> None:
    campaign(lab)
    lab.git("config", "gpg.program", "./value")
    lab.git("config", "commit.gpgSign", "true")
    assert lab.run("git-iterate").status == 4


def test_after_a_full_disk_the_hint_goes_on_with_the_work(lab: Lab) -> None:
    campaign(lab)
    state = make_iteration(lab.repo, PlanOptions(), hush).state
    with pytest.raises(PlannerError) as caught, interruptible(state):
        raise PlannerError("E_NO_SPACE", "no space left", hint="run the same command again")
    assert caught.value.hint == "mend that, then 'git iterate resume 1' goes on with what there is"


@pytest.mark.parametrize(("script", "cause"), FAILURES.values(), ids=FAILURES.keys())
def test_a_delegated_task_that_cannot_be_signed_keeps_its_work(lab: Lab, script: str, cause: str) -> None:
    set_up_lab(lab, ("Make it smaller", "--write-scope", "src/**"))
    before = signer(lab)
    lab.git("config", "planner.signTimeout", "1")
    set_agent_script(lab, "echo 90 >src/value", DONE, f"echo '{script}' >'{before}'")
    # A process of its own: its run is taken over once it has ended.
    ran = lab.spawn("git-plan", "delegate")
    assert (ran.status, ran.err.splitlines()[-1]) == (
        4,
        "hint: mend it, then 'git plan delegate' commits the work; no agent is run again for it",
    )
    assert f"the signing program of 'commit.gpgSign' {cause} (E_SIGN)" in ran.err
    assert task(lab).status == "in_progress"
    before.write_text("")
    lab.git("config", "--unset", "planner.signTimeout")
    assert lab.run("git-plan", "delegate").status == 0
    done = task(lab)
    assert (done.status, len(done.commits), len(started_tasks(lab))) == ("agent_done", 1, 1)
    assert "gpgsig " in lab.show(done.commits[0])
