"""Plan names, plan documents, and tasks from the steps of a planning plan. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules import refnames
from git_planner.rules.plans.pages import FIRST_PAGE, sort_pages, split_tasks
from git_planner.rules.tasks.task import STATUSES, Task, derive_uid, new_numbers, task_id_for, task_number

SCHEMA = "git-planner/plan@1"
_PACKET_NAME = re.compile(r"\d{4,9}-.*")
_PACKET = re.compile(refnames.PLAN + r"(\d{4,9})-([a-z0-9]+(?:-[a-z0-9]+)*)")


def check_new_plan_name(name: str) -> str:
    """Check the name of a new plan; a number with a slug is reserved for packets.

    Raises:
        PlannerError: E_NAME.
    """
    refnames.check_plan_name(name)
    if _PACKET_NAME.fullmatch(name) or name == "best":
        raise PlannerError(
            "E_NAME",
            f"'{name}' cannot be a plan: '{refnames.PLAN}{name}' has another meaning",
            hint=f"try 'plan-{name}'",
        )
    return name


def is_plan_name(name: str) -> bool:
    """Return whether a branch 'plan/NAME' can be the branch of a plan, not of a packet."""
    try:
        return bool(check_new_plan_name(name))
    except PlannerError:
        return False


def packet_slug(branch: str) -> str | None:
    """Return the slug of a packet's branch, such as 'next' of 'plan/0003-next'; None for other branches."""
    match = _PACKET.fullmatch(branch)
    return match[2] if match else None


def packet_number(branch: str) -> int:
    """Return the number of a packet's branch; 0 for other branches."""
    match = _PACKET.fullmatch(branch)
    return int(match[1]) if match else 0


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
    """Create the document of a plan without tasks.

    Args:
        name: the plan's name.
        goal: the purpose of the plan, as text.
        base: the id of the commit it starts from.
        base_ref: the ref that resolved to `base`.
        created_at: UTC time as 'YYYY-MM-DDTHH:MM:SSZ'.
        constraints: rules that every task must follow.
        acceptance: acceptance criteria.
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
    """Add the steps of a planning plan to a plan as tasks.

    Adding the same planning plan again changes nothing. Tasks of an earlier one that are still todo are
    cancelled; all others stay, and numbers are not reused.

    Args:
        plan: the plan's document.
        answer: the document of a planning plan with known and acyclic dependencies.
        digest: the digest of the planning plan.
    """
    if plan["planning_plan"] == digest:
        return dict(plan)
    kept = [_cancel_outdated(task, digest) for task in plan["tasks"]]
    numbers = new_numbers(task_number(task["id"]) for task in kept)
    ids = {step["id"]: task_id_for(number) for step, number in zip(answer["steps"], numbers, strict=False)}
    tasks = [_task_from_step(step, ids, digest).document() for step in answer["steps"]]
    return {**plan, "planning_plan": digest, "tasks": [*kept, *tasks]}


def split_plan(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Split a plan into the documents of its pages, by file name; all fields but the tasks are repeated."""
    return {name: {**plan, "tasks": list(tasks)} for name, tasks in split_tasks(plan["tasks"]).items()}


def join_pages(pages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Join the documents of a plan's pages, which must include the first page."""
    tasks = [task for name in sort_pages(pages) for task in pages[name]["tasks"]]
    return {**pages[FIRST_PAGE], "tasks": tasks}


def count_tasks(plan: Mapping[str, Any]) -> dict[str, int]:
    """Count the tasks of a plan by status, in the order of STATUSES; statuses without tasks are left out."""
    statuses = [task["status"] for task in plan["tasks"]]
    return {status: statuses.count(status) for status in STATUSES if status in statuses}


def _cancel_outdated(task: Mapping[str, Any], digest: str) -> dict[str, Any]:
    if task["step"] is None or task["status"] != "todo":
        return dict(task)
    return {**task, "status": "cancelled", "reason": f"replaced by the planning plan {digest[:12]}"}


def _task_from_step(step: Mapping[str, Any], ids: Mapping[str, str], digest: str) -> Task:
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
