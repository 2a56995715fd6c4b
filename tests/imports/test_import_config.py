"""The old config.toml becomes lines of config.yml, after a person has agreed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from git_planner.config.settings import read_settings
from tests.support.lab import Lab, command_line

OLD = """\
[defaults]
terminal_backend = "auto"
codex_executable = "codex-next"
git_executable = "git"
worktrees_base_dir = "~/codex-worktrees"
max_heavy_leases = 3
max_loadavg_1 = 3.2
lease_ttl_seconds = -1
planner_model = "gpt 5: \\"x\\" # y"
zebra = [1]
[other]
a = 1
"""


def old_file(lab: Lab, text: str = OLD) -> Path:
    """Write the old file where the old program looked for it."""
    path = lab.home / ".config/codex-orchestrator/config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def new_file(lab: Lab) -> Path:
    """Return the path of our file."""
    return lab.home / ".config/git-planner/config.yml"


def imported(lab: Lab, *argv: str) -> dict[str, Any]:
    """Import the old file and return the printed document."""
    done = lab.run("git-planner", "import", "config", "--json", *argv)
    assert done.status == 0, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


def test_the_old_settings_become_lines_of_ours(lab: Lab) -> None:
    old_file(lab)
    planned = imported(lab, "--dry-run")
    assert not new_file(lab).exists()
    done = imported(lab, "--yes")
    assert done == {**planned, "written": True}
    notes = {value["key"]: value["note"] for value in done["values"] if value["note"]}
    notes.pop("terminal_backend", None)
    assert notes == {
        "git_executable": "git is always the one of PATH",
        "lease_ttl_seconds": "'lease_ttl_seconds' is '-1', which is not seconds, more than 0, at most a week",
        "zebra": "it has no counterpart",
        "[other]": "it has no counterpart",
    }
    settings = read_settings(lab.repo, environ={"HOME": str(lab.home)})
    assert (settings.codex, settings.max_heavy_leases, settings.max_loadavg_1) == ("codex-next", 3, 3.2)
    assert settings.planner_model == 'gpt 5: "x" # y'
    assert settings.worktrees == Path(os.path.expanduser("~/codex-worktrees"))
    again = imported(lab, "--yes")
    assert (again["written"], {value["note"] for value in again["values"] if value["setting"]}) == (
        False,
        {"it is there already"},
    )


def test_our_file_keeps_what_it_has(lab: Lab) -> None:
    old_file(lab)
    new_file(lab).parent.mkdir(parents=True)
    new_file(lab).write_text("# mine\nmax_heavy_leases: 5")
    done = imported(lab, "--yes")
    text = new_file(lab).read_text()
    assert text.startswith("# mine\nmax_heavy_leases: 5\n")
    assert "\nmax_loadavg_1: 3.2\n" in text
    assert [value["note"] for value in done["values"] if value["key"] == "max_heavy_leases"] == [
        "config.yml has another value"
    ]
    new_file(lab).write_text("{heartbeat: 5}\n")
    refused = lab.run("git-planner", "import", "config", "--yes")
    assert (refused.status, "add them by hand" in refused.err) == (2, True)
    assert "max_loadavg_1: 3.2" in refused.err
    assert new_file(lab).read_text() == "{heartbeat: 5}\n"


def answered(lab: Lab, answer: bytes) -> tuple[int, str]:
    """Run the import on a terminal whose person answers; return the exit status and stdout."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        command = command_line("git-planner", "import", "config")
        ran = subprocess.run(
            command,
            cwd=lab.path,
            env=lab.env,
            stdin=theirs,
            stdout=-1,
            stderr=theirs,
            check=False,
            timeout=90,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    return ran.returncode, ran.stdout.decode()


def test_a_person_is_asked(lab: Lab) -> None:
    old_file(lab)
    lab.env["CODEX_ORCHESTRATOR_MAX_HEAVY_LEASES"] = "2"
    done = lab.run("git-planner", "import", "config")
    assert (done.status, "there is no terminal to ask on" in done.err) == (2, True)
    assert "  CODEX_ORCHESTRATOR_MAX_HEAVY_LEASES: set GIT_PLANNER_MAX_HEAVY_LEASES\n" in done.out
    assert (answered(lab, b"\n")[0], new_file(lab).exists()) == (1, False)
    status, out = answered(lab, b"y\n")
    assert (status, new_file(lab).exists()) == (0, True)
    assert "  codex_executable -> codex = codex-next\n" in out


@pytest.mark.parametrize("text", ["[defaults\n", "a = 1\na = 2\n", "x" * 70_000, "a = " + "[" * 2000])
def test_an_old_file_that_cannot_be_read_is_named(lab: Lab, text: str) -> None:
    path = old_file(lab, text)
    done = lab.run("git-planner", "import", "config", "--yes")
    assert (done.status, f"'{path}' cannot be read" in done.err) == (1, True)
    assert not new_file(lab).exists()


def test_the_old_variable_names_the_old_file(lab: Lab) -> None:
    other = lab.home / "other.toml"
    other.write_text('[defaults]\ncodex_executable = "mine"\n')
    lab.env["CODEX_ORCHESTRATOR_CONFIG"] = str(other)
    assert imported(lab, "--dry-run")["source"] == str(other)
    lab.env["CODEX_ORCHESTRATOR_CONFIG"] = ""
    missing = lab.run("git-planner", "import", "config", "--yes")
    assert (missing.status, "E_MISSING_INPUT" in missing.err) == (1, True)
