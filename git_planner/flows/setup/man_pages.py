"""Install and remove the man pages."""

from __future__ import annotations

import shutil
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.host import process
from git_planner.resources import resource_folder


def shipped_pages() -> list[Path]:
    """Return the shipped man pages, in the folders of their sections."""
    return sorted(resource_folder("templates").glob("man/man?/*.?"))


def install_pages(folder: Path) -> list[Path]:
    """Copy every page to the folder of its section; return their paths.

    Raises:
        PlannerError: E_USAGE.
    """
    installed = []
    for page in shipped_pages():
        target = folder / page.parent.name / page.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(target, page.read_bytes())
        except OSError as error:
            raise _unwritable_error(target, error) from None
        installed.append(target)
    return installed


def remove_pages(folder: Path) -> list[Path]:
    """Remove the pages; return the removed ones.

    Raises:
        PlannerError: E_USAGE.
    """
    removed = []
    for page in shipped_pages():
        target = folder / page.parent.name / page.name
        try:
            target.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unwritable_error(target, error) from None
        removed.append(target)
    return removed


def _unwritable_error(path: Path, error: OSError) -> PlannerError:
    return PlannerError(
        "E_USAGE", f"'{path}' cannot be written ({error.strerror})", hint="name another folder with '--to'"
    )


def is_found() -> bool | None:
    """Return whether man finds the page of 'git plan --help'; None without man."""
    man = shutil.which("man")
    if man is None:
        return None
    return process.run([man, "-w", "git-plan"], cwd=Path("/"), seconds=10.0).status == 0
