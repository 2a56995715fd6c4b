"""`git plan session`, `git plan worker`, `git plan suspend`, `resume` and `shutdown`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from git_planner.cli import options
from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, say, size_text, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, NO

if TYPE_CHECKING:
    from git_planner.flows.board.sessions.list_sessions import Sessions, SessionView
    from git_planner.flows.board.sessions.start_session import StartOptions

backend_option = click.option(
    "--backend",
    type=click.Choice(["auto", "desktop", "headless", "tmux"]),
    help="Terminal of the session (default: planner.terminal, then auto).",
)
client_option = click.option(
    "--client", metavar="NAME", help="Client that runs in it (default: planner.sessionClient, then codex)."
)
_MOST_ENDED = 10
all_option = click.option("--all", "show_all", is_flag=True, help="List all that have ended, too.")
active_option = click.option("--active", is_flag=True, help="List only sessions that run.")
keep_option = click.option(
    "--keep-running", is_flag=True, help="Only take it from the list; its client goes on."
)


@click.group(cls=CommandGroup)
def session() -> None:
    """Run the planner in a terminal; list, attach and close sessions."""


@click.group(cls=CommandGroup)
def worker() -> None:
    """Run workers in terminals, each on a task in a worktree of its own."""


def _start_options(command: Any) -> Any:
    for option in (
        plan_option,
        backend_option,
        client_option,
        options.model_option,
        options.effort_option,
        options.sandbox_option,
        options.allow_danger_option,
        options.new_session_option,
        json_option,
    ):
        command = option(command)
    return command


@session.command("start")
@_start_options
def start_planner(*, as_json: bool, **given: Any) -> int:
    """Start the planner's session in the main worktree, or show the one that runs.

    It goes on with its last conversation unless --new-session is given.
    """
    from git_planner.flows.board.sessions import start_session
    from git_planner.flows.board.sessions.list_sessions import view_session

    repo = start_in_repository()
    started = start_session.start_planner(repo, _started_as(given), tell)
    return _print_session(view_session(repo, started), as_json=as_json)


@worker.command("spawn")
@click.argument("task", metavar="TASK", shell_complete=options.candidates("tasks"))
@click.option("--note", "notes", multiple=True, metavar="TEXT", help="Note for the task; may be repeated.")
@_start_options
def spawn(*, task: str, notes: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Start a worker on TASK, or go on with its suspended session.

    A task that waits for an answer is put back first if there is a --note. Exit with 3 when the task is
    claimed, or this host has no room for another session.
    """
    from git_planner.flows.board.sessions import start_session
    from git_planner.flows.board.sessions.list_sessions import view_session

    repo = start_in_repository()
    chosen = _started_as({**given, "notes": notes})
    started = start_session.spawn_worker(repo, task, chosen, tell)
    return _print_session(view_session(repo, started), as_json=as_json)


@session.command("list")
@active_option
@all_option
@plan_option
@json_option
def list_all(*, active: bool, show_all: bool, plan: str | None, as_json: bool) -> int:
    """List sessions, those of other hosts as the plans know them."""
    return _list(plan, active=active, show_all=show_all, kind=None, as_json=as_json)


@worker.command("list")
@active_option
@all_option
@plan_option
@json_option
def list_workers(*, active: bool, show_all: bool, plan: str | None, as_json: bool) -> int:
    """List the workers' sessions."""
    return _list(plan, active=active, show_all=show_all, kind="worker", as_json=as_json)


@session.command("attach")
@click.argument("name", required=False, metavar="[NAME]")
@plan_option
@json_option
def attach(*, name: str | None, plan: str | None, as_json: bool) -> int:
    """Show the session NAME, or the terminals of all sessions, the planner's first.

    Where there is no terminal on stdout, and with --json, print the command that attaches.
    """
    import shlex
    import sys

    from git_planner.flows.board.sessions.list_sessions import find_attachment

    found = find_attachment(start_in_repository(), name, plan)
    if as_json:
        emit(found.document())
        return DONE
    if found.argv is None:
        say(found.place)
        return DONE
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say(shlex.join(found.argv))
        return DONE
    from git_planner.host.terminals.foreground import become

    # The command unsets TMUX, so that attaching from within another tmux works.
    return become(found.argv)


@session.command("prompt")
@click.argument("name", metavar="NAME")
@click.option("--path", "path_only", is_flag=True, help="Print only the path of the file.")
@plan_option
@json_option
def prompt(*, name: str, path_only: bool, plan: str | None, as_json: bool) -> int:
    """Show the prompt that a session of this host was started with."""
    from git_planner.flows.board.sessions.list_sessions import read_prompt

    kept = read_prompt(start_in_repository(), name, plan)
    if as_json:
        emit(kept.document())
    else:
        say(str(kept.path) if path_only else kept.text.rstrip("\n"))
    return DONE


@session.command("close")
@click.argument("name", metavar="NAME")
@click.option(
    "--task-status",
    "status",
    type=click.Choice(["todo", "blocked", "agent_done", "review_ready", "cancelled"]),
    help="New status of a worker's task, once it has ended.",
)
@keep_option
@plan_option
@json_option
def close(*, name: str, status: Any, keep_running: bool, plan: str | None, as_json: bool) -> int:
    """End the client of the session NAME; a worker's unfinished task is put back, its changes are kept."""
    return _close(name, plan, status=status, keep_running=keep_running, as_json=as_json)


@worker.command("close")
@click.argument("name", metavar="NAME")
@keep_option
@plan_option
@json_option
def close_worker(*, name: str, keep_running: bool, plan: str | None, as_json: bool) -> int:
    """End the worker NAME, such as worker-task_001 or task_001."""
    return _close(name, plan, status=None, keep_running=keep_running, as_json=as_json)


@worker.command("integrate")
@click.argument("tasks", nargs=-1, metavar="[TASK]...", shell_complete=options.candidates("tasks"))
@click.option("--into", metavar="BRANCH", help="Branch to bring them to (default: the policy's base).")
@click.option("--merge", is_flag=True, help="Make merge commits, which keep the branches' own commits.")
@plan_option
@json_option
def integrate(
    *, tasks: tuple[str, ...], into: str | None, merge: bool, plan: str | None, as_json: bool
) -> int:
    """Bring the branches of finished tasks to the base branch, each on top of the one before it.

    A task's verify commands run on the result; the branch moves only if they pass. Exit with 1 when a branch
    does not merge or its verify commands fail; the others are brought back.
    """
    from git_planner.flows.board.integrate import integrate as flow

    done = flow(start_in_repository(), tasks, tell, plan=plan, into=into, merge=merge)
    if as_json:
        emit(done.document())
        return done.exit
    for result in done.results:
        commit = f" as {result.commit[:12]}" if result.outcome == "integrated" and result.commit else ""
        say(f"{result.task}: {result.outcome}{commit}{f': {result.reason}' if result.reason else ''}")
        for path in result.paths:
            say(f"  {path}")
    if not done.results:
        say(f"no task of the plan '{done.plan}' is finished and not yet on '{done.branch}'")
    return done.exit


@worker.command("prune")
@click.option(
    "--keep",
    type=click.IntRange(0, 100_000),
    default=200,
    show_default=True,
    metavar="N",
    help="Keep the files of the N newest ended runs.",
)
@options.dry_run_option
@json_option
def prune(*, keep: int, dry_run: bool, as_json: bool) -> int:
    """Remove worktrees of finished work, and the files of ended runs but the newest."""
    from git_planner.flows.board.prune import prune_board

    done = prune_board(start_in_repository(), keep, tell, dry_run=dry_run)
    if as_json:
        emit(done.document())
        return DONE
    verb = "would remove" if dry_run else "removed"
    worktrees = [place for place in done.worktrees.places if place.why is None]
    say(f"{verb} {len(worktrees)} worktrees, {size_text(done.worktrees.freed)}")
    say(f"{verb} the files of {len(done.runs)} runs, {size_text(sum(run.size for run in done.runs))}")
    say(f"kept the files of {done.kept_runs} ended runs, {size_text(done.kept_bytes)}")
    for place in done.worktrees.places:
        if place.why is not None:
            say(f"kept '{place.path}', {size_text(place.size)}: {place.why}")
    return DONE


@click.command()
@json_option
def suspend(*, as_json: bool) -> int:
    """Stop the clients of all sessions of this repository; 'git plan resume' goes on with them."""
    from git_planner.flows.board.sessions.close_sessions import suspend_sessions

    repo = start_in_repository()
    return _print_all(repo, suspend_sessions(repo, tell), "no session runs", as_json=as_json)


@click.command()
@json_option
def resume(*, as_json: bool) -> int:
    """Go on with all suspended sessions of this repository, the planner's first."""
    from git_planner.flows.board.sessions.close_sessions import resume_sessions

    repo = start_in_repository()
    return _print_all(repo, resume_sessions(repo, tell), "no session is suspended", as_json=as_json)


@click.command()
@json_option
def shutdown(*, as_json: bool) -> int:
    """Close all sessions of this repository; unfinished tasks are put back, their changes are kept."""
    from git_planner.flows.board.sessions.close_sessions import shut_down

    repo = start_in_repository()
    return _print_all(repo, shut_down(repo, tell), "no session is open", as_json=as_json)


@click.command("session-program", hidden=True)
@click.argument("session_id", metavar="ID")
def session_program(*, session_id: str) -> int:
    """Run the client of a session in this terminal; 'git plan worker spawn' starts this."""
    from git_planner.flows.board.sessions.session_program import run_session

    left = run_session(start_in_repository(), session_id, tell)
    tell(f"{left.session.name}: {left.session.outcome or left.session.state}")
    return DONE if left.session.outcome in ("done", None) else NO


def _started_as(given: dict[str, Any]) -> StartOptions:
    from git_planner.flows.board.sessions.start_session import StartOptions

    new_thread = given.pop("new_session")
    return StartOptions(new_thread=new_thread, **given)


def _close(name: str, plan: str | None, *, status: Any, keep_running: bool, as_json: bool) -> int:
    from git_planner.flows.board.sessions.close_sessions import close_session
    from git_planner.flows.board.sessions.list_sessions import view_session
    from git_planner.flows.board.sessions.session_store import find_session

    repo = start_in_repository()
    found = find_session(repo, name, plan)
    closed = close_session(repo, found, tell, status=status, keep_running=keep_running)
    return _print_session(view_session(repo, closed), as_json=as_json)


def _list(plan: str | None, *, active: bool, show_all: bool, kind: str | None, as_json: bool) -> int:
    from git_planner.flows.board.sessions.list_sessions import list_sessions

    sessions = list_sessions(start_in_repository(), plan, active=active, kind=kind)
    if as_json:
        emit(sessions.document())
        return DONE
    if not sessions.views:
        say("no session")
    ended = [view for view in sessions.views if view.session.session.state == "ended"]
    hidden = set() if show_all else {view.session.run for view in ended[:-_MOST_ENDED]}
    for view in sessions.views:
        if view.session.run not in hidden:
            say(view.line())
    if hidden:
        say(f"and {len(hidden)} that ended earlier; '--all' lists them")
    return DONE


def _print_all(repo: Any, changed: Iterable[Any], nothing: str, *, as_json: bool) -> int:
    from git_planner.flows.board.sessions.list_sessions import Sessions, view_session

    sessions: Sessions = Sessions(tuple(view_session(repo, item) for item in changed))
    if as_json:
        emit(sessions.document())
        return DONE
    for view in sessions.views:
        say(view.line())
    if not sessions.views:
        say(nothing)
    return DONE


def _print_session(view: SessionView, *, as_json: bool) -> int:
    if as_json:
        emit(view.document())
        return DONE
    say(view.line())
    if view.attach is not None:
        say(f"  watch it: {view.attach}")
    return DONE
