"""The manual: pages made by `make docs`, shipped with the package, put in their place by `install-man-pages`.

`git plan --help` never reaches us: git asks man for git-plan(1). pip and pipx put the pages where man finds
them; what does not (uv tool) leaves it to `git planner install-man-pages`.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from git_planner.cli.options import json_option
from git_planner.cli.output import emit, say, tell
from git_planner.errors import DONE


@click.command()
@click.option(
    "--to", metavar="DIR", type=click.Path(path_type=Path), help="The folder of man1, man5 and man7."
)
@click.option("--remove", is_flag=True, help="Take the pages out again.")
@json_option
def install(to: Path | None, remove: bool, as_json: bool) -> int:
    """Put the manual pages where man finds them, so that 'git help plan' and 'git plan --help' do.

    Needed where the installer does not, as 'uv tool'. Without '--to' they go to 'man' in $XDG_DATA_HOME
    (~/.local/share), where man looks when ~/.local/bin is on the path.
    """
    from git_planner.flows.setup import man_pages

    folder = to or Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "man"
    done = man_pages.remove(folder) if remove else man_pages.install(folder)
    if as_json:
        emit({"schema": "git-planner/man-pages@1", "removed": remove, "pages": [str(each) for each in done]})
        return DONE
    for each in done:
        say(f"{'removed' if remove else 'installed'} '{each}'")
    if not remove and not man_pages.found():
        tell(f"man does not look into '{folder}' yet: add it to MANPATH, as in MANPATH='{folder}:'")
    return DONE
