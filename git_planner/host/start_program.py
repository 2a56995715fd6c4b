"""Start of a program as a child with pipes, or the error that says why it cannot be started."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from git_planner.errors import PlannerError, resource_error

Child = subprocess.Popen[bytes]

# Seconds between SIGTERM and SIGKILL for what a supervised program leaves behind.
_LEFTOVER_GRACE = "2"
_SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
# An imported module is compiled once; a script is compiled at every start.
_START = """\
import sys
sys.path.append(sys.argv[1].rpartition("/")[0])
from supervisor import main
sys.exit(main(sys.argv[2:]))
"""


def start_program(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], *, piped: bool, supervised: bool
) -> Child:
    """Start a program in a session of its own, with pipes for its output.

    Args:
        argv: the program and its arguments.
        cwd: the folder it runs in.
        env: its complete environment.
        piped: whether its input is a pipe; otherwise it is empty.
        supervised: whether a supervisor starts it and holds its processes; only Linux has one.

    Raises:
        PlannerError: E_MISSING_FOLDER, E_MISSING_TOOL, E_RESOURCES, E_USAGE.
    """
    if not cwd.is_dir():
        raise PlannerError("E_MISSING_FOLDER", f"the folder '{cwd}' to run '{argv[0]}' in does not exist")
    command = list(argv)
    if supervised and sys.platform == "linux":
        check_program(argv[0], cwd, env)
        call = (_SUPERVISOR, str(os.getpid()), _LEFTOVER_GRACE)
        command = [sys.executable, "-I", "-S", "-c", _START, *call, *command]
    try:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise start_error(argv[0], cwd, error) from None


def check_program(name: str, cwd: Path, env: Mapping[str, str]) -> None:
    """Check that a program can be started: a program that starts it for us reports less.

    Raises:
        PlannerError: E_MISSING_TOOL.
    """
    path = shutil.which(name, path=env.get("PATH", os.defpath)) if "/" not in name else str(cwd / name)
    code = errno.ENOENT
    if path is not None and os.path.exists(path):
        interpreter = _interpreter(path)
        if os.access(path, os.X_OK) and (interpreter is None or os.path.exists(interpreter)):
            return
        code = errno.ENOENT if os.access(path, os.X_OK) else errno.EACCES
    raise start_error(name, cwd, OSError(code, os.strerror(code)))


def _interpreter(path: str) -> str | None:
    """Return the interpreter that the first line of a script names; None for any other program."""
    try:
        with open(path, "rb") as file:
            words = file.readline(512).split() if file.read(2) == b"#!" else []
    except OSError:
        # An executable that cannot be read has no visible interpreter.
        return None
    return os.fsdecode(words[0]) if words else None


def start_error(name: str, cwd: Path, error: OSError | ValueError) -> PlannerError:
    """Return the error that says why a program cannot be started in a folder."""
    exhausted = resource_error(error, starting=name)
    if exhausted is not None:
        return exhausted
    if isinstance(error, ValueError) or error.errno == errno.E2BIG:
        return PlannerError("E_USAGE", f"'{name}' cannot be started with these arguments ({error})")
    if error.errno == errno.ENOENT and "/" not in name:
        reason = "is not on PATH"
    elif error.errno == errno.ENOENT:
        exists = os.path.exists(cwd / name)
        reason = "names an interpreter that does not exist" if exists else "does not exist"
    elif error.errno == errno.EACCES:
        reason = "is not executable"
    else:
        reason = f"cannot be started ({os.strerror(error.errno or 0)})"
    return PlannerError(
        "E_MISSING_TOOL", f"'{name}' {reason}", hint="install it, or name another program in the settings"
    )
