"""A worker process of this host: it gets a job as a line, and answers with a line."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from git_planner.engines.run_job import MAX_BYTES
from git_planner.host.start_program import start_program

# The order by which a supervisor ends everything at once.
_END_NOW = signal.SIGUSR1
_END_SECONDS = 15.0
_START = "from git_planner.engines.worker import main; main()"
_CHUNK = 1 << 20


class WorkerProcess:
    """A worker process, which ends with this one.

    Args:
        env: its environment.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        argv = [sys.executable, "-c", _START]
        self._process = start_program(argv, Path.cwd(), env, piped=True, supervised=True)
        self.name = f"{os.uname().nodename}:{self._process.pid}"

    def ask(self, function: str, payload: str, *, seconds: float | None = None) -> str | None:
        """Run a job.

        Args:
            function: the name of the job's function.
            payload: the packed job.
            seconds: the most seconds to wait (default: any time).

        Returns:
            The answer; None if the worker has died.

        Raises:
            TimeoutError: it has not answered in time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        until = None if seconds is None else time.monotonic() + seconds
        request = json.dumps({"function": function, "payload": payload}) + "\n"
        try:
            _write_all(self._process.stdin.fileno(), request.encode(), until)
            line = _read_line(self._process.stdout.fileno(), until)
        except TimeoutError:
            raise
        except (OSError, ValueError):
            return None
        return line.decode("utf-8", "replace") if line.endswith(b"\n") else None

    def order_end(self) -> None:
        """Tell the worker, and what it has started, to end."""
        self._process.send_signal(_END_NOW)

    def end(self) -> None:
        """End the worker with what it has started."""
        self.order_end()
        process, until = self._process, time.monotonic() + _END_SECONDS
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _wait(reading: list[int], writing: list[int], until: float | None) -> None:
    """Wait until a pipe can be used.

    Raises:
        TimeoutError: it cannot be used in time.
    """
    left = None if until is None else max(0.0, until - time.monotonic())
    ready = select.select(reading, writing, [], left)
    if not (ready[0] or ready[1]):
        raise TimeoutError


def _write_all(number: int, data: bytes, until: float | None) -> None:
    os.set_blocking(number, False)
    view = memoryview(data)
    while view:
        _wait([], [number], until)
        view = view[os.write(number, view[:_CHUNK]) :]


def _read_line(number: int, until: float | None) -> bytes:
    """Return a line, or what came before the end of the stream, or before too much of it."""
    parts, size = [], 0
    while size <= MAX_BYTES:
        _wait([number], [], until)
        part = os.read(number, _CHUNK)
        parts.append(part)
        size += len(part)
        if not part or part.endswith(b"\n"):
            break
    return b"".join(parts)
