"""Worker process of the local engine: it reads a job from each line of stdin, and answers with a line."""

from __future__ import annotations

import json
import os

from git_planner.engines.run_job import run_job


def main() -> None:
    """Run jobs until stdin ends. What jobs print goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(nowhere, number)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(nowhere, 0)
    for line in requests:
        request = json.loads(line)
        answers.write(run_job(request["function"], request["payload"]).encode() + b"\n")
