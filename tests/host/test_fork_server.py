"""A process that forks a child for each call."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.host.calls.fork_server import HEADER_BYTES, ForkedProcess, ForkServer, packed
from tests.support.waiting import holds_in_time

# Replies with the request and some facts of the process, and goes on when it is told to.
SERVE = """\
import os, pathlib, sys, time
from git_planner.host.calls.fork_server import serve
def answer(request, reply):
    if request == b"fail":
        raise ValueError
    os.chdir("/")
    reply(request + b" %d" % os.getsid(0))
    if request.startswith(b"/"):
        pathlib.Path(request.decode()).write_text("went on")
serve(int(sys.argv[1]), answer)
"""


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[ForkServer]:
    server = ForkServer([sys.executable, "-c", SERVE], tmp_path, os.environ)
    yield server
    server.stop()


def call(forks: ForkServer, request: bytes) -> tuple[int, bytes]:
    """Return the process id of the child and its answer."""
    with forks.connect() as connection:
        connection.settimeout(30)
        head = connection.recv(HEADER_BYTES)
        assert ForkedProcess(head).is_running()
        connection.sendall(packed(request))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int.from_bytes(head), answer


def test_each_call_has_a_process_of_its_own(forks: ForkServer) -> None:
    pids = set()
    for number in range(3):
        pid, answer = call(forks, b"x" * number)
        assert answer == b"x" * number + b" %d" % pid
        pids.add(pid)
    assert len(pids) == 3
    assert call(forks, b"fail")[1] == b""
    assert call(forks, b"y")[1][:1] == b"y"


def test_a_child_goes_on_after_its_answer_and_without_the_server(forks: ForkServer, tmp_path: Path) -> None:
    target = tmp_path / "file"
    call(forks, str(target).encode())
    forks.stop()
    assert holds_in_time(lambda: target.exists() and target.read_text() == "went on")


def test_it_is_started_again_when_it_was_killed(forks: ForkServer) -> None:
    forks.start()
    assert forks._process is not None
    forks._process.kill()
    forks._process.wait()
    assert call(forks, b"z")[1][:1] == b"z"


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlannerError) as caught:
        ForkServer(["/there/is/nothing"], tmp_path, os.environ).connect()
    assert caught.value.code == "E_MISSING_TOOL"


def test_a_caller_that_went_away_leaves_no_process(forks: ForkServer) -> None:
    with forks.connect() as connection:
        head = connection.recv(HEADER_BYTES)
    process = ForkedProcess(head)
    process.send_signal(signal.SIGTERM)
    assert ForkedProcess(b"").is_running() is False
    assert call(forks, b"next")[1][:4] == b"next"
