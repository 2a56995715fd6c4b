"""Runner of git: a few verbs named by the shape of the answer.

Every call names its repository explicitly and gets the environment that this module builds.
`GIT_PLANNER_TRACE=1` prints each call with its time.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from _thread import allocate_lock
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from git_planner.errors import PlannerError, resource_error
from git_planner.gitio.git_failure import GitResult, cannot_start, failure, is_transient, retry_transient

# The environment counts where a command starts, and nowhere below it: `open_repository` reads these there.
STARTING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
# Git sets these for its children (a hook, `git -C`): they point to a repository, an index or a namespace.
_REPOSITORY = (
    *STARTING,
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
)
# During a push git names the objects that it has not accepted yet. Without a quarantine they would lead our
# refs to objects that the repository does not hold.
_QUARANTINE = "GIT_QUARANTINE_PATH"
_OBJECTS = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
# With these git reads configuration, paths and objects, or shows changes, otherwise than by default.
_READING = (
    "GIT_CONFIG",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_ATTR_SOURCE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_PAGER_IN_USE",
    "GIT_PRINT_SHA1_ELLIPSIS",
    "GIT_REDIRECT_STDIN",
    "GIT_REDIRECT_STDOUT",
    "GIT_REDIRECT_STDERR",
    "GIT_REPLACE_REF_BASE",
)
# Configuration of one call, by `git -c` and numbered variables. Our own git keeps it, since it is meant for
# the same repository; a program gets only the sections that say nothing about a repository.
_CALL_CONFIG = re.compile(r"GIT_CONFIG_(?:PARAMETERS|COUNT|(?:KEY|VALUE)_\d+)")
_PORTABLE_SECTIONS = ("author", "committer", "credential", "http", "safe", "url", "user")
# A trace with this value goes to stderr, where our git's messages are read.
_TRACE_TO_STDERR = re.compile(r"(?i)\d|true|yes|on")
# Replaced objects and grafts would let a candidate show another history than the one it ships.
_SAFE = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull + ".none", "GIT_OPTIONAL_LOCKS": "0"}

# Variables that no git gets, and those that every git gets. Failures are classified by git's messages, which
# a locale would translate; the character set stays UTF-8 for the hooks and filters that git starts.
DROPPED = (*_READING, "LANGUAGE")
FIXED = {**_SAFE, "LC_ALL": "C.UTF-8"}

# Inside Git, 'bytes' is a verb.
Bytes = bytes

# So many objects are read sooner by the git that is running than by one more.
_FEW = 8

# Status of a git that exceeded its deadline.
TIMED_OUT = 124

spawned = 0


def git_environment(
    extra: Mapping[str, str] | None = None, *, keep_repository: bool = False
) -> dict[str, str]:
    """Return the environment of a git.

    Args:
        extra: further variables.
        keep_repository: whether git has named repository and index in the environment, as it does for hooks.
    """
    kept = _without(DROPPED) if keep_repository else _without((*DROPPED, *_REPOSITORY))
    if not keep_repository and _QUARANTINE not in os.environ:
        for name in _OBJECTS:
            kept.pop(name, None)
    for name in [name for name in kept if name.startswith("GIT_TRACE")]:
        if _TRACE_TO_STDERR.fullmatch(kept[name]):
            del kept[name]
    return {**kept, **FIXED, **(extra or {})}


def program_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a program that may run git itself, in the person's language."""
    kept = _without((*_READING, *_REPOSITORY, _QUARANTINE, *_OBJECTS))
    kept = {name: value for name, value in kept.items() if not _CALL_CONFIG.fullmatch(name)}
    return {**kept, **_portable_config(), **_SAFE, **(extra or {})}


def _portable_config() -> dict[str, str]:
    """Return the numbered variables of configuration that says nothing about a repository, numbered anew."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    pairs = [
        (os.environ.get(f"GIT_CONFIG_KEY_{number}", ""), os.environ.get(f"GIT_CONFIG_VALUE_{number}", ""))
        for number in range(int(count) if re.fullmatch(r"\d{1,3}", count) else 0)
    ]
    portable = [pair for pair in pairs if pair[0].partition(".")[0].lower() in _PORTABLE_SECTIONS]
    variables = {"GIT_CONFIG_COUNT": str(len(portable))} if portable else {}
    for number, (key, value) in enumerate(portable):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _without(names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in names}


_CHANGES_CONFIGURATION = frozenset({"config", "remote", "branch", "push"})


class Git:
    """Git in one repository and, unless bare, one worktree of it.

    Args:
        prefix: arguments before every subcommand, such as '--git-dir=…'.
        cwd: the folder git runs in: the top of the worktree, or the git directory.
        keep_repository: whether the environment names the repository and the index, as it does in a hook.
    """

    def __init__(self, prefix: tuple[str, ...], cwd: Path, *, keep_repository: bool = False) -> None:
        self.prefix = prefix
        self.cwd = cwd
        self.keep_repository = keep_repository
        self._configuration: dict[str, str] | None = None
        self._cat_file: Conversation | None = None
        self._cat_file_lock = allocate_lock()
        self.object_format: str | None = None
        # The common directory of the repository, if the one who made this object knew it.
        self.common: Path | None = None
        # Who git takes for the committer, as `git var GIT_COMMITTER_IDENT` prints it.
        self.committer: str | None = None
        # Variables that name another folder of objects, see `read_also`.
        self._objects: Mapping[str, str] = {}
        # Differences of two trees, which never change: see `history.changes`.
        self.known_changes: dict[tuple[str | None, str | None], Any] = {}

    def __del__(self) -> None:
        """End the reader of objects."""
        self._end_reader()

    def read_also(self, objects: Mapping[str, str]) -> None:
        """Let every git of this object read, and write to, the folder of objects that variables name."""
        self._end_reader()
        self._objects = objects

    def configuration(self) -> Mapping[str, str]:
        """Return git's configuration: full key, as `git config --list` writes it -> its last value.

        It is read once, and again after a command of this object that can change it.
        """
        if self._configuration is None:
            result = self.run("config", "--list", "--null")
            entries = os.fsdecode(result.stdout).split("\0") if result.status == 0 else []
            pairs = (entry.partition("\n") for entry in entries if entry)
            self._configuration = {key: value for key, _, value in pairs}
        return self._configuration

    def run(
        self,
        *args: str,
        stdin: Bytes | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> GitResult:
        """Run git and return its result, with any status.

        With a deadline in `seconds`, git and the programs it starts have no terminal to ask at; after the
        deadline they are ended, and the status is TIMED_OUT.
        """

        def run_once() -> GitResult:
            started = time.perf_counter()
            pipe = None if stdin is None else subprocess.PIPE
            process = self._start(args, env, pipe, new_session=seconds is not None)
            try:
                stdout, stderr = process.communicate(stdin, timeout=seconds)
            except subprocess.TimeoutExpired:
                return _end_session(process)
            _trace(args, started)
            return GitResult(process.returncode, stdout, stderr)

        return retry_transient(run_once, lambda ended: is_transient(ended.status, ended.stderr))

    def bytes(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> Bytes:
        """Run git and return its output.

        Raises:
            PlannerError: E_GIT with git's message when it failed.
        """
        result = self.run(*args, stdin=stdin, env=env)
        if result.status != 0:
            raise failure(args, result, self.cwd)
        return result.stdout

    def short_output(self, *args: str, most: int, lines: Sequence[str] = ()) -> Bytes | None:
        """Run git and return its output; None if it is longer than `most` bytes.

        Args:
            args: the command line.
            most: the most bytes.
            lines: a few lines for its stdin.

        Raises:
            PlannerError: E_GIT with git's message when it failed.
        """
        started = time.perf_counter()
        process = self._start(args, None, subprocess.PIPE if lines else None)
        assert process.stdout is not None
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            with suppress(OSError):
                process.stdin.close()
            process.stdin = None
        output = process.stdout.read(most + 1)
        if len(output) > most:
            process.kill()
        _, stderr = process.communicate()
        _trace(args, started)
        if len(output) > most:
            return None
        if process.returncode != 0:
            raise failure(args, GitResult(process.returncode, b"", stderr), self.cwd)
        return output

    def write_to(self, file: IO[Bytes], *args: str) -> None:
        """Run git with its output in a file, whatever its size.

        Raises:
            PlannerError: E_GIT with git's message when it failed.
        """
        process = self._start(args, None, None, stdout=file.fileno())
        _, stderr = process.communicate()
        if process.returncode != 0:
            raise failure(args, GitResult(process.returncode, b"", stderr), self.cwd)

    def line(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run git and return its output as text without the final newline."""
        return os.fsdecode(self.bytes(*args, stdin=stdin, env=env)).removesuffix("\n")

    def names(
        self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """Run git and return its NUL-separated output as a list."""
        return [os.fsdecode(name) for name in self.bytes(*args, stdin=stdin, env=env).split(b"\0") if name]

    def yes(self, *args: str, stdin: Bytes | None = None, env: Mapping[str, str] | None = None) -> bool:
        """Run git as a question: status 0 is yes, 1 is no, every other one is an error."""
        result = self.run(*args, stdin=stdin, env=env)
        if result.status not in (0, 1):
            raise failure(args, result, self.cwd)
        return result.status == 0

    def answer(self, *args: str) -> Bytes | None:
        """Run git and return its output; None when it failed."""
        result = self.run(*args)
        return result.stdout if result.status == 0 else None

    def hash_name(self) -> str:
        """Return the name of the hash that object ids consist of."""
        if self.object_format is None:
            self.object_format = self.line("rev-parse", "--show-object-format")
        return self.object_format

    def batch(self) -> Batch:
        """Return a reader of objects and names; use it as a context manager."""
        return Batch(self)

    def read_object(self, request: str, name: str) -> tuple[str, str, int, Bytes] | None:
        """Ask the one `git cat-file` of this object, which lives as long as it does.

        Args:
            request: 'contents' or 'info'.
            name: the name of an object, such as 'main:README.md'.

        Returns:
            Object id, type, size in bytes, and the content, which is empty for 'info'; None when there is no
            such object.
        """
        if "\n" in name or "\0" in name:
            raise PlannerError("E_NAME", f"{name!r} cannot be the name of an object")
        with self._cat_file_lock:
            is_read = False
            try:
                cat_file, line = self._ask_reader(f"{request} ".encode() + os.fsencode(name) + b"\n")
                fields = line.rsplit(b" ", 2)
                exists = len(fields) == 3 and fields[2].isdigit()
                size = int(fields[2]) if exists else 0
                content = cat_file.more(size + 1)[:-1] if exists and request == "contents" else b""
                is_read = True
            finally:
                # The rest of an answer that was broken off must not be taken for the next answer.
                if not is_read:
                    self._end_reader()
        return (fields[0].decode(), fields[1].decode(), size, content) if exists else None

    def _ask_reader(self, request: Bytes) -> tuple[Conversation, Bytes]:
        if self._cat_file is not None:
            try:
                return self._cat_file, self._cat_file.ask(request)
            except PlannerError:
                # Ctrl-C in a terminal ends every process of its group, and there is still something to do.
                self._end_reader()
        # A warning for each ambiguous name would fill the pipe of stderr, which is read only at the end.
        quiet = "core.warnAmbiguousRefs=false"
        self._cat_file = self.conversation("-c", quiet, "cat-file", "--batch-command")
        return self._cat_file, self._cat_file.ask(request)

    def _end_reader(self) -> None:
        if self._cat_file is not None:
            self._cat_file.end()
            self._cat_file = None

    def conversation(self, *args: str) -> Conversation:
        """Start a git that answers request by request. The caller ends it."""
        return Conversation(self._start(args, None, subprocess.PIPE), args, self.cwd)

    def _start(
        self,
        args: tuple[str, ...],
        env: Mapping[str, str] | None,
        stdin: int | None,
        *,
        new_session: bool = False,
        stdout: int = subprocess.PIPE,
    ) -> subprocess.Popen[Bytes]:
        global spawned  # noqa: PLW0603 - the count is of the process, not of one repository
        spawned += 1
        if _CHANGES_CONFIGURATION.intersection(args):
            self._configuration = None
        try:
            return subprocess.Popen(
                ["git", *self.prefix, *args],
                cwd=self.cwd,
                env=git_environment({**self._objects, **(env or {})}, keep_repository=self.keep_repository),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                start_new_session=new_session,
            )
        except FileNotFoundError:
            raise cannot_start(self.cwd) from None
        except OSError as error:
            raise resource_error(error, starting="git") or error from None


def _end_session(process: subprocess.Popen[bytes]) -> GitResult:
    """End a git that exceeded its deadline, with the programs it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    stdout, stderr = b"", b""
    with suppress(subprocess.TimeoutExpired):
        # A daemon that left the session may still hold the pipes.
        stdout, stderr = process.communicate(timeout=1)
    return GitResult(TIMED_OUT, stdout, stderr)


def hook_git() -> Git:
    """Return git on the repository and the index that a hook was given: the environment names them."""
    return Git((), Path.cwd(), keep_repository=True)


class Conversation:
    """One running git that reads requests on its stdin and answers on its stdout."""

    def __init__(self, process: subprocess.Popen[bytes], args: tuple[str, ...], cwd: Path) -> None:
        self._process, self._args, self._cwd = process, args, cwd
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def ask(self, request: bytes) -> bytes:
        """Send a request and return the first line of the answer, without its end.

        Raises:
            PlannerError: E_GIT with git's message when it has ended instead of answering.
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
        """Return `size` further bytes of the answer."""
        return self._stdout.read(size)

    def end(self) -> None:
        """Close the pipes, and wait until git has ended."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process.wait()

    def _ended(self) -> PlannerError:
        with suppress(BrokenPipeError):
            self._stdin.close()
        stderr = self._process.stderr.read() if self._process.stderr else b""
        return failure(self._args, GitResult(self._process.wait(), b"", stderr), self._cwd)


class Batch:
    """Reader of many objects through the one `git cat-file` of a Git."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def read(self, name: str) -> bytes | None:
        """Return the content of an object, named such as 'main:README.md'; None when there is none."""
        answer = self._git.read_object("contents", name)
        return None if answer is None else answer[3]

    def info(self, name: str) -> tuple[str, str, int] | None:
        """Return object id, type and size in bytes; None when there is no such object."""
        answer = self._git.read_object("info", name)
        return None if answer is None else answer[:3]


def read_objects(git: Git, names: Iterable[str]) -> Iterator[bytes | None]:
    """Read many objects in one call: contents in the order of the names, None for those that are missing."""
    names = list(names)
    if len(names) <= _FEW:
        yield from (git.batch().read(name) for name in names)
        return
    requests = b"".join(os.fsencode(name) + b"\n" for name in names)
    output = memoryview(git.bytes("cat-file", "--batch", "--buffer", stdin=requests))
    raw = output.obj
    assert isinstance(raw, bytes)
    position = 0
    while position < len(output):
        end = raw.index(b"\n", position)
        fields = raw[position:end].rsplit(b" ", 2)
        position = end + 1
        if len(fields) == 3 and fields[2].isdigit():
            size = int(fields[2])
            yield bytes(output[position : position + size])
            position += size + 1
        else:
            yield None


def _trace(args: tuple[str, ...], started: float) -> None:
    if os.environ.get("GIT_PLANNER_TRACE") == "1":
        took = (time.perf_counter() - started) * 1000
        print(f"trace: {took:6.1f} ms  git {' '.join(args)[:200]}", file=sys.stderr)
