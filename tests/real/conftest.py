"""Fixtures of the real tests: packages downloaded by 'make test-real', and a folder outside /tmp.

codex creates no helper programs below the system's temporary folder, so its home must be elsewhere.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.lab import Lab

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / ".real"


@dataclass(frozen=True, slots=True)
class Place:
    """A laboratory with its own temporary folder, and space for agents' homes."""

    folder: Path
    lab: Lab

    def leftovers(self) -> list[str]:
        """Return the names of the files in the temporary folder."""
        return sorted(path.name for path in (self.folder / "tmp").iterdir())

    def processes(self) -> list[str]:
        """Return the command lines of running processes whose HOME is in the laboratory."""
        command_lines = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HOME", "").startswith(str(self.folder)):
                    command_lines.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return command_lines


def fetched(name: str) -> Path:
    """Return the path of a package that 'make test-real' downloaded."""
    path = FETCHED / name
    assert path.exists(), f"'{path}' is missing; run 'make test-real', which downloads it"
    return path


@pytest.fixture(scope="session")
def codex() -> Path:
    """Return the path of codex."""
    return fetched("codex/node_modules/.bin/codex")


@pytest.fixture(scope="session")
def gemini() -> Path:
    """Return the path of gemini."""
    return fetched("gemini/node_modules/.bin/gemini")


@pytest.fixture(scope="session")
def sqlparse() -> Path:
    """Return the unpacked source distribution of sqlparse."""
    return fetched("sqlparse-0.6.1")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Provide a folder for the tests of a module; it is deleted afterwards."""
    with temporary_place() as folder:
        yield folder


@contextmanager
def temporary_place() -> Iterator[Place]:
    """Make a folder for tests, which is deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="git-planner-real-", dir="/var/tmp"))
    for name in ("lab", "tmp"):
        (folder / name).mkdir()
    lab = Lab(folder / "lab", first=False)
    lab.env["TMPDIR"] = str(folder / "tmp")
    try:
        yield Place(folder, lab)
    finally:
        shutil.rmtree(folder)
