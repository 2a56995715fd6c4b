"""Long work in the background: a handle is returned at once, and asked for the result later.

A job is `planner/mcp/jobs/<handle>/` in the common git directory: `job.json` before the work, `result.json`
after it. It goes on when the server ends.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.host import process_identity
from git_planner.host.clock import utc_now
from git_planner.rules.refnames import random_token

FOLDER = ("mcp", "jobs")
MOST_JOBS = 100
_GRACE_SECONDS = 10.0
_HANDLE = re.compile(r"job-[a-z0-9]{16}")
_MAX_BYTES = 4 * 1024 * 1024
_NOTE, _RESULT = "job.json", "result.json"


def new_handle() -> str:
    """Return the handle of a new job."""
    return f"job-{random_token(16)}"


def begin_job(repo: Repository, handle: str, call: Mapping[str, Any]) -> bool:
    """Note that this process begins a job; return False when the job was begun before.

    Args:
        repo: the repository.
        handle: the job's handle.
        call: what it does: tool, program and arguments.
    """
    folder = repo.private(*FOLDER, handle)
    _remove_old(folder.parent)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    who = process_identity.identity(os.getpid())
    process = None if who is None else who.document()
    document = {"schema": "git-planner/mcp-job@1", "started_at": utc_now(), "process": process, **call}
    draft = folder / f"{_NOTE}.{os.getpid()}"
    atomic_file.write(draft, json.dumps(document).encode(), 0o600)
    try:
        atomic_file.claim(draft, folder / _NOTE)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def end_job(repo: Repository, handle: str, outcome: Mapping[str, Any]) -> None:
    """Write the result of a job."""
    path = repo.private(*FOLDER, handle, _RESULT)
    with suppress(FileNotFoundError):
        atomic_file.write(path, json.dumps({**outcome, "ended_at": utc_now()}).encode(), 0o600)


def job_state(repo: Repository, handle: str) -> dict[str, Any]:
    """Return a job's state, 'running', 'ended', 'lost' or 'far', and its result once it has ended.

    Raises:
        PlannerError: E_USAGE when there is no such job.
    """
    folder = _folder(repo, handle)
    # The process may end between the two questions: whether it lives is asked first.
    note = _read(folder / _NOTE)
    sight = _sight(note)
    result = _read(folder / _RESULT)
    document = {
        "schema": "git-planner/mcp-job@1",
        "handle": handle,
        "tool": note.get("tool"),
        "started_at": note.get("started_at"),
    }
    if result is not None and result:
        return {**document, "state": "ended", **result}
    states = {"alive": "running", "gone": "lost", "far": "far"}
    return {**document, "state": states[sight]}


def stop_job(repo: Repository, handle: str) -> dict[str, Any]:
    """End a job's process, if it runs, as Ctrl-C would; return its state."""
    note = _read(_folder(repo, handle) / _NOTE)
    if _sight(note) == "alive":
        process_identity.end(process_identity.identity_from(note["process"]), _GRACE_SECONDS)
    return job_state(repo, handle)


def _folder(repo: Repository, handle: str) -> Path:
    folder = repo.private(*FOLDER, handle)
    if not _HANDLE.fullmatch(handle) or not (folder / _NOTE).exists():
        raise PlannerError(
            "E_USAGE",
            f"there is no job '{handle[:60]}' in this repository",
            hint="take the handle that the action 'start' returned; old ones are removed",
        )
    return folder


def _sight(note: Mapping[str, Any]) -> process_identity.Sight:
    if not note.get("process"):
        return "gone"
    return process_identity.sight(process_identity.identity_from(note["process"]))


def _read(path: Path) -> dict[str, Any]:
    """Return a file's document; an empty one when there is none, or none that can be read."""
    with suppress(OSError, ValueError):
        document = json.loads(atomic_file.read(path, _MAX_BYTES))
        return document if isinstance(document, dict) else {}
    return {}


def _remove_old(folder: Path) -> None:
    """Remove the oldest jobs that have ended, so that not more than MOST_JOBS stay."""
    with suppress(OSError):
        jobs = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in jobs[MOST_JOBS:]:
            has_ended = (path / _RESULT).exists() or time.time() - path.stat().st_mtime > 7 * 86400
            if has_ended and _sight(_read(path / _NOTE)) != "alive":
                shutil.rmtree(path, ignore_errors=True)
