"""List and remove what this user's cache holds: outputs of steps, and measured folders of repositories."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.flows.measuring.prepared import kept_outputs, working_places
from git_planner.gitio.kept.kept_folder import KeptTree, kept_trees, remove_kept

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class CachedEntry:
    """One entry of the cache. `age` and `unused` in seconds; `in_use`: a program uses it right now."""

    digest: str
    step: str
    run: tuple[str, ...]
    outputs: tuple[str, ...]
    files: int
    size: int
    age: float
    unused: float
    in_use: bool

    def document(self) -> dict[str, Any]:
        """Return the entry as `--json` prints it."""
        return {
            "digest": self.digest,
            "step": self.step,
            "run": list(self.run),
            "outputs": list(self.outputs),
            "files": self.files,
            "bytes": self.size,
            "age_seconds": round(self.age),
            "unused_seconds": round(self.unused),
            "in_use": self.in_use,
        }


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache: its folder, outputs of steps, and measured folders; those first that were used last."""

    folder: Path
    entries: tuple[CachedEntry, ...]
    trees: tuple[KeptTree, ...] = ()

    @property
    def size(self) -> int:
        """The size of all that is in it, in bytes."""
        return sum(entry.size for entry in self.entries) + sum(tree.size for tree in self.trees)

    def document(self) -> dict[str, Any]:
        """Return the cache as `--json` prints it."""
        return {
            "folder": str(self.folder),
            "bytes": self.size,
            "entries": [entry.document() for entry in self.entries],
            "trees": [_tree_document(tree) for tree in self.trees],
        }


def _tree_document(tree: KeptTree) -> dict[str, Any]:
    return {
        "folder": str(tree.path),
        "repository": tree.repository or None,
        "files": tree.files,
        "bytes": tree.size,
        "unused_seconds": round(max(0.0, time.time() - tree.used)),
    }


def list_cache() -> Cache:
    """Return what is in the cache; entries without a whole seal have no step, and such folders no repository.

    Raises:
        PlannerError: E_UNWRITABLE.
    """
    top = working_places.cache_folder(working_places.OUTPUTS)
    entries = [_entry(top, name) for name in os.listdir(top) if _DIGEST.fullmatch(name)]
    ordered = sorted(entries, key=lambda entry: (entry.unused, entry.digest))
    return Cache(top.parent, tuple(ordered), tuple(kept_trees()))


def prune_cache(*, unused_days: float, dry_run: bool) -> Cache:
    """Remove what was not used for some days, or is damaged; return what was removed.

    Args:
        unused_days: what was used since then stays; 0 removes all that is not in use.
        dry_run: remove nothing.

    Raises:
        PlannerError: E_UNWRITABLE.
    """
    cache, seconds = list_cache(), unused_days * _DAY
    top = cache.folder / working_places.OUTPUTS
    entries = [
        entry
        for entry in cache.entries
        if not entry.in_use and not (entry.step and entry.unused < seconds)
        if dry_run or _remove(top, entry.digest)
    ]
    trees = [
        tree
        for tree in cache.trees
        if not (tree.repository and time.time() - tree.used < seconds)
        if dry_run or remove_kept(tree)
    ]
    return Cache(cache.folder, tuple(entries), tuple(trees))


def _entry(top: Path, digest: str) -> CachedEntry:
    seal = kept_outputs.read_seal(top / digest) or {}
    now = time.time()
    try:
        used = os.stat(top / f"{digest}.lock").st_mtime
    except OSError:
        used = now
    return CachedEntry(
        digest,
        seal.get("step", ""),
        tuple(seal.get("run", ())),
        tuple(seal.get("outputs", ())),
        seal.get("files", 0),
        seal.get("bytes", 0),
        max(0.0, now - seal.get("made", now)),
        max(0.0, now - used),
        not _is_free(top, digest),
    )


def _is_free(top: Path, digest: str) -> bool:
    try:
        with open(top / f"{digest}.lock", "r+b") as file:
            return atomic_file.lock_now(file)
    except OSError:
        return True


def _remove(top: Path, digest: str) -> bool:
    """Remove an entry unless somebody uses it; return whether it is gone."""
    path = top / f"{digest}.lock"
    with path.open("ab") as file:
        if not atomic_file.lock_now(file):
            return False
        kept_outputs.remove_entry(top / digest)
        # Whoever has opened it meanwhile sees that it is another file now.
        path.unlink(missing_ok=True)
    return not (top / digest).exists()
