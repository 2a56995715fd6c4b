"""Actions of the keys of the live view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class TopActions(NamedTuple):
    """Functions of the keys; all may raise PlannerError, and all but `attach` are called in a thread.

    `describe` returns the lines that show an item of a pane in full, `answer` answers the question of a task
    of a plan, `output` returns the last lines of a run's output, `attach` runs a command on the terminal and
    returns its exit status.
    """

    describe: Callable[[str, Any], Sequence[str]]
    answer: Callable[[str, str, str], str]
    output: Callable[[str], Sequence[str]]
    attach: Callable[[Sequence[str]], int]
