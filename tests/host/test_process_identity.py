"""Identities of real processes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from git_planner.host.process_identity import alive, end, identity, identity_from, left


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_says_who_a_process_is(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity(sleeper.pid, "m")
    assert who is not None
    assert (who.pid, who.argv0, who.mark, alive(who)) == (sleeper.pid, "sleep", "m", True)
    assert identity_from(who.document()) == who


def test_nobody_has_no_identity() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert identity(child.pid) is None


def test_a_number_that_is_used_again_is_somebody_else(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity(sleeper.pid)
    assert who is not None
    earlier, other_boot = replace(who, create_time=who.create_time - 100), replace(who, boot="another")
    assert not alive(earlier)
    assert not alive(other_boot)
    assert end(earlier) == end(other_boot) == []
    assert sleeper.poll() is None


def test_ends_a_process_and_what_it_started() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        who = identity(child.pid)
        assert who is not None
        assert left(who) == sorted([child.pid, grandchild])
        assert end(who) == sorted([child.pid, grandchild])
        assert left(who) == []
        assert not alive(who)


def test_a_deaf_process_ends_too() -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        who = identity(child.pid)
        assert who is not None
        assert end(who, grace=0.2) == [child.pid]
        assert child.wait(5) == -9


def test_finds_what_is_left_by_its_mark_when_the_first_is_gone() -> None:
    mark = secrets.token_hex(16)
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 >/dev/null & echo $!; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "GIT_PLANNER_MARK": mark},
    ) as child:
        who = identity(child.pid, mark)
        assert who is not None
        assert child.stdout is not None
        orphan = int(child.stdout.readline())
        child.communicate(b"\n")
        assert left(who) == [orphan]
        assert end(who) == [orphan]
        assert left(who) == []
