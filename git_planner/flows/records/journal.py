"""The journal of the records that were measured in this repository, kept where no commit can write.

A ledger is a branch: whoever can commit can write a record into it, and a pull brings those of other
machines. So a record counts as measured here only if this program noted the id of its file in
`planner/measured` of the common git directory before it wrote the record. An entry whose record was never
written does no harm.
"""

from __future__ import annotations

import os

from git_planner import atomic_file
from git_planner.gitio.fresh.pack import digest
from git_planner.gitio.repository import Repository

_FILE = "measured"


def blob_id(repo: Repository, content: bytes) -> str:
    """Return the object id that git gives to a file's content."""
    return digest(repo.object_format, b"blob %d\0" % len(content) + content).hex()


def read_journal(repo: Repository) -> frozenset[str]:
    """Return the ids of the files of all records that were measured here."""
    try:
        text = atomic_file.read(repo.private(_FILE)).decode("ascii", "replace")
    except OSError:
        return frozenset()
    return frozenset(text.split())


def note_record(repo: Repository, content: bytes) -> None:
    """Note a record's file, before it is written. One line is appended at once, so writers need no lock."""
    path = repo.private(_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The line break comes first, too: it ends a line that a killed writer left open.
    line = f"\n{blob_id(repo, content)}\n".encode("ascii")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
