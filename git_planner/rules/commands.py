"""Commands that people write as one line of text, as the argument vectors that are run. Pure; no shell."""

from __future__ import annotations

import shlex

from git_planner.errors import PlannerError
from git_planner.rules.lint import placeholder

# Words that mean something to a shell, and would be plain arguments to a program.
_OPERATORS = frozenset(("&&", "||", ";", "|", "&", ">", ">>", "<", "<<", "2>", "2>&1", "(", ")"))


def command(text: str, where: str) -> tuple[str, ...]:
    """Split a command line into the program and its arguments.

    Args:
        text: one line, with quotes as a shell has them.
        where: what to call it in an error.

    Raises:
        PlannerError: E_USAGE for quotes that don't close, what only a shell could do, placeholders, nothing.
    """
    shown = f"{where}: {text.strip()[:120]!r}"
    found = placeholder(text)
    if found is not None:
        raise PlannerError("E_USAGE", f"{shown} is a placeholder", hint="write the command that is to be run")
    try:
        words = shlex.split(text)
    except ValueError as error:
        reason = str(error).lower()
        raise PlannerError("E_USAGE", f"{shown} cannot be split: {reason}", hint="close the quote") from None
    if not words:
        raise PlannerError(
            "E_USAGE", f"{where}: there is no command", hint="write the command that is to be run"
        )
    shell = next((word for word in words if word in _OPERATORS or word.endswith(";")), None)
    if shell is None and "=" in words[0]:
        shell = words[0]
    if shell is not None:
        raise PlannerError(
            "E_USAGE",
            f"{shown} needs a shell for '{shell}', and none reads it",
            hint=f"write it as: sh -c {shlex.quote(text.strip())[:200]}",
        )
    return tuple(words)
