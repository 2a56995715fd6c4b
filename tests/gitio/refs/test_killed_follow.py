"""A worktree follows its branch although git itself was killed while it wrote the files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.lab import Lab

REF = "refs/heads/mine"
FOLLOW = """
import os
import sys
from pathlib import Path
from git_planner.gitio.repository import open_repository
from git_planner.gitio.store import Move, Store
ref, new = sys.argv[1:]
Store(open_repository(Path.cwd())).transact([ref], lambda snapshots: [Move(ref, new)])
"""
# A filter that kills git and the program that started it, once.
KILLS = """\
#!/bin/sh
if [ -e "{armed}" ]; then
    rm "{armed}"
    kill -9 "$(ps -o ppid= -p $PPID | tr -d ' ')" $PPID
fi
exec cat
"""
OLD = {"a": "old\n", "b": "old\n", "c": "old\n", "gone": "old\n", ".gitattributes": "b filter=kills\n"}
NEW = {"a": "new, and longer\n", "a-new": "new\n", "b": "new, and longer\n", "c": "new\n", "gone": None}


def killed(lab: Lab, step: str) -> tuple[Path, str]:
    """A worktree in which git was killed at a file, in the check or when it followed; and its commit."""
    lab.commit("old", OLD)
    lab.git("branch", "mine")
    new = lab.commit("new", NEW)
    lab.git("reset", "-q", "--hard", "HEAD^")
    place = lab.worktree("mine", "mine")
    script, armed = lab.root / "kills", lab.root / "armed"
    script.write_text(KILLS.format(armed=armed))
    script.chmod(0o755)
    lab.git("config", f"filter.kills.{step}", str(script))
    if step == "clean":
        # Its content has to be read to see that it is as before.
        os.utime(place / "b", (0, 0))
    armed.touch()
    done = lab.run_program(sys.executable, "-c", FOLLOW, REF, new, cwd=place)
    assert (done.status, armed.exists()) == (-9, False)
    assert (lab.git("rev-parse", REF) == new) == (step == "smudge")
    return place, new


def state(lab: Lab, place: Path) -> list[str]:
    return lab.run_git("status", "--porcelain", cwd=place).out.splitlines()


def locks(lab: Lab) -> list[Path]:
    return sorted((lab.path / ".git/worktrees/mine").glob("index.*"))


def test_files_that_a_killed_git_wrote_are_completed(lab: Lab) -> None:
    place, new = killed(lab, "smudge")
    (place / "mine").write_text("a file of the person\n")
    lab.run("git-plan", "status")
    assert (locks(lab), state(lab, place)) == ([], ["?? mine"])
    assert lab.git("write-tree", cwd=place) == lab.git("rev-parse", f"{new}^{{tree}}")


def test_a_file_that_git_had_written_in_part_is_completed(lab: Lab) -> None:
    place, _ = killed(lab, "smudge")
    (place / "b").write_text("new, an")
    lab.run("git-plan", "status")
    assert (locks(lab), state(lab, place)) == ([], [])


@pytest.mark.parametrize("path", ["a", "b", "c"])
def test_a_file_that_the_person_changed_since_stays(lab: Lab, path: str) -> None:
    place, _ = killed(lab, "smudge")
    (place / path).write_text("of the person\n")
    lab.run("git-plan", "status")
    assert (place / path).read_text() == "of the person\n"
    assert (locks(lab), state(lab, place)) == ([], [f" M {path}"])


def test_a_check_in_which_git_was_killed_blocks_nothing_later(lab: Lab) -> None:
    place, new = killed(lab, "clean")
    done = lab.run_program(sys.executable, "-c", FOLLOW, REF, new, cwd=place)
    assert (done.status, done.err) == (0, "")
    assert (locks(lab), state(lab, place)) == ([], [])
