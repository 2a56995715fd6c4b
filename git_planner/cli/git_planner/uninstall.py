"""`git planner uninstall`: take git-planner out of a repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from git_planner.cli.options import dry_run_option, json_option, yes_option
from git_planner.cli.output import ask, emit, say, size_text, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE, PlannerError

if TYPE_CHECKING:
    from git_planner.flows.setup.uninstall.traces import Traces


@click.command()
@click.option("--all-refs", "work", is_flag=True, help="Also remove refs with work that nothing else keeps.")
@dry_run_option
@yes_option
@json_option
def uninstall(*, work: bool, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Take git-planner out of this repository: list what it has put here, ask, and remove it.

    Hooks, configuration, private refs, clean worktrees of finished iterations and the private folder are
    removed. Branches and tags stay: they hold the documents. So do refs with work that nothing else keeps,
    such as changes that the guard refused.
    """
    from git_planner.flows.setup.uninstall import uninstall as flow
    from git_planner.flows.setup.uninstall.traces import find_traces

    repo = start_in_repository()
    traces = find_traces(repo)
    lines = list(_lines(traces, work=work))
    if dry_run or traces.is_empty:
        if as_json:
            emit({"schema": "git-planner/traces@1", **traces.document()})
        else:
            _print(traces, lines)
        return DONE
    flow.check_idle(traces)
    if not yes and not _agrees(traces, lines, as_json=as_json):
        return DONE
    done = flow.uninstall(repo, tell, work=work)
    if as_json:
        emit(done.document())
        return DONE
    say("git-planner is removed from this repository")
    for name in done.left_hooks:
        tell(f"hooks: '{name}' was changed since its installation and stays")
    _print_left(done.after)
    return DONE


def _lines(traces: Traces, *, work: bool) -> Iterator[str]:
    """Yield what is removed, a line each."""
    if traces.hooks:
        yield "the hooks; those that were there before are restored"
    if traces.driver:
        yield "the merge driver"
    for name in traces.remotes:
        yield f"the refspecs of the remote '{name}'"
    if traces.config:
        yield f"configuration: {', '.join(traces.config)}"
    count = len(traces.refs) - (0 if work else len(traces.work))
    if count:
        yield f"{count} private refs below 'refs/planner/'"
    for place in traces.worktrees:
        if place.why is None:
            yield f"the worktree '{place.path}'"
    if traces.folder is not None:
        yield f"'{traces.folder}' ({size_text(traces.size)}): logs, caches, notes of this clone"
    if traces.kept is not None:
        yield f"'{traces.kept.path}' ({size_text(traces.kept.size)}): the folder of the last record"


def _print(traces: Traces, lines: list[str]) -> None:
    for line in lines or ["nothing of git-planner is here, except what stays"]:
        say(f"would remove {line}" if lines else line)
    _print_left(traces)


def _print_left(traces: Traces) -> None:
    for place in traces.worktrees:
        if place.why is not None:
            say(f"stays: the worktree '{place.path}': {place.why}")
    for ref in sorted(traces.work):
        say(f"stays: {ref}, work that nothing else keeps")
    for line in traces.outside:
        say(f"stays: {line}")


def _agrees(traces: Traces, lines: list[str], *, as_json: bool) -> bool:
    """Show what is removed, and ask.

    Raises:
        PlannerError: E_USAGE where nobody can be asked.
    """
    if not as_json:
        _print(traces, lines)
    answer = None if as_json else ask("remove it?")
    if answer is None:
        raise PlannerError(
            "E_USAGE",
            "an uninstallation asks before it removes anything",
            hint="run it in a terminal, or agree with '--yes'",
            details=[f"would remove {line}" for line in lines],
        )
    return answer
