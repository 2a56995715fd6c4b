"""Start of programs that live on when this process ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.host.start_program import start_error

# Their results are collected at the next start, so that those that have ended are no zombies for long.
_children: list[subprocess.Popen[bytes]] = []


def start_detached(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, without input; its output is appended to a file.

    Raises:
        PlannerError: E_MISSING_TOOL, E_RESOURCES, E_USAGE, E_UNWRITABLE.
    """
    _children[:] = [child for child in _children if child.poll() is None]
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PlannerError("E_UNWRITABLE", f"'{log}' cannot be written ({error.strerror})") from None
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise start_error(argv[0], cwd, error) from None
    finally:
        os.close(output)
    _children.append(child)
    return child
