"""Host file of an iteration's attempt: the chosen implementer, and its report once it has ended.

`planner/runs/NNNN/attempt.json` in the common git directory. Without it, resuming an iteration takes the
default implementer and runs it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from git_planner import atomic_file, redact
from git_planner.gitio.repository import Repository
from git_planner.rules.documents import canonical_json

_NAME = "attempt.json"
_MAX_BYTES = 256 * 1024


def save(
    repo: Repository, number: int, choice: Mapping[str, str | None], report: Mapping[str, Any] | None
) -> None:
    """Write the file; what cannot be written is not remembered.

    Args:
        repo: the repository.
        number: the iteration's number.
        choice: options of the implementer by name; None means the default.
        report: the implementer's report; None while it has not ended.
    """
    path = _path(repo, number)
    document = {"choice": dict(choice), "report": report}
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_file.write(path, canonical_json.dumps_host(redact.mask_document(document)), 0o600)


def load(repo: Repository, number: int) -> tuple[dict[str, str | None], dict[str, Any] | None]:
    """Return choice and report; empty and None if there are none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(atomic_file.read(_path(repo, number), _MAX_BYTES))
        report = document["report"]
        return dict(document["choice"]), None if report is None else dict(report)
    return {}, None


def _path(repo: Repository, number: int) -> Path:
    return repo.private("runs", f"{number:04d}", _NAME)
