"""Plans: their names, their documents, and how the steps of a planning plan become tasks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules import refnames
from git_planner.rules.plans.pages import FIRST_PAGE, sort_pages, split_tasks
from git_planner.rules.tasks.task import STATUSES, Task, derive_uid, task_id_for, task_number

SCHEMA = "git-planner/plan@1"
_PACKET_NAME = re.compile(r"\d{4,9}-.*")
_PACKET = re.compile(r"plan/(\d{4,9})-([a-z0-9]+(?:-[a-z0-9]+)*)")


def check_new_plan_name(name: str) -> str:
    """Check the name of a plan that may be made; numbers with a slug are kept for packets.

    Raises:
        PlannerError: E_NAME.
    """
    refnames.check_plan_name(name)
    if _PACKET_NAME.fullmatch(name) or name == "best":
        raise PlannerError(
            "E_NAME",
            f"'{name}' cannot be a plan: '{refnames.PLAN}{name}' would be taken for something else",
            hint=f"try 'plan-{name}'",
        )
    return name


def is_plan_name(name: str) -> bool:
    """Whether a branch 'plan/NAME' can be a plan's, and not a packet's or somebody's own."""
    try:
        return bool(check_new_plan_name(name))
    except PlannerError:
        return False


def packet_slug(branch: str) -> str | None:
    """The slug of a packet's branch, such as 'next' of 'plan/0003-next'; None for every other branch."""
    found = _PACKET.fullmatch(branch)
    return found[2] if found else None


def packet_number(branch: str) -> int:
    """The number of a packet's branch; 0 for every other branch."""
    found = _PACKET.fullmatch(branch)
    return int(found[1]) if found else 0


def new_plan(
    name: str,
    goal: str,
    *,
    base: str,
    base_ref: str,
    created_at: str,
    constraints: Sequence[str] = (),
    acceptance: Sequence[str] = (),
) -> dict[str, Any]:
    """The document of a plan without tasks.

    Args:
        name: its name.
        goal: what it is for, in words.
        base: the id of the commit it starts from, and `base_ref` the name that was found by.
        created_at: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'.
        constraints: what must be kept to.
        acceptance: what makes a result acceptable.
    """
    return {
        "schema": SCHEMA,
        "name": name,
        "goal": goal,
        "base": base,
        "base_ref": base_ref,
        "created_at": created_at,
        "constraints": list(constraints),
        "acceptance": list(acceptance),
        "planning_plan": None,
        "tasks": [],
    }


def add_steps(plan: Mapping[str, Any], answer: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """A plan with the steps of a planning plan as tasks, in their order.

    The same planning plan changes nothing. Tasks of an earlier one that nobody has begun are cancelled; all
    others stay, and no number is used twice.

    Args:
        plan: the plan's document.
        answer: a planning plan with known and acyclic dependencies.
        digest: its digest.
    """
    if plan["planning_plan"] == digest:
        return dict(plan)
    kept = [_outdated(task, digest) for task in plan["tasks"]]
    first = max((task_number(task["id"]) for task in kept), default=0) + 1
    ids = {step["id"]: task_id_for(number) for number, step in enumerate(answer["steps"], first)}
    tasks = [_task(step, ids, digest).document() for step in answer["steps"]]
    return {**plan, "planning_plan": digest, "tasks": [*kept, *tasks]}


def split_plan(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A plan as the documents of its pages, by file name; each repeats all but the tasks."""
    return {name: {**plan, "tasks": list(tasks)} for name, tasks in split_tasks(plan["tasks"]).items()}


def join_pages(pages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A plan from the documents of its pages, of which the first must be there."""
    tasks = [task for name in sort_pages(pages) for task in pages[name]["tasks"]]
    return {**pages[FIRST_PAGE], "tasks": tasks}


def count_tasks(plan: Mapping[str, Any]) -> dict[str, int]:
    """How many tasks a plan has by status, in the order of a task's life; only statuses that occur."""
    found = [task["status"] for task in plan["tasks"]]
    return {status: found.count(status) for status in STATUSES if status in found}


def _outdated(task: Mapping[str, Any], digest: str) -> dict[str, Any]:
    if task["step"] is None or task["status"] != "todo":
        return dict(task)
    return {**task, "status": "cancelled", "reason": f"replaced by the planning plan {digest[:12]}"}


def _task(step: Mapping[str, Any], ids: Mapping[str, str], digest: str) -> Task:
    return Task(
        id=ids[step["id"]],
        uid=derive_uid("planning-plan", digest, step["id"]),
        step=step["id"],
        title=step["title"],
        intent=step["intent"],
        actions=tuple(step["actions"]),
        write_scope=tuple(step.get("files", ())),
        dependencies=tuple(sorted({ids[name] for name in step.get("dependencies", ())}, key=task_number)),
        acceptance=tuple(step["validation"]),
        risks=tuple(step.get("risks", ())),
        references=tuple(step.get("references", ())),
    )
