"""Where the pages of the manual lie, and whether man finds them."""

from __future__ import annotations

import shutil
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.host import process
from git_planner.resources import resource_folder


def pages() -> list[Path]:
    """The pages that are shipped, each in the folder of its section."""
    return sorted(resource_folder("templates").glob("man/man?/*.?"))


def install(folder: Path) -> list[Path]:
    """Put every page into its section's folder; return where they are.

    Raises:
        PlannerError: E_USAGE.
    """
    done = []
    for page in pages():
        place = folder / page.parent.name / page.name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(place, page.read_bytes())
        except OSError as error:
            raise _unwritable(place, error) from None
        done.append(place)
    return done


def remove(folder: Path) -> list[Path]:
    """Take the pages out again; return those that were there.

    Raises:
        PlannerError: E_USAGE.
    """
    done = []
    for page in pages():
        place = folder / page.parent.name / page.name
        try:
            place.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unwritable(place, error) from None
        done.append(place)
    return done


def _unwritable(place: Path, error: OSError) -> PlannerError:
    return PlannerError(
        "E_USAGE", f"'{place}' cannot be written ({error.strerror})", hint="name another folder with '--to'"
    )


def found() -> bool | None:
    """Whether man finds the page that 'git plan --help' asks for; None where there is no man."""
    man = shutil.which("man")
    if man is None:
        return None
    return process.run([man, "-w", "git-plan"], cwd=Path("/"), seconds=10.0).status == 0
