"""Windows of a real tmux, on a socket of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from git_planner.agents.confinement import confine
from git_planner.config.policy_file import parse_policy
from git_planner.errors import PlannerError
from git_planner.host import process
from git_planner.host.marks import MARK
from git_planner.host.process_identity import living_pids
from git_planner.host.terminals.choose import backend_of, choose_backend
from git_planner.host.terminals.terminal import Terminal, safe_name, terminal_from
from git_planner.host.terminals.tmux import TmuxBackend
from tests.support.lab import Lab
from tests.support.servers.tmux import TMUX_IS_MISSING, Tmux
from tests.support.waiting import holds_in_time

pytestmark = pytest.mark.skipif(TMUX_IS_MISSING, reason="needs tmux")
GROUP = "git-planner-0a1b2c3d"
POLICY = "schema: git-planner/policy@1\ncorrectness: {run: [make, test]}\n"
HOSTILE = (
    *("a:b", "a.b", "%1", "@1", "$1", "=x", "-x", "a;b", "a;", "#{pid}", "#(touch PWNED)", "#[fg=red]"),
    *("line\nbreak", "tab\there", "\x1b[31mred", "🙂", "", " ", "../..", "'; touch PWNED; '", "x" * 500),
)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    with Tmux(tmp_path) as server:
        yield server


def test_runs_a_program_in_a_window_and_types_into_it(tmux: Tmux) -> None:
    terminal = tmux.start("cat")
    assert terminal_from(terminal.document()) == terminal
    assert (terminal.backend, terminal.socket) == ("tmux", tmux.backend.socket)
    assert tmux.backend.sight(terminal) == "alive"
    tmux.backend.send(terminal, "hello #{pid} ;")
    assert holds_in_time(lambda: tmux.screen(terminal) == "hello #{pid} ;\nhello #{pid} ;")
    tmux.backend.end(terminal)
    tmux.backend.end(terminal)
    assert (tmux.backend.sight(terminal), tmux.backend.screen(terminal)) == ("gone", None)
    assert tmux.backend.attach_argv(GROUP, terminal) is tmux.backend.attach_argv(GROUP, None) is None
    with pytest.raises(PlannerError, match="is gone"):
        tmux.backend.send(terminal, "x")


def test_gives_the_program_its_own_environment_and_folder(tmux: Tmux, tmp_path: Path) -> None:
    folder = tmp_path / "a #{pid} #(touch PWNED) ;"
    folder.mkdir()
    env = {"PATH": os.environ["PATH"], "SECRET": "a\nb' #(c) ;", "COLUMNS": "7", "BYTES": "\udcff"}
    tmux.start("cat")
    tmux.backend.start(
        "env",
        [sys.executable, "-c", "import os; print(os.getcwd(), dict(os.environ), file=open('seen', 'w'))"],
        cwd=folder,
        env=env,
        group=GROUP,
        log=tmp_path / "log",
    )
    seen = folder / "seen"
    assert holds_in_time(lambda: seen.exists() and seen.read_text().endswith("\n"))
    place, _, rest = seen.read_text().partition(" {")
    values = eval("{" + rest)
    assert place == str(folder)
    assert values.pop("TERM") == "screen-256color"
    assert values.pop("TMUX")
    assert values.pop("TMUX_PANE") == "%1"
    assert values.pop(MARK)
    kept = {name: values[name] for name in ("PATH", "SECRET", "BYTES")}
    assert kept == {name: env[name] for name in kept}
    assert values.keys() - kept <= {"TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LC_CTYPE", "COLORTERM"}
    assert holds_in_time(lambda: not list(tmp_path.glob("launch-*")))
    assert not list(tmp_path.rglob("PWNED"))


def test_the_end_of_the_caller_ends_no_window(tmux: Tmux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "outer")
    terminal = tmux.start("cat", env={**os.environ, MARK: "outer:inner"})
    assert terminal.process is not None
    assert terminal.process.mark == "inner"
    assert living_pids(replace(terminal.process, pid=0, mark="outer")) == []
    marked = replace(terminal.process, pid=0)
    assert holds_in_time(lambda: living_pids(marked) != [])


def test_ends_all_that_the_program_started(tmux: Tmux) -> None:
    terminal = tmux.start("sh", "-c", "setsid sh -c '>own; exec sleep 60' & exec sleep 60")
    process = terminal.process
    assert process is not None
    assert holds_in_time(lambda: len(living_pids(process)) == 2 and (tmux.folder / "own").exists())
    os.kill(process.pid, signal.SIGKILL)
    assert holds_in_time(lambda: tmux.backend.sight(terminal) == "gone")
    assert len(living_pids(process)) == 1
    tmux.backend.end(terminal)
    assert living_pids(process) == []


def test_names_cannot_be_misread(tmux: Tmux, tmp_path: Path) -> None:
    for name in HOSTILE:
        assert safe_name(name).replace("-", "").replace("_", "").isalnum()
    terminals = [
        tmux.backend.start(
            name, ["cat"], cwd=tmp_path, env=dict(os.environ), group=name, log=tmp_path / "log"
        )
        for name in HOSTILE[::4]
    ]
    assert [tmux.backend.sight(terminal) for terminal in terminals] == ["alive"] * len(terminals)
    assert not list(tmp_path.rglob("PWNED"))
    names = tmux.run("list-windows", "-a", "-F", "#{window_name}").split("\n")
    assert sorted(names) == sorted(safe_name(name) for name in HOSTILE[::4])


def test_presses_keys(tmux: Tmux) -> None:
    terminal = tmux.start("cat", "-v")
    tmux.backend.press(terminal, ("a", ";", "Up", "Space", "-", "Enter"))
    assert holds_in_time(lambda: tmux.screen(terminal).endswith("a;^[[A -"))
    for key in ("C-c", "enter", "", "ab", "\n"):
        with pytest.raises(PlannerError, match="is not a key"):
            tmux.backend.press(terminal, ("a", key))


@pytest.mark.parametrize("text", ["a\nb", "\x1b[A", "\x03", "a\tb", "\u202e", "\x7f", "\udcff"])
def test_types_no_control_characters(tmux: Tmux, text: str) -> None:
    terminal = Terminal("tmux", tmux.backend.socket, "$0", "@0", None)
    with pytest.raises(PlannerError, match="which a terminal would obey") as refused:
        tmux.backend.send(terminal, text)
    assert refused.value.code == "E_USAGE"


def test_finds_a_window_after_a_person_renamed_moved_and_split_it(tmux: Tmux) -> None:
    other, terminal = tmux.start("cat"), tmux.start("cat")
    target = str(terminal.window)
    tmux.run("rename-window", "-t", target, "#(x)")
    tmux.run("split-window", "-t", target, "cat")
    tmux.run("copy-mode", "-t", f"{target}.0")
    tmux.backend.send(terminal, "typed 🙂")
    assert holds_in_time(lambda: tmux.screen(terminal) == "typed 🙂\ntyped 🙂")
    tmux.backend.end(terminal)
    assert tmux.backend.sight(other) == "alive"
    assert tmux.run("list-panes", "-t", target) != ""


def test_a_window_of_a_server_that_was_started_again_is_another_one(tmux: Tmux) -> None:
    first = tmux.start("cat")
    os.kill(int(tmux.run("display-message", "-p", "#{pid}")), signal.SIGKILL)
    assert holds_in_time(lambda: tmux.backend.sight(first) == "gone")
    assert tmux.backend.screen(first) is tmux.backend.attach_argv(GROUP, None) is None
    second = tmux.start("cat")
    assert (first.session, first.window) == (second.session, second.window)
    assert [tmux.backend.sight(terminal) for terminal in (first, second)] == ["gone", "alive"]
    tmux.backend.end(first)
    assert tmux.backend.sight(second) == "alive"


def test_many_first_windows_at_once_share_a_dashboard(tmux: Tmux) -> None:
    with ThreadPoolExecutor(6) as pool:
        terminals = list(pool.map(lambda _: tmux.start("cat"), range(6)))
    assert [tmux.backend.sight(terminal) for terminal in terminals] == ["alive"] * 6
    assert len({terminal.session for terminal in terminals}) == 1
    assert len({terminal.window for terminal in terminals}) == 6


def test_attaches_from_within_another_tmux(tmux: Tmux, tmp_path: Path) -> None:
    first, second = tmux.start("cat"), tmux.start("cat")
    with Tmux(tmp_path) as persons:
        for terminal, shown in ((None, first), (second, second)):
            argv = tmux.backend.attach_argv(GROUP, terminal)
            assert argv is not None
            view = persons.start(*argv)
            tmux.backend.send(shown, f"in {shown.window}")
            assert holds_in_time(lambda view=view, shown=shown: f"in {shown.window}" in persons.screen(view))
        # The view of one window leaves the dashboard's own window as it was.
        current = tmux.run("display-message", "-p", "-t", f"={GROUP}:", "#{window_id}")
        assert current == first.window
        clients = tmux.run("list-clients", "-F", "#{session_name}").split("\n")
        assert len(set(clients)) == 2
    assert holds_in_time(lambda: tmux.run("list-sessions", "-F", "#{session_name}") == GROUP)


def test_an_agent_in_its_jail_does_not_reach_the_server(
    lab: Lab, tmux: Tmux, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", str(lab.home))
    tmux.start("cat")
    jail = confine(lab.repo, parse_policy(POLICY.encode(), "p.yml"))
    if not jail.is_jail:
        pytest.skip(jail.shown)
    # The jail shows files that are arguments.
    place = f"/tmp/tmux-{os.geteuid()}/{tmux.backend.socket}"
    argv = ("sh", "-c", f"exec tmux -S {place} list-windows -a")
    assert process.run(argv, cwd=lab.path, seconds=20).status == 0
    with jail.enclose(argv, dict(os.environ), lab.path, "codex", ()) as program:
        done = process.run(program.argv, cwd=lab.path, seconds=20, env=program.env)
    assert b"No such file or directory" in done.stderr
    monkeypatch.delenv("TMUX_TMPDIR")


def test_a_start_removes_what_a_killed_one_left(tmux: Tmux, tmp_path: Path) -> None:
    old, new = tmp_path / "launch-0a.json", tmp_path / "launch-0b.json"
    for path in (old, new):
        path.write_text("{}")
    os.utime(old, (1, 1))
    tmux.start("cat")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_program_that_cannot_be_started_says_so(tmux: Tmux, tmp_path: Path) -> None:
    with pytest.raises(PlannerError) as refused:
        tmux.start("no-such-program")
    assert refused.value.code == "E_MISSING_TOOL"
    with pytest.raises(PlannerError, match="does not exist"):
        tmux.backend.start("x", ["cat"], cwd=tmp_path / "none", env={}, group=GROUP, log=tmp_path / "log")
    assert not list(tmp_path.glob("launch-*"))


def test_reads_no_configuration_of_the_person(
    tmux: Tmux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmux.conf").write_text("set-option -g remain-on-exit on\nset-option -g base-index 5\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    terminal = tmux.start("true")
    assert holds_in_time(lambda: tmux.backend.sight(terminal) == "gone")
    assert holds_in_time(
        lambda: "no server" in tmux.run("list-windows", "-a") or not tmux.run("list-windows", "-a")
    )


def _program(folder: Path, name: str, script: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(folder)


def test_an_old_tmux_is_refused_with_its_version(tmp_path: Path) -> None:
    old = _program(tmp_path / "old", "tmux", "echo tmux 2.9a")
    assert TmuxBackend(path=old).missing() == ("tmux 2.9a is too old: 3.0 is needed",)
    new = _program(tmp_path / "new", "tmux", "echo tmux next-3.7")
    assert TmuxBackend(path=new).missing() == ()
    with pytest.raises(PlannerError, match=r"tmux 2\.9a is too old") as refused:
        choose_backend("auto", {"PATH": old})
    assert "install tmux 3.0 or newer" in str(refused.value.hint)
    with pytest.raises(PlannerError, match="tmux is not on PATH"):
        choose_backend("tmux", {"PATH": str(tmp_path)})


def test_a_server_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    hung = _program(tmp_path / "hung", "tmux", 'test "$1" = -V && echo tmux 3.4 || exec sleep 5')
    with pytest.raises(PlannerError, match="does not answer") as refused:
        TmuxBackend("hung", hung, seconds=0.1).attach_argv(GROUP, None)
    assert refused.value.code == "E_TERMINAL"


@pytest.mark.parametrize("socket", ["", "-x", "a/b", "a b", "x" * 80, "a\n"])
def test_names_of_sockets_are_checked(socket: str) -> None:
    with pytest.raises(PlannerError, match="cannot be the name of a tmux socket"):
        TmuxBackend(socket)


def test_a_recorded_terminal_finds_its_backend() -> None:
    backend = backend_of(Terminal("tmux", "other", "$0", "@0", None), os.environ)
    assert (backend.name, getattr(backend, "socket", "")) == ("tmux", "other")


def test_a_screen_that_was_seen_before_is_one_command(tmux: Tmux, tmp_path: Path) -> None:
    program, log = shutil.which("tmux"), tmp_path / "commands"
    wrapper = tmp_path / "bin" / "tmux"
    wrapper.parent.mkdir()
    wrapper.write_text(f"#!/bin/sh\necho \"$6\" >>'{log}'\nexec '{program}' \"$@\"\n")
    wrapper.chmod(0o755)
    backend = TmuxBackend(tmux.backend.socket, str(wrapper.parent))
    terminal = tmux.start("sh", "-c", "echo seen; exec cat")
    assert holds_in_time(lambda: backend.screen(terminal) == "seen")
    log.unlink()
    assert backend.screen(terminal) == "seen"
    assert log.read_text().split() == ["display-message"]
    tmux.backend.end(terminal)
    assert backend.screen(terminal) is None
