"""The folders of runs: what is kept of each agent that worked on a task. Local, and never state.

A run is `planner/runs/<run id>/` in the common git directory: `meta.json`, `heartbeat.json`, `prompt.md`,
`command.json`, `stdout`, `stderr`, `process.json` while its agent runs, and `out/`, the only folder in which
the agent may write, for `result.json`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.agents.run_program import PROCESS, STDERR, STDOUT
from git_planner.flows.tasks.claim_refs import here
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.process_identity import Identity
from git_planner.rules.documents import canonical_json
from git_planner.rules.tasks.task import task_number
from git_planner.rules.timestamps import between, written

META, HEARTBEAT, OUT, RESULT = "meta.json", "heartbeat.json", "out", "result.json"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9]{8,32}")
# A heart that missed so many beats does not beat.
_MISSED = 4
_TAIL = 64 * 1024
_HEAD = 256 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run, field for field as in its `meta.json`.

    `process` is its delegator on `host`, `start` the state commit of its branch, `interval` the seconds
    between two heartbeats. `claim` is the commit of its claim on `remote`; None when it holds none there.
    `outcome` and what follows are of its end.
    """

    run: str
    plan: str
    task: str
    uid: str
    attempt: int
    iteration: int
    base: str
    branch: str
    start: str
    host: str
    process: Identity | None
    agent: str
    model: str | None
    sandbox: str | None
    approval: str
    danger: bool
    reports: bool
    interval: float
    seconds: float
    started_at: str
    remote: str | None = None
    claim: str | None = None
    worktree: str | None = None
    ended_at: str | None = None
    outcome: str | None = None
    reason: str | None = None
    commit: str | None = None
    kept: str | None = None
    error: str | None = None
    thread: str | None = None
    argv: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The run as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        process = self.process.document() if self.process else None
        return {"schema": "git-planner/run@1", **fields, "process": process, "argv": list(self.argv)}

    @property
    def delegated(self) -> bool:
        """Whether its delegator, a process of this machine, still runs."""
        return self.host == here() and self.process is not None and process_identity.alive(self.process)

    @property
    def far(self) -> bool:
        """Whether its processes cannot be seen from here."""
        return self.host != here()


class Pulse:
    """Writes the heartbeat of a run, every so many seconds, for as long as it is called often enough.

    Args:
        folder: the run's folder.
        run: the run.
        stop: whether somebody wants the agent to end.
    """

    def __init__(self, folder: Path, run: Run, stop: Callable[[], bool]) -> None:
        self._folder, self._run, self._stop = folder, run, stop
        self._due = time.monotonic()

    def __call__(self) -> None:
        """Beat when it is time to.

        Raises:
            KeyboardInterrupt: the agent has to end.
        """
        if self._stop():
            raise KeyboardInterrupt
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._run.interval
            beat = {
                "schema": "git-planner/heartbeat@1",
                "at": written(time.time()),
                "run": self._run.run,
                "task": self._run.task,
                "pid": os.getpid(),
            }
            write(self._folder / HEARTBEAT, beat)


def folder(repo: Repository, run_id: str) -> Path:
    """The folder of a run."""
    return repo.private("runs", run_id)


def is_run_id(text: str) -> bool:
    """Whether a text is the id of a run, and nothing that leads elsewhere."""
    return _ID.fullmatch(text) is not None


def save(repo: Repository, run: Run) -> Run:
    """Keep a run's `meta.json`, whole or not at all; return the run."""
    place = folder(repo, run.run)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(place / META, redact.document(run.document()))
    return run


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Put a document in the place of another one."""
    atomic_file.put(path, canonical_json.dumps(dict(document)))


def load(place: Path) -> Run | None:
    """Read a run from its folder; None when there is nothing that could be one."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads((place / META).read_bytes())
        fields = {name: document[name] for name in Run.__dataclass_fields__}
        process = fields["process"] and process_identity.identity_from(fields["process"])
        run = Run(**{**fields, "process": process, "argv": tuple(fields["argv"])})
        task_number(run.task)
        return run if run.run == place.name else None
    return None


def listing(repo: Repository, plan: str | None = None) -> list[Run]:
    """All runs kept here, oldest first.

    Args:
        plan: only those of one plan.
    """
    top = repo.private("runs")
    names = sorted(each for each in os.listdir(top) if is_run_id(each)) if top.is_dir() else []
    found = filter(None, (load(top / name) for name in names))
    return [each for each in found if plan in (None, each.plan)]


def verdict(repo: Repository, run: Run) -> str:
    """'ended', 'alive', 'stalled' (its delegator lives, its heart does not beat) or 'dead'."""
    if run.ended_at is not None:
        return "ended"
    if not run.far and not run.delegated:
        return "dead"
    beat = last_beat(repo, run) or run.started_at
    old = between(beat, written(time.time())) > max(_MISSED * run.interval, 5.0)
    return "stalled" if old and last_beat(repo, run) is not None else "alive"


def last_beat(repo: Repository, run: Run) -> str | None:
    """When a run's heart beat last."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        at = json.loads((folder(repo, run.run) / HEARTBEAT).read_bytes())["at"]
        between(at, at)
        return str(at)
    return None


def agent_of(repo: Repository, run: Run) -> Identity | None:
    """The process of a run's agent, as it was noted when it was started; None when it has ended."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return process_identity.identity_from(json.loads((folder(repo, run.run) / PROCESS).read_bytes()))
    return None


def end_agent(repo: Repository, run: Run) -> list[int]:
    """End a run's agent and all that it started, after checking that they are; return their numbers."""
    who = agent_of(repo, run)
    return process_identity.end(who) if who is not None and not run.far else []


def last_words(repo: Repository, run: Run, most: int = 10) -> list[str]:
    """The last lines that a run's agent has printed."""
    found: list[str] = []
    for name in (STDERR, STDOUT):
        with suppress(OSError), open(folder(repo, run.run) / name, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = redact.text(file.read().decode(errors="replace")).splitlines()
            found = [*found, *[line[:500] for line in lines if line.strip()][-most:]]
    return found[-most:]


def thread_of(repo: Repository, run: Run) -> str | None:
    """The thread of a run's agent: kept at its end, and before that read off what codex prints."""
    if run.thread is not None:
        return run.thread
    from git_planner.agents.codex.events import Events

    events = Events()
    with suppress(OSError), open(folder(repo, run.run) / STDOUT, "rb") as file:
        for line in file.read(_HEAD).splitlines():
            events.line(line)
    return events.thread


def ended(repo: Repository, run: Run, **how: Any) -> Run:
    """Keep how a run ended."""
    return save(repo, replace(run, ended_at=written(time.time()), **how))
