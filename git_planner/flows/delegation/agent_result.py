"""The handshake between an agent and its delegator: one small file in the run's folder.

`git plan task result` writes it from within the agent's sandbox, where nothing else can be written. What is
read is judged in any case, since an agent may as well write the file itself.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.flows.runs import store
from git_planner.flows.runs.store import OUT, RESULT, Run
from git_planner.gitio.repository import Repository
from git_planner.rules.delegation.outcome import ResultStatus, TaskResult, result_from
from git_planner.rules.documents import canonical_json
from git_planner.rules.tasks.task import task_number

VARIABLE = "GIT_PLANNER_RESULT"
MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Words:
    """What an agent has to say; see Result."""

    status: ResultStatus
    summary: str
    details: tuple[str, ...] = ()
    next: str | None = None
    question: str | None = None


def give(repo: Repository, task_id: str, run_id: str, words: Words) -> TaskResult:
    """Say how the work of a run ended. Once; the same words may be said again.

    Args:
        repo: the repository, which is only asked where it is.
        task_id: the task, by any spelling of its id.
        run_id: the run.
        words: how the work ended.

    Raises:
        PlannerError: E_RESULT for another run, task or a second, different result; E_SCHEMA; E_USAGE.
    """
    if (words.question is not None) != (words.status == "needs_input"):
        raise PlannerError(
            "E_USAGE",
            "a question goes with the status 'needs_input', and only with it",
            hint="give both '--status needs_input' and '--question TEXT', or neither",
        )
    run = _run(repo, task_id, run_id)
    result = TaskResult(
        plan=run.plan,
        task=run.task,
        uid=run.uid,
        attempt=run.attempt,
        run=run.run,
        status=words.status,
        summary=words.summary,
        details=words.details,
        next=words.next,
        question=words.question,
        at=repo.now(),
    )
    document = redact.mask_document(result.document())
    documents.check("result", document, "result")
    _place(store.run_folder(repo, run.run) / OUT, canonical_json.dumps(document), result_from(document), run)
    return result


def read(repo: Repository, run: Run) -> tuple[TaskResult | None, str | None]:
    """What a run's agent left: its result, or why that is none; both None when it left nothing."""
    place = store.run_folder(repo, run.run) / OUT
    try:
        data = _bytes(place / RESULT)
        if data is None:
            return None, None
        result = result_from(documents.read("result", data, RESULT))
    except PlannerError as error:
        return None, error.message
    for name in ("plan", "task", "uid", "attempt", "run"):
        if getattr(result, name) != getattr(run, name):
            said, own = getattr(result, name), getattr(run, name)
            return None, f"it is of {name} '{str(said)[:80]}', not '{own}'"
    if (result.question is not None) != (result.status == "needs_input"):
        return None, "a question goes with the status 'needs_input', and only with it"
    return result, None


def _run(repo: Repository, task_id: str, run_id: str) -> Run:
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


def _place(folder: Path, data: bytes, result: TaskResult, run: Run) -> None:
    """Put the file where it belongs, whole, and only where there is none."""
    draft = folder / f".{RESULT}.{secrets.token_hex(8)}"
    try:
        draft.write_bytes(data)
        os.link(draft, folder / RESULT)
    except FileExistsError:
        earlier = _bytes(folder / RESULT) or b""
        try:
            same = result_from(documents.read("result", earlier, RESULT)).words == result.words
        except PlannerError:
            same = False
        if not same:
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
        draft.unlink(missing_ok=True)


def _bytes(path: Path) -> bytes | None:
    """The content of a plain file of bearable size; None when there is none.

    Raises:
        PlannerError: E_RESULT for anything else, such as a link that leads out.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlannerError("E_RESULT", f"it cannot be read ({error.strerror})") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise PlannerError("E_RESULT", "it is not a plain file")
        if about.st_size > MOST_BYTES:
            raise PlannerError("E_RESULT", f"it has more than {MOST_BYTES:,} bytes")
        return os.read(handle, MOST_BYTES)
    finally:
        os.close(handle)
