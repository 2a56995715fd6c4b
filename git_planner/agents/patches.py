"""The implementer that applies the next diff of a folder: scripted, hermetic, the same every time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from git_planner.agents.contract import Brief, Implementation, Sandbox, Tell
from git_planner.config.settings import Settings
from git_planner.errors import PlannerError
from git_planner.gitio.repository import open_repository
from git_planner.rules.policy.policy import Policy

SUFFIXES = (".patch", ".diff")


class Patches:
    """Applies the patch that stands at the iteration's place in a folder sorted by name.

    Args:
        folder: where the patches are, absolute or relative to the worktree; `Brief.patches` goes before it.
    """

    name = "patches"
    sandboxes: tuple[Sandbox, ...] = ()
    reports = False

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def implement(self, brief: Brief, tell: Tell) -> Implementation:
        """Apply one patch to the worktree, as a whole or not at all.

        Raises:
            PlannerError: E_PATCHES_EXHAUSTED, E_PATCH (it does not apply), E_MISSING_FOLDER, E_POLICY.
        """
        began = time.monotonic()
        folder = self._place(brief)
        found = listing(folder)
        if brief.index >= len(found):
            raise PlannerError(
                "E_PATCHES_EXHAUSTED",
                f"'{folder}' has {len(found)} patches and all have been used",
                hint="add another patch there, or stop the loop with '--max-attempts'",
            )
        patch = found[brief.index]
        tell(f"applying {patch.name}")
        command = ("apply", "--whitespace=nowarn", "--allow-empty", "--", str(patch))
        result = open_repository(brief.worktree).git.run(*command)
        brief.folder.mkdir(parents=True, exist_ok=True)
        (brief.folder / "stderr").write_bytes(result.stderr)
        if result.status != 0:
            raise PlannerError(
                "E_PATCH",
                f"the patch '{patch.name}' does not apply to this base",
                hint="make it again against the best so far; 'git iterate show' names the base",
                details=result.words.splitlines()[:20],
            )
        return Implementation(
            summary=f"applied {patch.name}",
            model=None,
            seconds=time.monotonic() - began,
            command=("git", *command),
        )

    def _place(self, brief: Brief) -> Path:
        folder = brief.patches or self._folder
        if folder is None:
            raise PlannerError(
                "E_POLICY",
                "the implementer 'patches' has no folder to take patches from",
                hint="set 'agents: patches:' in '.git-planner.yml'",
            )
        return brief.worktree / folder


def patches_implementer(policy: Policy, settings: Settings) -> Patches:
    """The implementer with the folder that the settings or the policy name."""
    named = settings.patches or policy.agents.patches
    return Patches(Path(named) if named else None)


def listing(folder: Path) -> list[Path]:
    """The patches of a folder in the order of their names.

    Raises:
        PlannerError: E_MISSING_FOLDER.
    """
    if not folder.is_dir():
        raise PlannerError("E_MISSING_FOLDER", f"the folder of patches '{folder}' does not exist")
    found = [each for each in folder.iterdir() if each.suffix in SUFFIXES and each.is_file()]
    return sorted(found, key=lambda each: os.fsencode(each.name))
