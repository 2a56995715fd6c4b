"""Agents that run `codex exec`: planner, researcher and critic read-only, implementer in codex's sandbox."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from git_planner import atomic_file, redact
from git_planner.agents.answer_loop import PlanningAgent, Reply, Turn
from git_planner.agents.codex.events import CodexEvents, check_outcome
from git_planner.agents.codex.login import (
    Login,
    check_codex,
    find_api_login,
    find_chatgpt_login,
    install_hint,
)
from git_planner.agents.confinement import Confinement
from git_planner.agents.contract import Brief, Implementation, Sandbox, Workplace, WritingRequest
from git_planner.agents.run_program import run_agent
from git_planner.agents.text_loop import WritingAgent
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.progress import Progress, Step

NAME = "codex"
API_MODEL = "gpt-5.2-pro"
LAST_MESSAGE = "last_message"
# The first line keeps codex from asking for approval; the second limits its retries of a refused connection.
_ALWAYS = (
    *("-c", 'approval_policy="never"'),
    *("-c", "features.unbounded_connection_retries=false"),
    *("--color", "never", "--json"),
)
_QUIET = {"RUST_BACKTRACE": "0"}
FindLogin = Callable[[Settings, Path], Login]


class CodexTransport:
    """A transport that asks codex in a read-only sandbox, for an answer of a schema or for a text.

    Args:
        name: name of the agent.
        settings: personal settings: the program, its homes and profile.
        confinement: what it may change.
        find_login: finds the login, or raises PlannerError.
        model: the default model; None leaves the choice to codex's configuration.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        confinement: Confinement,
        find_login: FindLogin,
        model: str | None = None,
    ) -> None:
        self.name = name
        self._settings, self._confinement = settings, confinement
        self._find_login = find_login
        self._model = model
        self._login: Login | None = None

    def ask(self, turn: Turn | WritingRequest) -> Reply:
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
            # The folder is a temporary copy without a repository.
            "--skip-git-repo-check",
            *(("--output-schema", str(turn.strict_schema_file)) if isinstance(turn, Turn) else ()),
            *("-o", str(last)),
            *(("-m", model) if model else ()),
            "-",
        ]
        events = CodexEvents()
        seconds = turn.seconds - (time.monotonic() - began)
        # Codex writes to it from within the jail.
        last.touch(mode=0o600)
        with install_hint():
            done = run_agent(
                argv,
                self._confinement,
                cwd=turn.working_dir,
                folder=turn.folder,
                seconds=seconds,
                stdin=turn.prompt,
                env={**self._login.env, **_QUIET},
                drop=self._login.drop,
                client=NAME,
                writable=(last,),
                on_line=events.read_line,
                on_tick=turn.on_tick,
            )
        redact.mask_file(last)
        check_outcome(done, events)
        text = atomic_file.read(last).decode("utf-8", "replace") if last.is_file() else events.message
        if not text.strip():
            raise PlannerError("E_CODEX_EMPTY", "codex ended its turn without an answer")
        return Reply(text, model=model, usage=events.usage, command=tuple(argv), thread=events.thread)


class CodexImplementer:
    """An implementer that runs codex in a sandbox that can write to the worktree and the brief's folders."""

    name = NAME
    sandboxes: tuple[Sandbox, ...] = ("workspace-write", "read-only", "danger-full-access")
    reports = True

    def __init__(self, settings: Settings, confinement: Confinement) -> None:
        self._settings, self._confinement = settings, confinement
        self.confined_by = confinement.shown

    def implement(self, brief: Brief, progress: Progress) -> Implementation:
        """Run one turn of codex in the worktree.

        Raises:
            PlannerError: E_MISSING_TOOL, E_DEADLINE, the E_CODEX_ codes.
        """
        began = time.monotonic()
        login = find_chatgpt_login(self._settings, brief.worktree)
        progress(f"codex works with its {login.source}")
        argv = [
            *(self._settings.codex, "exec"),
            *(("-p", self._settings.codex_profile) if self._settings.codex_profile else ()),
            *("-s", brief.sandbox or self.sandboxes[0], *_ALWAYS),
            *(argument for folder in brief.writable for argument in ("--add-dir", str(folder))),
            *(("-m", brief.model) if brief.model else ()),
            *(("-c", f"model_reasoning_effort={json.dumps(brief.effort)}") if brief.effort else ()),
            "-",
        ]
        events = CodexEvents(on_action=lambda action: progress(Step(action)))
        seconds = brief.seconds - (time.monotonic() - began)
        with install_hint():
            done = run_agent(
                argv,
                self._confinement,
                cwd=brief.worktree,
                folder=brief.folder,
                seconds=seconds,
                stdin=brief.prompt,
                env={**login.env, **_QUIET, **brief.env},
                drop=login.drop,
                client=NAME,
                writable=brief.writable,
                on_line=events.read_line,
                on_tick=brief.on_tick,
            )
        check_outcome(done, events)
        return Implementation(
            summary=events.message.strip()[:2000],
            model=brief.model,
            seconds=time.monotonic() - began,
            usage=events.usage,
            command=tuple(argv),
            thread=events.thread,
        )


def _transport(workplace: Workplace) -> CodexTransport:
    check_codex(workplace.settings.codex)
    return CodexTransport(NAME, workplace.settings, workplace.confinement, find_chatgpt_login)


def codex_planner(workplace: Workplace) -> PlanningAgent:
    """Return the planner that uses codex with its ChatGPT login."""
    return PlanningAgent(_transport(workplace))


def api_planner(workplace: Workplace) -> PlanningAgent:
    """Return the planner that uses codex with an API key."""
    check_codex(workplace.settings.codex)
    return PlanningAgent(
        CodexTransport("api", workplace.settings, workplace.confinement, find_api_login, API_MODEL)
    )


def codex_researcher(workplace: Workplace) -> WritingAgent:
    """Return the researcher that uses codex."""
    return WritingAgent(_transport(workplace))


def codex_critic(workplace: Workplace) -> WritingAgent:
    """Return the critic that uses codex."""
    return WritingAgent(_transport(workplace))


def codex_implementer(workplace: Workplace) -> CodexImplementer:
    """Return the implementer that uses codex."""
    check_codex(workplace.settings.codex)
    return CodexImplementer(workplace.settings, workplace.confinement)
