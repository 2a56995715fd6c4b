"""What the real tests stand on: packages that 'make test-real' fetched, and a place outside of /tmp.

codex makes no helper programs below the system's folder for temporary files, so its home must lie elsewhere.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.lab import Lab

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / ".real"


@dataclass(frozen=True, slots=True)
class Place:
    """A laboratory with its own folder for temporary files, and room for agents' homes beside them."""

    folder: Path
    lab: Lab

    def leftovers(self) -> list[str]:
        """Names of what lies in the folder for temporary files."""
        return sorted(path.name for path in (self.folder / "tmp").iterdir())

    def processes(self) -> list[str]:
        """Command lines of running processes that were started from the laboratory, by whomever."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HOME", "").startswith(str(self.folder)):
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


def fetched(name: str) -> Path:
    """A package that 'make test-real' fetched."""
    path = FETCHED / name
    assert path.exists(), f"'{path}' is missing; run 'make test-real', which fetches it"
    return path


@pytest.fixture(scope="session")
def codex() -> Path:
    """The real codex."""
    return fetched("codex/node_modules/.bin/codex")


@pytest.fixture(scope="session")
def gemini() -> Path:
    """The real gemini."""
    return fetched("gemini/node_modules/.bin/gemini")


@pytest.fixture(scope="session")
def sqlparse() -> Path:
    """The source distribution of sqlparse, unpacked."""
    return fetched("sqlparse-0.6.1")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A place for one story; everything in it is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="git-planner-real-", dir="/var/tmp"))
    for name in ("lab", "tmp"):
        (folder / name).mkdir()
    lab = Lab(folder / "lab", first=False)
    lab.env["TMPDIR"] = str(folder / "tmp")
    try:
        yield Place(folder, lab)
    finally:
        shutil.rmtree(folder)
