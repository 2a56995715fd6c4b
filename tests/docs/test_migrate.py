"""docs/migrate.md: every command of its tables is run on a small campaign."""

from __future__ import annotations

import re
import shlex

import pytest

from git_planner.errors import EXIT_MEANING
from tests.docs.test_readme import OURS, read
from tests.support.lab import Lab
from tests.support.workshop import workshop

# Values for the placeholders of the page.
GIVEN = {"REF": "main", "M": "some-model", "N": "1", "NAME": "default", "PATH": "tests", "[REF]": "main"}
COMMANDS = sorted(
    {
        re.sub(r"\s+", " ", match[0]).strip()
        for text in re.findall(r"`([^`]+)`", read("docs/migrate.md"))
        if (match := OURS.fullmatch(text)) and not text.endswith((".yml", "-"))
    }
)


def test_the_table_names_commands() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_is_run(lab: Lab, command: str) -> None:
    workshop(lab)
    lab.env["GIT_PLANNER_CODEX"] = "/there/is/no/codex"
    words = [GIVEN.get(word, word) for word in shlex.split(command.replace("git ", "git-", 1))]
    ran = lab.run(*words)
    assert ran.status in EXIT_MEANING
    assert "E_INTERNAL" not in ran.err, ran.err
    assert not re.search(
        r"no such (?:command|option)|unexpected extra|missing (?:argument|parameter)", ran.err
    ), ran.err
    lab.fsck()
