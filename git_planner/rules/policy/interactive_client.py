"""Clients that a session runs in a terminal, as data: their command lines, threads, and how they end.

A command line is a list of arguments with placeholders. A group, a list within it, is left out if one of its
placeholders has no value, and is repeated for each value of one that has several.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from git_planner.errors import PlannerError

Part = str | tuple[str, ...]
Approval = Literal["never", "on-request"]
Folder = Literal["restricted", "saved"]
APPROVALS: tuple[Approval, ...] = get_args(Approval)
PLACEHOLDERS = (
    *("approval", "cwd", "cwd_quoted", "effort", "folder", "mcp_json", "mcp_name", "mcp_toml", "model"),
    *("new_thread", "profile", "program", "prompt", "sandbox", "thread", "writable"),
)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Variables that codex passes on to the MCP server by name only: who the person is, where their files and
# clients are, and which session the server belongs to.
SERVER_VARIABLES = (
    *("CODEX_API_KEY", "CODEX_HOME", "DISPLAY", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL"),
    *("GIT_COMMITTER_NAME", "GIT_CONFIG_GLOBAL", "GIT_PLANNER_CONFIG", "GIT_PLANNER_PLAN", "GIT_PLANNER_RUN"),
    *("GIT_PLANNER_SESSION", "GIT_PLANNER_TASK", "OPENAI_API_KEY", "SSH_AUTH_SOCK", "WAYLAND_DISPLAY"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"),
)
# The kernel's limit for one argument is 128 KiB.
_MOST_OF_A_PROMPT = 100_000
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,100}")


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server that a session is given; nothing is written into a client's configuration.

    `variables` are names of variables of the client's environment that codex passes on.
    """

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """Request to start a client.

    `approval` 'never' refuses what the sandbox forbids, 'on-request' asks whoever sits at the terminal.
    `writable` are folders outside `cwd`. `folder` 'restricted' keeps the client from running what the
    folder's own settings name, whatever a person has trusted; 'saved' leaves that to the client. `thread` is
    the id that a client of `chooses_thread` shall give a new thread. None: the client's own default.
    """

    cwd: str
    prompt: str | None = None
    model: str | None = None
    effort: str | None = None
    sandbox: str = "workspace-write"
    approval: Approval = "never"
    writable: tuple[str, ...] = ()
    mcp: McpServer | None = None
    folder: Folder = "restricted"
    thread: str | None = None
    program: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadFiles:
    """Files in which a client keeps its threads.

    `files` are patterns, of which the first counts whose variables are set: '$CODEX_HOME/…', '~/…'. `id` is a
    regular expression with one group, which is searched in a file's name, then in its beginning.
    """

    files: tuple[str, ...]
    id: str


@dataclass(frozen=True, slots=True)
class TrustPrompt:
    """Prompt of a client about the folder it runs in: patterns of its screen, in order, and the answer.

    `keys` are pressed: names of keys, or single characters.
    """

    patterns: tuple[str, ...]
    keys: tuple[str, ...] = ("Enter",)


@dataclass(frozen=True, slots=True)
class InteractiveClient:
    """A client that works in a terminal, or without one.

    `start` and `resume` are its command lines in a terminal, `headless` and `headless_resume` those of one
    turn without. `words` are the client's words for a placeholder's values. `asks` are the forms of a screen
    on which it waits for an answer. `quit` is typed to end it, and it has `quit_seconds` to do so.
    """

    name: str
    program: str
    start: tuple[Part, ...] = ()
    resume: tuple[Part, ...] = ()
    headless: tuple[Part, ...] = ()
    headless_resume: tuple[Part, ...] = ()
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    threads: ThreadFiles | None = None
    trust: tuple[TrustPrompt, ...] = ()
    asks: tuple[tuple[str, ...], ...] = ()
    quit: str | None = None
    quit_seconds: float = 10.0

    @property
    def chooses_thread(self) -> bool:
        """Return whether the id of a new thread is chosen by whoever starts the client."""
        return _names(self.start, "new_thread")

    @property
    def takes_mcp(self) -> bool:
        """Return whether a session of it can be given an MCP server."""
        return _names(self.start, "mcp_toml") or _names(self.start, "mcp_json")

    def sandbox_in_force(self, request: ClientRequest) -> str:
        """Return the sandbox that the client is told to use; 'unknown' if its command does not say."""
        return request.sandbox if _names(self.start, "sandbox") else "unknown"

    def start_argv(self, request: ClientRequest) -> tuple[str, ...]:
        """Return the command that starts it in a terminal.

        Raises:
            PlannerError: E_AGENT if the client cannot do that; E_TOO_LARGE for the prompt; E_USAGE.
        """
        return self._argv("start", request, None)

    def resume_argv(self, thread: str, request: ClientRequest) -> tuple[str, ...]:
        """Return the command that continues a thread in a terminal, with the prompt if there is one.

        Raises:
            PlannerError: as for `start_argv`.
        """
        return self._argv("resume", request, thread)

    def headless_argv(self, request: ClientRequest) -> tuple[str, ...]:
        """Return the command that runs one turn without a terminal.

        Raises:
            PlannerError: as for `start_argv`.
        """
        return self._argv("headless", request, None)

    def headless_resume_argv(self, thread: str, request: ClientRequest) -> tuple[str, ...]:
        """Return the command that continues a thread with a message, the prompt, for one turn.

        Raises:
            PlannerError: as for `start_argv`.
        """
        return self._argv("headless_resume", request, thread)

    def _argv(
        self,
        way: Literal["start", "resume", "headless", "headless_resume"],
        request: ClientRequest,
        thread: str | None,
    ) -> tuple[str, ...]:
        parts: tuple[Part, ...] = getattr(self, way)
        if not parts:
            verb = way.replace("_", " ")
            message = f"the client '{self.name}' has no command to {verb} a session"
            raise PlannerError("E_AGENT", message, hint=f"name one in the policy: clients.{self.name}.{way}")
        return tuple(fill(parts, self._values(request, thread)))

    def _values(self, request: ClientRequest, thread: str | None) -> dict[str, tuple[str, ...]]:
        for name, value in (("model", request.model), ("effort", request.effort), ("thread", thread)):
            if value is not None and not _WORD.fullmatch(value):
                message = f"the {name} {value[:60]!r} holds characters that a command line would misread"
                raise PlannerError("E_USAGE", message)
        if request.prompt is not None and len(request.prompt.encode("utf-8", "replace")) > _MOST_OF_A_PROMPT:
            message = f"the prompt is longer than {_MOST_OF_A_PROMPT} bytes"
            raise PlannerError("E_TOO_LARGE", message, hint="write it to a file, and name the file in it")
        texts = {
            "approval": request.approval,
            "cwd": request.cwd,
            "cwd_quoted": toml_string(request.cwd),
            "effort": request.effort,
            "folder": request.folder,
            "model": request.model,
            "new_thread": request.thread,
            "profile": request.profile,
            "program": request.program or self.program,
            "prompt": request.prompt or None,
            "sandbox": request.sandbox,
            "thread": thread,
        }
        if request.mcp is not None:
            texts |= {"mcp_name": request.mcp.name, **_mcp_texts(request.mcp)}
        values = {}
        for name, text in texts.items():
            # A client without a word for a value has no such option.
            word = self.words[name].get(str(text)) if name in self.words else text
            values[name] = () if word is None else (word,)
        return {**values, "writable": request.writable}


def fill(parts: Sequence[Part], values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the arguments of a command line with its placeholders filled in.

    A single argument without a value for its placeholder is left out, as a group is.
    """
    for part in parts:
        group = (part,) if isinstance(part, str) else part
        names = [name for argument in group for name in _PLACEHOLDER.findall(argument)]
        names = [name for name in names if name in PLACEHOLDERS]
        for index in range(min((len(values.get(name, ())) for name in names), default=1)):
            chosen = {name: values[name][index] for name in names}
            yield from (_filled(argument, chosen) for argument in group)


def placeholders(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the names of all placeholders of a command line, known or not."""
    for part in parts:
        for argument in (part,) if isinstance(part, str) else part:
            yield from _PLACEHOLDER.findall(argument)


def _names(parts: Sequence[Part], name: str) -> bool:
    return name in placeholders(parts)


def _filled(argument: str, values: Mapping[str, str]) -> str:
    # In one step: a value may hold what looks like a placeholder.
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), argument)


def toml_string(text: str) -> str:
    """Return a text as a string of TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _mcp_texts(server: McpServer) -> dict[str, str | None]:
    """Return an MCP server in the forms that clients read: required, and its tools approved."""
    strings = ",".join(map(toml_string, server.args))
    env = ",".join(f"{toml_string(name)}={toml_string(value)}" for name, value in server.env.items())
    table = f"command={toml_string(server.command)},args=[{strings}],env={{{env}}}"
    if server.variables:
        table += f",env_vars=[{','.join(map(toml_string, server.variables))}]"
    document = {"command": server.command, "args": list(server.args), "env": dict(server.env)}
    return {
        "mcp_toml": f'{{{table},required=true,default_tools_approval_mode="approve"}}',
        "mcp_json": json.dumps({"mcpServers": {server.name: document}}),
    }
