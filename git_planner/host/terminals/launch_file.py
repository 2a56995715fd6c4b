"""File that tells `launch.py`, within a terminal, what to start; environment and arguments stay private."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.host.marks import MARK, new_mark
from git_planner.host.start_program import check_program
from git_planner.host.terminals.launch import OF_TERMINAL

_PREFIX = "launch-"
# A program reads its file in a moment; an older one is of a start that was killed.
_UNREAD_SECONDS = 60.0
# The size of the caller's terminal, and the terminal itself.
_OF_CALLER = (*OF_TERMINAL, "COLUMNS", "LINES")


def terminal_environment(env: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the environment of a program in a terminal of its own, and the program's mark.

    The marks that this process carries are left out: the end of what called us does not end the program.
    """
    inherited = os.environ.get(MARK, "").split(":")
    own = [mark for mark in env.get(MARK, "").split(":") if mark and mark not in inherited] or [new_mark()]
    environment = {name: value for name, value in env.items() if name not in _OF_CALLER}
    return {**environment, MARK: ":".join(own)}, own[-1]


def launch_command(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path
) -> tuple[list[str], Path]:
    """Return the command that starts a program within a terminal, and the file that it reads and deletes.

    Raises:
        PlannerError: E_MISSING_FOLDER, E_MISSING_TOOL, E_UNWRITABLE.
    """
    if not cwd.is_dir():
        raise PlannerError("E_MISSING_FOLDER", f"the folder '{cwd}' to run '{argv[0]}' in does not exist")
    check_program(argv[0], cwd, env)
    _remove_unread(log.absolute().parent)
    path = log.absolute().with_name(f"{_PREFIX}{secrets.token_hex(4)}.json")
    start = {"argv": list(argv), "cwd": str(cwd.absolute()), "env": dict(env), "log": str(log.absolute())}
    try:
        atomic_file.write(path, json.dumps(start).encode("ascii"), 0o600)
    except OSError as error:
        raise PlannerError("E_UNWRITABLE", f"'{path}' cannot be written ({error.strerror})") from None
    script = str(Path(__file__).with_name("launch.py"))
    return [sys.executable, "-I", "-S", script, str(path)], path


def _remove_unread(folder: Path) -> None:
    """Remove files that no program has read: they may hold secrets."""
    for path in folder.glob(f"{_PREFIX}*.json"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _UNREAD_SECONDS:
                path.unlink()
