"""Runs and sessions of the overview; only those whose files changed are read again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from git_planner import redact
from git_planner.flows.board.sessions import session_store
from git_planner.flows.board.sessions.list_sessions import SessionView, view_session
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.runs import store
from git_planner.flows.runs.heartbeat import check_liveness, last_heartbeat
from git_planner.flows.runs.inspect import find_run, output_tail
from git_planner.flows.runs.store import Run
from git_planner.gitio.repository import Repository
from git_planner.host.terminals.choose import backend_of
from git_planner.rules import refnames

# Ended runs that are shown.
MOST_ENDED = 20


@dataclass(frozen=True, slots=True)
class RunLine:
    """A delegated run or a session: how it is seen, or how it ended; `attach` shows its terminal.

    `task` is None for the session of a planner, `session` the name of a session.
    """

    run: str
    plan: str
    task: str | None
    session: str | None
    state: str
    is_open: bool
    agent: str
    started_at: str
    beat: str | None
    attach: tuple[str, ...] = ()


@dataclass(slots=True)
class RunFiles:
    """The runs and sessions of a repository, with the stamps of their files when they were read."""

    repo: Repository
    runs: dict[str, tuple[tuple[int, int], Run]] = field(default_factory=dict)
    sessions: dict[str, tuple[tuple[int, int], HostSession]] = field(default_factory=dict)
    remote: list[HostSession] = field(default_factory=list)
    published: object = None
    # How runs and sessions were seen when their files had these stamps.
    seen: dict[str, tuple[tuple[int, int], str]] = field(default_factory=dict)
    shown: dict[str, tuple[tuple[int, int], RunLine]] = field(default_factory=dict)

    def has_other(self) -> bool:
        """Return whether the file of an open run or session changed.

        New ones change the folder of runs; heartbeats show nothing new until they are missing.
        """
        top = self.repo.private("runs")
        return any(
            stamp_of(top / name / store.META) != stamp
            for name, (stamp, run) in self.runs.items()
            if run.ended_at is None
        ) or any(
            stamp_of(top / name / session_store.FILE) != stamp
            for name, (stamp, session) in self.sessions.items()
            if session.session.state != "ended"
        )

    def read_published(self, tips: Mapping[str, str], plan: str | None) -> None:
        """Read the sessions on the branches of plans, if there are others than before.

        Args:
            tips: the tips of the branches by plan.
            plan: only this plan.
        """
        with self.repo.git.batch() as batch:
            places = [f"{tip}:{refnames.plan_dir(name)}/{session_store.FOLDER}" for name, tip in tips.items()]
            folders = [batch.info(place) for place in places]
        if folders != self.published:
            self.remote = list(session_store.published_sessions(self.repo, plan)) if any(folders) else []
            self.published = folders

    def read(self, plan: str | None) -> list[Run]:
        """Read the files of this host that changed, and return the runs, oldest first.

        Args:
            plan: only those of one plan.
        """
        top = self.repo.private("runs")
        try:
            names = sorted(name for name in os.listdir(top) if store.is_run_id(name))
        except OSError:
            names = []
        runs: dict[str, tuple[tuple[int, int], Run]] = {}
        sessions: dict[str, tuple[tuple[int, int], HostSession]] = {}
        for name in names:
            stamp = stamp_of(top / name / store.META)
            if name in self.runs and self.runs[name][0] == stamp:
                runs[name] = self.runs[name]
            elif (run := store.load_run(top / name)) is not None:
                runs[name] = (stamp, run)
            stamp = stamp_of(top / name / session_store.FILE)
            if name in self.sessions and self.sessions[name][0] == stamp:
                sessions[name] = self.sessions[name]
            elif stamp != (0, 0) and (session := session_store.load_session(self.repo, name)) is not None:
                sessions[name] = (stamp, session)
        self.runs, self.sessions = runs, sessions
        return [run for _, run in runs.values() if plan in (None, run.plan)]

    def forget_processes(self) -> None:
        """Look at processes and heartbeats again."""
        self.seen.clear()
        self.shown.clear()

    def liveness(self, runs: Iterable[Run]) -> dict[str, str]:
        """Return how the runs are seen, by id; see `check_liveness`."""
        for run in runs:
            stamp = self.runs[run.run][0]
            if self.seen.get(run.run, (None,))[0] != stamp:
                self.seen[run.run] = (stamp, check_liveness(self.repo, run))
        return {run.run: self.seen[run.run][1] for run in runs}

    def lines(
        self, runs: Sequence[Run], liveness: Mapping[str, str], plan: str | None
    ) -> tuple[RunLine, ...]:
        """Return those at work, and the last ended ones, the newest first."""
        here = {name: session for name, (_, session) in self.sessions.items()}
        sessions = [*here.values(), *(session for session in self.remote if session.run not in here)]
        lines = {
            session.run: self._session_line(session)
            for session in sessions
            if plan in (None, session.session.plan)
        }
        lines |= {run.run: self._run_line(run, liveness[run.run]) for run in runs if run.run not in lines}
        newest = sorted(lines.values(), key=lambda line: line.run, reverse=True)
        ended = [line for line in newest if not line.is_open][:MOST_ENDED]
        return (*(line for line in newest if line.is_open), *ended)

    def _run_line(self, run: Run, liveness: str) -> RunLine:
        is_open = run.ended_at is None
        return RunLine(
            run=run.run,
            plan=run.plan,
            task=run.task,
            session=None,
            state=liveness if is_open else run.outcome or "ended",
            is_open=is_open,
            agent=run.agent if run.model is None else f"{run.agent} {run.model}",
            started_at=run.started_at,
            beat=last_heartbeat(self.repo, run) if is_open else None,
        )

    def _session_line(self, session: HostSession) -> RunLine:
        """Return a session as it is seen; one of this host is looked at once until its file changes."""
        stamp = self.sessions[session.run][0] if session.run in self.sessions else (0, 0)
        if self.shown.get(session.run, (None,))[0] != stamp or session.is_remote:
            self.shown[session.run] = (stamp, self._seen_session(session))
        return self.shown[session.run][1]

    def _seen_session(self, session: HostSession) -> RunLine:
        shown, about = view_session(self.repo, session), session.session
        attach = tuple(shlex.split(shown.attach)) if shown.attach else ()
        return RunLine(
            run=session.run,
            plan=about.plan,
            task=about.task,
            session=about.name,
            state=_state(shown),
            is_open=about.state != "ended",
            agent=" ".join(part for part in (about.client, about.model) if part),
            started_at=about.started_at or about.reserved_at,
            beat=shown.beat,
            attach=attach,
        )


def _state(view: SessionView) -> str:
    """Return the state of a session as one word: what can be seen of it comes first."""
    if view.seen not in ("alive", "idle"):
        return view.seen
    return "asks" if view.session.asks else view.session.session.state


def run_output(repo: Repository, run: str, most: int = 200) -> list[str]:
    """Return what the terminal of a session shows, or the last lines that a run's agent printed.

    Raises:
        PlannerError: E_RESULT when there is no such run; E_TERMINAL.
    """
    session = session_store.load_session(repo, run)
    if session is not None and session.terminal is not None and session.session.is_active:
        screen = backend_of(session.terminal, os.environ).screen(session.terminal)
        if screen is not None:
            return redact.mask_text(screen).splitlines()
    return output_tail(repo, find_run(repo, run), most) or ["nothing was printed yet"]


def stamp_of(path: Path) -> tuple[int, int]:
    """Return time of change (ns) and size of a file; zeros if it is not there."""
    try:
        about = os.stat(path)
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
