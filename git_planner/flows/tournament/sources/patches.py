"""Source of variants: a folder of diffs, in the order of their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from git_planner import atomic_file
from git_planner.agents.patches import list_patches
from git_planner.errors import PlannerError
from git_planner.gitio.content.patched_trees import MOST_PATCH_BYTES
from git_planner.rules import refnames
from git_planner.rules.printable import counted
from git_planner.rules.tournament.source import Payload, PolledVariant, PollResult, TaskRequest


class PatchesSource:
    """Patches of a folder, each a variant.

    Args:
        run: the uid of the run.
        folder: the folder.
        names: the file names of variants that are known already, by number: a file that is added later
            changes no number.
    """

    def __init__(self, run: str, folder: Path, names: Mapping[int, str]) -> None:
        self._run, self._folder, self._names = run, folder, names

    def start(self, request: TaskRequest) -> str:  # noqa: ARG002 - the contract's parameter
        """Return an id that no other run has."""
        return f"patches-{refnames.slug(self._run, 'run')}"

    def poll(self, task: str) -> PollResult:  # noqa: ARG002 - the contract's parameter
        """Return the patches as variants that are ready.

        Raises:
            PlannerError: E_MISSING_FOLDER; E_USAGE for more patches than a tournament has variants.
        """
        names = [path.name for path in list_patches(self._folder)]
        new = [name for name in names if name not in self._names.values()]
        if len(self._names) + len(new) > refnames.MAX_VARIANT:
            raise PlannerError(
                "E_USAGE",
                f"'{self._folder}' has {len(names)} patches; a tournament has at most {refnames.MAX_VARIANT}",
                hint="put some of them into another folder",
            )
        numbered = {**self._names, **dict(enumerate(new, max(self._names, default=0) + 1))}
        variants = [
            PolledVariant(number, "ready" if name in names else "failed", "a patch", name)
            for number, name in sorted(numbered.items())
        ]
        return PollResult("ready" if names else "failed", counted(len(names), "patch file"), tuple(variants))

    def fetch(self, task: str, number: int) -> Payload:  # noqa: ARG002 - the contract's parameter
        """Return a patch.

        Raises:
            PlannerError: E_PATCH if there is no such file; E_TOO_LARGE.
        """
        name = self._names.get(number, "")
        if not name or name != Path(name).name:
            raise PlannerError("E_PATCH", f"there is no patch for variant {number}", hint="git bo4 watch")
        path = self._folder / name
        try:
            if path.stat().st_size > MOST_PATCH_BYTES:
                raise PlannerError(
                    "E_TOO_LARGE",
                    f"'{name}' has {path.stat().st_size:,} bytes; at most {MOST_PATCH_BYTES:,} are applied",
                    hint="leave generated files out of it",
                )
            return Payload(atomic_file.read(path, MOST_PATCH_BYTES), metadata={"file": name})
        except OSError as error:
            raise PlannerError(
                "E_PATCH", f"the patch '{name}' cannot be read ({error.strerror})", hint="see 'ls -l'"
            ) from None
