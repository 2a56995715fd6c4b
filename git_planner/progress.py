"""The callback that long operations report their progress to."""

from __future__ import annotations

from collections.abc import Callable

# Called with one line of text for each message.
Progress = Callable[[str], None]
