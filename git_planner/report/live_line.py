"""The line of a long step while it lasts: in place on a terminal, elsewhere a new line now and then."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from git_planner.progress import Step, Tick
from git_planner.rules.printable import printable_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.control import Control

# Seconds between two drawings of one step, between those of two steps, and between two lines of plain text.
AGAIN, NEXT, PLAIN = 1.0, 0.1, 30.0


class LiveLine:
    """The line of the current step, on stderr.

    It is drawn when a message comes: there is no thread and no timer. Messages of several threads may come
    at the same time.

    Args:
        write: prints one line of text.
        clock: the seconds that have passed since any fixed time.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._lock = threading.RLock()
        self._step: Step | None = None
        self._began = self._shown = clock()
        self._progress = ""
        self._console: Console | None = None

    def begin(self, step: Step) -> None:
        """Show that a step begins."""
        with self._lock:
            self._began = self._clock()
            if self._step is None:
                self._shown = self._began
            self._step, self._progress = step, ""
            if sys.stderr.isatty() and not can_draw():
                self._write(step)
            else:
                self._show(NEXT)

    def tick(self, tick: Tick) -> None:
        """Show that the step goes on, if it is time to."""
        with self._lock:
            if self._step is None:
                return
            self._progress = tick
            self._show(AGAIN)

    def clear(self) -> None:
        """Remove the line: something else is printed next, or the command has ended."""
        with self._lock:
            console, self._console, self._step = self._console, None, None
            self._shown = self._clock()
            if console is not None:
                # Who closes the terminal reads nothing more.
                with suppress(OSError):
                    console.control(_erase())

    def _show(self, pause: float) -> None:
        """Show the step if the last line is so many seconds old; where nothing can be drawn, PLAIN."""
        now, is_drawn = self._clock(), can_draw()
        is_first = is_drawn and self._console is None
        if is_first or now - self._shown >= (pause if is_drawn else PLAIN):
            self._shown = now
            if is_drawn:
                self._draw(self._console or _new_console())
            else:
                self._write(self._text())

    def _draw(self, console: Console) -> None:
        from rich.text import Text

        self._console = console
        text = Text(printable_line(self._text()), no_wrap=True)
        # In the last column some terminals begin a new line.
        text.truncate(max(1, console.width - 1), overflow="ellipsis")
        with suppress(OSError):
            console.control(_erase())
            console.print(text, end="")

    def _text(self) -> str:
        assert self._step is not None
        elapsed = self._clock() - self._began
        facts = [_duration(elapsed) if elapsed >= AGAIN else "", str(self._progress)]
        if self._step.seconds is not None and (left := self._step.seconds - elapsed) > 0:
            facts.append(f"{'at most' if self._step.is_most else 'about'} {_duration(left)} left")
        text = ", ".join(fact for fact in facts if fact)
        return f"{self._step} ({text})" if text else str(self._step)


def can_draw() -> bool:
    """Return whether a line can be drawn again on stderr."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _new_console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def _erase() -> Control:
    from rich.control import Control
    from rich.segment import ControlType

    return Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


def _duration(seconds: float) -> str:
    """Return a duration for people, such as '7 s', '2 min 5 s' or '1 h 12 min'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
