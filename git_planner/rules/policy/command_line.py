"""Commands that people write as one line of text, as the argument vectors that are run. Pure; no shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents.placeholders import find_placeholder

MAX_WORDS, MAX_WORD_LENGTH = 200, 8000
# Outside of quotes these mean something to a shell, and would be plain text to a program.
_OPERATORS = "|&;<>()\n"
_PLACEHOLDER_WORDS = frozenset(("TBD", "TODO", "FIXME", "???"))
_VARIABLE = re.compile(r"\$[\w{(]")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def split_command(text: str, where: str) -> tuple[str, ...]:
    """Split a command line into the program and its arguments.

    Args:
        text: one line, with quotes as a shell has them.
        where: what to call it in an error.

    Raises:
        PlannerError: E_USAGE for quotes that don't close, what only a shell could do, placeholders, nothing.
    """
    label = f"{where}: {text.strip()[:120]!r}"
    placeholder = find_placeholder(text)
    if placeholder is not None:
        raise PlannerError("E_USAGE", f"{label} is a placeholder", hint="write the command that is to be run")
    try:
        words = shlex.split(text)
    except ValueError as error:
        reason = str(error).lower()
        raise PlannerError("E_USAGE", f"{label} cannot be split: {reason}", hint="close the quote") from None
    if not words:
        raise PlannerError(
            "E_USAGE", f"{where}: there is no command", hint="write the command that is to be run"
        )
    shell = next(_shell_syntax(text.strip()), None)
    if shell is None and _ASSIGNMENT.match(words[0]):
        shell = words[0]
    if shell is not None:
        raise PlannerError(
            "E_USAGE",
            f"{label} needs a shell for '{shell}', and none reads it",
            hint=f"write it as: sh -c {shlex.quote(text.strip())[:200]}",
        )
    return parse_command(words, where)


def parse_command(written: Any, where: str) -> tuple[str, ...]:
    """The argument vector of a command in a file: a line as `command` takes it, or such a vector itself.

    Args:
        written: what stands there.
        where: what to call it in an error.

    Raises:
        PlannerError: E_USAGE, as `command`, or because it is no list of texts.
    """
    if isinstance(written, str):
        return split_command(written, where)
    if not isinstance(written, list | tuple) or not all(isinstance(word, str) for word in written):
        raise PlannerError("E_USAGE", f"{where}: is neither a text nor a list of texts")
    if not written or not written[0].strip() or any("\0" in word for word in written):
        raise PlannerError("E_USAGE", f"{where}: names no program, or holds a NUL character")
    if len(written) > MAX_WORDS or max(map(len, written)) > MAX_WORD_LENGTH:
        raise PlannerError(
            "E_USAGE",
            f"{where}: has more than {MAX_WORDS} words, or one of over {MAX_WORD_LENGTH:,} characters",
        )
    placeholder = find_placeholder(" ".join(written)) or next(
        (word for word in written if word in _PLACEHOLDER_WORDS), None
    )
    if placeholder is not None:
        raise PlannerError("E_USAGE", f"{where}: {placeholder[:120]!r} is a placeholder")
    return tuple(written)


def _shell_syntax(text: str) -> Iterator[str]:
    """What only a shell would understand, where no quotes take its meaning away."""
    quote = ""
    place = 0
    while place < len(text):
        here = text[place]
        if here == "\\" and quote != "'":
            place += 1
        elif here == quote:
            quote = ""
        elif not quote and here in "'\"":
            quote = here
        elif (not quote and here in _OPERATORS) or (quote != "'" and here == "`"):
            yield here
        elif quote != "'" and _VARIABLE.match(text, place):
            yield text[place : place + 12]
        place += 1
