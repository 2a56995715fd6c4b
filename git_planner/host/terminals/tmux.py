"""Terminals as windows of tmux: one dashboard session per repository, on a server of our own.

A person's own tmux is never touched. Windows are found by the process in them: names may be changed, and the
ids of a server that was started again begin anew.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.host import process_identity
from git_planner.host.process_identity import Sight
from git_planner.host.terminals.launch_file import launch_command, terminal_environment
from git_planner.host.terminals.terminal import Terminal, checked_keys, checked_text, safe_name
from git_planner.host.terminals.tmux_server import TmuxAnswer, TmuxServer

SOCKET = "git-planner"
INSTALL = "install tmux 3.0 or newer"
_NEEDED = (3, 0)
_SIZE = ("-x", "200", "-y", "50")
_PASTE_SECONDS = 0.2
_MOST_OF_A_SCREEN = 64 * 1024
# A server that is just ending has no target any more.
_NO_SERVER = re.compile(
    r"no server running|server exited|lost server|no sessions|no current target"
    r"|error connecting to .*\((No such file or directory|Connection refused)\)"
)


@dataclass(frozen=True, slots=True)
class Pane:
    """A pane of tmux that a program runs in."""

    id: str
    session: str
    window: str
    is_in_mode: bool


class TmuxBackend:
    """A backend that starts programs in windows of tmux.

    Args:
        socket: the name of the server's socket.
        path: the PATH that tmux is looked for on; that of this process when None.
        seconds: the deadline of each command of tmux.
    """

    name = "tmux"
    can_attach = True

    def __init__(self, socket: str = SOCKET, path: str | None = None, seconds: float = 10.0) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}", socket):
            message = f"{socket[:80]!r} cannot be the name of a tmux socket"
            raise PlannerError("E_NAME", message, hint="use letters, digits, '-' and '_'")
        self.socket = socket
        self._path, self._seconds = path, seconds
        self._server: TmuxServer | None = None
        self._seen: dict[Terminal, str] = {}

    def missing(self) -> tuple[str, ...]:
        """Return what this machine lacks for it, one sentence each; empty if it works."""
        if self._server is not None:
            return ()
        program = shutil.which("tmux", path=self._path)
        if program is None:
            return ("tmux is not on PATH",)
        version = _too_old(program)
        if version is not None:
            return (f"{version} is too old: 3.0 is needed",)
        self._server = TmuxServer(self.socket, program, self._seconds)
        return ()

    def start(
        self, title: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], group: str, log: Path
    ) -> Terminal:
        """Start a program in a new window of the dashboard; see TerminalBackend."""
        server = self._connect()
        environment, mark = terminal_environment(env)
        command, launch_file = launch_command(argv, cwd=cwd, env=environment, log=log)
        try:
            session, window, pid = self._new_window(server, safe_name(group), safe_name(title), command)
        except PlannerError:
            launch_file.unlink(missing_ok=True)
            raise
        program = process_identity.identity(pid, mark) or process_identity.expected(argv[0], mark)
        # The menu of Ctrl-C calls it.
        server.cmd("set-option", "-g", "@program", argv[0])
        return Terminal(self.name, self.socket, session, window, program)

    def sight(self, terminal: Terminal) -> Sight:
        """Return whether the terminal is alive, gone, or cannot be seen from here; see TerminalBackend."""
        if terminal.process is None:
            return "gone"
        seen = process_identity.sight(terminal.process)
        if seen != "alive":
            return seen
        return "alive" if self._pane(terminal) is not None else "gone"

    def send(self, terminal: Terminal, text: str, *, enter: bool = True) -> None:
        """Type a text into the terminal, and press Enter; see TerminalBackend."""
        data = checked_text(text).encode("utf-8")
        pane = self._listening_pane(terminal)
        if data:
            buffer = f"git-planner-{secrets.token_hex(4)}"
            paste = ("paste-buffer", "-p", "-d", "-b", buffer, "-t", pane.id)
            load = ("load-buffer", "-b", buffer, "-", ";", *paste)
            self._checked(self._connect().cmd(*load, data=data))
        if enter:
            # Many programs take a key right after a pasted text for a part of it.
            time.sleep(_PASTE_SECONDS if data else 0.0)
            self._run("send-keys", "-t", pane.id, "Enter")

    def press(self, terminal: Terminal, keys: Sequence[str]) -> None:
        """Press keys; see TerminalBackend."""
        # A lone ';' would end the command.
        escaped = ["\\;" if key == ";" else key for key in checked_keys(keys)]
        self._run("send-keys", "-t", self._listening_pane(terminal).id, *escaped)

    def screen(self, terminal: Terminal) -> str | None:
        """Return the visible text; see TerminalBackend."""
        lines = self._seen_again(terminal)
        if lines is None:
            pane = self._pane(terminal)
            if pane is None:
                return None
            answer = self._connect().cmd("capture-pane", "-p", "-t", pane.id)
            if answer.returncode:
                return None
            self._seen[terminal], lines = pane.id, answer.stdout
        return "\n".join(lines).rstrip()[:_MOST_OF_A_SCREEN]

    def _seen_again(self, terminal: Terminal) -> list[str] | None:
        """Return the lines of a pane that was seen before, by one command; None if it must be looked for."""
        pane, process = self._seen.get(terminal), terminal.process
        if pane is None or process is None or not process_identity.alive(process):
            return None
        shown = ("display-message", "-p", "-t", pane, "#{pane_pid}", ";", "capture-pane", "-p", "-t", pane)
        answer = self._connect().cmd(*shown)
        # A server that was started again gives the same names to other panes.
        is_same = answer.returncode == 0 and answer.stdout[0] == str(process.pid)
        return answer.stdout[1:] if is_same else None

    def end(self, terminal: Terminal) -> None:
        """End the program and all that it started, and close its window; see TerminalBackend."""
        if terminal.process is None:
            return
        pane = self._pane(terminal) if process_identity.alive(terminal.process) else None
        process_identity.end(terminal.process)
        if pane is not None:
            # Usually it has closed with its program. Panes that a person added to the window stay.
            self._connect().cmd("kill-pane", "-t", pane.id)

    def attach_argv(self, group: str, terminal: Terminal | None) -> tuple[str, ...] | None:
        """Return the command that shows the dashboard, or one window of it; see TerminalBackend."""
        server, dashboard = self._connect(), f"={safe_name(group)}"
        unset = ("env", "-u", "TMUX", "-u", "TMUX_PANE", "-u", "TMUX_TMPDIR")
        tmux = (*unset, "tmux", *self._options())
        if terminal is None:
            is_there = server.cmd("has-session", "-t", dashboard).returncode == 0
            return (*tmux, "attach-session", "-t", dashboard) if is_there else None
        pane = self._pane(terminal)
        if pane is None:
            return None
        # A session of its own over the same windows: whoever looks at the dashboard keeps the window.
        view = ("new-session", "-t", pane.session, ";", "set-option", "destroy-unattached", "on")
        return (*tmux, *view, ";", "select-window", "-t", f":{pane.window}")

    def place(self, terminal: Terminal) -> str:
        """Return where a person finds the terminal."""
        return f"window {terminal.window} of the tmux server '{self.socket}'"

    def _options(self) -> tuple[str, ...]:
        return ("-L", self.socket, "-f", str(Path(__file__).with_name("tmux.conf")))

    def _connect(self) -> TmuxServer:
        faults = self.missing()
        if self._server is None:
            raise PlannerError("E_MISSING_TOOL", faults[0], hint=INSTALL)
        return self._server

    def _new_window(
        self, server: TmuxServer, group: str, title: str, command: Sequence[str]
    ) -> tuple[str, str, int]:
        """Open a window, and the dashboard if it is the first one; return session, window and process id."""
        shown = ("-P", "-F", "#{session_id} #{window_id} #{pane_pid}", "-n", title, "-c", "/")
        window = ("new-window", "-d", "-t", f"={group}:", *shown, "--", *command)
        session = ("new-session", "-d", "-s", group, *_SIZE, *shown, "--", *command)
        answer = server.cmd(*window)
        for call in (session, window, session):
            if answer.returncode == 0:
                break
            # Of several processes that open the first window, one makes the session.
            answer = server.cmd(*call)
        self._checked(answer)
        session_id, window_id, pid = answer.stdout[0].split()
        return session_id, window_id, int(pid)

    def _pane(self, terminal: Terminal) -> Pane | None:
        """Return the pane whose program is that of a terminal, wherever a person has moved it."""
        if terminal.process is None or terminal.process.pid == 0:
            return None
        fields = "#{pane_pid} #{pane_id} #{session_id} #{window_id} #{pane_in_mode} #{session_grouped}"
        answer = self._connect().cmd("list-panes", "-a", "-F", fields)
        if answer.returncode and any(_NO_SERVER.search(line) for line in answer.stderr):
            return None
        self._checked(answer)
        rows = [line.split() for line in answer.stdout if line]
        rows = [row for row in rows if row[0] == str(terminal.process.pid)]
        if not rows or not process_identity.alive(terminal.process):
            return None
        _, pane, session, window, mode, _ = next((row for row in rows if row[2] == terminal.session), rows[0])
        return Pane(pane, session, window, mode != "0")

    def _listening_pane(self, terminal: Terminal) -> Pane:
        pane = self._pane(terminal)
        if pane is None:
            raise PlannerError("E_TERMINAL", f"the {self.place(terminal)} is gone")
        if pane.is_in_mode:
            # A person has scrolled back, and keys would move through the history.
            self._run("send-keys", "-t", pane.id, "-X", "cancel")
        return pane

    def _run(self, command: str, *arguments: str) -> None:
        self._checked(self._connect().cmd(command, *arguments))

    def _checked(self, answer: TmuxAnswer) -> None:
        if answer.returncode:
            reason = "; ".join(answer.stderr)[:300] or "without a message"
            message = f"tmux failed on the server '{self.socket}': {reason}"
            raise PlannerError("E_TERMINAL", message, hint="git planner doctor")


def _too_old(program: str) -> str | None:
    """Return the version of a tmux that is too old; None if it will do."""
    try:
        done = subprocess.run([program, "-V"], capture_output=True, timeout=10.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "a tmux that does not tell its version"
    text = done.stdout.decode("utf-8", "replace").strip()[:60]
    number = re.search(r"(\d{1,4})\.(\d{1,4})", text)
    # 'tmux master' has no number.
    return text if number and (int(number[1]), int(number[2])) < _NEEDED else None
