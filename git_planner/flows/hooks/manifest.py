"""Manifest of an installation: the files it wrote and the values baked into them."""

from __future__ import annotations

import json
import os
import site
import sys
from pathlib import Path
from typing import Any

import git_planner
from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.places import is_ours_alone, write_text
from git_planner.flows.hooks.scripts import Content, HookSetting
from git_planner.gitio import conditional_include
from git_planner.gitio.repository import Repository

INSTALL = "git planner hooks install"
_KEYS = {"schema", "common", "place", "folder", "made", "outside", "python", "code", "files"}
# Prefix in the manifest for a hook that was written into the ordinary folder.
OUTSIDE = "outside/"
INCLUDE = "planner/hooks.inc"


def current_setting(repo: Repository, *, ordinary: bool) -> HookSetting:
    """Return the values that an installation would bake into the hooks now."""
    ours = str(repo.private("hooks"))
    values = [
        value for value in conditional_include.hooks_paths(repo) if value.scope not in ("worktree", "command")
    ]
    values = [value for value in values if value.value != ours and not value.origin.endswith("/" + INCLUDE)]
    if ordinary and values and values[-1].scope != "local":
        raise PlannerError(
            "E_HOOKS",
            f"core.hooksPath comes from '{values[-1].origin}', which other repositories use too",
            hint=f"run '{INSTALL}' without --ordinary",
        )
    theirs = values[-1].value if values else str(repo.common / "hooks")
    own = not values or values[-1].scope == "local"
    return HookSetting(
        "ordinary" if ordinary else "include",
        repo.common,
        theirs,
        repo.place,
        sys.executable,
        "\n".join(dict.fromkeys((str(Path(git_planner.__file__).parents[1]), *site.getsitepackages()))),
        outside=own and is_ours_alone(repo, Path(theirs)),
    )


def write_manifest(setting: HookSetting, contents: dict[str, Content], *, made: bool) -> bool:
    """Write the manifest, so that a later check can tell whether others changed the hooks."""
    document = {
        "schema": "git-planner/hooks@1",
        "common": str(setting.common),
        "place": setting.place,
        "folder": str(setting.folder),
        "made": made,
        "outside": setting.theirs if setting.place == "include" and setting.outside else None,
        "python": setting.python,
        "code": setting.code,
        "files": {name: scripts.content_digest(content) for name, content in contents.items()},
    }
    return write_text(setting.planner / "hooks.json", json.dumps(document, indent=2, sort_keys=True) + "\n")


def installed_manifest(repo: Repository) -> dict[str, Any] | None:
    """Return what the installation in this repository wrote; None when there is none.

    Its folders lie in the common git directory. If the repository was moved or copied afterwards they are
    named where it is now, so that nothing of the original is touched; 'common' says where it was.
    """
    manifest = _read_manifest(repo.private("hooks.json"))
    if manifest is not None:
        for key in ("folder", "outside"):
            path = Path(manifest[key] or "")
            if path.is_relative_to(manifest["common"]):
                manifest[key] = str(repo.common / path.relative_to(manifest["common"]))
    return manifest


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """Read a manifest; return None if it is missing or unreadable."""
    try:
        document = json.loads(os.fsdecode(atomic_file.read(path)))
        if "common" not in document:
            # Written before this key: the folder is 'hooks', or 'planner/hooks' of its own.
            parents = Path(document["folder"]).parents
            document["common"] = str(parents[1] if document["place"] == "include" else parents[0])
        return document if document.keys() == _KEYS else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, IndexError):
        return None
