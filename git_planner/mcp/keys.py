"""Idempotency keys: a call that is repeated with its key is done once, and answered as the first time.

An entry is written before the work and completed after it. Only the process that does the work holds its
lock, so that a repetition waits for it, and notices when it was killed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.gitio.repository import Repository
from git_planner.rules import refnames
from git_planner.rules.documents import canonical_json

FOLDER = ("mcp", "keys")
LIFETIME_SECONDS = 7 * 86400
MOST_ENTRIES = 1000
WAIT_SECONDS = 600.0
_PAUSE = 0.05
_MAX_BYTES = 4 * 1024 * 1024


class KeyEntry(NamedTuple):
    """A key that was used.

    `digest` is that of the call, `operation` names it in commits, `begun_at` is in seconds since 1970, and
    `outcome` is None until the call has ended.
    """

    digest: str
    operation: str
    begun_at: float
    outcome: dict[str, Any] | None

    def document(self) -> dict[str, Any]:
        """Return the entry as JSON."""
        return {"schema": "git-planner/mcp-key@1", **self._asdict()}


class HeldKey:
    """A key whose lock this process holds; `entry` is that of an earlier call, None for the first one."""

    def __init__(self, path: Path, digest: str) -> None:
        self._path, self._digest = path, digest
        self.entry = _read(path)
        if self.entry is not None and self.entry.digest != digest:
            raise PlannerError(
                "E_KEY",
                "the idempotency key belongs to a call with other arguments",
                hint="give each call a key of its own, and repeat a call with the same arguments",
            )
        self.operation = self.entry.operation if self.entry else refnames.random_token(16)

    def begin(self) -> None:
        """Note that the work begins."""
        self._write(None)

    def end(self, outcome: Mapping[str, Any]) -> None:
        """Note the outcome, which every repetition returns."""
        self._write(dict(outcome))

    def forget(self) -> None:
        """Remove the entry: the call was refused and has changed nothing, so that it may be tried again."""
        self._path.unlink(missing_ok=True)

    def _write(self, outcome: dict[str, Any] | None) -> None:
        entry = KeyEntry(self._digest, self.operation, time.time(), outcome)
        atomic_file.write(self._path, json.dumps(entry.document()).encode(), 0o600)


@contextmanager
def held_key(
    repo: Repository, key: str, call: Mapping[str, Any], *, seconds: float = WAIT_SECONDS
) -> Iterator[HeldKey]:
    """Hold a key's lock, waiting for another process that carries out the same call.

    Args:
        repo: the repository, in whose private folder the keys are kept.
        key: the key.
        call: what must be the same when the key comes again.
        seconds: how long another process is waited for.

    Raises:
        PlannerError: E_KEY, E_BUSY, E_UNWRITABLE.
    """
    name = sha256(key.encode()).hexdigest()[:32]
    folder = repo.private(*FOLDER)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_expired(folder)
        with _locked(folder / f"{name}.lock", seconds):
            yield HeldKey(folder / f"{name}.json", canonical_json.digest(call))
    except OSError as error:
        raise PlannerError(
            "E_UNWRITABLE",
            f"the idempotency key cannot be kept in '{folder}': {error.strerror}",
            hint="make the folder writable, or call without a key",
        ) from None


def remove_expired(folder: Path, most: int = MOST_ENTRIES) -> None:
    """Remove the entries that are too old, or beyond the `most` newest, except those that a process holds."""
    entries = []
    with os.scandir(folder) as listed:
        for file in listed:
            if file.name.endswith(".json"):
                with suppress(OSError):
                    entries.append((file.stat().st_mtime, Path(file.path)))
    entries.sort(reverse=True)
    oldest = time.time() - LIFETIME_SECONDS
    for place, (changed, path) in enumerate(entries):
        if changed < oldest or place >= most:
            with suppress(OSError), open(path.with_suffix(".lock"), "ab", opener=_private) as lock:
                if atomic_file.lock_now(lock):
                    path.unlink(missing_ok=True)
                    path.with_suffix(".lock").unlink(missing_ok=True)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock file of a key; it may be removed, and made anew, while it is waited for."""
    until = time.monotonic() + seconds
    while True:
        with open(path, "ab", opener=_private) as lock:
            if atomic_file.lock_now(lock) and _is_in_place(lock, path):
                yield
                return
        if time.monotonic() > until:
            raise PlannerError(
                "E_BUSY", "another process still carries out the call with this key", hint="call again later"
            )
        time.sleep(_PAUSE)


def _is_in_place(lock: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _read(path: Path) -> KeyEntry | None:
    """Return the entry of a key; None when there is none, or none that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(atomic_file.read(path, _MAX_BYTES))
        digest, operation = str(document["digest"]), str(document["operation"])
        return KeyEntry(digest, operation, float(document["begun_at"]), document["outcome"])
    return None
