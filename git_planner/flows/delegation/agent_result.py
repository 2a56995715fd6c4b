"""The handshake between an agent and its delegator: one small file in the run's folder.

`git plan task result` writes it from within the agent's sandbox, where nothing else is writable. It is
validated when it is read, since an agent can write the file itself.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from git_planner import atomic_file, documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.store import OUT, RESULT, Run
from git_planner.gitio.repository import Repository
from git_planner.rules.delegation.outcome import ResultStatus, TaskResult, result_from
from git_planner.rules.documents import canonical_json
from git_planner.rules.tasks.task import task_number

RESULT_VARIABLE = "GIT_PLANNER_RESULT"
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class AgentReport:
    """The result as an agent reports it: the fields of Result that the agent chooses."""

    status: ResultStatus
    summary: str
    details: tuple[str, ...] = ()
    next: str | None = None
    question: str | None = None


def submit_result(repo: Repository, task_id: str, run_id: str, report: AgentReport) -> TaskResult:
    """Report how the work of a run ended. The first result counts; an identical one may be reported again.

    Args:
        repo: the repository; only its location is used.
        task_id: the task, by any spelling of its id.
        run_id: the run.
        report: how the work ended.

    Raises:
        PlannerError: E_RESULT for an unknown or ended run, another task, or a second, different result;
            E_SCHEMA; E_USAGE.
    """
    if (report.question is not None) != (report.status == "needs_input"):
        raise PlannerError(
            "E_USAGE",
            "a question goes with the status 'needs_input', and only with it",
            hint="give both '--status needs_input' and '--question TEXT', or neither",
        )
    run = _active_run(repo, task_id, run_id)
    result = TaskResult(
        plan=run.plan,
        task=run.task,
        uid=run.uid,
        attempt=run.attempt,
        run=run.run,
        status=report.status,
        summary=report.summary,
        details=report.details,
        next=report.next,
        question=report.question,
        at=repo.now(),
    )
    document = redact.mask_document(result.document())
    documents.check("result", document, "result")
    _write_once(
        store.run_folder(repo, run.run) / OUT, canonical_json.dumps(document), result_from(document), run
    )
    return result


def read_result(repo: Repository, run: Run) -> tuple[TaskResult | None, str | None]:
    """Read the result of a run's agent: the result, or why it is invalid; both None without a file."""
    out_folder = store.run_folder(repo, run.run) / OUT
    try:
        data = _read_plain_file(out_folder / RESULT)
        if data is None:
            return None, None
        result = result_from(documents.read("result", data, RESULT))
    except PlannerError as error:
        return None, error.message
    for name in ("plan", "task", "uid", "attempt", "run"):
        if getattr(result, name) != getattr(run, name):
            reported, expected = getattr(result, name), getattr(run, name)
            return None, f"it names the {name} '{str(reported)[:80]}', not '{expected}'"
    if (result.question is not None) != (result.status == "needs_input"):
        return None, "a question goes with the status 'needs_input', and only with it"
    return result, None


def _active_run(repo: Repository, task_id: str, run_id: str) -> Run:
    run = store.load_run(store.run_folder(repo, run_id)) if store.is_run_id(run_id) else None
    if run is None:
        raise PlannerError(
            "E_RESULT", f"there is no run '{run_id[:80]}' here", hint="it is in 'GIT_PLANNER_RUN'"
        )
    if run.ended_at is not None:
        raise PlannerError(
            "E_RESULT", f"run '{run.run}' has ended", hint=f"see 'git plan runs --run {run.run}'"
        )
    if task_number(task_id) != task_number(run.task):
        raise PlannerError(
            "E_RESULT", f"run '{run.run}' is about '{run.task}'", hint="it is in 'GIT_PLANNER_TASK'"
        )
    return run


def _write_once(folder: Path, data: bytes, result: TaskResult, run: Run) -> None:
    """Write the result file atomically; an existing one is never replaced."""
    draft_path = folder / f".{RESULT}.{secrets.token_hex(8)}"
    try:
        draft_path.write_bytes(data)
        atomic_file.claim(draft_path, folder / RESULT)
    except FileExistsError:
        earlier_data = _read_plain_file(folder / RESULT) or b""
        try:
            is_same = result_from(documents.read("result", earlier_data, RESULT)).content == result.content
        except PlannerError:
            is_same = False
        if not is_same:
            raise PlannerError(
                "E_RESULT",
                f"run '{run.run}' has another result already",
                hint="the first one counts; end now",
            ) from None
    except OSError as error:
        raise PlannerError(
            "E_RESULT",
            f"the result cannot be written to '{folder}' ({error.strerror})",
            hint="the sandbox must let the agent write there; see docs/delegation.md",
        ) from None
    finally:
        draft_path.unlink(missing_ok=True)


def _read_plain_file(path: Path) -> bytes | None:
    """Read a plain file of at most MAX_BYTES; None without a file.

    Raises:
        PlannerError: E_RESULT for anything else, such as a symlink that leads out of the folder.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlannerError("E_RESULT", f"it cannot be read ({error.strerror})") from None
    try:
        file_stat = os.fstat(handle)
        if not stat.S_ISREG(file_stat.st_mode):
            raise PlannerError("E_RESULT", "it is not a plain file")
        if file_stat.st_size > MAX_BYTES:
            raise PlannerError("E_RESULT", f"it has more than {MAX_BYTES:,} bytes")
        return os.read(handle, MAX_BYTES)
    finally:
        os.close(handle)
