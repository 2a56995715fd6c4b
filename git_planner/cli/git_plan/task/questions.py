"""`git plan task input`, `answer` and `resume`: the questions of an agent."""

from __future__ import annotations

from collections.abc import Sequence

import click

from git_planner.cli.git_plan.task.options import notes_option, open_plan, task_argument
from git_planner.cli.git_plan.task.render import tell_task
from git_planner.cli.options import (
    author_option,
    details_option,
    json_option,
    next_step_option,
    plan_option,
    summary_option,
)
from git_planner.errors import DONE


@click.command(name="input", short_help="Ask a question about a task.")
@task_argument
@summary_option
@details_option
@next_step_option
@author_option
@plan_option
@json_option
def input_(
    *,
    task_id: str,
    summary: str,
    details: Sequence[str],
    next_step: str | None,
    by: str | None,
    plan: str | None,
    as_json: bool,
) -> int:
    """Ask a question about a task: it waits for an answer, and its handoff shows the question."""
    from git_planner.flows.tasks.edit import ask_question
    from git_planner.rules.tasks.task import TaskQuestion

    repo, name = open_plan(plan)
    question = TaskQuestion(repo.now(), by or repo.ident(), summary, tuple(details), next_step)
    tell_task(name, ask_question(repo, name, task_id, question), as_json)
    return DONE


@click.command(short_help="Answer a task's open question.")
@task_argument
@click.argument("text")
@author_option
@plan_option
@json_option
def answer(task_id: str, text: str, by: str | None, plan: str | None, as_json: bool) -> int:
    """Answer the open question of a task; 'git plan task resume' then requeues it."""
    from git_planner.flows.tasks.edit import answer_question as run
    from git_planner.rules.tasks.task import QuestionAnswer

    repo, name = open_plan(plan)
    tell_task(name, run(repo, name, task_id, QuestionAnswer(repo.now(), by or repo.ident(), text)), as_json)
    return DONE


@click.command(short_help="Requeue a task as a new attempt.")
@task_argument
@notes_option
@plan_option
@json_option
def resume(task_id: str, notes: Sequence[str], plan: str | None, as_json: bool) -> int:
    """Requeue a task as a new attempt; results of earlier attempts no longer count."""
    from git_planner.flows.tasks.edit import resume_task as run

    repo, name = open_plan(plan)
    tell_task(name, run(repo, name, task_id, notes, at=repo.now(), by=repo.ident()), as_json)
    return DONE
