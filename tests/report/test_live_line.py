"""The line that shows how far a long step is."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

from git_planner.progress import Step, Tick
from git_planner.report.live_line import PLAIN, LiveLine
from git_planner.rules.measuring.tests_so_far import TestsSoFar
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {run: [sh, tests/check.sh], proof: tap, timeout: 60}
metrics:
  - {name: cost, run: [cat, value], pattern: '([0-9]+)', unit: points, better: lower, kind: deterministic,
     timeout: 20}
"""
CHECK = """\
echo 1..4
for number in 1 2 3 4; do
  echo "ok $number - part $number"
  sleep 0.9
done
"""
PROGRAM = "import sys; from git_planner.cli import record; sys.argv[0] = 'git-record'; record()"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_elsewhere_a_line_comes_every_half_minute() -> None:
    lines: list[str] = []
    clock = Clock()
    line = LiveLine(lines.append, clock)
    line.tick(Tick("nothing has begun"))
    line.begin(Step("correctness: pytest", 100.0))
    for clock.now in (1.0, PLAIN - 1, PLAIN, PLAIN + 1):
        line.tick(Tick("37 tests"))
    assert lines == ["correctness: pytest (30 s, 37 tests, about 1 min 10 s left)"]
    clock.now = 2 * PLAIN
    line.begin(Step("cost: round 3 of at most 40", 4000.0, is_most=True))
    assert lines[1:] == ["cost: round 3 of at most 40 (at most 1 h 6 min left)"]
    line.clear()
    clock.now = 3 * PLAIN
    line.tick(Tick())
    assert len(lines) == 2


def in_terminal(lab: Lab, **env: str) -> tuple[int, str]:
    """Record on a terminal of 60 columns; return the exit status and all that the terminal was sent."""
    ours, theirs = pty.openpty()
    settings = {**lab.env, "TERM": "xterm", "COLUMNS": "60", **env}
    argv = [sys.executable, "-c", PROGRAM]
    child = subprocess.Popen(argv, cwd=lab.path, env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    sent, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                sent += os.read(ours, 65536)
            except OSError:
                break
    os.close(ours)
    return child.wait(timeout=10), sent.decode()


@pytest.fixture
def slow(lab: Lab) -> Lab:
    """A project whose four tests take four seconds."""
    lab.commit("project", {".git-planner.yml": POLICY, "tests/check.sh": CHECK, "value": "10\n"})
    return lab


def test_a_terminal_shows_the_tests_so_far_in_place(slow: Lab) -> None:
    status, sent = in_terminal(slow)
    assert status == 0, sent
    drawn = re.findall(r"\r\x1b\[2K([^\r\n]*)", sent)
    assert any("correctness" in line and re.search(r"[2-4] tests", line) for line in drawn), sent
    # It is gone at the end, and what is printed begins on a line of its own.
    assert sent.rindex("\r\x1b[2K") < sent.rindex("baseline")
    # No colour, and the cursor stays.
    assert set(re.findall(r"\x1b\[[0-9;?]*[A-Za-z]", sent)) == {"\x1b[2K"}


def test_a_dumb_terminal_gets_no_drawing(slow: Lab) -> None:
    status, sent = in_terminal(slow, TERM="dumb")
    assert (status, "\x1b" in sent) == (0, False), sent


def test_a_pipe_gets_no_drawing(slow: Lab) -> None:
    ran = slow.run("git-record")
    assert ran.status == 0
    assert "\x1b" not in ran.err + ran.out
    assert "correctness" not in ran.err


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"ok 1 - a\nnot ok 2 - b\n# ok 3\nok 4", "2 tests"),
        (b"test a::b ... ok\ntest c ... FAILED\n", "2 tests"),
        (b"test_a (t.T.test_a) ... ok\ntest_b (t.T.test_b) ... FAIL\n", "2 tests"),
        (b'{"Time":"x","Action":"pass","Package":"p","Test":"A"}\n{"Action":"run","Test":"B"}\n', "1 test"),
        (b"--- PASS: TestA (0.00s)\n=== RUN TestB\n", "1 test"),
        (b"  1/12 Test  #1: parser ....   Passed 0.01 sec\n", "1 test"),
        ("  \u2713 adds\n  \u2714 parses (3 ms)\n  \u2717 fails\n".encode(), "3 tests"),
        (b"tests/test_a.py ....... [  7%]\ntests/test_b.py ... [ 41%]\n...", "41 %"),
        (b"..F.s..\n", "7 tests"),
        (b"....", "4 tests"),
        (b"", ""),
        (b"y" * 100_000 + b"\nok 1\n" + b"test " * 20_000, "1 test"),
    ],
)
def test_the_tests_so_far_are_counted_in_any_pieces(output: bytes, text: str) -> None:
    for size in (len(output) or 1, 7):
        count = TestsSoFar()
        for place in range(0, len(output), size):
            count.feed(output[place : place + size])
        assert str(count) == text
