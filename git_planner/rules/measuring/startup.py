"""Commands that could not start: a missing program or module says nothing about a candidate. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

# Exit statuses by which a shell and 'env' say that a program was not found, or cannot be run.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_NO_MODULE = re.compile(r"[^\s:]*python[\d.]*(?:\.exe)?: No module named '?([\w.]{1,200})'?\.?")
_MAX_LINE = 300


def startup_problem(argv: Sequence[str], status: int, stderr: bytes) -> str | None:
    """Return why a command could not start what it names; None if it started.

    Args:
        argv: the program and its arguments.
        status: its exit status.
        stderr: its output.
    """
    lines = stderr[-4000:].decode("utf-8", "replace").strip().splitlines()
    last = lines[-1].strip()[:_MAX_LINE] if lines else ""
    if status in (_NOT_FOUND, _NOT_EXECUTABLE):
        fault = "was not found" if status == _NOT_FOUND else "cannot be executed"
        return f"'{argv[0]}' ended with status {status}: a program {fault}{f' ({last})' if last else ''}"
    match = _NO_MODULE.fullmatch(last)
    if status == 1 and match and len(lines) == 1 and _runs_module(argv, match[1]):
        return f"'{' '.join(argv[:3])[:200]}': the module '{match[1]}' is not installed"
    return None


def _runs_module(argv: Sequence[str], module: str) -> bool:
    """Return whether a command line runs a module, 'python -m MODULE', also within a shell's."""
    words = " ".join(argv).split()
    named = [second for first, second in pairwise(words) if first == "-m"]
    return any(name == module or name.startswith(f"{module}.") for name in named)
