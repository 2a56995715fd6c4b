"""Client of a session: which one, how it reaches its service, and what it may do."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from git_planner.agents.interactive.clients import ClientAccess, find_client
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.flows.runs.git_plan_program import git_plan_program
from git_planner.gitio.git import program_environment
from git_planner.gitio.repository import Repository
from git_planner.host.start_program import check_program
from git_planner.rules.board.session import SessionKind, SessionSandbox
from git_planner.rules.policy.interactive_client import McpServer
from git_planner.rules.policy.policy import Policy

_SANDBOXES: tuple[SessionSandbox, ...] = get_args(SessionSandbox)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUIET = {"RUST_BACKTRACE": "0"}
_DANGER: SessionSandbox = "danger-full-access"


def session_client_of(
    repo: Repository, name: str, policy: Policy, settings: Settings, *, drops_keys: bool | None = None
) -> ClientAccess:
    """Return a client after checking that its program and its login are there.

    Args:
        repo: the repository.
        name: the client's name.
        policy: the trusted policy.
        settings: personal settings.
        drops_keys: whether its login, which was checked before, needs no key of the environment.

    Raises:
        PlannerError: E_AGENT for an unknown name; E_MISSING_TOOL; E_CODEX_AUTH.
    """
    client = find_client(name, policy, settings)
    check_program(client.program, repo.place, program_environment({}))
    if name != "codex":
        return ClientAccess(client, {})
    from git_planner.agents.codex.login import KEYS, find_chatgpt_login, implementer_home

    if drops_keys is not None:
        # It was asked when the session was started; asking takes as long as the client's own start.
        home = implementer_home(settings, repo.place)
        env = {"CODEX_HOME": str(home)} if home else {}
        return ClientAccess(client, {**env, **_QUIET}, KEYS if drops_keys else ())
    login = find_chatgpt_login(settings, repo.place)
    return ClientAccess(client, {**login.env, **_QUIET}, login.drop)


def session_sandbox(
    kind: SessionKind, requested: str | None, configured: str | None, *, allow_danger: bool
) -> SessionSandbox:
    """Return the rights of a session's client: the least that its work needs, unless a person says otherwise.

    Args:
        kind: a planner reads, a worker writes to its worktree.
        requested: what the command line asks for.
        configured: the person's setting, where no sandbox at all is allowed explicitly.
        allow_danger: the command line allows to run it without a sandbox.

    Raises:
        PlannerError: E_USAGE for an unknown sandbox, and for none at all that is not allowed.
    """
    name = requested or configured or ("read-only" if kind == "planner" else "workspace-write")
    for sandbox in _SANDBOXES:
        if sandbox == name:
            break
    else:
        message = f"{name[:40]!r} is not a sandbox"
        raise PlannerError("E_USAGE", message, hint=f"known: {', '.join(_SANDBOXES)}")
    is_configured = requested is None and configured == _DANGER
    if (sandbox == _DANGER) != (allow_danger or is_configured):
        raise PlannerError(
            "E_USAGE",
            "'--sandbox danger-full-access' and '--allow-danger' require each other on every call",
            hint="leave both out to keep the client in its sandbox",
        )
    return sandbox


def planner_server() -> McpServer | None:
    """Return the MCP server that a planner's client is given; None without the extra 'mcp'.

    It gets the whole environment of the session: the workers that it starts need what the planner has.
    """
    if find_spec("mcp") is None:
        return None
    program = Path(git_plan_program()).with_name("git-planner")
    names = {name for name in program_environment({}) if _NAME.fullmatch(name)}
    return McpServer("git-planner", str(program), ("mcp",), variables=tuple(sorted(names)))
