"""Identities of real processes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from git_planner.host.process_identity import alive, end, identity, identity_from, living_pids, sight


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


def test_proc_says_what_psutil_says(sleeper: subprocess.Popen[bytes]) -> None:
    who, process = identity(sleeper.pid), psutil.Process(sleeper.pid)
    assert who is not None
    assert who.create_time == pytest.approx(process.create_time(), abs=0.011)
    assert who.argv0 == process.cmdline()[0]


def test_nobody_has_no_identity() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert identity(child.pid) is None


def test_a_number_that_is_used_again_is_somebody_else(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity(sleeper.pid)
    assert who is not None
    earlier, other_boot = replace(who, ticks=who.ticks - 100), replace(who, boot="another")
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
        assert living_pids(who) == sorted([child.pid, grandchild])
        assert end(who) == sorted([child.pid, grandchild])
        assert living_pids(who) == []
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
        assert living_pids(who) == [orphan]
        assert end(who) == [orphan]
        assert living_pids(who) == []


def test_what_cannot_be_seen_is_far(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity(sleeper.pid)
    assert who is not None
    soon = psutil.boot_time() + 100
    for twin, host, expected in (
        (who, None, "alive"),
        # A machine that was renamed, and a clock that was set.
        (who, "another name", "alive"),
        (replace(who, create_time=who.create_time + 3600), None, "alive"),
        # The process id was given anew within the same second.
        (replace(who, ticks=who.ticks + 1), None, "gone"),
        (replace(who, pid=2**22 + 1), None, "gone"),
        (replace(who, namespace="pid:[1]"), None, "far"),
        (replace(who, boot="another", machine="another"), None, "far"),
        (replace(who, boot="another", machine="unknown", create_time=1.0), None, "far"),
        (replace(who, boot="another", machine="", create_time=soon), None, "far"),
        (replace(who, boot="another"), "another name", "far"),
        # This machine was restarted.
        (replace(who, boot="another"), None, "gone"),
        (replace(who, boot="another", machine="", create_time=1.0), None, "gone"),
    ):
        assert sight(twin, host) == expected, (twin, host)
        assert expected == "alive" or (living_pids(twin), end(twin)) == ([], [])
    assert sleeper.poll() is None


def test_documents_of_earlier_versions(sleeper: subprocess.Popen[bytes]) -> None:
    who = identity(sleeper.pid)
    assert who is not None
    document = who.document()
    for name in ("ticks", "namespace", "machine"):
        del document[name]
    old = identity_from(document)
    assert old.document() == document
    assert [sight(old), sight(replace(old, create_time=1.0)), sight(old, "another name")] == [
        "alive",
        "gone",
        "far",
    ]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_process_in_another_pid_namespace_is_far() -> None:
    code = (
        "import json, os; from git_planner.host.process_identity import identity; "
        "print(json.dumps(identity(os.getpid()).document()), flush=True); input()"
    )
    wrapped = [
        "bwrap",
        "--dev-bind",
        "/",
        "/",
        "--unshare-pid",
        "--proc",
        "/proc",
        sys.executable,
        "-c",
        code,
    ]
    with subprocess.Popen(wrapped, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            pytest.skip("bubblewrap does not work here")
        who = identity_from(json.loads(line))
        assert (sight(who), alive(who), living_pids(who)) == ("far", False, [])
        child.communicate(b"\n")
