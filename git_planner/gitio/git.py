"""The single place that starts git, in a few verbs named by the shape of the answer.

Every call names its repository explicitly and gets an environment without the variables that could point git
elsewhere or change how it reads paths and objects. `GIT_PLANNER_TRACE=1` prints each call with its time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

from git_planner.errors import PlannerError

# Set by git for its children (a hook, `git -C`), or by whoever wants git to read paths and objects otherwise.
# Configuration given with `git -c` stays: it is meant for the same repository.
_DROPPED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_REPLACE_REF_BASE",
)
# Replaced objects and grafts would let a candidate show us another history than the one it ships.
_FIXED = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull + ".none", "GIT_OPTIONAL_LOCKS": "0"}

# Inside Git, 'bytes' is a verb.
Bytes = bytes
Ended = TypeVar("Ended")

# A git that lists worktrees dies of one that another git is just making: a file of it is there and empty yet.
_HALF_MADE = re.compile(rb"failed to read [^\n]*worktrees/[^\n]*/commondir")
# What git says of a repository that it may only read.
_UNWRITABLE = re.compile(
    rb"(unable to create temporary file|Unable to create '[^'\n]*'|could not create [^\n]*):"
    rb" (Permission denied|Read-only file system|Operation not permitted)"
    rb"|insufficient permission for adding an object"
)
# Seconds to wait before each further try; two in all.
_PAUSES = tuple(0.002 * 2**place for place in range(10))

spawned = 0


def is_passing(status: int, words: bytes) -> bool:
    """Whether a git failed, before it did anything, by something that is over in a moment."""
    return status != 0 and _HALF_MADE.search(words) is not None


def patiently(once: Callable[[], Ended], passing: Callable[[Ended], bool]) -> Ended:
    """Do something until it does not end in a way that is over in a moment, or for two seconds."""
    for pause in _PAUSES:
        ended = once()
        if not passing(ended):
            return ended
        time.sleep(pause)
    return once()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment every git of ours runs in."""
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, **_FIXED, **(extra or {})}


class Result(NamedTuple):
    """How one git ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """What git said about a failure, in its own words."""
        return self.stderr.decode(errors="replace").strip()


class Git:
    """Git in one repository and, unless bare, one worktree of it.

    Args:
        prefix: arguments before every subcommand, such as '--git-dir=…'.
        cwd: the folder git runs in: the top of the worktree, or the git directory.
    """

    def __init__(self, prefix: tuple[str, ...], cwd: Path) -> None:
        self.prefix = prefix
        self.cwd = cwd

    def run(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> Result:
        """Run git and return how it ended, whatever the status."""

        def once() -> Result:
            started = time.perf_counter()
            process = self._start(args, env, None if stdin is None else subprocess.PIPE)
            stdout, stderr = process.communicate(stdin)
            _trace(args, started)
            return Result(process.returncode, stdout, stderr)

        return patiently(once, lambda ended: is_passing(ended.status, ended.stderr))

    def bytes(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> Bytes:
        """Run git and return its output.

        Raises:
            PlannerError: E_GIT in git's own words when it failed.
        """
        result = self.run(*args, stdin=stdin, env=env)
        if result.status != 0:
            raise failure(args, result, self.cwd)
        return result.stdout

    def line(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run git and return its output as text without the final newline."""
        return os.fsdecode(self.bytes(*args, stdin=stdin, env=env)).removesuffix("\n")

    def names(
        self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """Run git and return its NUL-separated output as a list."""
        return [os.fsdecode(each) for each in self.bytes(*args, stdin=stdin, env=env).split(b"\0") if each]

    def yes(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> bool:
        """Run git as a question: status 0 is yes, 1 is no, all else is an error."""
        result = self.run(*args, stdin=stdin, env=env)
        if result.status not in (0, 1):
            raise failure(args, result, self.cwd)
        return result.status == 0

    def batch(self) -> Batch:
        """Open a reader of many objects; use it as a context manager."""
        return Batch(self)

    def conversation(self, *args: str) -> Conversation:
        """Start a git that answers request by request. The caller ends it."""
        return Conversation(self._start(args, None, subprocess.PIPE), args, self.cwd)

    def _start(
        self, args: tuple[str, ...], env: Mapping[str, str] | None, stdin: int | None
    ) -> subprocess.Popen[Bytes]:
        global spawned  # noqa: PLW0603 - the count is of the process, not of one repository
        spawned += 1
        try:
            return subprocess.Popen(
                ["git", *self.prefix, *args],
                cwd=self.cwd,
                env=environment(env),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise _cannot_start(self.cwd) from None


class Conversation:
    """One running git that is asked on its stdin and answers on its stdout."""

    def __init__(self, process: subprocess.Popen[bytes], args: tuple[str, ...], cwd: Path) -> None:
        self._process, self._args, self._cwd = process, args, cwd
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def ask(self, request: bytes) -> bytes:
        """Send a request and return the first line of the answer, without its end.

        Raises:
            PlannerError: E_GIT in git's own words when it has ended instead of answering.
        """
        try:
            self._stdin.write(request)
            self._stdin.flush()
            line = self._stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise self._ended()
        return line.removesuffix(b"\n")

    def more(self, size: int) -> bytes:
        """That many further bytes of the answer."""
        return self._stdout.read(size)

    def end(self) -> None:
        """Say no more, and wait until git has ended."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process.wait()

    def _ended(self) -> PlannerError:
        with suppress(BrokenPipeError):
            self._stdin.close()
        words = self._process.stderr.read() if self._process.stderr else b""
        return failure(self._args, Result(self._process.wait(), b"", words), self._cwd)


class Batch:
    """Many objects from one `git cat-file`, whatever their number."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._talk: Conversation | None = None

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reader."""
        if self._talk is not None:
            self._talk.end()
            self._talk = None

    def read(self, name: str) -> bytes | None:
        """The content of an object named as git names them ('main:README.md'); None when there is none."""
        header = self._header("contents", name)
        if header is None or self._talk is None:
            return None
        content = self._talk.more(header[2])
        self._talk.more(1)
        return content

    def info(self, name: str) -> tuple[str, str, int] | None:
        """Object id, type and size in bytes; None when there is no such object."""
        return self._header("info", name)

    def _header(self, verb: str, name: str) -> tuple[str, str, int] | None:
        if "\n" in name or "\0" in name:
            raise PlannerError("E_NAME", f"{name!r} cannot be the name of an object")
        if self._talk is None:
            self._talk = self._git.conversation("cat-file", "--batch-command")
        words = self._talk.ask(verb.encode() + b" " + os.fsencode(name) + b"\n").rsplit(b" ", 2)
        if len(words) != 3 or not words[2].isdigit():
            return None
        return words[0].decode(), words[1].decode(), int(words[2])


def read_objects(git: Git, names: Iterable[str]) -> Iterator[bytes | None]:
    """Read many objects in one call: contents in the order of the names, None for those that are missing."""
    requests = b"".join(os.fsencode(name) + b"\n" for name in names)
    output = memoryview(git.bytes("cat-file", "--batch", "--buffer", stdin=requests))
    whole = output.obj
    assert isinstance(whole, bytes)
    position = 0
    while position < len(output):
        end = whole.index(b"\n", position)
        words = whole[position:end].rsplit(b" ", 2)
        position = end + 1
        if len(words) == 3 and words[2].isdigit():
            size = int(words[2])
            yield bytes(output[position : position + size])
            position += size + 1
        else:
            yield None


def failure(args: tuple[str, ...], result: Result, cwd: Path) -> PlannerError:
    """The error for a git that failed."""
    if _full(cwd):
        return PlannerError(
            "E_NO_SPACE",
            f"no space left on the disk of '{cwd}' while running 'git {args[0]}'",
            hint="make room, then run the same command again; nothing was half written",
        )
    if _UNWRITABLE.search(result.stderr):
        return PlannerError(
            "E_UNWRITABLE",
            f"the repository of '{cwd}' cannot be written by 'git {args[0]}'",
            hint="look at its git directory with 'ls -ld', then run the same command again",
            details=result.words.splitlines()[:5],
        )
    words = result.words or f"'git {args[0]}' ended with status {result.status} and said nothing"
    return PlannerError("E_GIT", words.removeprefix("fatal: ").removeprefix("error: "))


def _cannot_start(cwd: Path) -> PlannerError:
    if not cwd.is_dir():
        return PlannerError("E_NOT_A_REPOSITORY", f"the folder '{cwd}' is gone")
    return PlannerError("E_MISSING_TOOL", "'git' is not on PATH", hint="install git 2.38 or later")


def _full(cwd: Path) -> bool:
    try:
        free = os.statvfs(cwd)
    except OSError:
        return False
    return free.f_bavail * free.f_frsize < 64 * 1024 or free.f_favail == 0 < free.f_files


def _trace(args: tuple[str, ...], started: float) -> None:
    if os.environ.get("GIT_PLANNER_TRACE") == "1":
        took = (time.perf_counter() - started) * 1000
        print(f"trace: {took:6.1f} ms  git {' '.join(args)[:200]}", file=sys.stderr)
