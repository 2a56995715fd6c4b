"""Split command lines into argument vectors, without a shell. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents.placeholders import find_placeholder

MAX_WORDS, MAX_WORD_LENGTH = 200, 8000
# Shell operators, which a program would get as plain text.
_OPERATORS = "|&;<>()\n"
_PLACEHOLDER_WORDS = frozenset(("TBD", "TODO", "FIXME", "???"))
_VARIABLE = re.compile(r"\$[\w{(]")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def split_command(text: str, where: str) -> tuple[str, ...]:
    """Split a command line into the program and its arguments.

    Args:
        text: one line, quoted as for a shell.
        where: its name in errors.

    Raises:
        PlannerError: E_USAGE for unclosed quotes, shell syntax, placeholders and empty lines.
    """
    label = f"{where}: {text.strip()[:120]!r}"
    placeholder = find_placeholder(text)
    if placeholder is not None:
        raise PlannerError("E_USAGE", f"{label} is a placeholder", hint="write the command to run")
    try:
        words = shlex.split(text)
    except ValueError as error:
        reason = str(error).lower()
        raise PlannerError("E_USAGE", f"{label} cannot be split: {reason}", hint="close the quote") from None
    if not words:
        raise PlannerError("E_USAGE", f"{where}: there is no command", hint="write the command to run")
    shell = next(_shell_syntax(text.strip()), None)
    if shell is None and _ASSIGNMENT.match(words[0]):
        shell = words[0]
    if shell is not None:
        raise PlannerError(
            "E_USAGE",
            f"{label} uses shell syntax ('{shell}'), but commands run without a shell",
            hint=f"write it as: sh -c {shlex.quote(text.strip())[:200]}",
        )
    return parse_command(words, where)


def parse_command(written: Any, where: str) -> tuple[str, ...]:
    """Return the argument vector of a command in a document: a line as for `split_command`, or a list.

    Args:
        written: the JSON value.
        where: its name in errors.

    Raises:
        PlannerError: E_USAGE as from `split_command`, or if it is not a list of strings.
    """
    if isinstance(written, str):
        return split_command(written, where)
    if not isinstance(written, list | tuple) or not all(isinstance(word, str) for word in written):
        raise PlannerError("E_USAGE", f"{where}: is neither a string nor a list of strings")
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
    """Yield the unquoted pieces that only a shell would interpret."""
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
