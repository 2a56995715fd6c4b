"""docs/tasks.md has the table of transitions of the code."""

from __future__ import annotations

import re

from git_planner.rules.tasks.transitions import TRANSITIONS
from tests.docs.test_readme import read


def test_the_table_of_transitions() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", read("docs/tasks.md"), re.MULTILINE)
    documented = {status: tuple(re.findall(r"\w+", others)) for status, others in rows}
    order = {status: place for place, status in enumerate(TRANSITIONS)}
    assert {status: sorted(others, key=order.__getitem__) for status, others in documented.items()} == {
        status: sorted(others, key=order.__getitem__) for status, others in TRANSITIONS.items()
    }
    assert list(documented) == list(TRANSITIONS)
