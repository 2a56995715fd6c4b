"""Remove the installed hooks and restore those they replaced."""

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
from git_planner.rules.plans import pages


@dataclass(frozen=True, slots=True)
class UninstallResult:
    """Result of an uninstallation. `left` are hooks that another program put in place of ours; they stay."""

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
    """Remove the hooks and everything the installation wrote; restore the repository's own byte for byte.

    Raises:
        PlannerError: E_BUSY.
    """
    manifest = installed_manifest(repo)
    changed = conditional_include.cut(repo, scripts.PREFIXES, INCLUDE)
    left: list[str] = []
    hooks_folder = _ordinary_folder(repo, manifest)
    if hooks_folder is not None:
        restored, left = _restore(hooks_folder, made=bool(manifest and manifest["made"]))
        changed |= restored
    for name in ("hooks", "guards", "cache"):
        changed |= repo.private(name).exists()
        shutil.rmtree(repo.private(name), ignore_errors=True)
    for name in ("hooks.inc", "theirs.inc", "hooks.json", pages.PLANS_MARKER):
        changed |= repo.private(name).exists()
        repo.private(name).unlink(missing_ok=True)
    if repo.private().is_dir() and not any(repo.private().iterdir()):
        repo.private().rmdir()
    return UninstallResult(changed, tuple(left))


def _ordinary_folder(repo: Repository, manifest: dict[str, Any] | None) -> Path | None:
    """Return the ordinary folder that the installation wrote into; None if it wrote into none."""
    if manifest is not None:
        folder = manifest["folder"] if manifest["place"] == "ordinary" else manifest["outside"]
        return Path(folder) if folder else None
    # Without a manifest, look in the folder that would be used now.
    setting = current_setting(repo, ordinary=False)
    return Path(setting.theirs) if setting.outside else None


def _restore(folder: Path, *, made: bool) -> tuple[bool, list[str]]:
    """Restore the hooks of the ordinary folder.

    Returns:
        Whether anything changed, and the names of hooks that another program has replaced.
    """
    changed, left = False, []
    for name in scripts.OURS:
        backup = folder / (name + BACKUP_SUFFIX)
        # pre-commit and lefthook rename existing hooks to these names.
        for hook in (folder / name, folder / f"{name}.legacy", folder / f"{name}.old"):
            if scripts.is_ours(hook):
                changed = True
                os.replace(backup, hook) if os.path.lexists(backup) else hook.unlink()
        if os.path.lexists(backup):
            hook = folder / name
            if not os.path.lexists(hook) or is_same_file(hook, backup):
                changed = True
                # rename(2) between two hard links of one file does nothing, so unlink one.
                backup.unlink() if os.path.lexists(hook) else os.replace(backup, hook)
            else:
                left.append(name)
    if made and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return changed, left
