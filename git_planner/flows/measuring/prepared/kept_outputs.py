"""Outputs of steps, kept by digest in the user's cache, outside every repository.

An entry is made beside its name and renamed, so that it is complete or not there. Its seal says how the
outputs were when they were made; what has changed since is thrown away. Whoever makes an entry holds its lock
alone, and whoever uses it shares it, so that none is made twice at once, or removed while it is used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from git_planner import atomic_file
from git_planner.errors import PlannerError
from git_planner.flows.measuring.prepared import working_places
from git_planner.flows.measuring.prepared.output_files import (
    move_output,
    output_content,
    output_state,
    place_path,
)
from git_planner.folders import remove_folder
from git_planner.owned_folder import owned_folder
from git_planner.progress import Progress
from git_planner.rules.policy.steps import PreparingStep

SEAL = "seal.json"
MAKING = "making-"
_PAUSE = 0.1
# Beyond its own deadline, a step needs time to be written out, checked and sealed.
_MARGIN_SECONDS = 300.0


@dataclass
class KeptOutputs:
    """The outputs of a step: a folder of the cache. `is_missing`: they have to be made."""

    top: Path
    digest: str
    step: PreparingStep
    is_missing: bool = False
    outputs: list[tuple[Path, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outputs = [
            (self.top / self.digest / str(number), output) for number, output in enumerate(self.step.outputs)
        ]

    def keep(self, place: Path) -> None:
        """Move what a step made from its place to the cache, sealed, at once or not at all."""
        with owned_folder(self.top, MAKING) as draft:
            kept = draft / "kept"
            kept.mkdir()
            tops = [kept / str(number) for number in range(len(self.outputs))]
            for top, output in zip(tops, self.step.outputs, strict=True):
                move_output(place_path(place, output), top)
            write_seal(kept, tops, self.step)
            kept.rename(self.top / self.digest)
        self.is_missing = False


class OutputStore:
    """The cache of outputs, for one preparation. Entries that it has given out stay until its end.

    Args:
        progress: called with each progress message.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stack = ExitStack()
        self._top = working_places.cache_folder(working_places.OUTPUTS)

    def __enter__(self) -> OutputStore:
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of all entries."""
        self._stack.close()

    @contextmanager
    def new_place(self) -> Iterator[Path]:
        """Yield a new place to run a step in, on the file system of the cache."""
        with owned_folder(self._top, MAKING) as place:
            for name in ("tree", "home", "tmp"):
                (place / name).mkdir()
            yield place

    @contextmanager
    def obtaining(self, digest: str, step: PreparingStep) -> Iterator[KeptOutputs]:
        """Yield an entry. If it is missing, nobody else makes it meanwhile, and it is kept in the block.

        Raises:
            PlannerError: E_BUSY, E_NO_SPACE.
        """
        entry = KeptOutputs(self._top, digest, step)
        with ExitStack() as on_error:
            lock = on_error.enter_context(self._locked(entry))
            yield entry
            fcntl.flock(lock, fcntl.LOCK_SH)
            os.utime(lock.fileno())
            self._stack.push(on_error.pop_all())

    @contextmanager
    def _locked(self, entry: KeptOutputs) -> Iterator[IO[bytes]]:
        """Lock an entry: shared if it is whole, alone if it is missing."""
        path = self._top / f"{entry.digest}.lock"
        until = time.monotonic() + entry.step.timeout + _MARGIN_SECONDS
        is_announced = False
        while True:
            with path.open("ab") as file:
                mode = _lock(file, path)
                if mode is not None:
                    is_whole = is_sealed(self._top / entry.digest)
                    if is_whole or mode == fcntl.LOCK_EX:
                        if not is_whole:
                            self._discard(entry)
                        yield file
                        return
            if time.monotonic() > until:
                raise PlannerError("E_BUSY", f"another program prepares '{entry.step.name}' all the time")
            if not is_announced:
                self._progress(f"waits for another record, which prepares '{entry.step.name}'")
                is_announced = True
            time.sleep(_PAUSE)

    def _discard(self, entry: KeptOutputs) -> None:
        entry.is_missing = True
        folder = self._top / entry.digest
        if folder.is_symlink() or folder.exists():
            self._progress(f"what '{entry.step.name}' had made was changed since, and is made again")
            remove_entry(folder)


def _lock(file: IO[bytes], path: Path) -> int | None:
    """Lock a file alone, or share it; return how, or None if it is another's or was removed."""
    for mode in (fcntl.LOCK_EX, fcntl.LOCK_SH):
        with suppress(OSError):
            fcntl.flock(file, mode | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == os.stat(path).st_ino:
                return mode
    return None


def remove_entry(folder: Path) -> None:
    """Remove an entry; one that is half removed has no seal."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    (folder / SEAL).unlink(missing_ok=True)
    remove_folder(folder)


def write_seal(folder: Path, tops: list[Path], step: PreparingStep) -> None:
    """Write the seal of an entry: how its outputs are now."""
    state = output_state(tops)
    document = {
        "step": step.name,
        "run": list(step.run),
        "outputs": list(step.outputs),
        "made": int(time.time()),
        "files": state.files,
        "bytes": state.size,
        "state": state.digest,
        "content": output_content(tops),
    }
    _write_sealed(folder, document)


def _write_sealed(folder: Path, document: dict[str, Any]) -> None:
    atomic_file.write(folder / SEAL, json.dumps({**document, "seal": _seal(document)}).encode())


def _seal(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def read_seal(folder: Path) -> dict[str, Any] | None:
    """Return the seal of an entry; None if it is missing or damaged."""
    try:
        document = json.loads(atomic_file.read(folder / SEAL, 1 << 20))
        return document if document.pop("seal") == _seal(document) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def is_sealed(folder: Path) -> bool:
    """Return whether the outputs of an entry are as they were made: by state, else by content."""
    document = None if folder.is_symlink() else read_seal(folder)
    if document is None:
        return False
    tops = [folder / str(number) for number in range(len(document["outputs"]))]
    try:
        state = output_state(tops).digest
        if state == document["state"]:
            return True
        if output_content(tops) != document["content"]:
            return False
        # Such as a cache that was moved to another disk.
        _write_sealed(folder, {**document, "state": state})
    except OSError:
        return False
    return True
