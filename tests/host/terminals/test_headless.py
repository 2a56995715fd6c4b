"""Programs in the background, without a terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.host.terminals.choose import choose_backend
from git_planner.host.terminals.headless import HeadlessBackend
from git_planner.host.terminals.terminal import terminal_from
from tests.support.waiting import holds_in_time

SCRIPT = "import os, sys; print(os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read() == '', flush=True)"


def test_runs_a_program_in_the_background(tmp_path: Path) -> None:
    backend, log = choose_backend("headless", {}), tmp_path / "log"
    argv = [sys.executable, "-c", f"{SCRIPT}; import time; time.sleep(60)"]
    terminal = backend.start("x", argv, cwd=tmp_path, env=dict(os.environ), group="g", log=log)
    assert terminal_from(terminal.document()) == terminal
    assert holds_in_time(lambda: log.read_text() == f"{tmp_path} True True\n")
    assert log.stat().st_mode & 0o777 == 0o600
    assert (backend.sight(terminal), backend.screen(terminal)) == ("alive", None)
    assert backend.attach_argv("g", terminal) is backend.attach_argv("g", None) is None
    with pytest.raises(PlannerError, match="takes no text"):
        backend.send(terminal, "x")
    backend.end(terminal)
    backend.end(terminal)
    assert backend.sight(terminal) == "gone"


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    backend = HeadlessBackend()
    with pytest.raises(PlannerError) as refused:
        backend.start("x", ["no-such-program"], cwd=tmp_path, env={}, group="g", log=tmp_path / "log")
    assert refused.value.code == "E_MISSING_TOOL"
    with pytest.raises(PlannerError) as refused:
        backend.start("x", ["cat"], cwd=tmp_path / "none", env={}, group="g", log=tmp_path / "log")
    assert refused.value.code == "E_MISSING_FOLDER"
