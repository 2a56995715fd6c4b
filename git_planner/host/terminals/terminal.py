"""Terminal of one program, and the protocol of the backends that show programs in terminals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from git_planner.errors import PlannerError
from git_planner.host.process_identity import ProcessIdentity, Sight, identity_from

# Variables of the environment that name a display.
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
KEYS = ("Enter", "Escape", "Tab", "Space", "Up", "Down", "Left", "Right")
_MOST_OF_A_NAME = 40
_MOST_OF_A_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Terminal:
    """Terminal of a program that was started; it is recorded, and found again by a later command.

    `socket` is the name of the tmux server, `session` and `window` are tmux's ids ('$1', '@3'); those of a
    desktop are the emulator and the window's title. `process` is the program in a tmux window, the emulator
    of a desktop window, or the program in the background.
    """

    backend: str
    socket: str | None
    session: str | None
    window: str | None
    process: ProcessIdentity | None

    def document(self) -> dict[str, Any]:
        """Return the terminal as a JSON document."""
        return {
            "backend": self.backend,
            "socket": self.socket,
            "session": self.session,
            "window": self.window,
            "process": self.process.document() if self.process else None,
        }


def terminal_from(document: Mapping[str, Any]) -> Terminal:
    """Read a terminal back from its JSON document."""
    process = document.get("process")
    return Terminal(
        backend=str(document["backend"]),
        socket=document.get("socket"),
        session=document.get("session"),
        window=document.get("window"),
        process=identity_from(process) if process else None,
    )


class TerminalBackend(Protocol):
    """A way to show programs in terminals. Each of its calls has a deadline."""

    name: str
    can_attach: bool

    def missing(self) -> tuple[str, ...]:
        """Return what this machine lacks for it, one sentence each; empty if it works."""
        ...

    def start(
        self, title: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], group: str, log: Path
    ) -> Terminal:
        """Start a program in a terminal of its own; it lives on when this process ends.

        Args:
            title: name of the window.
            argv: the program and its arguments.
            cwd: the folder it runs in.
            env: its complete environment; the variables that describe the terminal are added. A mark that
                this process does not carry itself is the program's; without one it gets a new one.
            group: the dashboard that the window belongs to.
            log: file of its output if it has no terminal, and of the error if it cannot be started. Its
                folder exists, and only this user may read it.

        Raises:
            PlannerError: E_TERMINAL, E_MISSING_TOOL, E_MISSING_FOLDER, E_RESOURCES.
        """
        ...

    def sight(self, terminal: Terminal) -> Sight:
        """Return whether the terminal is alive, gone, or cannot be seen from here.

        Raises:
            PlannerError: E_TERMINAL if tmux does not answer.
        """
        ...

    def send(self, terminal: Terminal, text: str, *, enter: bool = True) -> None:
        """Type a text into the terminal, and press Enter.

        Raises:
            PlannerError: E_USAGE for control characters; E_TERMINAL if it is gone or takes no text.
        """
        ...

    def press(self, terminal: Terminal, keys: Sequence[str]) -> None:
        """Press keys of KEYS, or those of single characters.

        Raises:
            PlannerError: E_USAGE for another key; E_TERMINAL as for `send`.
        """
        ...

    def screen(self, terminal: Terminal) -> str | None:
        """Return the visible text; None if the terminal is gone or cannot be read.

        Raises:
            PlannerError: E_TERMINAL if tmux does not answer.
        """
        ...

    def end(self, terminal: Terminal) -> None:
        """End the program and all that it started, and close its window. A terminal that is gone stays so."""
        ...

    def attach_argv(self, group: str, terminal: Terminal | None) -> tuple[str, ...] | None:
        """Return the command that shows the dashboard, or one terminal of it; None if there is nothing."""
        ...

    def place(self, terminal: Terminal) -> str:
        """Return where a person finds the terminal, for messages: "window 'worker' of xterm"."""
        ...


def safe_name(text: str) -> str:
    """Return a name that tmux, shells and terminals cannot misread: letters, digits, '-' and '_'.

    A tmux format in a name, such as '#(…)', would run a command.
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
    return name[:_MOST_OF_A_NAME].rstrip("-") or "unnamed"


def checked_text(text: str) -> str:
    """Return a text that may be typed into a terminal.

    Raises:
        PlannerError: E_USAGE for control and other unprintable characters; E_TOO_LARGE.
    """
    if len(text) > _MOST_OF_A_TEXT:
        message = f"the text has {len(text)} characters, and a terminal is sent at most {_MOST_OF_A_TEXT}"
        raise PlannerError("E_TOO_LARGE", message, hint="write it to a file, and send the file's name")
    for letter in text:
        # Joiners of emoji and of several scripts are letters' parts.
        if not letter.isprintable() and letter not in "\u200c\u200d":
            message = f"the text holds the character U+{ord(letter):04X}, which a terminal would obey"
            raise PlannerError("E_USAGE", message, hint="send it as one line of plain text")
    return text


def checked_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """Return keys that may be pressed.

    Raises:
        PlannerError: E_USAGE.
    """
    for key in keys:
        if key not in KEYS and not (len(key) == 1 and "!" <= key <= "~"):
            hint = f"known: {', '.join(KEYS)}, and single characters"
            raise PlannerError("E_USAGE", f"{key[:20]!r} is not a key", hint=hint)
    return tuple(keys)
