"""Observer of a program's calls of the kernel, from outside the program: strace, where it may trace."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from git_planner.errors import PlannerError
from git_planner.host import process

PROGRAM = "strace"
# Largest trace, in bytes; a program with more effects than that is ended.
MAX_TRACE = 64 * 1024 * 1024
_PROBE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Tracer:
    """A working strace. `program` is its path; `shown` is its name in results."""

    program: str
    shown: str

    def prefix(self, trace: Path, calls: Sequence[str]) -> tuple[str, ...]:
        """Return the command line that precedes a program's: it follows all that the program starts.

        Args:
            trace: the file for the lines, which the program must not be able to write.
            calls: the names of the calls to tell.
        """
        named = ",".join(f"?{call}" for call in calls)
        return (
            *(self.program, "-f", "--seccomp-bpf", "-qqq", "-y", "-s", "256", "--pidns-translation"),
            *("-e", "signal=none", "-e", f"trace={named}", "-o", str(trace), "--"),
        )


@cache
def find(path: str) -> Tracer | str:
    """Return the tracer of this machine, probed once per process; the reason if there is none.

    Args:
        path: the search path for programs, absolute entries only.
    """
    program, nothing = shutil.which(PROGRAM, path=path), shutil.which("true", path=path)
    if program is None or nothing is None:
        return "strace is not installed"
    env = {"PATH": path, "LC_ALL": "C"}
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace")
        prefix = Tracer(program, "").prefix(trace, ("execve",))
        try:
            done = process.run((*prefix, nothing), cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
            version = process.run((program, "--version"), cwd=Path("/"), seconds=_PROBE_SECONDS, env=env)
        except PlannerError as error:
            return error.message
        if done.status != 0 or not trace.is_file() or b"execve(" not in trace.read_bytes():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it traced nothing"]
            return f"strace does not work here: {lines[-1][:200]}"
    lines = version.stdout.decode("utf-8", "replace").splitlines() or [""]
    return Tracer(program, f"strace {lines[0].rpartition(' ')[2][:40]}")
