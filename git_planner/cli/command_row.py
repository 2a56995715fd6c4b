"""Row of the list of commands; imports nothing, because every start of a program loads it."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A command: its module below `git_planner.cli`, its attribute there, its group in help, its short help.

    Without a short help it is hidden.
    """

    module: str
    attribute: str
    group: str
    help: str
