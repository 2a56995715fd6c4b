"""Output of the commands: prose, progress, one JSON document, files."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping
from typing import Any

import click

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.progress import Step, Tick
from git_planner.report.live_line import LiveLine
from git_planner.rules.printable import printable


def _print_message(message: str) -> None:
    click.echo(printable(message), err=True)


_LINE = LiveLine(_print_message)


def say(text: str) -> None:
    """Print for people, on stdout."""
    _LINE.clear()
    click.echo(printable(text))


def tell(message: str) -> None:
    """Print a message on stderr; one about a step in a line of its own, while the step lasts."""
    if isinstance(message, Step):
        _LINE.begin(message)
    elif isinstance(message, Tick):
        _LINE.tick(message)
    else:
        _LINE.clear()
        _print_message(message)


def clear_line() -> None:
    """Remove the line of the current step, which is over."""
    _LINE.clear()


def ask(question: str) -> bool | None:
    """Ask a person a question on stderr, to be answered with yes or no; None when there is no terminal."""
    if not _is_asked_here():
        return None
    tell(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _is_asked_here() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def hush(_: str) -> None:
    """Show no progress."""


def emit(document: Mapping[str, Any] | list[Any]) -> None:
    """Print one JSON document on stdout."""
    # Most commands print for people, and are spared the import.
    from git_planner.rules.documents import canonical_json

    _LINE.clear()
    click.echo(canonical_json.dumps_shown(document))


def check_place(path: str) -> None:
    """Check early that a file can be written.

    Raises:
        PlannerError: E_USAGE.
    """
    import tempfile

    try:
        if not path:
            raise OSError(errno.ENOENT, "it has no name")
        if _special(path):
            with open(path, "ab"):
                return
        if os.path.isdir(path):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
            return
    except (OSError, ValueError) as error:
        raise _no_place(path, error) from None


def put_text(path: str, text: str) -> None:
    """Write a file atomically, following links; write to devices and pipes directly.

    Raises:
        OSError: it cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    if _special(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    place = os.path.realpath(path)
    mode = stat.S_IMODE(os.stat(place).st_mode) if os.path.exists(place) else 0o666
    atomic_file.write(place, data, mode)


def _special(path: str) -> bool:
    """Return whether a path is a pipe or a device, which cannot be replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _no_place(path: str, error: OSError | ValueError) -> PlannerError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return PlannerError("E_USAGE", f"'{path}' cannot be written: {reason}", hint="name another file")


def size_text(size: int) -> str:
    """Return a size in bytes as people read it: '12 kB'."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
