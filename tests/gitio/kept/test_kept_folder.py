"""The measured folder that is kept between records: written once, never believed, one record at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from git_planner.gitio import git as spawning
from git_planner.gitio.content.reused_export import ReusedExport
from git_planner.gitio.kept import kept_folder
from git_planner.gitio.kept.kept_folder import cache_folder, kept_tree_of, kept_trees, remove_kept
from tests.support.lab import Lab

FILES = {"a.txt": "a\n", "deep/b/c.py": "c\n", "deep/e": "e\n", "x/y": "y\n"}


@pytest.fixture
def cache(lab: Lab) -> Iterator[Path]:
    """Give the laboratory a cache on a disk: in memory no folder is kept."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        lab.env["XDG_CACHE_HOME"] = folder
        with lab.entered():
            if cache_folder() is None:
                pytest.skip("the file system of /var/tmp is not one that folders are kept on")
            yield Path(folder)


@pytest.fixture
def trees(lab: Lab) -> tuple[str, str]:
    """Commit two trees; return their ids."""
    one = lab.commit("one", FILES)
    lab.git("rm", "-qr", "x")
    two = lab.commit("two", {"deep/b/c.py": "C\n", "x": "file\n", "new/z": "z\n"})
    return lab.git("rev-parse", f"{one}^{{tree}}"), lab.git("rev-parse", f"{two}^{{tree}}")


def record(lab: Lab, tree: str, run: Callable[[Path], object] = os.listdir) -> dict[str, tuple[str, int]]:
    """Do what a record with one run does; return content and inode of the files, by path."""
    with closing(ReusedExport(lab.repo, reuse=True)) as folder, folder.holding(tree) as place:
        files = {}
        for path in sorted((place / "tree").rglob("*")):
            if path.is_file():
                files[str(path.relative_to(place / "tree"))] = (path.read_text(), path.stat().st_ino)
        assert sorted(os.listdir(place)) == ["home", "tmp", "tree"]
        assert os.listdir(place / "home") == os.listdir(place / "tmp") == []
        run(place)
        return files


def contents(files: dict[str, tuple[str, int]]) -> dict[str, str]:
    return {path: content for path, (content, _) in files.items()}


def same_inodes(one: dict[str, tuple[str, int]], two: dict[str, tuple[str, int]]) -> set[str]:
    return {path for path in one if one[path] == two.get(path)}


def test_the_next_record_moves_the_folder_by_the_difference(
    lab: Lab, cache: Path, trees: tuple[str, str]
) -> None:
    first = record(lab, trees[0])
    second = record(lab, trees[1])
    assert contents(second) == {
        "README.md": "hello\n",
        "a.txt": "a\n",
        "deep/b/c.py": "C\n",
        "deep/e": "e\n",
        "new/z": "z\n",
        "x": "file\n",
    }
    assert same_inodes(first, second) == {"README.md", "a.txt", "deep/e"}
    third = record(lab, trees[0])
    assert contents(third) == contents(first)
    kept = kept_tree_of(lab.repo)
    assert kept is not None
    assert (kept.repository, kept.files) == (str(lab.repo.common), len(first))
    for path in (kept.path, kept.path / "manifest"):
        assert path.stat().st_mode & 0o077 == 0


def leave_in_the_top_folder(place: Path) -> None:
    (place / "tree/.cache").mkdir()
    (place / "tree/.cache/left").write_text("left")
    (place / "home/left").write_text("left")


def test_what_a_run_leaves_in_the_top_folder_is_gone_and_tells_the_next_record_nothing(
    lab: Lab, cache: Path, trees: tuple[str, str]
) -> None:
    first = record(lab, trees[0], leave_in_the_top_folder)
    kept = kept_tree_of(lab.repo)
    assert kept is not None
    # It takes no place on the disk meanwhile.
    assert not (kept.path / "place/tree/.cache").exists()
    top = (kept.path / "place/tree").stat().st_ino
    inodes = []
    second = record(lab, trees[0], lambda place: inodes.append((place / "tree").stat().st_ino))
    assert same_inodes(first, second) == set(first)
    # The top folder is always another one, whether a run has changed it or not.
    third = record(lab, trees[0], lambda place: inodes.append((place / "tree").stat().st_ino))
    assert same_inodes(second, third) == set(first)
    assert top != inodes[0] != inodes[1]


def change(place: Path) -> None:
    (place / "tree/deep/b/c.py").write_text("X\n")


def touch(place: Path) -> None:
    os.utime(place / "tree/a.txt")


def leave_below(place: Path) -> None:
    (place / "tree/deep/left").write_text("left")


def remove(place: Path) -> None:
    (place / "tree/a.txt").unlink()


def default_rights(place: Path) -> None:
    """Set an attribute of a folder: new files below could inherit such a thing."""
    os.setxattr(place / "tree/x", "user.note", b"1")


@pytest.mark.parametrize("run", [change, touch, leave_below, remove, default_rights])
def test_a_folder_in_which_a_run_could_leave_a_note_is_not_kept(
    lab: Lab, cache: Path, trees: tuple[str, str], run: Callable[[Path], None]
) -> None:
    first = record(lab, trees[0], run)
    second = record(lab, trees[0])
    assert contents(second) == contents(first)
    assert same_inodes(first, second) == set()
    # Within a record it is put right; then no folder is left.
    with closing(ReusedExport(lab.repo, reuse=True)) as folder:
        for act in (run, os.listdir):
            with folder.holding(trees[0]) as place:
                act(place)
    assert [name for name in os.listdir(cache / "git-planner/trees") if not name.endswith(".lock")] == []


def damage_a_file(kept: Path) -> None:
    path = kept / "place/tree/deep/b/c.py"
    before = path.stat()
    path.write_text("X\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut_the_manifest(kept: Path) -> None:
    path = kept / "manifest"
    path.write_bytes(path.read_bytes()[:-9])


def change_the_manifest(kept: Path) -> None:
    path = kept / "manifest"
    path.write_bytes(path.read_bytes().replace(b"deep/e", b"deep/f"))


def forge_the_manifest(kept: Path) -> None:
    """Do what an agent could that may write to the cache: make files and manifest agree."""
    path = kept / "place/tree/deep/b/c.py"
    before = path.stat()
    path.write_text("X\n")
    after = path.stat()
    states = (kept / "manifest").read_bytes()
    for old, new in ((before.st_ctime_ns, after.st_ctime_ns), (before.st_mtime_ns, after.st_mtime_ns)):
        states = states.replace(old.to_bytes(8, "little"), new.to_bytes(8, "little"))
    (kept / "manifest").write_bytes(states)


def lose_the_manifest(kept: Path) -> None:
    """Leave what a program leaves that was killed while it used the folder."""
    (kept / "manifest").unlink()
    (kept / "place/renewed").mkdir()
    (kept / "place/tree/deep/b/c.py").write_text("X\n")
    (kept / "old-1/place").mkdir(parents=True)


def put_a_link_in_its_place(kept: Path) -> None:
    (kept / "place").rename(kept.parent.parent / "moved")
    (kept / "place").symlink_to(kept.parent.parent / "moved")


def open_it_to_others(kept: Path) -> None:
    kept.chmod(0o777)


@pytest.mark.parametrize(
    "act",
    [
        *(damage_a_file, cut_the_manifest, change_the_manifest, forge_the_manifest, lose_the_manifest),
        *(put_a_link_in_its_place, open_it_to_others),
    ],
)
def test_a_folder_that_is_not_as_it_was_left_is_written_anew(
    lab: Lab, cache: Path, trees: tuple[str, str], act: Callable[[Path], None]
) -> None:
    first = record(lab, trees[0])
    kept = kept_tree_of(lab.repo)
    assert kept is not None
    act(kept.path)
    assert contents(record(lab, trees[0])) == contents(first)
    assert contents(record(lab, trees[1]))["deep/b/c.py"] == "C\n"
    if act is not open_it_to_others:
        assert sorted(os.listdir(kept.path)) == ["manifest", "place"]


def test_files_are_written_with_the_rights_that_new_ones_have_now(
    lab: Lab, cache: Path, trees: tuple[str, str]
) -> None:
    record(lab, trees[0])
    modes = []
    before = os.umask(0o077)
    try:
        record(lab, trees[0], lambda place: modes.append((place / "tree/a.txt").stat().st_mode & 0o777))
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_of_two_records_at_once_the_second_has_a_folder_of_its_own(
    lab: Lab, cache: Path, trees: tuple[str, str]
) -> None:
    with closing(ReusedExport(lab.repo, reuse=True)) as folder:
        with folder.holding(trees[0]) as place:
            other = []
            assert contents(record(lab, trees[1], other.append))["x"] == "file\n"
            assert (place / "tree/x/y").read_text() == "y\n"
        assert other[0] != place
        assert not other[0].exists()
        tree = kept_trees()[0]
        assert not remove_kept(tree)
    assert kept_tree_of(lab.repo) is not None
    assert remove_kept(tree)
    assert os.listdir(cache / "git-planner/trees") == []


KILLED = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from git_planner.gitio import git as spawning
from git_planner.gitio.content.reused_export import ReusedExport
from git_planner.gitio.repository import open_repository
with closing(ReusedExport(open_repository(Path(sys.argv[1])), reuse=True)) as folder:
    with folder.holding(sys.argv[2]) as place:
        (place / "tree/a.txt").write_text("X")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_record_leaves_nothing_that_the_next_one_believes(
    lab: Lab, cache: Path, trees: tuple[str, str]
) -> None:
    first = record(lab, trees[0])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(lab.path), trees[1]], env=lab.env, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    second = record(lab, trees[0])
    assert contents(second) == contents(first)
    assert same_inodes(first, second) == set()


def test_old_folders_and_those_beyond_a_number_are_removed(
    make_lab: Callable[..., Lab], lab: Lab, cache: Path, trees: tuple[str, str]
) -> None:
    first = record(lab, trees[0])
    kept = kept_tree_of(lab.repo)
    assert kept is not None
    past = time.time() - kept_folder.MOST_SECONDS - 60
    for number in range(9):
        (kept.path.with_name(f"other-{number}") / "place").mkdir(parents=True)
    os.utime(kept.path.with_name("other-8"), (past, past))
    record(lab, trees[0])
    names = {tree.path.name for tree in kept_trees()}
    assert len(names) == 8
    assert kept.path.name in names
    assert "other-8" not in names
    assert first


@pytest.mark.usefixtures("cache")
def test_the_command_of_the_cache_lists_and_removes_kept_folders(lab: Lab, trees: tuple[str, str]) -> None:
    files = record(lab, trees[0])

    def listed(*argv: str) -> list[dict[str, Any]]:
        ran = lab.run("git-planner", "cache", *argv, "--json")
        assert ran.status == 0, ran.err
        rows: list[dict[str, Any]] = json.loads(ran.out)["trees"]
        return rows

    (row,) = listed("list")
    assert (row["repository"], row["files"]) == (str(lab.repo.common), len(files))
    assert f"measured folder of {lab.repo.common}" in lab.run("git-planner", "cache", "list").out
    assert listed("prune") == []
    with kept_folder.kept_folder(lab.repo):
        assert listed("prune", "--unused", "0") == []
    record(lab, trees[0])
    assert len(listed("prune", "--unused", "0", "--dry-run")) == 1
    assert len(listed("prune", "--unused", "0")) == 1
    assert kept_trees() == []


def test_the_next_candidate_of_many_files_costs_a_few_programs_and_writes_only_what_differs(
    lab: Lab, cache: Path
) -> None:
    files = {f"d{number % 20}/f{number}": f"{number}\n" for number in range(2_000)}
    one = lab.git("rev-parse", lab.commit("one", files) + "^{tree}")
    two = lab.git("rev-parse", lab.commit("two", {"d1/f1": "other\n"}) + "^{tree}")
    first = record(lab, one)
    calls = spawning.spawned
    second = record(lab, two)
    assert spawning.spawned - calls <= 4
    assert set(second) - same_inodes(first, second) == {"d1/f1"}
    assert second["d1/f1"][0] == "other\n"
