"""Error boundary of the command lines: turns exceptions into messages and exit statuses."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO, TypeVar

import click

from git_planner.cli.lazy_group import LazyGroup, NoSuchName
from git_planner.cli.output import clear_line, emit, tell
from git_planner.cli.similar_names import suggest_name
from git_planner.errors import DONE, INTERRUPTED, PlannerError, resource_error
from git_planner.rules.did_you_mean import close_names, did_you_mean

T = TypeVar("T")
_UNWRITABLE = {
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT),
    *(errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


def guarded(command: Callable[[], int], *, as_json: bool, signals: Sequence[int] = ()) -> int:
    """Run a command, turning every error into a message and an exit status, never a traceback.

    Args:
        command: function to run; its result is the exit status.
        as_json: whether to print the error as a JSON document on stdout, too.
        signals: filled with the signals that come meanwhile; the first decides the status of an interruption.
    """
    if sys.stdout is None:
        sys.stdout = _closed()
    try:
        status = command()
        clear_line()
        return status
    except PlannerError as error:
        return _report(suggest_name(error), as_json=as_json, signals=signals)
    except (KeyboardInterrupt, click.Abort):
        return _report(PlannerError("E_INTERRUPTED", "interrupted"), as_json=as_json, signals=signals)
    except click.ClickException as error:
        return _report(_usage_error(error), as_json=as_json)
    except BrokenPipeError:
        # The reader of the output has gone.
        _discard(sys.stdout)
        return DONE
    except Exception as error:  # noqa: BLE001 - this is the boundary: a defect ends here, as a sentence
        return _report(_defect(error), as_json=as_json)


def _usage_error(error: click.ClickException) -> PlannerError:
    """Return the error for a command line that click refuses, with suggestions for a mistyped name."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip(".")
    if context is None:
        return PlannerError("E_USAGE", message[:1].lower() + message[1:])
    near: list[str] = []
    if isinstance(error, click.NoSuchOption):
        # click appends suggestions of its own to the message.
        message = f"no such option: '{error.option_name}'"
        options = [param for param in context.command.get_params(context) if isinstance(param, click.Option)]
        near = close_names(error.option_name, (name for option in options for name in option.opts))
    elif isinstance(error, NoSuchName):
        near = [f"{context.command_path} {name}" for name in close_names(error.name, error.known)]
    elif isinstance(error, click.BadParameter) and error.param and isinstance(error.param.type, click.Choice):
        # For a missing argument click lists the choices again, one per line.
        message = message.splitlines()[0].removesuffix(" Choose from:").rstrip(".")
        given = error.message.partition(" is not one of ")[0].strip("'")
        near = close_names(given, map(str, error.param.type.choices))
    hint = did_you_mean(near, f"see '{_help_path(context)} -h'")
    return PlannerError("E_USAGE", message[:1].lower() + message[1:], hint=hint)


def _help_path(context: click.Context) -> str:
    """Return the command whose help lists the options; a default command has no help of its own."""
    parent = context.parent
    if (
        parent is not None
        and isinstance(parent.command, LazyGroup)
        and parent.command.default == context.info_name
    ):
        return parent.command_path
    return context.command_path


def _closed() -> TextIO:
    """Return a stdout on which printing fails, in place of a closed one."""
    # Otherwise the next file that is opened would become stdout of every child process.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 1)
    return open(1, "w", encoding="utf-8", closefd=False)


def _report(error: PlannerError, *, as_json: bool, signals: Sequence[int] = ()) -> int:
    status = 128 + signals[0] if signals and error.exit == INTERRUPTED else error.exit
    # A message that already ends with a fault does not list it once more.
    details = [line for line in error.details if not error.message.endswith(line)]
    lines = [f"error: {error.message} ({error.code})", *(f"  {line}" for line in details)]
    if error.hint and os.environ.get("GIT_ADVICE") != "0":
        lines.append(f"hint: {error.hint}")
    # The exit status must be right even if nothing can be printed.
    try:
        for line in _masked(lines):
            tell(line)
    except OSError:
        _discard(sys.stderr)
    try:
        if as_json:
            emit({**_masked(error.document()), "exit": status})
        print(end="", flush=True)
    except OSError:
        _discard(sys.stdout)
    return status


def _masked(value: T) -> T:
    """Return the texts of an error with secrets masked.

    Errors quote arguments, addresses and answers of programs, and are kept in the logs of CI and of agents.
    """
    # Where files or memory have run out, nothing more can be loaded, and the error says so.
    with suppress(OSError, ImportError, MemoryError):
        from git_planner import redact

        return redact.mask_document(value)
    return value


def _discard(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, so that its buffer does not fail at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _defect(error: Exception) -> PlannerError:
    if os.environ.get("GIT_PLANNER_TRACE") == "1":
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f" for '{error.filename}'" if error.filename else ""
        return PlannerError("E_NO_SPACE", f"no space left on the disk{place}", hint="make room, then retry")
    exhausted = resource_error(error)
    if exhausted is not None:
        return exhausted
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
        hint="this is a defect; run again with GIT_PLANNER_TRACE=1 to see the traceback",
    )


def _unwritable(error: OSError) -> PlannerError | None:
    """Return the error for a file that cannot be written or reached; None for a possible defect."""
    # A failed rename is best described by its target.
    name = error.filename2 or error.filename
    if error.errno == errno.EBADF and name is None:
        return PlannerError("E_UNWRITABLE", "the output cannot be written: stdout is closed")
    if name is None or error.errno not in _UNWRITABLE:
        return None
    shown = name if isinstance(name, str) else os.fsdecode(name) if isinstance(name, bytes) else str(name)
    return PlannerError(
        "E_UNWRITABLE",
        f"'{shown}' cannot be written or reached: {error.strerror}",
        hint="check it and its folder with 'ls -ld', then run the same command again",
    )
