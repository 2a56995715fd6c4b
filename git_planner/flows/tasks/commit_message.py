"""Check the task ids of a commit message before the commit is made."""

from __future__ import annotations

import re
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.tasks.follow_branch import configured_plan, iteration_of
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.plans import pages
from git_planner.rules.tasks.named_tasks import named_tasks
from git_planner.rules.tasks.task import CLOSED, task_from, task_id_for, task_number

_SCISSORS = re.compile(rb"^# -+ >8 -+$", re.MULTILINE)
_TRAILER_LINE = re.compile(rb"^planner-(?:task|plan):", re.IGNORECASE | re.MULTILINE)
# During a squash or a merge, a commit brings in work that exists already.
_IMPORT_FILES = ("SQUASH_MSG", "MERGE_HEAD")


def check_message(repo: Repository, path: str) -> None:
    """Refuse a message that names a missing or closed task; accept every message without a plan.

    Args:
        repo: the repository.
        path: the file with the message, as git gives it to commit-msg.

    Raises:
        PlannerError: E_UNKNOWN_TASK, E_TRANSITION; E_JSON, E_SCHEMA, E_GIT when the plan cannot be read.
    """
    text = _SCISSORS.split(Path(path).read_bytes(), maxsplit=1)[0]
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith(b"#"))
    subject = next(lines, b"").decode("utf-8", "surrogateescape").strip()
    trailers = _parse_trailers(repo, text)
    tasks = named_tasks(subject, trailers.get("planner-task", ()))
    plan = next(reversed(trailers.get("planner-plan", [])), None)
    if not tasks:
        return
    with repo.git.batch() as batch:
        state = iteration_of(batch.read(f"HEAD:{refnames.STATE_FILE}"))
        plan = plan or (state[0] if state else configured_plan(repo))
        snapshot = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        if snapshot.tip is None:
            return
        head = batch.info("HEAD")
        for name in tasks:
            number = _parse_number(plan, name)
            plan_pages = Pages(repo, plan).read(snapshot, pages.page_name(number))
            _check_task(repo, plan, number, plan_pages, head[0] if head else None)


def _check_task(
    repo: Repository, plan: str, number: int, plan_pages: dict[str, dict[str, object]], head: str | None
) -> None:
    tasks = plan_pages.get(pages.page_name(number), {}).get("tasks", [])
    assert isinstance(tasks, list)
    document = next((task for task in tasks if task_number(task["id"]) == number), None)
    if document is None:
        raise _unknown_task(plan, task_id_for(number))
    task = task_from(document)
    if task.status not in CLOSED:
        return
    # HEAD among the task's commits: an amended or follow-up commit, not new work on a closed task.
    is_recommit = task.status == "done" and head in task.commits
    if is_recommit or (
        task.status == "done" and any((repo.git_dir / name).exists() for name in _IMPORT_FILES)
    ):
        return
    raise PlannerError(
        "E_TRANSITION",
        f"the commit names '{task.id}' of the plan '{plan}', which is {task.status}",
        hint=f"put it back to work with 'git plan task resume {task.id}', or name another task",
    )


def _parse_number(plan: str, name: str) -> int:
    try:
        return task_number(name)
    except PlannerError:
        raise _unknown_task(plan, name) from None


def _unknown_task(plan: str, name: str) -> PlannerError:
    from git_planner.flows.tasks.edit import unknown_task_error

    return unknown_task_error(plan, name)


def _parse_trailers(repo: Repository, text: bytes) -> dict[str, list[str]]:
    """Parse the trailers of a message with git, by lower-case name."""
    trailers: dict[str, list[str]] = {}
    if _TRAILER_LINE.search(text):
        output = repo.git.bytes("interpret-trailers", "--parse", stdin=text).decode(
            "utf-8", "surrogateescape"
        )
        for line in output.splitlines():
            key, _, value = line.partition(":")
            trailers.setdefault(key.strip().lower(), []).append(value.strip())
    return trailers
