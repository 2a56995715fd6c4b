"""Threads of clients: the id by which a session is resumed, found in the files that the client keeps."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from glob import iglob
from itertools import islice
from pathlib import Path

from git_planner.rules.policy.interactive_client import ThreadFiles

_MOST_FILES = 20_000
_HEAD = 1024 * 1024
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def find_thread(
    threads: ThreadFiles | None, environ: Mapping[str, str], *, cwd: Path, since: float, marker: str = ""
) -> str | None:
    """Return the id of the thread that a client began in a folder; None if there is none yet.

    A person may run the same client in the same folder, so the prompt of a session should hold a marker.

    Args:
        threads: where the client keeps its threads; None if it keeps none.
        environ: the client's environment.
        cwd: the folder it was started in.
        since: when it was started, in seconds since 1970.
        marker: a text that its prompt holds, such as the id of the run.
    """
    if threads is None:
        return None
    rows = []
    for path in _files(threads, environ):
        try:
            status = os.stat(path)
        except OSError:
            continue
        # Clocks of file systems are coarse.
        if status.st_mtime >= since - 2.0:
            rows.append((status.st_mtime, path))
    for _, path in sorted(rows, reverse=True):
        head = _head(path)
        folders = {json.dumps(str(cwd)), json.dumps(str(cwd), ensure_ascii=False)}
        if not any(folder in head for folder in folders) or marker not in head:
            continue
        match = re.search(threads.id, os.path.basename(path)) or re.search(threads.id, head)
        if match is not None and match[1]:
            return match[1]
    return None


def _files(threads: ThreadFiles, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the files of the first pattern whose variables are set."""
    for pattern in threads.files:
        names = _VARIABLE.findall(pattern)
        if all(environ.get(name) for name in names):
            place = _VARIABLE.sub(lambda match: _escaped(environ[match[1]]), pattern)
            if place.startswith("~/"):
                place = f"{_escaped(environ.get('HOME', ''))}{place[1:]}"
            yield from islice(iglob(place), _MOST_FILES)
            return


def _escaped(folder: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", folder)


def _head(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""
