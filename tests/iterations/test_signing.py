"""Commits that are to be signed: a signing program that fails or waits, and the way on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.iterations.iterate import IterateOptions
from git_planner.flows.iterations.resume import resume_iteration
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
