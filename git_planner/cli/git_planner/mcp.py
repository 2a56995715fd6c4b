"""`git planner mcp`: the MCP server, and how agents' clients find it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.errors import DONE, PlannerError


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
    from git_planner.mcp.server import serve as run

    run([sys.executable, "-c", f"from {__name__} import calls; calls()"])
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
