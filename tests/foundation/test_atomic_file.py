"""Atomic file replacement: every reader sees a complete file, even after a kill."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from git_planner import atomic_file, redact
from git_planner.agents import run_program

WRITER = """
import itertools, sys
from pathlib import Path
from git_planner.agents import run_program
for turn in itertools.count():
    run_program.write_masked(Path(sys.argv[1]), {"turn": turn, "more": "x" * 20000})
"""


def test_who_is_killed_while_he_writes_leaves_a_whole_file(tmp_path: Path) -> None:
    place = tmp_path / "process.json"
    run_program.write_masked(place, {"turn": -1})
    for _ in range(2):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(place)])
        try:
            sizes: set[int] = set()
            while len(sizes) < 20:
                assert writer.poll() is None
                sizes.add(json.loads(place.read_bytes())["turn"])
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert len(json.loads(place.read_bytes())["more"]) == 20000
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        atomic_file.write(tmp_path / "taken", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_masked_file_keeps_its_permissions(tmp_path: Path) -> None:
    place = tmp_path / "stdout"
    place.write_text("key sk-proj-" + "a1B2c3D4" * 6 + "\n")
    place.chmod(0o640)
    redact.mask_file(place)
    assert "a1B2c3D4" not in place.read_text()
    assert stat.S_IMODE(place.stat().st_mode) == 0o640


def test_only_regular_files_of_a_sensible_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert atomic_file.read(tmp_path / "file") == atomic_file.read(tmp_path / "link", 5) == b"12345"
    for name, limit in (("pipe", 9), ("zero", 9), (".", 9), ("gone", 9), ("file", 4)):
        with pytest.raises(OSError):
            atomic_file.read(tmp_path / name, limit)
