"""Remove our hooks, and put back those that were there before."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.manifest import INCLUDE, current_setting, installed_manifest
from git_planner.flows.hooks.places import is_same_file
from git_planner.flows.hooks.scripts import BACKUP_SUFFIX
from git_planner.gitio import conditional_include
from git_planner.gitio.repository import Repository


@dataclass(frozen=True, slots=True)
class UninstallResult:
    """What an uninstallation did. `left` are hooks that somebody put where ours had been; they stay."""

    changed: bool
    left: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/hooks-removed@1",
            "changed": self.changed,
            "left": list(self.left),
        }


def uninstall_hooks(repo: Repository) -> UninstallResult:
    """Remove the hooks and every trace of them; the repository's own are as they were, to the byte.

    Raises:
        PlannerError: E_BUSY.
    """
    manifest = installed_manifest(repo)
    changed = conditional_include.cut(repo, scripts.PREFIXES, INCLUDE)
    left: list[str] = []
    folder = _taken(repo, manifest)
    if folder is not None:
        restored, left = _restore(folder, made=bool(manifest and manifest["made"]))
        changed |= restored
    for name in ("hooks", "guards", "cache"):
        changed |= repo.private(name).exists()
        shutil.rmtree(repo.private(name), ignore_errors=True)
    for name in ("hooks.inc", "theirs.inc", "hooks.json"):
        changed |= repo.private(name).exists()
        repo.private(name).unlink(missing_ok=True)
    if repo.private().is_dir() and not any(repo.private().iterdir()):
        repo.private().rmdir()
    return UninstallResult(changed, tuple(left))


def _taken(repo: Repository, manifest: dict[str, Any] | None) -> Path | None:
    """The ordinary folder that an installation wrote into; None when it wrote into none."""
    if manifest is not None:
        where = manifest["folder"] if manifest["place"] == "ordinary" else manifest["outside"]
        return Path(where) if where else None
    # Without what it wrote down, ours are looked for where they would be now.
    setting = current_setting(repo, ordinary=False)
    return Path(setting.theirs) if setting.outside else None


def _restore(folder: Path, *, made: bool) -> tuple[bool, list[str]]:
    """Put the hooks of the ordinary folder back.

    Returns:
        Whether anything changed, and the names of hooks whose place somebody else's hook has taken.
    """
    changed, left = False, []
    for name in scripts.OURS:
        kept = folder / (name + BACKUP_SUFFIX)
        # pre-commit and lefthook put what they find aside under these names when they are installed later.
        for hook in (folder / name, folder / f"{name}.legacy", folder / f"{name}.old"):
            if scripts.is_ours(hook):
                changed = True
                os.replace(kept, hook) if os.path.lexists(kept) else hook.unlink()
        if os.path.lexists(kept):
            hook = folder / name
            if not os.path.lexists(hook) or is_same_file(hook, kept):
                changed = True
                # Renaming a file to another name of its own does nothing, so that is taken away.
                kept.unlink() if os.path.lexists(hook) else os.replace(kept, hook)
            else:
                left.append(name)
    if made and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return changed, left
