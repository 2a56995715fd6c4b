"""The page of terminals and clients says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from git_planner.agents.interactive.clients import PRESETS
from git_planner.config.policy_file import parse_policy
from git_planner.host.terminals.choose import BACKENDS
from git_planner.rules.policy.interactive_client import ClientRequest

PAGE = (Path(__file__).parents[2] / "docs" / "terminals.md").read_text()
HEAD = "schema: git-planner/policy@1\ncorrectness: {run: [make, test]}\n"


def rows(title: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading, by their first cell."""
    section = PAGE.split(f"{title}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`").split("`")[0]: row[1:] for row in cells if row[0].startswith("`")}


def test_every_backend_is_described() -> None:
    assert sorted(rows("## Terminals")) == sorted(BACKENDS)


def test_every_client_is_described() -> None:
    table = rows("## Clients")
    assert list(table) == list(PRESETS)
    for name, (thread, rights, end, mcp) in table.items():
        client = PRESETS[name]
        assert thread.startswith("chosen") == client.chooses_thread
        assert thread.startswith("found") == (client.threads is not None)
        assert end == f"`{client.quit}`"
        assert (mcp == "yes") == client.takes_mcp
        words = client.words.get("sandbox")
        assert rights.split(": ")[-1] == (", ".join(words.values()) if words else "its sandbox")


def test_settings_of_the_folder_are_kept_off_as_described() -> None:
    for name, (how,) in rows("### The folder's own settings").items():
        option = re.findall("`([^`]+)`", how)[0]
        argv = " ".join(PRESETS[name].start_argv(ClientRequest("/w")))
        assert option in argv
        assert option not in " ".join(PRESETS[name].start_argv(ClientRequest("/w", folder="saved")))
        assert ("it asks" in how) == bool(PRESETS[name].trust)


def test_the_client_of_the_example_is_one() -> None:
    text = PAGE.split("```yaml\n")[1].split("```")[0]
    (client,) = parse_policy((HEAD + text).encode(), "p.yml").clients
    assert client.start_argv(ClientRequest("/w", prompt="x")) == (
        *("tool", "chat", "--rights=workspace-write", "x"),
    )
