"""Implementer that runs a client in the terminal of this process, and watches over it."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from git_planner.agents.confinement import Confinement
from git_planner.agents.contract import Brief, Implementation, Sandbox, SuspendedTurn
from git_planner.agents.interactive.clients import ClientAccess
from git_planner.agents.interactive.threads import find_thread
from git_planner.agents.run_program import COMMAND, PROMPT, kept_identity, write_masked
from git_planner.errors import PlannerError
from git_planner.gitio.git import program_environment
from git_planner.host import process_identity
from git_planner.host.marks import marked_environment
from git_planner.host.process import Started
from git_planner.host.terminals.foreground import Foreground
from git_planner.progress import Progress
from git_planner.rules.policy.interactive_client import ClientRequest
from git_planner.rules.printable import printable

# Seconds between two looks at requests and results, and between two looks for the client's thread.
_PAUSE, _THREAD_PAUSE = 0.2, 1.0
# Seconds that a client has to say its last words after its result.
_RESULT_PAUSE = 1.0
# Statuses of a program that a signal of the terminal ended: hangup, interrupt, termination.
_MOST_OUTPUT = 16 * 1024 * 1024
_BY_SIGNAL = (129, 130, 143)


@dataclass(frozen=True, slots=True)
class TurnHooks:
    """Callbacks of a session's flow.

    `on_start` is called when the client runs, `on_thread` when its thread is known; `request` returns
    'suspend' or 'close' once a person asked for it, `has_result` whether the agent has reported a result,
    `last_lines` what its terminal shows; `look` looks whether it waits for an answer, every `look_seconds`;
    `wrap` makes the prompt of the session from that of the task.
    """

    on_start: Callable[[], None]
    on_thread: Callable[[str], None]
    request: Callable[[], str | None]
    has_result: Callable[[], bool]
    last_lines: Callable[[], Sequence[str]]
    look: Callable[[], None]
    look_seconds: float
    wrap: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ClientThread:
    """A client's conversation.

    `marker` is a text of its prompt that identifies its thread, `thread` the thread that it goes on with.
    `headless`: the client has no terminal, and ends after one turn.
    """

    marker: str
    thread: str | None
    headless: bool


class SessionClient:
    """An implementer that lets a person watch, and talk to, its client.

    Args:
        access: the client.
        request: how it is started; its prompt and folders are filled in.
        confinement: what it may change.
        hooks: callbacks of the session's flow.
        conversation: the one that it begins or goes on with.
    """

    sandboxes: tuple[Sandbox, ...] = ()
    reports = True

    def __init__(
        self,
        access: ClientAccess,
        request: ClientRequest,
        confinement: Confinement,
        hooks: TurnHooks,
        conversation: ClientThread,
    ) -> None:
        self.name = access.client.name
        self._client, self._request, self._access = access.client, request, access
        self._confinement, self._hooks = confinement, hooks
        self._marker, self._thread = conversation.marker, conversation.thread
        self._headless = conversation.headless
        self._environment: Mapping[str, str] = {}
        self.confined_by: str | None = confinement.shown

    def implement(self, brief: Brief, progress: Progress) -> Implementation:  # noqa: ARG002 - a protocol
        """Run the client until it has reported a result or has ended.

        Raises:
            SuspendedTurn: it was asked to suspend, or its terminal was closed.
            KeyboardInterrupt: it was asked to close.
            PlannerError: E_AGENT_FAILED, E_DEADLINE, E_MISSING_TOOL.
        """
        began = time.monotonic()
        argv = self.run(
            self._hooks.wrap(brief.prompt),
            brief.worktree,
            brief.folder,
            brief.seconds,
            env=brief.env,
            writable=brief.writable,
            on_tick=brief.on_tick,
        )
        seconds = time.monotonic() - began
        return Implementation("", brief.model, seconds, command=tuple(argv), thread=self._thread)

    def run(
        self,
        prompt: str,
        cwd: Path,
        folder: Path,
        seconds: float,
        *,
        env: Mapping[str, str],
        writable: Sequence[Path] = (),
        on_tick: Callable[[], None] | None = None,
    ) -> Sequence[str]:
        """Run the client in a folder; return its command line when it has ended.

        Args:
            prompt: its prompt.
            cwd: the folder it works in.
            folder: where prompt and command are kept.
            seconds: its deadline.
            env: variables to add to its environment.
            writable: folders outside `cwd` that it may change.
            on_tick: called often while it runs; an exception ends the client.

        Raises:
            SuspendedTurn, KeyboardInterrupt, PlannerError: as `implement`.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = tuple(map(str, writable))
        prompt = printable(prompt)
        argv = self._command(replace(self._request, prompt=prompt, cwd=str(cwd), writable=folders))
        write_masked(folder / PROMPT, prompt)
        limits = {"seconds": seconds, "sandbox": self._confinement.shown}
        write_masked(folder / COMMAND, {"argv": list(argv), "cwd": str(cwd), **limits})
        settings = program_environment({**env, **self._access.env})
        self._environment = {name: value for name, value in settings.items() if name not in self._access.drop}
        since = time.time()
        with self._enclosed(argv, cwd, folder, writable) as child:
            status = self._watch(child, time.monotonic() + seconds, since, cwd, on_tick)
        if status is None:
            return argv
        # Keys of the terminal are the client's own business; it ends by itself at them, or by their signal.
        if status in _BY_SIGNAL or set(child.caught) - {signal.SIGINT, signal.SIGQUIT}:
            raise SuspendedTurn(self._thread)
        if status != 0:
            message = f"'{argv[0]}' ended with status {status}"
            raise PlannerError("E_AGENT_FAILED", message, details=self._hooks.last_lines())
        return argv

    def _command(self, request: ClientRequest) -> tuple[str, ...]:
        """Return the command line: it goes on with a thread if there is one."""
        if self._thread is not None:
            resume = self._client.headless_resume_argv if self._headless else self._client.resume_argv
            return resume(self._thread, request)
        if self._client.chooses_thread:
            self._thread = str(uuid.uuid4())
            self._hooks.on_thread(self._thread)
            request = replace(request, thread=self._thread)
        return (self._client.headless_argv if self._headless else self._client.start_argv)(request)

    @contextmanager
    def _enclosed(
        self, argv: Sequence[str], cwd: Path, folder: Path, writable: Sequence[Path]
    ) -> Iterator[Foreground]:
        """Start the client in its confinement; at the end nothing that it started is left."""
        client, env = self._client.name, self._environment
        with (
            self._confinement.enclose(argv, env, cwd, client, writable, in_terminal=True) as program,
            kept_identity(argv[0], folder) as (mark, on_start),
            Foreground(
                program.argv,
                marked_environment(program.env, mark),
                cwd=cwd,
                limit=_MOST_OUTPUT if self._headless else None,
            ) as child,
        ):
            on_start(Started(child.pid, mark))
            identity = process_identity.identity(child.pid, mark) or process_identity.expected(argv[0], mark)
            try:
                self._hooks.on_start()
                yield child
            finally:
                process_identity.end(identity)
                child.wait(1.0)

    def _watch(
        self,
        child: Foreground,
        deadline: float,
        since: float,
        cwd: Path,
        on_tick: Callable[[], None] | None,
    ) -> int | None:
        """Wait for the end of the client, a result or a request; return its status, None after a result."""
        look_at = reported_at = 0.0
        screen_at = time.monotonic() + self._hooks.look_seconds
        while (status := child.wait(_PAUSE)) is None:
            now = time.monotonic()
            if on_tick is not None:
                on_tick()
            if now >= look_at:
                look_at = now + _THREAD_PAUSE
                self._look_for_thread(cwd, since)
            if now >= screen_at and not self._headless:
                screen_at = now + self._hooks.look_seconds
                self._hooks.look()
            if word := self._hooks.request():
                self._look_for_thread(cwd, since)
                raise SuspendedTurn(self._thread) if word == "suspend" else KeyboardInterrupt
            if self._hooks.has_result():
                reported_at = reported_at or now
                if now >= reported_at + _RESULT_PAUSE:
                    break
            if now >= deadline:
                raise PlannerError("E_DEADLINE", f"'{self.name}' was ended at its deadline")
        self._look_for_thread(cwd, since)
        return status

    def _look_for_thread(self, cwd: Path, since: float) -> None:
        if self._thread is None:
            self._thread = find_thread(
                self._client.threads, self._environment, cwd=cwd, since=since, marker=self._marker
            )
            if self._thread is not None:
                self._hooks.on_thread(self._thread)
