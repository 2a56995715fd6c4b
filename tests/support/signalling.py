"""Signals to the test's own process, once a program that it started is known to run."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path


def signal_once_written(path: Path, lines: int, *numbers: signal.Signals) -> threading.Thread:
    """Send signals to this process, half a second apart, once a program has written some lines.

    Args:
        path: the file that the program writes.
        lines: how many lines it has by then.
        numbers: the signals.
    """

    def send() -> None:
        while not path.exists() or path.read_text().count("\n") < lines:
            time.sleep(0.02)
        for place, number in enumerate(numbers):
            time.sleep(0.5 if place else 0)
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread
