"""Runner of programs other than git: one deadline, bounded output, and no process left running.

A program gets a session of its own. When it ends, or must end, every process that it started ends too: its
process group, its recorded descendants, and the carriers of its mark in the environment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NoReturn

from git_planner.errors import PlannerError
from git_planner.host.marks import alive, marked_environment, new_mark, related, wait_for_exit
from git_planner.host.start_program import start_program

if TYPE_CHECKING:
    import subprocess

    import psutil

LIMIT = 16 * 1024 * 1024
GRACE = 2.0
Holder = Literal["supervisor", "bubblewrap"]
# The name of a process that ends all that it holds when it is asked to end.
_BUBBLEWRAP = "bwrap"
_CHUNK = 256 * 1024
# Seconds that leftover children have to exit on their own.
_EXIT_GRACE_SECONDS = 0.05
# Seconds between two calls of `on_tick`.
TICK = 0.2


@dataclass(frozen=True, slots=True)
class Finished:
    """Result of a program that has ended.

    `status` is its exit status, or minus the signal that ended it. `stdout` and `stderr` are the first
    `limit` bytes of the streams; `truncated`: there was more on one of them, `stdout_truncated`: on stdout.
    `timed_out`: the deadline ended it.
    """

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool
    truncated: bool
    stdout_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A program that has just been started; `mark` is in its environment and in that of all it starts."""

    pid: int
    mark: str


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    seconds: float,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stdout: Path | None = None,
    stderr: Path | None = None,
    limit: int = LIMIT,
    on_line: Callable[[bytes], None] | None = None,
    on_start: Callable[[Started], None] | None = None,
    on_tick: Callable[[], None] | None = None,
    grace: float = GRACE,
    mark: str | None = None,
    holder: Holder | None = None,
) -> Finished:
    """Run a program to its end or to its deadline; afterwards no process of it is left.

    Args:
        argv: the program and its arguments; no shell is involved.
        cwd: the folder it runs in.
        seconds: its deadline.
        env: its complete environment; that of this process when None.
        stdin: its input; it need not read it.
        stdout, stderr: files that get the kept output as it comes.
        limit: maximal number of bytes kept per stream; the rest is read and dropped.
        on_line: called with every line of stdout as it comes, without its end.
        on_start: called once, with the process id and the mark.
        on_tick: called every TICK seconds while the program runs; an exception ends the program.
        grace: seconds between SIGTERM and SIGKILL.
        mark: the mark in its environment, see `new_mark`; a new one when None.
        holder: what ends all that the program starts with it: a 'supervisor', which is started here (on
            Linux), or the 'bubblewrap' of `argv`. Either reports a signal as the status 128 plus its number.

    Raises:
        PlannerError: E_MISSING_TOOL, E_MISSING_FOLDER, E_RESOURCES, E_USAGE (no start), E_NO_SPACE.
        KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP came meanwhile; the program has been ended.
    """
    mark, began = mark or new_mark(), time.monotonic()
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(_Signals())
        sinks = [_Sink(stack.enter_context(_opened(path)), limit) for path in (stdout, stderr)]
        sinks[0].on_line = on_line
        supervised, marked = holder == "supervisor", marked_environment(env, mark)
        child = start_program(argv, cwd, marked, piped=bool(stdin), supervised=supervised)
        watch = _Watch(child, mark, sinks, stdin, signals)
        watch.holder, watch.on_tick = holder, on_tick
        try:
            if on_start is not None:
                on_start(Started(child.pid, mark))
            ended = watch.until(began + seconds)
        finally:
            watch.end(grace)
        sinks[0].finish()
    if signals.caught:
        signals.pass_on()
    out, err = (bytes(sink.kept) for sink in sinks)
    cut, took = any(sink.dropped for sink in sinks), time.monotonic() - began
    return Finished(tuple(argv), child.returncode, out, err, took, not ended, cut, sinks[0].dropped)


def end(processes: Sequence[psutil.Process], grace: float = GRACE) -> None:
    """End processes that were identified before; psutil checks their identity first."""
    import psutil

    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        for process in filter(alive, processes):
            with contextlib.suppress(psutil.Error):
                if number == signal.SIGKILL or _may_be_asked(process):
                    process.send_signal(number)
        until = time.monotonic() + patience
        while any(map(alive, processes)) and time.monotonic() < until:
            time.sleep(0.01)


def _may_be_asked(process: psutil.Process) -> bool:
    """Return whether a process may be asked to end: bubblewrap would end the program in it at once."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return process.name() != _BUBBLEWRAP
    return False


@dataclass(slots=True)
class _Sink:
    """Sink of one stream: a bounded buffer, a file, and a callback for lines."""

    file: IO[bytes] | None
    limit: int
    kept: bytearray = field(default_factory=bytearray)
    dropped: bool = False
    on_line: Callable[[bytes], None] | None = None
    _rest: bytearray = field(default_factory=bytearray)

    def put(self, data: bytes) -> None:
        """Accept a chunk; skip a target that failed once, so that the program can be ended."""
        part = data[: max(0, self.limit - len(self.kept))]
        self.dropped = self.dropped or len(part) < len(data)
        self.kept += part
        if self.file is not None and part:
            file, self.file = self.file, None
            file.write(part)
            file.flush()
            self.file = file
        if self.on_line is None:
            return
        on_line, self.on_line = self.on_line, None
        *lines, last = data.split(b"\n")
        for line in lines:
            on_line(bytes(self._rest) + line)
            self._rest.clear()
        self.on_line = on_line
        # A line beyond the limit is cut there, so that a program without line ends cannot fill the memory.
        self._rest += last[: max(0, self.limit - len(self._rest))]

    def finish(self) -> None:
        """Report a last line without a newline."""
        if self.on_line is not None and self._rest:
            self.on_line(bytes(self._rest))


class _Signals:
    """While open, SIGINT, SIGTERM and SIGHUP wake the watch instead of breaking into it at any line.

    Outside the main thread Python delivers none of them, and this does nothing.
    """

    def __init__(self) -> None:
        self.caught: list[int] = []
        self.wake: int | None = None
        self._old: dict[int, Any] = {}
        self._write = self._old_wake = -1

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            self.wake, self._write = os.pipe()
            os.set_blocking(self.wake, False)
            os.set_blocking(self._write, False)
            self._old_wake = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._old[number] = signal.signal(number, lambda caught, _: self.caught.append(caught))
        return self

    def __exit__(self, *_: object) -> None:
        if self.wake is not None:
            for number, handler in self._old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._old_wake)
            os.close(self.wake)
            os.close(self._write)

    def pass_on(self) -> NoReturn:
        """Give the first signal to its handler of before: it decides with which status the command ends."""
        if callable(handler := self._old.get(self.caught[0])):
            handler(self.caught[0], None)
        raise KeyboardInterrupt


class _Watch:
    """One running program: moves its bytes, notices its end, and ends the processes left of it."""

    def __init__(
        self, child: subprocess.Popen[bytes], mark: str, sinks: list[_Sink], stdin: bytes, signals: _Signals
    ) -> None:
        self._child = child
        self._mark = mark
        self._signals = signals
        self._input = memoryview(stdin)
        self.on_tick: Callable[[], None] | None = None
        self.holder: Holder | None = None
        self._tick_at = time.monotonic()
        self._descendants: set[psutil.Process] = set()
        self._pause = 0.2
        self._look_at = time.monotonic() + self._pause
        self._selector = selectors.DefaultSelector()
        self._streams = dict(zip((child.stdout, child.stderr), sinks, strict=True))
        for stream in self._streams:
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            self._selector.register(child.stdin, selectors.EVENT_WRITE)
        if signals.wake is not None:
            self._selector.register(signals.wake, selectors.EVENT_READ)
        self._pidfd = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else None
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ)

    def until(self, deadline: float) -> bool:
        """Serve the pipes until the program ends (True), the deadline passes or a signal comes (False)."""
        while not self._over():
            if time.monotonic() >= deadline or self._signals.caught:
                return False
            self._tick()
            self._step(deadline)
            self._look()
        return True

    def end(self, grace: float) -> None:
        """End the program and all its processes, keep their last output, and reap it."""
        try:
            self._drain()
            left = set() if self._held_to_the_end() else self._left()
            if not self._over() or left:
                self._signal(signal.SIGTERM, left)
                self._wait(left, grace)
                self._kill(left)
            self._child.wait()
            self._drain()
        finally:
            self._close()

    def _over(self) -> bool:
        """Return whether the program has ended. It is not reaped yet, so its process id is not reused."""
        if self._child.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return self._child.poll() is not None
        return os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _held_to_the_end(self) -> bool:
        """Return whether a supervisor has ended by itself, which it does only after all that it holds."""
        if self.holder != "supervisor" or sys.platform != "linux":
            return False
        ended = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None and ended.si_code == os.CLD_EXITED

    def _tick(self) -> None:
        if self.on_tick is not None and time.monotonic() >= self._tick_at:
            self.on_tick()
            self._tick_at = time.monotonic() + TICK

    def _step(self, deadline: float) -> None:
        until = min(deadline, self._look_at, *([self._tick_at] if self.on_tick is not None else []))
        wait = max(0.0, until - time.monotonic())
        for key, _ in self._selector.select(wait if self._pidfd is not None else min(wait, 0.02)):
            if key.fileobj in self._streams:
                self._read(key.fileobj)
            elif key.fileobj is self._child.stdin:
                self._write()
            elif key.fd == self._signals.wake:
                os.read(key.fd, 512)
            else:
                self._selector.unregister(key.fileobj)
                self._pidfd_close()

    def _read(self, stream: Any) -> bool:
        """Read one chunk of a stream; return False when there is none at the moment."""
        try:
            data = os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._streams[stream].put(data)
            return True
        self._selector.unregister(stream)
        stream.close()
        return False

    def _write(self) -> None:
        pipe = self._child.stdin
        assert pipe is not None
        with contextlib.suppress(BlockingIOError):
            try:
                self._input = self._input[os.write(pipe.fileno(), self._input[:_CHUNK]) :]
            except BrokenPipeError:
                self._input = self._input[len(self._input) :]
        if not self._input:
            self._selector.unregister(pipe)
            pipe.close()

    def _drain(self) -> None:
        """Read the bytes in the pipes without waiting: an escaped process may hold them open."""
        until = time.monotonic() + 1.0
        for stream in self._streams:
            assert stream is not None
            while not stream.closed and self._read(stream) and time.monotonic() < until:
                pass

    def _look(self) -> None:
        """Record the descendants of the program from time to time, less and less often."""
        if time.monotonic() >= self._look_at:
            self._descendants |= self._below()
            self._pause = min(5.0, 2 * self._pause)
            self._look_at = time.monotonic() + self._pause

    def _below(self) -> set[psutil.Process]:
        import psutil

        with contextlib.suppress(psutil.Error):
            return set(psutil.Process(self._child.pid).children(recursive=True))
        return set()

    def _left(self) -> set[psutil.Process]:
        """Return the living processes that the program started."""
        below: set[psutil.Process] = set()
        if not self._over():
            below = self._below()
        # Its children have another parent by now, and usually there are none.
        elif wait_for_exit(self._mark, self._child.pid, _EXIT_GRACE_SECONDS) and not self._descendants:
            return set()
        candidates = self._descendants | below | set(related(self._mark, self._child.pid))
        return {process for process in candidates if process.pid != self._child.pid and alive(process)}

    def _signal(self, number: signal.Signals, others: set[psutil.Process]) -> None:
        import psutil

        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self.holder is not None and number == signal.SIGKILL:
                    # The holder must not end before what it holds.
                    os.kill(self._child.pid, signal.SIGCONT)
                    os.kill(self._child.pid, signal.SIGUSR1)
                else:
                    # A supervisor ignores a signal to the group; a jailed program has a group of its own.
                    os.killpg(self._jailed_group() or self._child.pid, number)
        for process in others if number == signal.SIGKILL else filter(_may_be_asked, others):
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _jailed_group(self) -> int | None:
        """Return the process group of the program in the jail, if there is one: that of its first process."""
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            # One that has just ended has no children any more.
            inside = psutil.Process(self._child.pid).children() if self.holder == "bubblewrap" else []
            return os.getpgid(inside[0].pid) if inside else None
        return None

    def _wait(self, left: set[psutil.Process], grace: float) -> None:
        """Wait until all have ended; a further signal to this process ends the waiting."""
        until = time.monotonic() + grace
        signals = len(self._signals.caught)
        while time.monotonic() < until and len(self._signals.caught) <= signals:
            if self._over() and not any(map(alive, left)):
                return
            self._drain()
            time.sleep(0.01)

    def _pidfd_close(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def _kill(self, left: set[psutil.Process]) -> None:
        left |= self._left()
        for _ in range(10):
            self._signal(signal.SIGKILL, left)
            self._wait(left, 0.5)
            if self._over() and not (left := self._left()):
                return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def _close(self) -> None:
        self._selector.close()
        self._pidfd_close()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes] | None]:
    if path is None:
        yield None
        return
    try:
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            yield file
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise PlannerError(
            "E_NO_SPACE", f"no space left for the output in '{path.parent}'", hint="make room, then try again"
        ) from None
