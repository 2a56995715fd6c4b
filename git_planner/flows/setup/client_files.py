"""Files in which agents' clients look for MCP servers, as data: where they are, and the form of an entry."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from git_planner.rules.policy.interactive_client import SERVER_VARIABLES

Scope = Literal["user", "project"]
SERVER = "git-planner"
ARGUMENTS = ("mcp", "serve")
# Seconds that codex waits for the start of the server: a cold Python on a busy machine takes some.
_START_SECONDS = 30


class ClientFile(NamedTuple):
    """The file of one client in one scope.

    Args:
        path: the file, from the environment and the top of the worktree.
        keys: where the entry of a server is; in JSON, or with `is_toml` in TOML.
        entry: the entry, from the command and whether the client may call the tools without asking.
    """

    path: Callable[[Mapping[str, str], Path | None], Path]
    keys: tuple[str, ...]
    entry: Callable[[str, bool], dict[str, Any]]
    is_toml: bool = False


def _home(variable: str, *default: str) -> Callable[[Mapping[str, str], Path | None], Path]:
    """Return the path in a home folder that a variable may move: its last part is a file."""

    def path(environ: Mapping[str, str], _: Path | None) -> Path:
        moved = environ.get(variable)
        home = Path(environ.get("HOME") or os.path.expanduser("~"))
        return Path(moved, default[-1]) if moved else home.joinpath(*default)

    return path


def _gemini_home(environ: Mapping[str, str], _: Path | None) -> Path:
    home = environ.get("GEMINI_CLI_HOME") or environ.get("HOME") or os.path.expanduser("~")
    return Path(home, ".gemini", "settings.json")


def _opencode_home(environ: Mapping[str, str], _: Path | None) -> Path:
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "opencode", "opencode.json")


def _in_project(*parts: str) -> Callable[[Mapping[str, str], Path | None], Path]:
    return lambda _, top: (top or Path.cwd()).joinpath(*parts)


def _codex(command: str, approve: bool) -> dict[str, Any]:
    more = {"default_tools_approval_mode": "approve"} if approve else {}
    return {
        "command": command,
        "args": [*ARGUMENTS],
        "env_vars": [*SERVER_VARIABLES],
        "startup_timeout_sec": _START_SECONDS,
        **more,
    }


def _plain(command: str, _: bool) -> dict[str, Any]:
    return {"command": command, "args": [*ARGUMENTS]}


def _trusted(command: str, approve: bool) -> dict[str, Any]:
    return {"command": command, "args": [*ARGUMENTS], **({"trust": True} if approve else {})}


def _opencode(command: str, _: bool) -> dict[str, Any]:
    return {"type": "local", "command": [command, *ARGUMENTS], "enabled": True}


_SERVERS = ("mcpServers", SERVER)
_TABLE = ("mcp_servers", SERVER)
CLIENTS: dict[str, dict[Scope, ClientFile]] = {
    "codex": {
        "user": ClientFile(_home("CODEX_HOME", ".codex", "config.toml"), _TABLE, _codex, is_toml=True),
        "project": ClientFile(_in_project(".codex", "config.toml"), _TABLE, _codex, is_toml=True),
    },
    "claude": {"project": ClientFile(_in_project(".mcp.json"), _SERVERS, _plain)},
    "copilot": {"project": ClientFile(_in_project(".mcp.json"), _SERVERS, _plain)},
    "gemini": {
        "user": ClientFile(_gemini_home, _SERVERS, _trusted),
        "project": ClientFile(_in_project(".gemini", "settings.json"), _SERVERS, _trusted),
    },
    "opencode": {
        "user": ClientFile(_opencode_home, ("mcp", SERVER), _opencode),
        "project": ClientFile(_in_project("opencode.json"), ("mcp", SERVER), _opencode),
    },
    "qwen": {
        "user": ClientFile(_home("QWEN_HOME", ".qwen", "settings.json"), _SERVERS, _trusted),
        "project": ClientFile(_in_project(".qwen", "settings.json"), _SERVERS, _trusted),
    },
}
# Clients whose entry can say that their tools are called without asking.
APPROVING = ("codex", "gemini", "qwen")
