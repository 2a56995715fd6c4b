"""docs/mcp.md has the tools, the resources and the bounds of the code."""

from __future__ import annotations

import re

from git_planner.mcp import arguments, calls, keys, resources
from git_planner.mcp.tools import TOOLS
from tests.docs.test_readme import read

# The tools of the older session planner, and its commands that had none.
OLDER = {
    *("doctor", "init_repo", "list_tasks", "create_task", "update_task", "request_review", "list_sessions"),
    *("resources", "list_leases", "acquire_lease", "release_lease", "spawn_worker", "close_session"),
    *("close_worker", "show_handoff", "show_prompt", "request-input", "resume-task"),
}


def rows() -> dict[str, str]:
    page = read("docs/mcp.md")
    return dict(re.findall(r"^\| `(\w+)` \| .* \| (.*?) ?\|$", page, re.MULTILINE))


def test_the_table_of_tools() -> None:
    assert list(rows()) == list(TOOLS)
    assert len(TOOLS) <= 15
    named = {name for cell in rows().values() for name in re.findall(r"`([\w-]+)`", cell)}
    assert named == OLDER | {"suspend", "shutdown"}


def test_every_older_tool_has_a_counterpart() -> None:
    table = (
        read("docs/migrate.md").partition("## The session planner: its MCP tools")[2].partition("\n## ")[0]
    )
    lines = re.findall(r"^\| (.*) \| (.*) \|$", table, re.MULTILINE)[1:]
    older = {name for old, _ in lines for name in re.findall(r"`([\w-]+)`", old)}
    assert older == OLDER | {"suspend", "shutdown"}
    named = {name for _, ours in lines for name in re.findall(r"`(\w+)`", ours)}
    assert {*TOOLS} <= named


def test_the_resources_and_bounds() -> None:
    page = read("docs/mcp.md")
    assert re.findall(r"^\| `(git-planner:.*?)` \|", page, re.MULTILINE) == [
        kind.template for kind in resources.KINDS.values()
    ]
    assert (arguments.MAX_ARGUMENTS, calls.MAX_RESULT) == (1024 * 1024, 256 * 1024)
    assert "Arguments have at most 1 MiB, results 256 KiB." in page
    assert (keys.LIFETIME_SECONDS, keys.MOST_ENTRIES) == (7 * 86400, 1000)
    assert resources.MOST_CHARACTERS == 128 * 1024
