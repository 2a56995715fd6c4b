"""Command lines, and shell syntax that is refused in them."""

from __future__ import annotations

from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.rules.policy.command_line import parse_command, split_command

QUOTED = ["a 'b|c'", 'a "b > c"', "a b\\;c", "a '$X'", "a --x=1", "a 'b\nc'", "a x=$", "a '`'"]


@pytest.mark.parametrize("text", QUOTED)
def test_in_quotes_nothing_is_of_a_shell(text: str) -> None:
    assert split_command(text, "verify")[0] == "a"


@pytest.mark.parametrize(
    "text", ["a;b", "a&", "a>b", "a <b", "(a)", 'a "$(b)"', 'a "${B}"', 'a "`b`"', "a\nb"]
)
def test_outside_of_quotes_it_is(text: str) -> None:
    with pytest.raises(PlannerError, match="uses shell syntax"):
        split_command(text, "verify")


@pytest.mark.parametrize(
    "written", [None, 1, [], [""], ["a", 1], {}, ["a\0"], ["a"] * 201, ["TBD"], ["a", "<fill: b>"]]
)
def test_what_is_no_command_is_refused(written: Any) -> None:
    with pytest.raises(PlannerError) as caught:
        parse_command(written, "/verify/0")
    assert caught.value.message.startswith("/verify/0: ")


def test_a_vector_is_taken_as_it_is() -> None:
    assert parse_command(["sh", "-c", "a | b > $C"], "x") == ("sh", "-c", "a | b > $C")
