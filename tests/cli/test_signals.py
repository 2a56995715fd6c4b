"""A signal that comes while a program runs ends the command with the status of that signal."""

from __future__ import annotations

import json
import signal

import pytest

from tests.delegation.scripted_agent import set_up_lab
from tests.support.lab import Lab
from tests.support.signalling import signal_once_written
from tests.support.small_campaign import agent

ITERATE = ("git-iterate", "--planner", "offline")


@pytest.mark.parametrize(
    ("argv", "number"),
    [
        (ITERATE, signal.SIGTERM),
        (ITERATE, signal.SIGINT),
        (("git-plan", "delegate"), signal.SIGTERM),
        (("git-plan", "delegate"), signal.SIGHUP),
    ],
)
def test_the_exit_status_names_the_signal(lab: Lab, argv: tuple[str, ...], number: signal.Signals) -> None:
    set_up_lab(lab, ("Make it smaller", "--write-scope", "src/**"))
    agent(lab, f"echo >'{lab.root}/ready'; exec sleep 60")
    before = signal.getsignal(number)
    timer = signal_once_written(lab.root / "ready", 1, number)
    ran = lab.run(*argv, "--json")
    timer.join()
    assert (ran.status, "(E_INTERRUPTED)" in ran.err) == (128 + number, True), ran.err
    document = json.loads(ran.out)
    if argv == ITERATE:
        assert (document["code"], document["exit"]) == ("E_INTERRUPTED", 128 + number)
    assert signal.getsignal(number) == before
