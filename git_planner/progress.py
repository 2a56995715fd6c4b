"""The callback that long operations report their progress to."""

from __future__ import annotations

import time
from collections.abc import Callable

# Called with one line of text for each message.
Progress = Callable[[str], None]


class Step(str):
    """A message about a step that begins. It helps who waits, and is only shown on a terminal.

    `seconds` is how long it will take, None if that is not known; `is_most`: it takes at most so long.
    """

    seconds: float | None
    is_most: bool

    def __new__(cls, text: str, seconds: float | None = None, *, is_most: bool = False) -> Step:
        """Make a message.

        Args:
            text: what begins.
            seconds: how long it will take.
            is_most: it takes at most so long.
        """
        step = super().__new__(cls, text)
        step.seconds, step.is_most = seconds, is_most
        return step


class Tick(str):
    """A sign that the step goes on. Its text says how far it is, such as '37 tests'; it may be empty."""

    __slots__ = ()


def ticker(
    progress: Progress, pause: float = 1.0, also: Callable[[], None] | None = None
) -> Callable[[], None]:
    """Return a function that is called often while a program runs, and reports that it goes on.

    Args:
        progress: called with an empty `Tick`.
        pause: the fewest seconds between two of them.
        also: called each time before; an exception from it passes.
    """
    due = time.monotonic() + pause

    def call() -> None:
        nonlocal due
        if also is not None:
            also()
        if time.monotonic() >= due:
            progress(Tick())
            due = time.monotonic() + pause

    return call
