"""Git on the repository and the index that a hook was given: they stand in the environment, so it is kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from git_planner.errors import PlannerError


def output(*args: str, index: str | None = None) -> bytes:
    """The output of a git that must succeed; on another index than the given one when it is named."""
    status, stdout, words = run(args, index)
    if status != 0:
        said = words.decode(errors="replace").strip().removeprefix("fatal: ")
        raise PlannerError("E_GIT", said or f"'git {args[0]}' ended with status {status}")
    return stdout


def answer(*args: str) -> bytes | None:
    """The output of a git that may say no."""
    status, stdout, _ = run(args)
    return stdout if status == 0 else None


def run(args: Sequence[str], index: str | None = None) -> tuple[int, bytes, bytes]:
    """Run git on the index and the repository that the hook was given."""
    # Paths are patterns of ours and objects are what they are, whatever the person's command line said.
    ours = {f"GIT_{kind}_PATHSPECS": "0" for kind in ("LITERAL", "GLOB", "NOGLOB", "ICASE")}
    env = {**os.environ, **ours, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    if index is not None:
        env["GIT_INDEX_FILE"] = index
    done = subprocess.run(["git", *args], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr
