"""Metadata that an installation from the worktree writes beside the sources, as `pip install -e .` does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

_FOLDER = ".egg-info"
# The files that setuptools writes: always, and where the project needs them.
_ALWAYS = frozenset(("PKG-INFO", "SOURCES.txt"))
_FILES = _ALWAYS.union(
    ("dependency_links.txt", "entry_points.txt", "namespace_packages.txt", "not-zip-safe"),
    ("requires.txt", "top_level.txt", "zip-safe"),
)


def without_installed_metadata(new: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return new files without the metadata of installations, which is no work of the agent.

    Args:
        new: untracked files that are not ignored.
        known: the tracked files. A project that tracks such a folder wants to see its changes.
    """
    names: dict[str, set[str]] = {}
    for path in new:
        stem, folder, name = path.partition(f"{_FOLDER}/")
        if folder:
            names.setdefault(stem + folder, set()).add(name)
    written = tuple(folder for folder, files in names.items() if _is_metadata(files))
    if not written or any(path.startswith(written) for path in known):
        return list(new)
    return [path for path in new if not path.startswith(written)]


def _is_metadata(files: Collection[str]) -> bool:
    return _ALWAYS.issubset(files) and _FILES.issuperset(files)
