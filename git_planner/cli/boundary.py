"""The one boundary at which an error of a command becomes a message and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import click

from git_planner.errors import DONE, PlannerError

if TYPE_CHECKING:
    pass
from git_planner.cli.output import emit, tell

_IN_THE_WAY = {
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT),
    *(errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


def guarded(command: Callable[[], int], *, as_json: bool) -> int:
    """The error boundary of every command line: errors become a message, a status and never a traceback.

    Args:
        command: what to run; its result is the exit status.
        as_json: whether the error goes to stdout as a JSON document, too.
    """
    if sys.stdout is None:
        sys.stdout = _closed()
    try:
        return command()
    except PlannerError as error:
        return _report(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        return _report(PlannerError("E_INTERRUPTED", "interrupted"), as_json=as_json)
    except click.ClickException as error:
        hint = (
            f"see '{error.ctx.command_path} -h'"
            if isinstance(error, click.UsageError) and error.ctx
            else None
        )
        message = error.format_message().rstrip(".")
        return _report(PlannerError("E_USAGE", message[:1].lower() + message[1:], hint=hint), as_json=as_json)
    except BrokenPipeError:
        # Whoever read our output has gone.
        _say_no_more(sys.stdout)
        return DONE
    except Exception as error:  # noqa: BLE001 - this is the boundary: a defect ends here, as a sentence
        return _report(_defect(error), as_json=as_json)


def _closed() -> TextIO:
    """What stands for a stdout that was closed: printing fails there, as it does for other programs."""
    # Otherwise the next file that is opened would be stdout, for every program that we start.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 1)
    return open(1, "w", encoding="utf-8", closefd=False)


def _report(error: PlannerError, *, as_json: bool) -> int:
    lines = [f"error: {error.message} ({error.code})", *(f"  {line}" for line in error.details)]
    if error.hint and os.environ.get("GIT_ADVICE") != "0":
        lines.append(f"hint: {error.hint}")
    # Where nothing can be said, the exit status still tells how it ended.
    try:
        for line in lines:
            tell(line)
    except OSError:
        _say_no_more(sys.stderr)
    try:
        if as_json:
            emit(error.document())
        print(end="", flush=True)
    except OSError:
        _say_no_more(sys.stdout)
    return error.exit


def _say_no_more(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, so that it does not fail at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _defect(error: Exception) -> PlannerError:
    if os.environ.get("GIT_PLANNER_TRACE") == "1":
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f" for '{error.filename}'" if error.filename else ""
        return PlannerError("E_NO_SPACE", f"no space left on the disk{place}", hint="make room, then retry")
    unwritable = _unwritable(error) if isinstance(error, OSError) else None
    if unwritable is not None:
        return unwritable
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "somewhere"
    return PlannerError(
        "E_INTERNAL",
        f"{type(error).__name__} at {place}: {str(error)[:300]}",
        hint="this is a defect; run again with GIT_PLANNER_TRACE=1 for the whole story",
    )


def _unwritable(error: OSError) -> PlannerError | None:
    """The error for a file that is in the way or out of reach; None for what may be a defect."""
    # Of a file that was to take another one's place, the name of that one says more.
    name = error.filename2 or error.filename
    if error.errno == errno.EBADF and name is None:
        return PlannerError("E_UNWRITABLE", "the output cannot be written: stdout is closed", hint="open it")
    if name is None or error.errno not in _IN_THE_WAY:
        return None
    shown = name if isinstance(name, str) else os.fsdecode(name) if isinstance(name, bytes) else str(name)
    return PlannerError(
        "E_UNWRITABLE",
        f"'{shown}' cannot be written or reached: {error.strerror}",
        hint="look at it and its folder with 'ls -ld', then run the same command again",
    )
