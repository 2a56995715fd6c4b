"""`git planner cache`: list and remove kept outputs of the policy's steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from git_planner.cli.lazy_group import CommandGroup
from git_planner.cli.options import dry_run_option, json_option
from git_planner.cli.output import emit, say, size_text
from git_planner.errors import DONE

if TYPE_CHECKING:
    from git_planner.flows.measuring.prepared.cache import Cache

_DAY = 86_400.0


@click.group(cls=CommandGroup)
def cache() -> None:
    """List and remove what the steps of policies ('prepare', 'build') have made.

    It is kept outside of repositories, and shared by all of this user's. What is removed is made again when
    it is needed.
    """


@cache.command("list", short_help="List the kept outputs of steps.")
@json_option
def list_(*, as_json: bool) -> int:
    """List the kept outputs of steps, those first that were used last."""
    from git_planner.flows.measuring.prepared.cache import list_cache

    found = list_cache()
    if as_json:
        emit({"schema": "git-planner/cache@1", **found.document()})
        return DONE
    _print(found)
    say(f"{size_text(found.size)} in '{found.folder}'")
    return DONE


@cache.command(short_help="Remove kept outputs that were not used lately.")
@click.option(
    "--unused",
    "days",
    type=click.FloatRange(0, 36_500),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Remove what was not used for so many days; 0 removes all.",
)
@dry_run_option
@json_option
def prune(*, days: float, dry_run: bool, as_json: bool) -> int:
    """Remove kept outputs that were not used lately, or are damaged; what is in use stays."""
    from git_planner.flows.measuring.prepared.cache import prune_cache

    removed = prune_cache(unused_days=days, dry_run=dry_run)
    if as_json:
        emit({"schema": "git-planner/cache@1", **removed.document()})
        return DONE
    _print(removed)
    say(f"{'would remove' if dry_run else 'removed'} {len(removed.entries)}, {size_text(removed.size)}")
    return DONE


def _print(shown: Cache) -> None:
    for entry in shown.entries:
        state = "in use" if entry.in_use else f"unused for {_days(entry.unused)}"
        step = f"{entry.step}: {', '.join(entry.outputs)}" if entry.step else "damaged"
        say(
            f"{entry.digest[:12]}  {step}  ({size_text(entry.size)}, {entry.files:,} files, "
            f"made {_days(entry.age)} ago, {state})"
        )


def _days(seconds: float) -> str:
    return f"{seconds / _DAY:.0f} days" if seconds >= _DAY else f"{seconds / 3600:.1f} hours"
