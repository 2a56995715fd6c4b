"""Folders with an owner: removed at the end, or by a later program if the owner was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from git_planner.owned_folder import TEMPORARY, owned_folder, remove_abandoned
from tests.support.benchmark_project import project
from tests.support.lab import Lab

KILLED = """
import os, sys
from pathlib import Path
from git_planner.owned_folder import owned_folder
with owned_folder(Path(sys.argv[1]), "git-planner-") as folder:
    (folder / "tree").mkdir()
    os.kill(os.getpid(), 9)
"""


def aged(path: Path) -> Path:
    """Make a file a day old."""
    os.utime(path, (path.stat().st_mtime - 86_400,) * 2)
    return path


def test_the_folder_of_a_killed_program_is_removed_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "git-planner-demo-12345678").mkdir()
    with owned_folder(tmp_path, TEMPORARY) as folder:
        for owner in tmp_path.glob("*.owner"):
            aged(owner)
        remove_abandoned(tmp_path, TEMPORARY)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == sorted([folder.name, f"{folder.name}.owner", "git-planner-demo-12345678"])
    assert [path.name for path in tmp_path.iterdir()] == ["git-planner-demo-12345678"]


def test_a_record_removes_the_logs_of_a_killed_one(lab: Lab) -> None:
    project(lab)
    records = lab.path / ".git" / "planner" / "records"
    (records / "running-abcdefgh" / "logs").mkdir(parents=True)
    (records / "running-abcdefgh.owner").touch()
    aged(records / "running-abcdefgh.owner")
    assert lab.run("git-record").status == 0
    assert [path.name for path in records.iterdir() if path.name.startswith("running-")] == []
