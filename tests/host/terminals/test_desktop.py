"""Windows of a real xterm, on a display of the test's own."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.host.process_identity import living_pids
from git_planner.host.terminals.choose import choose_backend
from git_planner.host.terminals.desktop import DesktopBackend
from git_planner.host.terminals.terminal import terminal_from
from git_planner.host.terminals.tmux import TmuxBackend
from tests.support.servers.tmux import TMUX_IS_MISSING
from tests.support.waiting import holds_in_time

needs_display = pytest.mark.skipif(
    shutil.which("Xvfb") is None or shutil.which("xterm") is None, reason="needs Xvfb and xterm"
)
GROUP = "git-planner-0a1b2c3d"


@pytest.fixture
def display() -> Iterator[dict[str, str]]:
    """An environment with a display of its own."""
    reading, writing = os.pipe()
    argv = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x8", "-nolisten", "tcp"]
    with subprocess.Popen(argv, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        number = ""
        while not number.endswith("\n") and select.select([reading], [], [], 20)[0]:
            number += os.read(reading, 16).decode()
        yield {**os.environ, "DISPLAY": f":{number.strip()}"}
        os.close(reading)
        server.terminate()


@needs_display
def test_runs_a_program_in_a_window(display: Mapping[str, str], tmp_path: Path) -> None:
    backend, log = choose_backend("auto", display), tmp_path / "log"
    report = "print(os.isatty(0), os.environ['SECRET'], file=open('seen', 'w'))"
    script = f"import os; {report}; os.system('sleep 60')"
    argv = [sys.executable, "-c", script]
    env = {**display, "SECRET": "#(x) ';"}
    terminal = backend.start("-e 'a' #(x)", argv, cwd=tmp_path, env=env, group=GROUP, log=log)
    assert terminal_from(terminal.document()) == terminal
    assert backend.place(terminal) == f"the window '{GROUP} e-a-x' of xterm"
    seen = tmp_path / "seen"
    assert holds_in_time(lambda: seen.exists() and seen.read_text() == "True #(x) ';\n")
    assert (backend.sight(terminal), backend.screen(terminal)) == ("alive", None)
    assert backend.attach_argv(GROUP, terminal) is backend.attach_argv(GROUP, None) is None
    with pytest.raises(PlannerError, match="takes no text"):
        backend.send(terminal, "x")
    assert terminal.process is not None
    assert holds_in_time(lambda: len(living_pids(terminal.process)) >= 3)
    backend.end(terminal)
    backend.end(terminal)
    assert (backend.sight(terminal), living_pids(terminal.process)) == ("gone", [])


@needs_display
def test_a_window_closes_with_its_program(display: Mapping[str, str], tmp_path: Path) -> None:
    backend = DesktopBackend(display)
    terminal = backend.start("x", ["true"], cwd=tmp_path, env=display, group=GROUP, log=tmp_path / "log")
    assert holds_in_time(lambda: backend.sight(terminal) == "gone")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("launch")] == []


@needs_display
def test_a_display_that_is_gone_is_an_error(tmp_path: Path) -> None:
    environ = {**os.environ, "DISPLAY": ":6399"}
    with pytest.raises(PlannerError, match=r"xterm opened no window: .*open display") as refused:
        DesktopBackend(environ).start("x", ["true"], cwd=tmp_path, env={}, group=GROUP, log=tmp_path / "log")
    assert (refused.value.code, refused.value.hint) == ("E_TERMINAL", "git config planner.terminal tmux")
    assert not list(tmp_path.glob("launch-*"))


def _emulator(folder: Path, name: str, script: str) -> str:
    folder.mkdir()
    (folder / name).write_text(f"#!{sys.executable}\n{script}")
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_gnome_terminal_is_preferred_and_waits(tmp_path: Path) -> None:
    script = "import subprocess, sys; print(sys.argv[1:4]); subprocess.run(sys.argv[4:])"
    environ = {
        **os.environ,
        "PATH": _emulator(tmp_path / "bin", "gnome-terminal", script),
        "WAYLAND_DISPLAY": "w",
    }
    backend = choose_backend("auto", environ)
    log = tmp_path / "log"
    terminal = backend.start("x", ["sleep", "60"], cwd=tmp_path, env=environ, group=GROUP, log=log)
    assert terminal.process is not None
    assert holds_in_time(lambda: len(living_pids(terminal.process)) == 2)
    backend.end(terminal)
    assert backend.sight(terminal) == "gone"
    assert (tmp_path / "log.emulator").read_text() == f"['--wait', '--title={GROUP} x', '--']\n"


@pytest.mark.skipif(TMUX_IS_MISSING, reason="needs tmux")
def test_auto_is_tmux_without_a_display_or_an_emulator(tmp_path: Path) -> None:
    without_display = {"PATH": os.environ["PATH"]}
    assert choose_backend("auto", without_display, "s").name == "tmux"
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "tmux").symlink_to(str(shutil.which("tmux")))
    without_emulator = {"PATH": str(folder), "DISPLAY": ":0"}
    chosen = choose_backend("auto", without_emulator, "s")
    assert isinstance(chosen, TmuxBackend)
    assert chosen.socket == "s"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match="neither DISPLAY nor WAYLAND_DISPLAY is set") as refused:
        choose_backend("desktop", {"PATH": ""})
    assert refused.value.code == "E_MISSING_TOOL"
    backend = choose_backend("headless", {})
    assert backend.missing() == ()
    with pytest.raises(PlannerError, match="'screen' is not a terminal backend") as refused:
        choose_backend("screen", {})
    assert refused.value.hint == "known: auto, desktop, headless, tmux"
