"""One folder for many runs: whatever a run does there, the next one finds the tree as git holds it."""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import git as spawning
from git_planner.gitio.content.reused_export import ReusedExport
from git_planner.gitio.export import exported
from tests.conftest import memory_folder
from tests.support.lab import Lab

FILES = {"a.txt": "a\n", "deep/b/c.py": "c\n", "deep/b/d.py": "d\n", "deep/e": "e\n", "x/y": "y\n"}


@pytest.fixture
def disk() -> Iterator[Path]:
    """Yield a folder on a disk: in memory no folder is used again."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def trees(lab: Lab) -> tuple[str, str]:
    """Commit two trees of which one has a file where the other has a folder; return their ids."""
    (lab.path / "link").symlink_to("a.txt")
    (lab.path / "way").symlink_to("deep")
    lab.git("add", "link", "way")
    submodule = lab.git("rev-parse", "HEAD")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{submodule},module")
    one = lab.commit("one", FILES)
    lab.git("rm", "-qr", "x", "deep/e", "way")
    two = lab.commit("two", {"deep/b/c.py": "C\n", "x": "file\n", "new/z": "z\n", "way/b/c.py": "way\n"})
    return lab.git("rev-parse", f"{one}^{{tree}}"), lab.git("rev-parse", f"{two}^{{tree}}")


def content(place: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a program finds in a folder, but inodes and times."""
    entries: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            links = None if path.is_dir() and not path.is_symlink() else status.st_nlink
            is_link, is_file = path.is_symlink(), stat.S_ISREG(status.st_mode)
            held = os.readlink(path) if is_link else path.read_bytes() if is_file else b""
            extra = () if is_link else tuple(os.listxattr(path))
            entries[str(path.relative_to(place))] = (status.st_mode, links, held, extra)
    return entries


def hard_link(place: Path) -> None:
    (place / "tmp/other").write_text("a\n")
    (place / "tree/a.txt").unlink()
    os.link(place / "tmp/other", place / "tree/a.txt")


def hard_link_from_outside(place: Path) -> None:
    os.link(place / "tree/a.txt", place / "home/a")


def same_size_and_old_time(place: Path) -> None:
    path = place / "tree/deep/b/c.py"
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def nested_folders(place: Path) -> None:
    folder = place / "tree/deep"
    for _ in range(200):
        folder = folder / "n"
        folder.mkdir()
    (folder / "file").write_text("left")


def modes(place: Path) -> None:
    (place / "tree/a.txt").chmod(0o777)
    (place / "tree/deep/b").chmod(0)
    (place / "tree/x").chmod(0o700)


def link_to_outside(place: Path) -> None:
    (place / "tree/a.txt").unlink()
    (place / "tree/a.txt").symlink_to("/etc/passwd")


def folder_for_a_link(place: Path) -> None:
    outside = place / "home/outside"
    shutil.move(place / "tree/deep", outside)
    (place / "tree/deep").symlink_to(outside)


def root_for_a_link(place: Path) -> None:
    shutil.move(place / "tree", place / "moved")
    (place / "tree").symlink_to(place / "moved")


def leftovers(place: Path) -> None:
    for name in ("home", "tmp", "results"):
        (place / name).mkdir(exist_ok=True)
        (place / name / "left").write_text("left")
    os.mkfifo(place / "tree/x/pipe")
    (place / "tree/module/file").write_text("left")
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(place / "tree/s"))


def notes(place: Path) -> None:
    """Leave notes where no content is: in extended attributes and times."""
    with suppress(OSError):
        os.setxattr(place / "tree/deep", "user.note", b"1")
        os.setxattr(place / "tree/a.txt", "user.note", b"1")
    for name in ("a.txt", "deep", "link"):
        os.utime(place / "tree" / name, ns=(1, 1), follow_symlinks=False)


def everything_removed(place: Path) -> None:
    shutil.rmtree(place / "tree")
    shutil.rmtree(place / "home")


def mapped_write(place: Path) -> None:
    """Write through a mapping whose page was read before: in memory that changes no time."""
    with (place / "tree/a.txt").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        assert mapped[0] == ord("a")
        mapped[0] = ord("X")


def moved_and_back(place: Path) -> None:
    os.rename(place / "tree/deep/b", place / "tmp/b")
    (place / "tmp/b/c.py").write_text("other\n")
    os.rename(place / "tmp/b", place / "tree/deep/b")


ACTS = (hard_link, hard_link_from_outside, same_size_and_old_time, nested_folders, modes, link_to_outside)
MORE = (
    folder_for_a_link,
    root_for_a_link,
    leftovers,
    notes,
    everything_removed,
    moved_and_back,
    mapped_write,
)


@pytest.mark.parametrize("act", [*ACTS, *MORE, mapped_write])
def test_the_next_run_finds_the_tree_as_git_holds_it(
    lab: Lab, trees: tuple[str, str], disk: Path, act: Callable[[Path], None]
) -> None:
    expected = {}
    for tree in trees:
        with exported(lab.repo, tree) as place:
            expected[tree] = content(place)
    with closing(ReusedExport(lab.repo, reuse=True, parent=disk)) as folder:
        for tree in (trees[0], trees[0], trees[1], trees[0]):
            with folder.holding(tree) as place:
                assert content(place) == expected[tree]
                if tree == trees[0]:
                    act(place)
    assert not place.exists()


def test_in_memory_each_run_has_a_folder_of_its_own(lab: Lab, trees: tuple[str, str]) -> None:
    if (memory := memory_folder()) is None:
        pytest.skip("there is no folder in memory")
    with closing(ReusedExport(lab.repo, reuse=True, parent=memory)) as folder:
        for _ in range(2):
            with folder.holding(trees[0]) as place:
                assert (place / "tree/a.txt").read_text() == "a\n"
                mapped_write(place)


def written(place: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(place.rglob("*")):
        yield str(path), path.lstat().st_ino


def test_what_no_run_has_changed_is_not_written_again(lab: Lab, trees: tuple[str, str], disk: Path) -> None:
    with closing(ReusedExport(lab.repo, reuse=True, parent=disk)) as folder:
        with folder.holding(trees[0]) as place:
            before = dict(written(place / "tree"))
            (place / "tree/deep/b/c.py").read_text()
            os.listdir(place / "tree/deep")
            (place / "tree/deep/e").write_text("changed")
        calls = spawning.spawned
        with folder.holding(trees[0]) as place:
            after = dict(written(place / "tree"))
        assert spawning.spawned - calls <= 1
        other = [path for path in before if before[path] != after[path]]
        assert [os.path.basename(path) for path in other] in ([], ["e"])
        calls = spawning.spawned
        with folder.holding(trees[0]):
            assert spawning.spawned == calls


def test_only_what_a_run_has_changed_is_put_right(lab: Lab, trees: tuple[str, str], disk: Path) -> None:
    with closing(ReusedExport(lab.repo, reuse=True, parent=disk)) as folder:
        seen = []
        for number in range(4):
            with folder.holding(trees[0]) as place:
                seen.append(
                    {
                        str(path): (path.lstat().st_ino, path.lstat().st_ctime_ns)
                        for path in place.rglob("tree/**/*")
                    }
                )
                if number == 1:
                    (place / "tree/deep/b/left").write_text("left")
        changed = [
            {path.partition("/tree/")[2] for path in before if before[path] != after[path]}
            for before, after in itertools.pairwise(seen)
        ]
        assert changed == [set(), {"deep", "deep/b", "deep/b/c.py", "deep/b/d.py"}, set()]


def test_an_empty_tree(lab: Lab, trees: tuple[str, str], disk: Path) -> None:
    empty = lab.git("mktree", stdin="")
    with closing(ReusedExport(lab.repo, reuse=True, parent=disk)) as folder:
        for tree in (empty, empty, trees[0], empty, trees[1]):
            with folder.holding(tree) as place:
                assert bool(os.listdir(place / "tree")) == (tree != empty)


def test_two_entries_of_one_name_are_refused(lab: Lab, disk: Path) -> None:
    blob = lab.git("hash-object", "-w", "--stdin", stdin="x")
    raw = lab.root / "raw"
    raw.write_bytes(b"".join(b"100644 a\0" + bytes.fromhex(blob) for _ in range(2)))
    tree = lab.git("hash-object", "-t", "tree", "-w", "--literally", str(raw))
    with closing(ReusedExport(lab.repo, reuse=True, parent=disk)) as folder:
        with pytest.raises(PlannerError) as caught, folder.holding(tree):
            pass
        assert str(caught.value) == "'a' cannot be written out: two entries have that name"


def test_an_entry_below_a_link_is_refused_and_the_folder_is_not_used_again(
    lab: Lab, trees: tuple[str, str], disk: Path
) -> None:
    lines = lab.git("ls-tree", trees[0]) + "\n"
    below = lab.git("ls-tree", "-d", trees[0], "x").replace("\tx", "\tlink")
    broken = lab.git("mktree", stdin=f"{lines}{below}\n")
    with closing(ReusedExport(lab.repo, reuse=True, parent=disk)) as folder:
        with folder.holding(trees[0]):
            pass
        with pytest.raises(PlannerError) as caught, folder.holding(broken):
            pass
        assert caught.value.code == "E_EXPORT"
        with folder.holding(trees[0]) as place:
            assert (place / "tree/a.txt").read_text() == "a\n"
            assert not (place / "tree/link").is_dir()
