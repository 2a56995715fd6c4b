"""A process that has everything imported, and forks a child for each call.

A child has a folder, environment and signals of its own, so that calls may run side by side, and starts in
milliseconds. It talks over a socket: first its process id, then the request comes, then its answer goes.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from git_planner.errors import PlannerError
from git_planner.host.start_program import start_error

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct("!I")
HEADER_BYTES = _HEADER.size
_CHUNK = 1024 * 1024

# From a request to its answer. It may go on after it has answered.
Answer = Callable[[bytes, Callable[[bytes], None]], None]


class ForkedProcess:
    """The process of one call, by what it sent first; it is identified, so that no other one is ended.

    Args:
        head: the first HEADER_BYTES bytes that came from it.
    """

    def __init__(self, head: bytes) -> None:
        import psutil

        self._process: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            if len(head) == HEADER_BYTES:
                self._process = psutil.Process(_HEADER.unpack(head)[0])

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self._process is not None and self._process.is_running()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and the rest of its group, as a terminal does."""
        with contextlib.suppress(OSError):
            if self._process is not None and self.is_running():
                os.killpg(self._process.pid, number)


def packed(request: bytes) -> bytes:
    """Return a request as it is sent."""
    return _HEADER.pack(len(request)) + request


class ForkServer:
    """The parent's side: starts the process when it is first needed, and again when it has ended.

    Args:
        argv: a command that calls `serve` with the socket whose number is appended.
        cwd: the folder it runs in.
        env: its environment.
    """

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._argv, self._cwd, self._env = tuple(argv), cwd, dict(env)
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, if it does not run.

        Raises:
            PlannerError: E_MISSING_TOOL, E_RESOURCES.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [*self._argv, str(theirs.fileno())],
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise start_error(self._argv[0], self._cwd, error) from None
        finally:
            theirs.close()
        self._channel = ours

    def connect(self) -> socket.socket:
        """Have a child forked, and return the socket that leads to it.

        Raises:
            PlannerError: as `start`.
        """
        for _ in range(2):
            self.start()
            assert self._channel is not None
            ours, theirs = socket.socketpair()
            with theirs, contextlib.suppress(OSError):
                socket.send_fds(self._channel, [b"1"], [theirs.fileno()])
                return ours
            ours.close()
            self.stop()
        raise PlannerError(
            "E_RESOURCES", "the process that runs the calls keeps ending", hint="try the call again"
        )

    def stop(self) -> None:
        """End the process; its children finish what they have begun."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def serve(number: int, answer: Answer) -> None:
    """Fork a child for each socket that comes through the channel, until the other side is gone.

    Args:
        number: the file descriptor of the channel.
        answer: is called in the child.
    """
    # Children are reaped by the system; a child restores the signal for its own.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=number) as channel:
        channel.set_inheritable(False)
        while True:
            data, handles, _, _ = socket.recv_fds(channel, 1, 1)
            if not data:
                return
            for handle in handles:
                with socket.socket(fileno=handle) as connection:
                    connection.set_inheritable(False)
                    _fork(channel, connection, answer)


def _fork(channel: socket.socket, connection: socket.socket, answer: Answer) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError:
        # The caller sees a connection that ends before the child has named itself.
        return
    if pid == 0:
        channel.close()
        _be_child(connection, answer)


def _be_child(connection: socket.socket, answer: Answer) -> NoReturn:
    """Answer one request and end, whatever happens, without the clean-up of the parent."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        connection.sendall(_HEADER.pack(os.getpid()))
        request = _receive(connection)
        if request is not None:
            answer(request, lambda data: _reply(connection, data))
        status = 0
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


def _receive(connection: socket.socket) -> bytes | None:
    """Return the request; None when the caller is gone before it is complete."""
    data = bytearray()
    while len(data) < HEADER_BYTES or len(data) < HEADER_BYTES + _HEADER.unpack_from(data)[0]:
        part = connection.recv(_CHUNK)
        if not part:
            return None
        data += part
    return bytes(data[HEADER_BYTES:])


def _reply(connection: socket.socket, data: bytes) -> None:
    # A caller that is gone does not undo what was done.
    with contextlib.suppress(OSError):
        connection.sendall(data)
        # The answer has ended, also if a program that the child started holds the socket.
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
