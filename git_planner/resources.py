"""Folders of the installation besides the code: 'hooks' and 'templates'. Imports only errors."""

from __future__ import annotations

from pathlib import Path

from git_planner.errors import PlannerError


def resource_folder(name: str) -> Path:
    """Return a resource folder of the installed package or of the checkout.

    Args:
        name: 'hooks' or 'templates'.

    Raises:
        PlannerError: E_MISSING_FOLDER if the installation is damaged.
    """
    package = Path(__file__).parent
    for place in (package / name, package.parent / name):
        if place.is_dir():
            return place
    raise PlannerError(
        "E_MISSING_FOLDER",
        f"'{package / name}' does not exist: the installation is damaged",
        hint="pip install --force-reinstall git-planner",
    )
