"""Fixtures: laboratories, and a check that tests do not touch the user's real home."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.lab import Lab

# Speed is judged by 'make bench'; a busy machine must not fail a property.
settings.register_profile("steady", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("steady")

# A run holds less than half of this at a time; a container's default of 64 MiB is too small.
_BYTES, _INODES = 2 << 30, 200_000


def memory_folder(folder: Path = Path("/dev/shm")) -> Path | None:
    """Return a folder in memory that is large enough and lets programs be run, or None.

    Args:
        folder: the mount point to look at.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    disk = os.statvfs(folder)
    free, inodes = disk.f_bavail * disk.f_frsize, disk.f_favail or _INODES
    if disk.f_flag & os.ST_NOEXEC or free < _BYTES or inodes < _INODES:
        return None
    return folder


# Git syncs refs to the disk, and a run makes half a million files. TMPDIR and --basetemp take precedence.
if "TMPDIR" not in os.environ and (memory := memory_folder()):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


# Who starts the tests in the background (&, nohup) may have told them to ignore signals; programs inherit it.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives until the end: modules, and the collected tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Provide a repository with one commit on main; the test runs in it with the sealed environment."""
    laboratory = Lab(tmp_path)
    with laboratory.entered():
        yield laboratory


@pytest.fixture
def make_lab(tmp_path: Path) -> Callable[..., Lab]:
    """Provide a factory of other laboratories: make_lab('--bare'), make_lab(first=False)."""
    labs: list[Lab] = []

    def make(*init: str, first: bool = True) -> Lab:
        root = tmp_path / f"lab{len(labs)}"
        root.mkdir()
        labs.append(Lab(root, *init, first=first))
        return labs[-1]

    return make


@pytest.fixture(scope="session", autouse=True)
def _home_is_untouched() -> Iterator[None]:
    watched = [Path.home() / ".gitconfig", Path.home() / ".config" / "git" / "config"]
    before = [_fingerprint(path) for path in watched]
    yield
    assert [_fingerprint(path) for path in watched] == before, "a test changed the real git configuration"


@pytest.fixture(autouse=True)
def _environment_is_restored() -> Iterator[None]:
    before, place = dict(os.environ), Path.cwd()
    yield
    now = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    before.pop("PYTEST_CURRENT_TEST", None)
    assert (now, Path.cwd()) == (before, place), "a test left its environment behind"


def _fingerprint(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
