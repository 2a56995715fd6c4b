"""Run one job in a worker: find its function, call it, and pack result or error as JSON."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from git_planner.engines.contract import EngineJob, JobOutcome
from git_planner.errors import CODES, PlannerError
from git_planner.rules.documents import canonical_json

_FUNCTION = re.compile(r"(git_planner(?:\.[a-z][a-z0-9_]*)+):([a-z][a-z0-9_]*)")
MAX_BYTES = 256 * 1024 * 1024


def job_function(name: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Return the function of a name.

    Raises:
        PlannerError: E_USAGE if it is not a public function of this package.
    """
    match = _FUNCTION.fullmatch(name)
    if match is None:
        raise PlannerError("E_USAGE", f"{name[:80]!r} is not a function of git-planner")
    try:
        function = getattr(import_module(match[1]), match[2])
    except (ImportError, AttributeError):
        raise PlannerError(
            "E_USAGE",
            f"this git-planner has no function '{name}'",
            hint="install the same version on the scheduler's workers as here",
        ) from None
    result: Callable[[Mapping[str, Any]], Mapping[str, Any]] = function
    return result


def pack_job(job: EngineJob) -> str:
    """Return a job's payload as text.

    Raises:
        PlannerError: E_JSON.
    """
    return canonical_json.compact(dict(job.payload)).decode()


def run_job(function: str, payload: str) -> str:
    """Run a job, and return its outcome as JSON; errors of git-planner are part of it."""
    began = time.monotonic()
    outcome: dict[str, Any] = {"worker": f"{os.uname().nodename}:{os.getpid()}"}
    # In a thread, as in a worker of dask: an exception of any kind ends the job and not the worker.
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: dict(job_function(function)(json.loads(payload))))
        error = future.exception()
    if error is None:
        outcome["result"] = future.result()
    else:
        outcome["error"] = (error if isinstance(error, PlannerError) else _defect_error(error)).document()
    outcome["seconds"] = time.monotonic() - began
    return canonical_json.compact(outcome).decode()


def unpack_outcome(key: str, text: str) -> JobOutcome:
    """Return the outcome of a job from the text that `run_job` returned.

    Raises:
        PlannerError: E_JSON.
    """
    document = canonical_json.loads(text, f"the outcome of '{key}'", limit=MAX_BYTES)
    error = document.get("error")
    return JobOutcome(
        key,
        document.get("result"),
        None if error is None else _error_from(error),
        str(document.get("worker", "")),
        float(document.get("seconds", 0.0)),
    )


def failed_outcome(key: str, error: PlannerError, worker: str = "", seconds: float = 0.0) -> JobOutcome:
    """Return the outcome of a job that has no result."""
    return JobOutcome(key, None, error, worker, seconds)


def _defect_error(cause: BaseException) -> PlannerError:
    return PlannerError("E_INTERNAL", f"a job failed: {type(cause).__name__}: {str(cause)[:300]}")


def _error_from(document: Mapping[str, Any]) -> PlannerError:
    code = str(document.get("code"))
    return PlannerError(
        code if code in CODES else "E_INTERNAL",
        str(document.get("message", "")),
        hint=document.get("hint"),
        details=[str(line) for line in document.get("details", ())],
    )
