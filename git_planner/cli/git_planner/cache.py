"""`git planner cache`: list and remove kept outputs of the policy's steps, and measured folders."""

from __future__ import annotations

import time
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
    """List and remove what is kept for measuring: outputs of steps ('prepare', 'build'), measured folders.

    It lies outside of the repositories of this user, which share the outputs. What is removed is made again
    when it is needed.
    """


@cache.command("list", short_help="List what is kept for measuring.")
@json_option
def list_(*, as_json: bool) -> int:
    """List kept outputs of steps and measured folders, those first that were used last."""
    from git_planner.flows.measuring.prepared.cache import list_cache

    kept = list_cache()
    return _show(kept, f"{size_text(kept.size)} in '{kept.folder}'", as_json=as_json)


@cache.command(short_help="Remove what was not used lately.")
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
    """Remove what was not used lately, or is damaged; what is in use stays."""
    from git_planner.flows.measuring.prepared.cache import prune_cache

    removed = prune_cache(unused_days=days, dry_run=dry_run)
    count = len(removed.entries) + len(removed.trees)
    done = f"{'would remove' if dry_run else 'removed'} {count}, {size_text(removed.size)}"
    return _show(removed, done, as_json=as_json)


def _show(shown: Cache, last: str, *, as_json: bool) -> int:
    """Print what the cache holds, or held, and a last line for people."""
    if as_json:
        emit({"schema": "git-planner/cache@1", **shown.document()})
        return DONE
    for tree in shown.trees:
        whose = f"measured folder of {tree.repository}" if tree.repository else "measured folder, damaged"
        unused = _days(max(0.0, time.time() - tree.used))
        say(
            f"{tree.path.name[:12]}  {whose}  ({size_text(tree.size)}, {tree.files:,} files, "
            f"unused for {unused})"
        )
    for entry in shown.entries:
        state = "in use" if entry.in_use else f"unused for {_days(entry.unused)}"
        step = f"{entry.step}: {', '.join(entry.outputs)}" if entry.step else "damaged"
        say(
            f"{entry.digest[:12]}  {step}  ({size_text(entry.size)}, {entry.files:,} files, "
            f"made {_days(entry.age)} ago, {state})"
        )
    say(last)
    return DONE


def _days(seconds: float) -> str:
    return f"{seconds / _DAY:.0f} days" if seconds >= _DAY else f"{seconds / 3600:.1f} hours"
