"""Implementer that applies the next diff of a folder: scripted, without network, reproducible."""

from __future__ import annotations

import os
import time
from pathlib import Path

from git_planner.agents.contract import Brief, Implementation, Sandbox, Workplace
from git_planner.errors import PlannerError
from git_planner.gitio.repository import open_repository
from git_planner.progress import Progress, Step

SUFFIXES = (".patch", ".diff")


class PatchesImplementer:
    """An implementer that applies the n-th patch of a folder, sorted by name, in the n-th iteration.

    Args:
        folder: the folder of patches, absolute or relative to the worktree; `Brief.patches` overrides it.
    """

    name = "patches"
    sandboxes: tuple[Sandbox, ...] = ()
    reports = False
    confined_by = None

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def implement(self, brief: Brief, progress: Progress) -> Implementation:
        """Apply one patch to the worktree atomically.

        Raises:
            PlannerError: E_PATCHES_EXHAUSTED, E_PATCH (it does not apply), E_MISSING_FOLDER, E_POLICY.
        """
        began = time.monotonic()
        folder = self._patch_folder(brief)
        patches = list_patches(folder)
        if brief.index >= len(patches):
            raise PlannerError(
                "E_PATCHES_EXHAUSTED",
                f"all patches in '{folder}' have been used: {len(patches)}",
                hint="add another patch there",
            )
        patch = patches[brief.index]
        progress(Step(f"applying {patch.name}"))
        command = ("apply", "--whitespace=nowarn", "--allow-empty", "--", str(patch))
        result = open_repository(brief.worktree).git.run(*command)
        brief.folder.mkdir(parents=True, exist_ok=True)
        (brief.folder / "stderr").write_bytes(result.stderr)
        if result.status != 0:
            raise PlannerError(
                "E_PATCH",
                f"the patch '{patch.name}' does not apply to this base",
                hint="rebase it onto the best so far; 'git iterate show' names the base",
                details=result.message.splitlines()[:20],
            )
        return Implementation(
            summary=f"applied {patch.name}",
            model=None,
            seconds=time.monotonic() - began,
            command=("git", *command),
        )

    def _patch_folder(self, brief: Brief) -> Path:
        folder = brief.patches or self._folder
        if folder is None:
            raise no_folder_error()
        return brief.worktree / folder


def no_folder_error() -> PlannerError:
    """Return the error for an implementer whose folder nobody has named."""
    return PlannerError(
        "E_POLICY",
        "the implementer 'patches' has no folder of patches",
        hint="set 'agents: patches:' in '.git-planner.yml'",
    )


def patches_implementer(workplace: Workplace) -> PatchesImplementer:
    """Return the implementer for the folder named by the settings or the policy."""
    folder = workplace.settings.patches or workplace.policy.agents.patches
    return PatchesImplementer(Path(folder) if folder else None)


def list_patches(folder: Path) -> list[Path]:
    """List the patches of a folder in the order of their names.

    Raises:
        PlannerError: E_MISSING_FOLDER.
    """
    if not folder.is_dir():
        raise PlannerError(
            "E_MISSING_FOLDER",
            f"the folder of patches '{folder}' does not exist",
            hint="put patches there, or name another folder in 'agents: patches:' in '.git-planner.yml'",
        )
    patches = [path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()]
    return sorted(patches, key=lambda path: os.fsencode(path.name))
