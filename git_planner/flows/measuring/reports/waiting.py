"""Progress of a command for the person who waits: how far its tests are, and how long it took before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from git_planner import atomic_file
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress, Tick
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.tests_so_far import TestsSoFar

# Seconds between two looks, and the most bytes that are read at one.
_PAUSE, _MOST_BYTES = 1.0, 256 * 1024
_MOST_COMMANDS, _MAX_FILE = 200, 64 * 1024


class Durations:
    """Seconds that commands took on this host, for an estimate; what is lost is only an estimate.

    Args:
        repo: the repository whose commands they are.
    """

    def __init__(self, repo: Repository) -> None:
        self._place = repo.private("cache", "durations.json")
        self._known: dict[str, float] | None = None

    def of(self, argv: Sequence[str]) -> float | None:
        """Return how long a command took the last time; None if that is not known."""
        return self._read().get(_key(argv))

    def note(self, argv: Sequence[str], seconds: float) -> None:
        """Remember how long a command took."""
        known = {name: took for name, took in self._read().items() if name != _key(argv)}
        kept = list(known.items())[-_MOST_COMMANDS + 1 :]
        self._known = {**dict(kept), _key(argv): round(seconds, 1)}
        with suppress(OSError):
            self._place.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(self._place, json.dumps(self._known).encode())

    def _read(self) -> dict[str, float]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
                document = json.loads(atomic_file.read(self._place, _MAX_FILE))
                self._known = {str(name): float(took) for name, took in document.items()}
        return self._known


def watch_tests(logs: Path, name: str, progress: Progress) -> Callable[[], None]:
    """Return a function that is called while tests run, and reports how many have ended.

    Args:
        logs: the folder in which their output grows.
        name: the stem of its two files.
        progress: called with a `Tick` at most once a second.
    """
    streams = [_GrowingOutput(logs / f"{name}.{stream}") for stream in ("stdout", "stderr")]
    due = time.monotonic() + _PAUSE

    def look() -> None:
        nonlocal due
        if time.monotonic() >= due:
            texts = [stream.read() for stream in streams]
            progress(Tick(next(filter(None, texts), "")))
            due = time.monotonic() + _PAUSE

    return look


class _GrowingOutput:
    """A file that a command's output is written to, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._so_far = path, 0, TestsSoFar()

    def read(self) -> str:
        """Return how far its tests are."""
        with suppress(OSError), atomic_file.open_regular(self._path) as file:
            file.seek(self._offset)
            chunk = file.read(_MOST_BYTES)
            self._offset += len(chunk)
            self._so_far.feed(chunk)
        return str(self._so_far)


def _key(argv: Sequence[str]) -> str:
    return canonical_json.digest(list(argv))[:16]
