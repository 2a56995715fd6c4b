"""Folders of runs: the local files of each agent that worked on a task. Never the source of a plan's state.

A run is `planner/runs/<run id>/` in the common git directory: `meta.json`, `heartbeat.json`, `prompt.md`,
`command.json`, `stdout`, `stderr`, `process.json` while its agent runs, and `out/`, the only folder that
the agent may write to, for `result.json`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.host.machine import host_name
from git_planner.host.process_identity import ProcessIdentity, Sight
from git_planner.rules.documents import canonical_json
from git_planner.rules.tasks.task import task_number

META, OUT, RESULT = "meta.json", "out", "result.json"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[a-z0-9]{8,32}")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, field for field as in its `meta.json`.

    `process` is its delegator on `host`, `start` the state commit of its branch, `interval` the seconds
    between two heartbeats. `claim` is the commit of its claim on `remote`; None when it holds none there.
    `sandbox` is the agent's own, `confined_by` the jail around its program, or why there is none. `outcome`
    to `argv` describe its end. `session` is the name of its session when its agent works in a terminal,
    `suspended_at` when that was suspended. A variant's run has no task and no iteration: `tournament`, `turn`
    and `variant` say what it works on, and `task` is its name for people.
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
    process: ProcessIdentity | None
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
    confined_by: str | None = None
    session: str | None = None
    suspended_at: str | None = None
    tournament: str | None = None
    turn: int | None = None
    variant: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the run as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        process = self.process.document() if self.process else None
        return {"schema": "git-planner/run@1", **fields, "process": process, "argv": list(self.argv)}

    @property
    def delegator(self) -> Sight:
        """Return whether its delegator runs, has ended, or cannot be seen from here."""
        if self.process is not None:
            return process_identity.sight(self.process, self.host)
        return "gone" if self.host == host_name() else "far"

    @property
    def has_delegator(self) -> bool:
        """Return whether its delegator is seen to run."""
        return self.delegator == "alive"

    @property
    def is_remote(self) -> bool:
        """Return whether its processes cannot be seen: on another machine, or in another container."""
        return self.delegator == "far"


def run_folder(repo: Repository, run_id: str) -> Path:
    """Return the folder of a run."""
    return repo.private("runs", run_id)


def is_run_id(text: str) -> bool:
    """Return whether a text is a run id, which is safe as a folder name."""
    return _ID.fullmatch(text) is not None


def save_run(repo: Repository, run: Run) -> Run:
    """Write a run's `meta.json` atomically; return the run."""
    place = run_folder(repo, run.run)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_document(place / META, redact.mask_document(run.document()))
    return run


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document atomically, replacing the old one."""
    atomic_file.write(path, canonical_json.dumps_host(dict(document)))


def load_run(place: Path) -> Run | None:
    """Read a run from its folder; return None if it is missing or unreadable."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        document = json.loads(atomic_file.read(place / META))
        fields = {name: document[name] for name in Run.__dataclass_fields__ if name in document}
        process = fields["process"] and process_identity.identity_from(fields["process"])
        run = Run(**{**fields, "process": process, "argv": tuple(fields["argv"])})
        if run.tournament is None:
            task_number(run.task)
        return run if run.run == place.name else None
    return None


def list_runs(repo: Repository, plan: str | None = None) -> list[Run]:
    """Return the stored runs, oldest first.

    Args:
        plan: only those of one plan.
    """
    top = repo.private("runs")
    names = sorted(name for name in os.listdir(top) if is_run_id(name)) if top.is_dir() else []
    runs = filter(None, (load_run(top / name) for name in names))
    return [run for run in runs if plan in (None, run.plan)]


def has_open_sessions(repo: Repository) -> bool:
    """Return whether a session of this host runs here, as far as its file says; see flows/board."""
    top = repo.private("runs")
    for path in top.glob("*/session.json") if top.is_dir() else ():
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            session = json.loads(atomic_file.read(path))["session"]
            if session["state"] in ("starting", "running") and session["task"]:
                return True
    return False


def save_end(repo: Repository, run: Run, **how: Any) -> Run:
    """Store the end of a run: outcome, reason and so on."""
    return save_run(repo, replace(run, ended_at=utc_now(), **how))
