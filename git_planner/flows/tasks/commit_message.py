"""The tasks that a commit message names, looked up before the commit is made."""

from __future__ import annotations

import re
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.flows.plans.page_store import Pages
from git_planner.flows.tasks.follow_branch import iteration_of, plan_setting
from git_planner.gitio.repository import Repository
from git_planner.gitio.store import Store
from git_planner.rules import refnames
from git_planner.rules.plans import pages
from git_planner.rules.tasks.follow_history import named_tasks
from git_planner.rules.tasks.task import CLOSED, task_from, task_id_for, task_number

_SCISSORS = re.compile(rb"^# -+ >8 -+$", re.MULTILINE)
_TRAILERS = re.compile(rb"^planner-(?:task|plan):", re.IGNORECASE | re.MULTILINE)
# A commit that is made in the middle of one of these brings work that is there already.
_BRINGING = ("SQUASH_MSG", "MERGE_HEAD")


def check_message(repo: Repository, path: str) -> None:
    """Refuse a message that names a task which is not there or is not to be worked on.

    Without a plan there is nothing to look up.

    Args:
        repo: the repository.
        path: the file with the message, as git gives it to commit-msg.

    Raises:
        PlannerError: E_UNKNOWN_TASK, E_TRANSITION; E_JSON, E_SCHEMA, E_GIT when the plan cannot be read.
    """
    text = _SCISSORS.split(Path(path).read_bytes(), maxsplit=1)[0]
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith(b"#"))
    subject = next(lines, b"").decode("utf-8", "surrogateescape").strip()
    trailers = _trailers(repo, text)
    tasks = named_tasks(subject, trailers.get("planner-task", ()))
    plan = next(reversed(trailers.get("planner-plan", [])), None)
    if not tasks:
        return
    with repo.git.batch() as batch:
        state = iteration_of(batch.read(f"HEAD:{refnames.STATE_FILE}"))
        plan = plan or (state[0] if state else plan_setting(repo))
        seen = Store(repo).snapshot(refnames.plan_ref(plan), batch)
        if seen.tip is None:
            return
        head = batch.info("HEAD")
        for name in tasks:
            number = _number(plan, name)
            found = Pages(repo, plan).read(seen, pages.page_name(number))
            _check(repo, plan, number, found, head[0] if head else None)


def _check(
    repo: Repository, plan: str, number: int, found: dict[str, dict[str, object]], head: str | None
) -> None:
    tasks = found.get(pages.page_name(number), {}).get("tasks", [])
    assert isinstance(tasks, list)
    document = next((each for each in tasks if task_number(each["id"]) == number), None)
    if document is None:
        raise _unknown(plan, task_id_for(number))
    task = task_from(document)
    if task.status not in CLOSED:
        return
    # An amended commit, or one more step on top of it, can be told from new work on a closed task by HEAD.
    again = task.status == "done" and head in task.commits
    if again or (task.status == "done" and any((repo.git_dir / each).exists() for each in _BRINGING)):
        return
    raise PlannerError(
        "E_TRANSITION",
        f"'{task.id}' of the plan '{plan}' is {task.status}, and the commit says that it works on it",
        hint=f"put it back to work with 'git plan task resume {task.id}', or name another task",
    )


def _number(plan: str, name: str) -> int:
    try:
        return task_number(name)
    except PlannerError:
        raise _unknown(plan, name) from None


def _unknown(plan: str, name: str) -> PlannerError:
    from git_planner.flows.tasks.edit import unknown

    return unknown(plan, name)


def _trailers(repo: Repository, text: bytes) -> dict[str, list[str]]:
    """The trailers of a message by their names in lower case; git itself reads them."""
    found: dict[str, list[str]] = {}
    if _TRAILERS.search(text):
        said = repo.git.bytes("interpret-trailers", "--parse", stdin=text).decode("utf-8", "surrogateescape")
        for line in said.splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip().lower(), []).append(value.strip())
    return found
