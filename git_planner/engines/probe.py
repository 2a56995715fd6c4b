"""Jobs that show where they run: for checks of a cluster, and for benchmarks of an engine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import git_planner


def probe(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Wait as long as the payload says, and describe the worker.

    Args:
        payload: `seconds` to wait; `mark`, a file to which the job's process id is appended when it begins.
    """
    if "mark" in payload:
        with Path(str(payload["mark"])).open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    time.sleep(float(payload.get("seconds", 0)))
    return {"host": os.uname().nodename, "process": os.getpid(), "version": git_planner.__version__}
