"""Run one job in a worker: find its function, call it, and pack result or error as JSON."""

from __future__ import annotations

import json
import math
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
# Bounds of an error that a worker returns.
_MAX_TEXT, _MAX_DETAILS = 2_000, 50


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


def unpack_outcome(key: str, text: object) -> JobOutcome:
    """Return the outcome of a job from the text that `run_job` returned.

    It is outside input: what is not the outcome of a job becomes one with the error E_REMOTE.
    """
    try:
        if not isinstance(text, str):
            raise TypeError(f"it is no text but of the type '{type(text).__name__[:80]}'")
        document = canonical_json.loads(text, f"the outcome of '{key}'", limit=MAX_BYTES)
        if not isinstance(document, dict):
            raise TypeError("it is no object")
        result, error = document.get("result"), document.get("error")
        if not isinstance(result, dict) and not isinstance(error, dict):
            raise TypeError("it has neither a result nor an error")
        worker, seconds = str(document.get("worker", ""))[:200], float(document.get("seconds", 0.0))
        if not math.isfinite(seconds):
            raise ValueError("its seconds are no number")
        return JobOutcome(key, result, None if error is None else _error_from(error), worker, seconds)
    except (PlannerError, TypeError, ValueError, AttributeError) as error:
        unreadable = PlannerError(
            "E_REMOTE",
            f"a worker's answer to the job '{key}' cannot be read: {str(error)[:300]}",
            hint="install the same version of git-planner on the workers as here",
        )
        return failed_outcome(key, unreadable)


def failed_outcome(key: str, error: PlannerError, worker: str = "", seconds: float = 0.0) -> JobOutcome:
    """Return the outcome of a job that has no result."""
    return JobOutcome(key, None, error, worker, seconds)


def _defect_error(cause: BaseException) -> PlannerError:
    return PlannerError("E_INTERNAL", f"a job failed: {type(cause).__name__}: {str(cause)[:300]}")


def _error_from(document: Mapping[str, Any]) -> PlannerError:
    code = str(document.get("code"))
    return PlannerError(
        code if code in CODES else "E_INTERNAL",
        str(document.get("message", ""))[:_MAX_TEXT],
        hint=None if document.get("hint") is None else str(document["hint"])[:_MAX_TEXT],
        details=[str(line)[:_MAX_TEXT] for line in list(document.get("details", ()))[:_MAX_DETAILS]],
    )
