"""Program in the foreground: it shares this process's terminal, input and output, and gets its signals."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, NoReturn

from git_planner.host.start_program import check_program, start_error

# A terminal sends the first two to the whole foreground group; the program decides what they mean.
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


class Foreground:
    """A program that runs in the foreground, as a context: at its end this process handles signals again.

    `caught` are the signals that this process got meanwhile, in their order.

    Args:
        argv: the program and its arguments.
        environment: its complete environment.
        cwd: the folder it runs in (default: the current one).
        inherited: a file descriptor that it and its children keep open.
        limit: pass on at most so many bytes of its output and errors; None leaves its streams as they are.

    Raises:
        PlannerError: E_MISSING_TOOL, E_RESOURCES, E_USAGE (no start).
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path | None = None,
        inherited: int | None = None,
        limit: int | None = None,
    ) -> None:
        self._argv, self._environment = argv, environment
        self._folder = Path.cwd() if cwd is None else cwd
        self._inherited = () if inherited is None else (inherited,)
        self._limit = limit
        self.caught: list[int] = []
        self._handlers: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Foreground:
        """Start the program; leave the terminal's signals to it, and pass on the others."""
        check_program(self._argv[0], self._folder, self._environment)
        for number in _FROM_TERMINAL:
            self._handlers[number] = signal.signal(number, lambda number, _: self.caught.append(number))
        for number in _PASSED_ON:
            self._handlers[number] = signal.signal(number, self._pass_on)
        is_bounded = self._limit is not None
        try:
            self._child = subprocess.Popen(
                list(self._argv),
                cwd=self._folder,
                env=dict(self._environment),
                pass_fds=self._inherited,
                stdin=subprocess.DEVNULL if is_bounded else None,
                stdout=subprocess.PIPE if is_bounded else None,
                stderr=subprocess.STDOUT if is_bounded else None,
            )
            if self._child.stdout is not None:
                threading.Thread(target=self._pass_output, args=(self._child.stdout,), daemon=True).start()
        except (OSError, ValueError) as error:
            self._restore()
            raise start_error(self._argv[0], self._folder, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Handle signals as before."""
        self._restore()

    def _pass_output(self, output: IO[bytes]) -> None:
        left = self._limit or 0
        with suppress(OSError, ValueError):
            while data := os.read(output.fileno(), 64 * 1024):
                if left > 0:
                    os.write(1, data[:left])
                left -= len(data)

    @property
    def pid(self) -> int:
        """The process id of the program."""
        assert self._child is not None
        return self._child.pid

    def wait(self, seconds: float) -> int | None:
        """Wait for the program's end; return its exit status, or None after `seconds`.

        The status of a program that a signal ended is 128 plus the signal's number, as in a shell.
        """
        assert self._child is not None
        try:
            status = self._child.wait(min(seconds, 3600.0))
        except subprocess.TimeoutExpired:
            return None
        return status if status >= 0 else 128 - status

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self.caught.append(number)
        if self._child is not None:
            self._child.send_signal(number)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program.

    Raises:
        PlannerError: E_MISSING_TOOL, E_RESOURCES, E_USAGE (no start).
    """
    check_program(argv[0], Path.cwd(), os.environ)
    try:
        os.execvp(argv[0], list(argv))
    except (OSError, ValueError) as error:
        raise start_error(argv[0], Path.cwd(), error) from None
