"""Read the end of the logs of a run that failed."""

from __future__ import annotations

import os
from pathlib import Path

from git_planner.host import bounded_call
from git_planner.rules.measuring.failure_excerpt import failure_excerpt
from git_planner.rules.measuring.proofs.proof import Proof
from git_planner.rules.measuring.verdict import Refusal

_MAX_BYTES = 512 * 1024


def failing_output(logs: Path, proof: Proof | None, refusal: Refusal) -> tuple[str, ...]:
    """Return the last lines of the first failing test, or of the command that failed; none without logs.

    Args:
        logs: the folder with the commands' output.
        proof: the outcomes of the tests, if they are known.
        refusal: why the run is not valid; its sentence names the tests that failed.
    """
    names = proof.ids("failed") if proof else []
    failed = [test for test in names if f"'{test}'" in refusal.sentence]
    newest = "correctness" if failed else _newest(logs)
    if newest is None:
        return ()
    stdout, stderr = (_end(logs / f"{newest}.{stream}") for stream in ("stdout", "stderr"))
    read = bounded_call.call(lambda: failure_excerpt(stdout, stderr, failed[0] if failed else None))
    return () if isinstance(read, bounded_call.Stopped) else read


def _newest(logs: Path) -> str | None:
    """Return the stem of the newest log, which is that of the command that failed."""
    files = [path for path in logs.glob("*.std*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_mtime_ns).stem if files else None


def _end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MAX_BYTES))
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
