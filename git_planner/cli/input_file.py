"""Files that a person names on the command line, or stdin."""

from __future__ import annotations

import sys

from git_planner.errors import PlannerError


def read_input(source: str, limit: int, content: str, code: str = "E_USAGE") -> tuple[str, bytes]:
    """Read a file, or stdin for '-', up to a limit; its caller judges what is longer.

    Args:
        source: the path, of a pipe, too.
        limit: the most bytes that are of use; one more is read, which shows that there are more.
        content: what the file is to have, such as 'the answer'.
        code: the error code for a file that cannot be read.

    Returns:
        The name for messages, and the bytes.

    Raises:
        PlannerError: it cannot be read.
    """
    if source == "-":
        return "stdin", sys.stdin.buffer.read(limit + 1)
    try:
        with open(source, "rb") as file:
            return source, file.read(limit + 1)
    except OSError as error:
        raise PlannerError(
            code, f"'{source}' cannot be read: {error.strerror}", hint=f"name the file that has {content}"
        ) from None
