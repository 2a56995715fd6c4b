"""The callback that long operations report their progress to."""

from __future__ import annotations

from collections.abc import Callable

# Called with one line of text for each message.
Progress = Callable[[str], None]


class Step(str):
    """A message about a step that begins. It helps who waits, and is only shown on a terminal."""

    __slots__ = ()
