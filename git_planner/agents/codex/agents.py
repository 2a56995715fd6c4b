"""Agents by the real `codex exec`: planner, researcher and critic read-only, implementer in its sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from git_planner import redact
from git_planner.agents.answer_loop import PlanningAgent, Reply, Turn
from git_planner.agents.codex.events import Events, judge
from git_planner.agents.codex.login import Login, api_login, chatgpt_login, told_how_to_install
from git_planner.agents.contract import Brief, Implementation, Sandbox, Sheet, Tell
from git_planner.agents.run_program import run_agent
from git_planner.agents.text_loop import WritingAgent
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.rules.policy.policy import Policy

API_MODEL = "gpt-5.2-pro"
LAST_MESSAGE = "last_message"
# Without the second line a refused connection is waited for without end; without the first codex would ask.
_ALWAYS = (
    *("-c", 'approval_policy="never"'),
    *("-c", "features.unbounded_connection_retries=false"),
    *("--color", "never", "--json"),
)
_QUIET = {"RUST_BACKTRACE": "0"}
FindLogin = Callable[[Settings, Path], Login]


class CodexTransport:
    """Asks codex in a sandbox that cannot write: for an answer of a schema, or for a text.

    Args:
        name: what the agent is called.
        settings: a person's settings: the program, its homes and profile.
        find_login: finds the login and raises when there is none.
        model: the model to ask when none was named; codex's own configuration decides when None.
    """

    def __init__(
        self, name: str, settings: Settings, find_login: FindLogin, model: str | None = None
    ) -> None:
        self.name = name
        self._settings = settings
        self._find_login = find_login
        self._model = model
        self._login: Login | None = None

    def ask(self, turn: Turn | Sheet) -> Reply:
        """Run one turn of codex.

        Raises:
            PlannerError: E_MISSING_TOOL, E_DEADLINE, the E_CODEX_ codes.
        """
        began = time.monotonic()
        self._login = self._login or self._find_login(self._settings, turn.folder)
        model = turn.model or self._model
        last = turn.folder / LAST_MESSAGE
        argv = [
            *(self._settings.codex, "exec"),
            *(("-p", self._settings.codex_profile) if self._settings.codex_profile else ()),
            *("-s", "read-only", *_ALWAYS),
            # The folder is a copy to look at and to throw away, without a repository of its own.
            "--skip-git-repo-check",
            *(("--output-schema", str(turn.strict_schema_file)) if isinstance(turn, Turn) else ()),
            *("-o", str(last)),
            *(("-m", model) if model else ()),
            "-",
        ]
        events = Events()
        seconds = turn.seconds - (time.monotonic() - began)
        with told_how_to_install():
            done = run_agent(
                argv,
                cwd=turn.working_dir,
                folder=turn.folder,
                seconds=seconds,
                stdin=turn.prompt,
                env={**self._login.env, **_QUIET},
                drop=self._login.drop,
                on_line=events.line,
            )
        redact.mask_file(last)
        judge(done, events)
        text = last.read_text(encoding="utf-8", errors="replace") if last.is_file() else events.message
        if not text.strip():
            raise PlannerError("E_CODEX_EMPTY", "codex ended its turn without an answer")
        return Reply(text, model=model, usage=events.usage, command=tuple(argv), thread=events.thread)


class CodexImplementer:
    """Has codex edit a worktree, in a sandbox that can write there and where the brief says."""

    name = "codex"
    sandboxes: tuple[Sandbox, ...] = ("workspace-write", "read-only", "danger-full-access")
    reports = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def implement(self, brief: Brief, tell: Tell) -> Implementation:
        """Run one turn of codex in the worktree.

        Raises:
            PlannerError: E_MISSING_TOOL, E_DEADLINE, the E_CODEX_ codes.
        """
        began = time.monotonic()
        login = chatgpt_login(self._settings, brief.worktree)
        tell(f"codex works with its {login.source}")
        argv = [
            *(self._settings.codex, "exec"),
            *(("-p", self._settings.codex_profile) if self._settings.codex_profile else ()),
            *("-s", brief.sandbox or self.sandboxes[0], *_ALWAYS),
            *(word for folder in brief.writable for word in ("--add-dir", str(folder))),
            *(("-m", brief.model) if brief.model else ()),
            *(("-c", f"model_reasoning_effort={json.dumps(brief.effort)}") if brief.effort else ()),
            "-",
        ]
        events = Events(on_action=tell)
        seconds = brief.seconds - (time.monotonic() - began)
        with told_how_to_install():
            done = run_agent(
                argv,
                cwd=brief.worktree,
                folder=brief.folder,
                seconds=seconds,
                stdin=brief.prompt,
                env={**login.env, **_QUIET, **brief.env},
                drop=login.drop,
                on_line=events.line,
                on_tick=brief.on_tick,
            )
        judge(done, events)
        return Implementation(
            summary=events.message.strip()[:2000],
            model=brief.model,
            seconds=time.monotonic() - began,
            usage=events.usage,
            command=tuple(argv),
            thread=events.thread,
        )


def codex_planner(policy: Policy, settings: Settings) -> PlanningAgent:  # noqa: ARG001 - as all agents
    """The planner that uses codex with its ChatGPT login."""
    return PlanningAgent(CodexTransport("codex", settings, chatgpt_login))


def api_planner(policy: Policy, settings: Settings) -> PlanningAgent:  # noqa: ARG001 - as all agents
    """The planner that uses codex with an API key."""
    return PlanningAgent(CodexTransport("api", settings, api_login, API_MODEL))


def codex_researcher(policy: Policy, settings: Settings) -> WritingAgent:  # noqa: ARG001 - as all agents
    """The researcher that uses codex."""
    return WritingAgent(CodexTransport("codex", settings, chatgpt_login))


def codex_critic(policy: Policy, settings: Settings) -> WritingAgent:  # noqa: ARG001 - as all agents
    """The critic that uses codex."""
    return WritingAgent(CodexTransport("codex", settings, chatgpt_login))


def codex_implementer(policy: Policy, settings: Settings) -> CodexImplementer:  # noqa: ARG001 - as all agents
    """The implementer that uses codex."""
    return CodexImplementer(settings)
