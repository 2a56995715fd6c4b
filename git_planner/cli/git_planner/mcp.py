"""`git planner mcp`: the MCP server, and how agents' clients find it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, PlannerError
from git_planner.flows.setup.client_files import CLIENTS, Scope


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.pass_context
def mcp(context: click.Context) -> None:
    """Serve plans, tasks, leases and measurements to agents' clients over MCP, on stdin and stdout.

    Without a command it serves until the client closes stdin. Each tool runs a command of the command line in
    a process of its own.
    """
    if context.invoked_subcommand is None:
        context.invoke(serve)


@mcp.command(short_help="Serve on stdin and stdout.")
def serve() -> int:
    """Serve on stdin and stdout, until the client closes stdin."""
    if find_spec("mcp") is None:
        raise PlannerError(
            "E_MISSING_EXTRA",
            "'mcp', which speaks the protocol, is not installed",
            hint="pip install 'git-planner[mcp]'",
        )
    if sys.stdin is None:
        raise PlannerError("E_USAGE", "stdin is closed", hint="let a client start it")
    if sys.stdin.isatty():
        tell("waiting for a client on stdin (Ctrl-D ends); 'git planner mcp register' makes one start it")
    from git_planner.host.calls.fork_server import ForkServer

    forks = ForkServer(
        [sys.executable, "-c", f"from {__name__} import calls; calls()"], Path.cwd(), os.environ
    )
    try:
        # While it imports the commands, this process imports the protocol.
        forks.start()
        from git_planner.mcp.server import serve as run

        run(forks)
    finally:
        forks.stop()
    return DONE


def calls() -> None:
    """Carry out the calls of a server, with everything imported that most of them need."""
    from importlib import import_module

    from git_planner import cli
    from git_planner.host.calls.fork_server import serve as fork_calls
    from git_planner.mcp.calls import answer_request

    for row in cli.COMMANDS["git-plan"].values():
        import_module(f"git_planner.cli.{row.module}")
    for module in _OFTEN_NEEDED:
        import_module(module)
    fork_calls(int(sys.argv[1]), lambda data, reply: answer_request(cli.main, data, reply))


# What the commands import late, for the calls that should be quick.
_OFTEN_NEEDED = (
    "git_planner.cli.boundary",
    "git_planner.flows.board.inbox",
    "git_planner.flows.tasks.claims",
    "git_planner.flows.tasks.edit",
    "git_planner.flows.planning.campaign",
    "git_planner.rules.tasks.readiness",
    "git_planner.redact",
    "orjson",
)


client_option = click.option(
    "--client",
    type=click.Choice(sorted(CLIENTS)),
    default="codex",
    show_default=True,
    help="Client of agents.",
)
scope_option = click.option(
    "--scope",
    type=click.Choice(["user", "project"]),
    help="Whose file to change (default: 'user', for clients that have one).",
)
print_option = click.option(
    "--print", "is_print", is_flag=True, help="Print what would be written, and write nothing."
)


@mcp.command(short_help="Register the server with an agent's client.")
@client_option
@scope_option
@click.option("--approve", is_flag=True, help="Let the client call the tools without asking.")
@print_option
@json_option
def register(*, client: str, scope: Scope | None, approve: bool, is_print: bool, as_json: bool) -> int:
    """Register the server in a client's own file; everything else in the file stays.

    Registering again changes nothing.
    """
    from git_planner.flows.setup.register_client import register as run

    done = run(client, scope, _worktree(), approve=approve, write=not is_print)
    if as_json:
        emit(done.document())
        return DONE
    tell(f"'{done.path}'" if is_print else f"{done.state}: '{done.path}'")
    say(done.entry.rstrip())
    return DONE


@mcp.command(short_help="Take the server out of a client's file.")
@client_option
@scope_option
@json_option
def unregister(*, client: str, scope: Scope | None, as_json: bool) -> int:
    """Take the server out of a client's file; everything else in the file stays."""
    from git_planner.flows.setup.register_client import unregister as run

    done = run(client, scope, _worktree())
    if as_json:
        emit(done.document())
    else:
        say(f"{done.state}: '{done.path}'")
    return DONE


@mcp.command(short_help="Write codex's plugin for this repository.")
@print_option
@json_option
def plugin(*, is_print: bool, as_json: bool) -> int:
    """Write a plugin of codex and a marketplace file into the worktree, for all who use the repository.

    A marketplace file that is there gets one more plugin.
    """
    from git_planner.flows.setup.codex_plugin import NAME, write_plugin

    top = start_in_repository().top
    if top is None:
        raise PlannerError("E_USAGE", "a bare repository has no worktree", hint="run it in a worktree")
    done = write_plugin(top, write=not is_print)
    if as_json:
        emit(done.document())
        return DONE
    for name, text in done.files.items():
        if is_print:
            tell(f"'{name}'")
            say(text.rstrip())
        else:
            say(f"{'written' if name in done.written else 'kept'}: '{name}'")
    if not is_print:
        say("next: codex plugin marketplace add .")
        say(f"next: codex plugin add {NAME}@{done.marketplace}")
    return DONE


def _worktree() -> Path | None:
    """Return the top of the worktree around the current folder; None outside of one."""
    try:
        return start_in_repository().top
    except PlannerError as error:
        if error.code != "E_NOT_A_REPOSITORY":
            raise
        return None
