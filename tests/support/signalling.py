"""Processes beside a test: wait for what they do, and send them signals."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil

from tests.support.waiting import holds_in_time


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


def wait_for(path: Path, text: str = "") -> None:
    """Wait until another process has made a file, and has written a text to it."""
    arrived = holds_in_time(lambda: path.exists() and (not text or text in path.read_text()))
    assert arrived, f"{path} never came"


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_without_agents(pid: int) -> None:
    """Kill a process, but not the agents that it runs, as on a system without supervisors."""
    owner = psutil.Process(pid)
    owner.suspend()
    supervisors = [child for child in owner.children() if "supervisor.py" in " ".join(child.cmdline())]
    for supervisor in supervisors:
        supervisor.kill()
    owner.kill()
    psutil.wait_procs(supervisors, timeout=60)
