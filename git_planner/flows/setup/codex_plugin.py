"""The plugin and marketplace file of codex in a repository, through which its users get the MCP server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.setup.register_client import check_within
from git_planner.resources import resource_folder
from git_planner.rules.documents import json_edit

NAME, MARKETPLACE_NAME = "git-planner", "git-planner-local"
MARKETPLACE = ".agents/plugins/marketplace.json"
# File in the repository -> template.
FILES = {
    f"plugins/{NAME}/.codex-plugin/plugin.json": "mcp/plugin.json",
    f"plugins/{NAME}/.mcp.json": "mcp/servers.json",
    MARKETPLACE: "mcp/marketplace.json",
}
_MAX_BYTES = 1024 * 1024


class PluginFiles(NamedTuple):
    """The files of the plugin: all of them, those that were written, and the marketplace's name."""

    files: dict[str, str]
    written: tuple[str, ...]
    marketplace: str

    def document(self) -> dict[str, Any]:
        """Return the files as JSON."""
        return {"schema": "git-planner/mcp-plugin@1", **self._asdict(), "written": list(self.written)}


def write_plugin(top: Path, *, write: bool) -> PluginFiles:
    """Write the plugin's files into a worktree; a marketplace file that is there gets one more plugin.

    Args:
        top: the worktree.
        write: False to return the files only.

    Raises:
        PlannerError: E_REGISTRATION, E_JSON, E_UNWRITABLE; nothing is written then.
    """
    files, written = {}, []
    for name, template in FILES.items():
        check_within(top / name, top)
        before = _read(top / name)
        text = (resource_folder("templates") / template).read_text(encoding="utf-8")
        files[name] = text if before is None else _merged(name, before, text)
        if files[name] != before:
            written.append(name)
    marketplace = str(json_edit.read_member(files[MARKETPLACE], ["name"]))
    for name in written if write else ():
        try:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(os.path.realpath(top / name), files[name].encode())
        except OSError as error:
            raise _unwritable(top / name, error) from None
    return PluginFiles(files, tuple(written), marketplace)


def _merged(name: str, before: str, text: str) -> str:
    """Return a file that is there with what is needed in it."""
    if before == text:
        return before
    if name != MARKETPLACE:
        raise PlannerError(
            "E_REGISTRATION",
            f"'{name}' exists and has other content",
            hint="compare it with 'git planner mcp plugin --print', and move it away first",
        )
    plugins = json_edit.read_member(before, ["plugins"])
    ours = json_edit.read_member(text, ["plugins"])
    if not isinstance(plugins, list) or not isinstance(json_edit.read_member(before, ["name"]), str):
        raise PlannerError(
            "E_REGISTRATION",
            f"'{name}' is no marketplace file: it has no name or no list of plugins",
            hint="see what 'git planner mcp plugin --print' prints",
        )
    if any(isinstance(plugin, dict) and plugin.get("name") == NAME for plugin in plugins):
        return before
    return json_edit.set_member(before, ["plugins"], [*plugins, *ours])


def _read(path: Path) -> str | None:
    try:
        return atomic_file.read(path, _MAX_BYTES).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: Exception) -> PlannerError:
    reason = getattr(error, "strerror", None) or str(error)
    return PlannerError(
        "E_UNWRITABLE",
        f"'{path}' cannot be read or written: {reason}",
        hint="print the files with 'git planner mcp plugin --print'",
    )
