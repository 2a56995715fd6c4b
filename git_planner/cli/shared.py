"""What the commands share: options, the one error boundary, and output as one JSON document."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from git_planner import atomic_file
from git_planner.errors import DEADLINE, DONE, INTERRUPTED, UNREACHED, USAGE, PlannerError

if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository

_IN_THE_WAY = {
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT),
    *(errno.ENOTDIR, errno.EPERM, errno.EROFS),
}

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


def candidates(kind: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What shells complete for a parameter: 'plans', 'tasks', 'iterations' or 'commits' of the repository."""

    def found(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
        from git_planner.cli import candidates as known

        return getattr(known, kind)(context, parameter, begun)  # type: ignore[no-any-return]

    return found


class Number(click.FloatRange):
    """A finite number, within bounds where there are some. To float(), 'nan' and 'inf' are numbers, too."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or refuse it as a usage error that names the option."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{str(value)!r} is not a finite number", param, ctx)
        return found

    def _describe_range(self) -> str:
        # Without bounds, click would say 'x<=None'.
        return "" if self.min is None and self.max is None else super()._describe_range()


SECONDS = Number(min=0, min_open=True, max=604_800)

plan_option = click.option(
    "--plan",
    metavar="NAME",
    help="The plan; else the iteration's own, or 'planner.plan'.",
    shell_complete=candidates("plans"),
)


def claim_remote_options(command: F) -> F:
    """The options that say where else a claim is made."""
    command = click.option("--no-remote", is_flag=True, help="Ask no remote.")(command)
    return click.option(
        "--remote", metavar="NAME", help="Claim on this remote first; else on 'planner.remote' if it is set."
    )(command)


def shared_remote(repo: Repository) -> str | None:
    """The remote that plans are shared through, where a person has set one."""
    from git_planner.config.settings import config_key, variable

    return os.environ.get(variable("remote")) or repo.config(config_key("remote"))


# A terminal obeys control characters; those in names and in what agents and tests print are only shown. So
# are those that turn the direction of writing: with them a line reads otherwise than it is.
_CONTROL = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"},
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}


def plain(text: str) -> str:
    """A text as it can be printed on a terminal."""
    return text.translate(_CONTROL).encode("utf-8", "backslashreplace").decode()


def say(text: str) -> None:
    """Print for people, on stdout."""
    click.echo(plain(text))


def tell(message: str) -> None:
    """Show progress: one line on stderr."""
    click.echo(plain(message), err=True)


def hush(_: str) -> None:
    """Show no progress."""


def emit(document: Mapping[str, Any] | list[Any]) -> None:
    """Print one JSON document on stdout."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    # Halves of surrogate pairs stand for bytes of a path that is no UTF-8; they are escaped as JSON does.
    click.echo(text.encode("utf-8", "backslashreplace").decode())


def check_place(path: str) -> None:
    """Refuse a file that could not be written later on, before anything is done.

    Raises:
        PlannerError: E_USAGE.
    """
    import tempfile

    try:
        if not path:
            raise OSError(errno.ENOENT, "it has no name")
        if _special(path):
            with open(path, "ab"):
                return
        if os.path.isdir(path):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
            return
    except (OSError, ValueError) as error:
        raise _no_place(path, error) from None


def put_text(path: str, text: str) -> None:
    """Write a file that a person has named: whole or not at all, through links, and to devices as they are.

    Raises:
        OSError: it cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    if _special(path):
        with open(path, "wb") as file:
            file.write(data)
        return
    place = os.path.realpath(path)
    mode = stat.S_IMODE(os.stat(place).st_mode) if os.path.exists(place) else 0o666
    atomic_file.put(place, data, mode)


def _special(path: str) -> bool:
    """Whether a name is that of a pipe or a device, which nothing can be put in the place of."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _no_place(path: str, error: OSError | ValueError) -> PlannerError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return PlannerError("E_USAGE", f"'{path}' cannot be written: {reason}", hint="name another file")


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


__all__ = [
    "DEADLINE",
    "DONE",
    "INTERRUPTED",
    "SECONDS",
    "UNREACHED",
    "USAGE",
    "Number",
    "candidates",
    "check_place",
    "claim_remote_options",
    "emit",
    "guarded",
    "hush",
    "json_option",
    "plain",
    "plan_option",
    "put_text",
    "say",
    "shared_remote",
    "tell",
]
