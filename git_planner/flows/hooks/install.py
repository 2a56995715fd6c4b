"""Install the hooks of a repository, or update them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner.errors import PlannerError
from git_planner.flows.hooks import scripts
from git_planner.flows.hooks.manifest import (
    INCLUDE,
    INSTALL,
    OUTSIDE,
    current_setting,
    installed_manifest,
    write_manifest,
)
from git_planner.flows.hooks.places import (
    git_version,
    is_not_a_folder,
    is_ours_alone,
    is_same_file,
    keep_as,
    write_text,
)
from git_planner.flows.hooks.scripts import BACKUP_SUFFIX, EVERYWHERE, Content, HookSetting
from git_planner.flows.hooks.uninstall import uninstall_hooks
from git_planner.gitio import conditional_include, history
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.plans import pages


@dataclass(frozen=True, slots=True)
class InstallResult:
    """Result of an installation. `theirs` is the folder of the repository's hooks, `chained` names them."""

    place: str
    folder: Path
    theirs: str
    chained: tuple[str, ...]
    changed: bool

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "schema": "git-planner/hooks-installed@1",
            "place": self.place,
            "folder": str(self.folder),
            "theirs": self.theirs,
            "chained": list(self.chained),
            "changed": self.changed,
        }


def install_hooks(repo: Repository, *, ordinary: bool = False) -> InstallResult:
    """Install the hooks, or update them. Idempotent.

    Args:
        repo: the repository; its linked worktrees share the hooks.
        ordinary: install into the ordinary hooks folder, for tools that ignore conditional includes.

    Raises:
        PlannerError: E_HOOKS when that folder is shared or lies outside the git directory; E_BUSY.
    """
    ordinary = ordinary or git_version(repo) < (2, 23)
    manifest, setting = installed_manifest(repo), current_setting(repo, ordinary=ordinary)
    if ordinary:
        _check_ordinary(repo, setting.folder)
    if manifest is not None and (
        manifest["place"] != setting.place
        or manifest["outside"] not in (None, setting.theirs if setting.outside else None)
    ):
        # Otherwise the hooks in the previous folder would be left behind.
        uninstall_hooks(repo)
        manifest = None
    contents = _ordinary_files(setting) if ordinary else scripts.hook_files(setting)
    everywhere = _everywhere_files(setting)
    made = (
        manifest["made"] if manifest else not Path(setting.theirs if everywhere else setting.folder).exists()
    )
    setting.planner.mkdir(parents=True, exist_ok=True)
    changed = _write_files(setting, contents)
    if everywhere:
        changed |= _write_hooks(Path(setting.theirs), everywhere)
    changed |= write_manifest(setting, contents | everywhere, made=made)
    if history.list_refs(repo, refnames.HEADS + refnames.PLAN):
        repo.touch_private(pages.PLANS_MARKER)
    if not ordinary:
        changed |= conditional_include.append(repo, scripts.PREFIXES, INCLUDE)
    chained = tuple(name for name in (*scripts.OURS, *scripts.OTHERS) if _has_theirs(setting, name))
    return InstallResult(setting.place, setting.folder, setting.theirs, chained, changed)


def _has_theirs(setting: HookSetting, name: str) -> bool:
    apart = name in scripts.OURS if setting.place == "ordinary" else name == EVERYWHERE and setting.outside
    kept = BACKUP_SUFFIX if apart else ""
    return scripts.is_hook(setting.top / setting.theirs / (name + kept))


def _check_ordinary(repo: Repository, folder: Path) -> None:
    if not is_ours_alone(repo, folder):
        fault = "is no folder" if is_not_a_folder(folder) else f"does not lie in '{repo.common}'"
        raise PlannerError(
            "E_HOOKS",
            f"the hooks folder '{folder}' {fault}",
            hint=f"run '{INSTALL}' without --ordinary; that leaves it alone",
        )


def _ordinary_files(setting: HookSetting) -> dict[str, Content]:
    """Return the scripts for the ordinary folder; each runs the hook it replaces, kept under another name."""
    return {name: _chained_script(setting, setting.folder, name) for name in scripts.OURS}


def _everywhere_files(setting: HookSetting) -> dict[str, Content]:
    """Return the hook that goes into the ordinary folder even when the others have a folder of their own."""
    if setting.place == "ordinary" or not setting.outside:
        return {}
    return {OUTSIDE + EVERYWHERE: _chained_script(setting, Path(setting.theirs), EVERYWHERE)}


def _chained_script(setting: HookSetting, folder: Path, name: str) -> bytes:
    """Return the script of a hook in the ordinary folder, which runs the backup of the one it replaces."""
    hook, backup = folder / name, folder / (name + BACKUP_SUFFIX)
    theirs = os.path.lexists(hook) and not scripts.is_ours(hook)
    if theirs and os.path.lexists(backup) and not is_same_file(hook, backup):
        raise PlannerError(
            "E_HOOKS",
            f"'{hook}' was replaced after it had been saved as '{backup.name}'",
            hint="keep one of the two under the hook's name, remove the other, then install again",
        )
    return setting.script(name, str(backup), place="ordinary")


def _write_files(setting: HookSetting, contents: dict[str, Content]) -> bool:
    folder = setting.folder
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    if setting.place == "include":
        for path in folder.iterdir():
            if path.name not in contents:
                changed = True
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        changed |= _write_include(setting.planner / "hooks.inc", str(folder))
        changed |= _write_include(setting.planner / "theirs.inc", setting.theirs)
        for name, content in contents.items():
            changed |= scripts.write_hook(folder / name, content)
        return changed
    return _write_hooks(folder, contents)


def _write_hooks(folder: Path, contents: dict[str, Content]) -> bool:
    """Write hooks into the ordinary folder; keep existing ones as backups."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    for entry, content in contents.items():
        name = entry.removeprefix(OUTSIDE)
        path = folder / name
        backup = folder / (name + BACKUP_SUFFIX)
        if os.path.lexists(path) and not scripts.is_ours(path) and not is_same_file(path, backup):
            # The hook keeps both names until it is replaced, so a kill in between disables nothing.
            keep_as(path, backup)
        changed |= scripts.write_hook(path, content)
    return changed


def _write_include(path: Path, hooks_path: str) -> bool:
    """Write a configuration file that only sets core.hooksPath; return whether it changed."""
    escaped = hooks_path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return write_text(path, f'[core]\n\thooksPath = "{escaped}"\n')
