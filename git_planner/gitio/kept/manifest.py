"""The manifest of a kept folder: the entries of its tree, and how each was left on the disk.

It is believed only together with its seal, a digest in the git directory, where no agent may write, and each
entry is compared with it before the folder is used again.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.boot import boot_id
from git_planner.gitio.export import Listed

_FORMAT = "git-planner kept folder 1"
# Nine numbers an entry, of which the first, the inode, may use all its bits.
_STATE = struct.Struct("<Q8q")
_MOST_BYTES = 1024**3
# The description stands in the first line.
_MOST_HEADER = 64 * 1024


@dataclass(frozen=True, slots=True)
class TreeManifest:
    """A tree on the disk.

    `made` is when it was written, in seconds. `states` are the entries as they were left, the folders
    included, by path; `wanted` those of the tree.
    """

    tree: str
    made: float
    wanted: dict[str, Listed]
    states: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Description:
    """The first line of a manifest: the repository, the number of its files and their bytes."""

    repository: str
    files: int
    size: int


def write_manifest(path: Path, seal: Path, manifest: TreeManifest, description: Description) -> None:
    """Write a manifest and its seal.

    Raises:
        OSError: it cannot be written.
    """
    header = {
        "format": _FORMAT,
        "boot": boot_id(),
        "repository": description.repository,
        "tree": manifest.tree,
        "made": manifest.made,
        "files": description.files,
        "bytes": description.size,
        "entries": len(manifest.states),
    }
    names = "\0".join(_line(place, manifest.wanted.get(place)) for place in manifest.states)
    body = b"".join(
        (
            json.dumps(header).encode() + b"\n",
            names.encode("utf-8", "surrogateescape") + b"\0",
            *(_STATE.pack(*state) for state in manifest.states.values()),
        )
    )
    atomic_file.write(path, body, 0o600)
    seal.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write(seal, hashlib.sha256(body).hexdigest().encode(), 0o600)


def _line(place: str, entry: Listed | None) -> str:
    return f"\t{place}" if entry is None else f"{entry.mode} {entry.oid} {entry.size}\t{place}"


def read_manifest(path: Path, seal: Path, *, oldest: float) -> TreeManifest | None:
    """Return a manifest; None if it is damaged, older, or from before the machine was started.

    A machine that loses its power may keep the times of a file without its content.
    """
    try:
        body = atomic_file.read(path, _MOST_BYTES)
        if atomic_file.read(seal, _MOST_HEADER) != hashlib.sha256(body).hexdigest().encode():
            return None
        line, _, rest = body.partition(b"\n")
        header = json.loads(line)
        if (header["format"], header["boot"]) != (_FORMAT, boot_id()) or header["made"] < oldest:
            return None
        return _parsed(header, rest)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None


def _parsed(header: dict[str, Any], rest: bytes) -> TreeManifest:
    end = len(rest) - header["entries"] * _STATE.size
    lines = rest[: end - 1].decode("utf-8", "surrogateescape").split("\0")
    wanted, places = {}, []
    for line in lines:
        meta, _, place = line.partition("\t")
        places.append(place)
        if meta:
            mode, oid, size = meta.split(" ")
            wanted[place] = Listed(mode, oid, place, int(size))
    states = dict(zip(places, _STATE.iter_unpack(memoryview(rest)[end:]), strict=True))
    return TreeManifest(str(header["tree"]), float(header["made"]), wanted, states)


def read_description(path: Path) -> Description | None:
    """Return the description of a manifest, without reading all of it; None if it has none."""
    try:
        with atomic_file.open_regular(path) as file:
            header = json.loads(file.read(_MOST_HEADER).split(b"\n", 1)[0])
        return Description(str(header["repository"]), int(header["files"]), int(header["bytes"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
