"""The name of the operation that a process carries out, in every commit that it makes for it.

A caller that repeats an operation after a crash finds by the name whether the first one was committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git_planner.gitio.repository import Repository

TRAILER = "Planner-Operation"
_names: list[str] = []


@contextmanager
def named_operation(name: str) -> Iterator[None]:
    """Give a name to the commits that this process makes within the block."""
    _names.append(name)
    try:
        yield
    finally:
        _names.pop()


def current_name() -> str | None:
    """Return the name of the operation; None if it has none."""
    return _names[-1] if _names else None


def operation_trailers() -> tuple[tuple[str, str], ...]:
    """Return the trailers of a commit's message that name the operation."""
    return tuple((TRAILER, name) for name in _names[-1:])


def is_committed(repo: Repository, name: str) -> bool:
    """Return whether some plan's branch has a commit of a named operation."""
    args = ("log", "-1", "--format=%H", "--branches=plan/*", "--fixed-strings", f"--grep={TRAILER}: {name}")
    result = repo.git.run(*args)
    return result.status == 0 and bool(result.stdout.strip())
