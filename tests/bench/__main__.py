"""Run the benchmarks and print their figures: `python -m tests.bench [--quick] [--only NAME]`."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import tempfile
from pathlib import Path

from tests.bench.timing import Figure
from tests.support.lab import sealed

PARTS = (
    *(
        "startup",
        "hooks",
        "advance_plan",
        "store_edit",
        "lists",
        "records",
        "measuring.record_size",
        "spec_compile",
    ),
    *("tasks", "mcp.calls", "noise_models", "noise_campaign", "tournament.harvest", "tournament.engines"),
    *("tournament.luck", "approval.asking"),
)


def main() -> None:
    """Run the parts one after the other and print each figure, with a mark if it misses its limit."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds")
    parser.add_argument("--only", choices=PARTS, action="append")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    print(f"{'figure':<58} {'asked':>9} {'measured':>12}")
    missed: list[Figure] = []
    for name in options.only or PARTS:
        with tempfile.TemporaryDirectory(prefix="planner-bench-", dir="/var/tmp") as folder:
            root = Path(folder)
            part = importlib.import_module(f"tests.bench.{name}")
            for figure in part.measure(root, sealed(root / "home"), 5 if options.quick else 1):
                print(figure.line(), flush=True)
                if not figure.reached:
                    missed.append(figure)
    print(f"{len(missed)} figures not reached" if missed else "all figures reached")


main()
