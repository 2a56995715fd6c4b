"""Folders that steps and, without a jail, the commands run in.

What a step makes often names the folder that it was made in, so such a folder has to have a fixed name. In
the jail it has. Without one, each record takes the first free place of a few.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.folders import remove_folder, user_cache

# Folders in this user's cache: kept outputs, and places to measure in.
OUTPUTS, PLACES = "prepared", "measured"
_MOST_PLACES = 64


def existing_folder(name: str) -> Path | None:
    """Return a folder of this user's cache; None if there is none, or it is empty."""
    try:
        folder = user_cache() / name
        return folder if os.listdir(folder) else None
    except OSError:
        return None


def cache_folder(name: str) -> Path:
    """Return a folder of this user's cache; make it if there is none.

    Raises:
        PlannerError: E_UNWRITABLE.
    """
    try:
        top = user_cache() / name
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE",
            f"the folder '{error.filename}' cannot be made: {(error.strerror or 'no reason given').lower()}",
            hint="name another folder in XDG_CACHE_HOME",
        ) from None
    return top.resolve()


@contextmanager
def fixed_place() -> Iterator[Path]:
    """Yield a folder with a name of few, which no other program uses meanwhile.

    Raises:
        PlannerError: E_BUSY, E_UNWRITABLE.
    """
    top = cache_folder(PLACES)
    for number in range(_MOST_PLACES):
        with (top / f"{number}.lock").open("ab") as file:
            if atomic_file.lock_now(file):
                place = top / str(number)
                try:
                    yield place
                finally:
                    remove_folder(place)
                return
    raise PlannerError("E_BUSY", f"all {_MOST_PLACES} places in '{top}' are in use")


@contextmanager
def emptied(place: Path) -> Iterator[Path]:
    """Yield a place with new, empty folders 'tree', 'home' and 'tmp'; empty it again afterwards."""
    remove_folder(place)
    try:
        for name in ("tree", "home", "tmp"):
            (place / name).mkdir(parents=True)
        yield place
    finally:
        remove_folder(place)
