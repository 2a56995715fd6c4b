"""Pattern files, by which the hook scripts handle most changes without Python (hooks/guard_fast_path.sh)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from git_planner import atomic_file
from git_planner.rules.guard.guard import guarded_globs

# The number of the format; the scripts know it, too.
_MARK = "git-planner guard 4"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def write_pattern_file(
    folder: str | Path, name: str, against: str, patterns: Collection[str], modules: Iterable[str]
) -> None:
    """Write the pattern file of a policy or a ref atomically; skip it where nothing can be written.

    The file is only a cache: without it the next change starts Python.

    Args:
        folder: the folder of the pattern files.
        name: the object id of the policy, or the full name of the ref.
        against: the commit to compare a change with.
        patterns: the guarded patterns.
        modules: names of guarded modules.
    """
    lines = [f"{_MARK} {name}", against, " ".join(modules), *guarded_globs(patterns), "end"]
    if any("\n" in line for line in lines):
        return
    place = os.path.join(folder, name)
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        atomic_file.write(place, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    except OSError:
        return
