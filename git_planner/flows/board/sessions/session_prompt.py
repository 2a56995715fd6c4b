"""Prompts of sessions, rendered from templates and kept with the session."""

from __future__ import annotations

import shlex

from git_planner.agents.templates import render_template
from git_planner.errors import PlannerError
from git_planner.flows.board.sessions.session_store import HostSession
from git_planner.flows.runs.git_plan_program import git_plan_program
from git_planner.flows.tasks.edit import read_tasks
from git_planner.gitio.repository import Repository
from git_planner.rules.board.session import Session

# Tasks and waiting items that a planner's prompt lists; the planner asks for the others.
_MOST = 40
_MOST_TEXT = 300


def planner_prompt(repo: Repository, session: HostSession) -> str:
    """Return the prompt of a planner's session: its role, the commands, the open tasks and what waits."""
    from git_planner.flows.board.inbox import read_inbox

    plan = session.session.plan
    try:
        plan_tasks = read_tasks(repo, plan)
        goal, tasks = str(plan_tasks.about.get("goal", "")), plan_tasks.tasks
        waiting = read_inbox(repo, plan).items
    except PlannerError as error:
        if error.code != "E_NO_PLAN":
            raise
        goal, tasks, waiting = "", (), ()
    return render_template(
        "session-planner",
        session=session.run,
        plan=plan,
        goal=_line(goal),
        folder=str(repo.top or repo.common),
        program=shlex.quote(git_plan_program()),
        tasks=[
            {"id": task.id, "status": task.status, "title": _line(task.title)}
            for task in tasks
            if task.status != "done"
        ][:_MOST],
        waiting=[{"subject": item.subject, "text": _line(item.text)} for item in waiting][:_MOST],
    )


def worker_prompt(session: Session, prompt: str) -> str:
    """Return the prompt of a worker's session, around the prompt of its task."""
    return render_template(
        "session-worker",
        prompt=prompt,
        session=session.name,
        plan=session.plan,
        program=shlex.quote(git_plan_program()),
        continues=session.continues is not None,
    )


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "…"
