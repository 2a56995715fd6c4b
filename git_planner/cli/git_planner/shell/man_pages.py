"""`git planner install-man-pages`: install the manual pages that `make docs` generates.

`git plan --help` never reaches the program: git asks man for git-plan(1). pip and pipx install the pages
where man finds them; `uv tool` does not.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE, PlannerError


@click.command()
@click.option(
    "--to",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Manual folder, with man1, man5 and man7 (default: see above).",
)
@click.option("--remove", is_flag=True, help="Remove the pages.")
@json_option
def install(to: Path | None, remove: bool, as_json: bool) -> int:
    """Install the manual pages, so that 'git help plan' and 'git plan --help' find them.

    Needed with installers that do not, such as 'uv tool'. The default folder is 'man' in $XDG_DATA_HOME
    (~/.local/share), which man searches when ~/.local/bin is on PATH.
    """
    from git_planner.flows.setup import man_pages

    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    folder = to or Path(data) / "man"
    if to is None and data.startswith("~"):
        raise PlannerError("E_USAGE", "this user has no home folder", hint="name a folder with '--to'")
    done = man_pages.remove_pages(folder) if remove else man_pages.install_pages(folder)
    if as_json:
        emit({"schema": "git-planner/man-pages@1", "removed": remove, "pages": [str(page) for page in done]})
        return DONE
    for page in done:
        say(f"{'removed' if remove else 'installed'} '{page}'")
    if not remove and not man_pages.is_found():
        tell(f"man does not search '{folder}': add it to MANPATH, as in MANPATH='{folder}:'")
    return DONE
