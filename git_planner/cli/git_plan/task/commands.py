"""`git plan task`: add, edit, claim and verify the tasks of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import (
    Number,
    claim_remote_options,
    force_option,
    json_option,
    note_option,
    owner_option,
    plan_option,
    reason_option,
    shared_remote,
    timeout_option,
)
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE
from git_planner.rules import refnames

if TYPE_CHECKING:
    from git_planner.flows.tasks.edit import TaskFields
    from git_planner.rules.tasks.task import TaskStatus
from git_planner.cli.git_plan.task import questions
from git_planner.cli.git_plan.task.options import fields, open_plan, part_of, part_options, task_argument
from git_planner.cli.git_plan.task.render import emit_task, lines, list_chosen, row, tell_task, with_status
from git_planner.cli.git_plan.task.result import result


@click.group(cls=CommandGroup)
def task() -> None:
    """Add, show and change the tasks of a plan. TASK is 'task_007', 'TASK-007' or 'task_7'."""


@task.command(short_help="Add a task.")
@click.argument("title")
@fields
def add(title: str, plan: str | None, as_json: bool, **asked: Any) -> int:
    """Add a task with the next number, creating the plan if necessary."""
    from git_planner.flows.plans.current_plan import current_plan
    from git_planner.flows.tasks.edit import add_task

    repo = start_in_repository()
    made = add_task(repo, plan, _wanted(title=title, **asked), _new_uid())
    tell_task(current_plan(repo, plan), made, as_json)
    return DONE


@task.command(name="list", short_help="List the tasks.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATUS",
    help="List only tasks with STATUS; may be repeated.",
)
@part_options
@plan_option
@json_option
def list_tasks(*, statuses: Sequence[str], plan: str | None, as_json: bool, **part: Any) -> int:
    """List the tasks of a plan by number."""
    from git_planner.rules.tasks.transitions import parse_status

    wanted = {parse_status(name) for name in statuses}
    list_chosen(
        start_in_repository(), plan, as_json, part_of(**part), lambda _, tasks: with_status(tasks, wanted)
    )
    return DONE


@task.command(short_help="List the tasks that can be started now.")
@part_options
@plan_option
@json_option
def ready(*, plan: str | None, as_json: bool, **part: Any) -> int:
    """List the tasks that can be started now: dependencies done, not claimed, scopes free."""
    from git_planner.flows.tasks.claim_refs import claimed_tasks
    from git_planner.rules.tasks import readiness

    repo = start_in_repository()
    list_chosen(
        repo,
        plan,
        as_json,
        part_of(**part),
        lambda name, tasks: readiness.ready_tasks(tasks, claimed_tasks(repo, name)),
    )
    return DONE


@task.command(short_help="Show a task.")
@task_argument
@click.option("--handoff", is_flag=True, help="Print the task's handoff instead.")
@plan_option
@json_option
def show(task_id: str, handoff: bool, plan: str | None, as_json: bool) -> int:
    """Show a task with its questions, evidence and claim."""
    from git_planner.flows.tasks.claim_refs import read_claims
    from git_planner.flows.tasks.edit import read_handoff, read_task

    repo = start_in_repository()
    name, one = read_task(repo, plan, task_id)
    claim = read_claims(repo, name).get(one.id)
    text = read_handoff(repo, name, one) if handoff else None
    if as_json:
        emit_task(name, one, claim=claim and claim.document(), text=text)
        return DONE
    if text is not None:
        say(text.rstrip())
        return DONE
    for line in lines(one, claim):
        say(line)
    return DONE


@task.command(short_help="Set fields of a task.")
@task_argument
@click.option("--title", metavar="TEXT", help="Title in one line.")
@click.option("--status", metavar="STATUS", help="New status, if the transition is allowed.")
@reason_option()
@click.option("--clear", multiple=True, metavar="FIELD", help="Empty FIELD first; may be repeated.")
@fields
def update(
    *, task_id: str, status: str | None, reason: str | None, plan: str | None, as_json: bool, **asked: Any
) -> int:
    """Set fields of a task; values are appended to lists unless '--clear' empties them first.

    FIELD is one of owner, reason, read_scope, write_scope, acceptance, actions, verify, dependencies.
    """
    from git_planner.flows.tasks.edit import update_task
    from git_planner.rules.tasks.transitions import parse_status

    repo, name = open_plan(plan)
    wanted = None if status is None else parse_status(status)
    done = update_task(repo, name, task_id, _wanted(**asked), status=wanted, reason=reason)
    tell_task(name, done, as_json)
    return DONE


@task.command(short_help="Claim a task and start it.")
@task_argument
@owner_option
@click.option(
    "--hours",
    type=Number(min=0, min_open=True, max=24 * 365),
    default=8.0,
    show_default=True,
    metavar="N",
    help="Lifetime of the claim in hours.",
)
@claim_remote_options
@plan_option
@json_option
def claim(
    *,
    task_id: str,
    owner: str | None,
    hours: float,
    remote: str | None,
    no_remote: bool,
    plan: str | None,
    as_json: bool,
) -> int:
    """Claim a ready task exclusively and start it.

    With 'planner.remote' or '--remote' the claim is exclusive among all clones of that remote: it is acquired
    there first, and released by the next 'git plan push' after it has ended here.
    """
    from git_planner.flows.tasks.claims import Claimant, claim_task
    from git_planner.host.clock import utc_now
    from git_planner.rules.timestamps import add_seconds

    repo, name = open_plan(plan)
    who = Claimant(owner or repo.ident(), repo.now(), add_seconds(utc_now(), hours * 3600))
    where = None if no_remote else remote or shared_remote(repo)
    if where is None:
        done, made = claim_task(repo, name, task_id, who)
    else:
        from git_planner.flows.delegation.remote_claims import RemoteClaims

        done, made = RemoteClaims(repo, name, where, tell).claim_task(task_id, who)
    if as_json:
        emit_task(name, done, claim=made.document())
    else:
        say(f"{row(done)}: claimed by '{made.owner}' until {made.expires_at}")
    return DONE


@task.command(short_help="Release a claim.")
@task_argument
@owner_option
@force_option("Release the claim of another holder, too.")
@reason_option()
@plan_option
@json_option
def release(
    *, task_id: str, owner: str | None, force: bool, reason: str | None, plan: str | None, as_json: bool
) -> int:
    """Release a claim: the task is todo again, as a new attempt."""
    from git_planner.flows.tasks.claims import release_task

    repo, name = open_plan(plan)
    whose = None if force else owner or repo.ident()
    tell_task(name, release_task(repo, name, task_id, owner=whose, reason=reason), as_json)
    return DONE


@task.command(short_help="Mark a task as ready for review.")
@task_argument
@note_option
@plan_option
@json_option
def review(task_id: str, note: str | None, plan: str | None, as_json: bool) -> int:
    """Mark a task as ready for review."""
    return _move(task_id, "review_ready", note, plan, as_json)


@task.command(short_help="Run a task's verify commands and record the result.")
@task_argument
@click.option("--commit", metavar="REF", help="Commit to verify (default: the task's last commit).")
@timeout_option("each verify command")
@click.option("--note", metavar="TEXT", help="Mark the task done by hand, with this note; runs no command.")
@plan_option
@json_option
def verify(
    *,
    task_id: str,
    commit: str | None,
    seconds: float | None,
    note: str | None,
    plan: str | None,
    as_json: bool,
) -> int:
    """Run a task's verify commands on its commit, with the trusted guarded files, and record the result.

    The task is done when all commands succeed. With '--note' no command is run: the evidence is shown as a
    manual sign-off.
    """
    from git_planner.flows.tasks.verify import failure_reason, verify_task

    repo, name = open_plan(plan)
    done = verify_task(repo, name, task_id, commit=commit, seconds=seconds, note=note, progress=tell)
    if as_json:
        emit(done.document())
        return done.exit
    say(row(done.task))
    if not done.evidence.ok:
        tell(f"{failure_reason(done.evidence)}; its output is in '{done.logs}'")
        for line in done.output:
            tell(f"  | {line}")
    elif done.task.status != "done":
        tell(f"the evidence is recorded; {done.task.id} stays {done.task.status}")
    return done.exit


@task.command(short_help="Defer a task.")
@task_argument
@reason_option(required=True)
@plan_option
@json_option
def defer(task_id: str, reason: str, plan: str | None, as_json: bool) -> int:
    """Defer a task; 'git plan task resume' requeues it."""
    return _move(task_id, "deferred", reason, plan, as_json)


@task.command(short_help="Cancel a task.")
@task_argument
@reason_option(required=True)
@plan_option
@json_option
def cancel(task_id: str, reason: str, plan: str | None, as_json: bool) -> int:
    """Cancel a task; it stays in the plan, with its reason."""
    return _move(task_id, "cancelled", reason, plan, as_json)


def _move(task_id: str, status: TaskStatus, reason: str | None, plan: str | None, as_json: bool) -> int:
    from git_planner.flows.tasks.claims import release_task

    repo, name = open_plan(plan)
    moved = release_task(repo, name, task_id, owner=repo.ident(), status=status, reason=reason, op=status)
    tell_task(name, moved, as_json)
    return DONE


def _new_uid() -> str:
    """Return the uid of a new task: a random one, or that of the operation that adds it."""
    from git_planner.gitio.refs.operation import current_name
    from git_planner.rules.tasks.task import derive_uid

    name = current_name()
    return refnames.random_token(16) if name is None else derive_uid("operation", name)


def _wanted(*, verify: Sequence[str], **asked: Any) -> TaskFields:
    from git_planner.errors import PlannerError
    from git_planner.flows.tasks.edit import CLEARABLE, TaskFields
    from git_planner.rules.policy.command_line import split_command

    for name in asked.get("clear", ()):
        if name not in CLEARABLE:
            raise PlannerError(
                "E_USAGE", f"{name[:80]!r} cannot be cleared", hint=f"fields: {', '.join(CLEARABLE)}"
            )
    return TaskFields(verify=[split_command(text, "--verify") for text in verify], **asked)


for _command in (questions.input_, questions.answer, questions.resume, result):
    task.add_command(_command)
