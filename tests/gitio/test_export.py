"""The measured tree: composed from candidate and base, written byte for byte."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.folders import remove_folder
from git_planner.gitio import git as spawning
from git_planner.gitio.export import compose, entries, exported, write_out
from tests.support.lab import Lab

GUARD = (":(top,glob)tests/**",)
STATE = (":(top,literal).advisor",)


def listing(lab: Lab, tree: str) -> str:
    return lab.git("ls-tree", "-r", "--name-only", tree)


def test_a_clean_candidate_is_measured_as_it_is(lab: Lab) -> None:
    base = lab.commit("base", {"tests/a.py": "a\n", "src/x.py": "1\n"})
    tip = lab.commit("tip", {"src/x.py": "2\n"})
    composed = compose(lab.repo, tip, base, GUARD, STATE)
    assert composed.tree == lab.git("rev-parse", f"{tip}^{{tree}}")
    assert composed.guarded == {"tests/a.py": ("100644", lab.git("rev-parse", f"{base}:tests/a.py"))}
    assert composed.submodules == ()


def test_the_bases_guarded_files_win_and_our_state_goes(lab: Lab) -> None:
    base = lab.commit("base", {"tests/a.py": "a\n", "tests/deep/b.py": "b\n", "src/x.py": "1\n"})
    tip = lab.commit(
        "tip",
        {
            "tests/a.py": "pass\n",
            "tests/deep/b.py": None,
            "tests/deep/evil.pyc": b"\0",
            "src/x.py": "2\n",
            ".advisor/state.json": "{}\n",
        },
    )
    with lab.undisturbed():
        composed = compose(lab.repo, tip, base, GUARD, STATE)
    assert listing(lab, composed.tree) == "README.md\nsrc/x.py\ntests/a.py\ntests/deep/b.py"
    assert lab.show(f"{composed.tree}:tests/a.py") == "a\n"
    assert lab.show(f"{composed.tree}:src/x.py") == "2\n"


def test_folders_of_any_depth_and_files_in_place_of_folders(lab: Lab) -> None:
    base = lab.commit("base", {"tests/a": "a\n", "tests/b/x": "b\n", "tests/b/y/z": "b\n"})
    # Newer gits list no trees that are nested deeper than 2,048.
    deep = "tests/" + "d/" * 2000 + "x"
    lab.rival("refs/heads/deep", deep, "x")
    tip = lab.rival("refs/heads/deep", "tests/a/b", "x")
    tip = lab.rival("refs/heads/deep", "tests/b", "x")
    assert listing(lab, tip) == f"tests/a/b\ntests/b\n{deep}"
    spawned = spawning.spawned
    composed = compose(lab.repo, tip, base, GUARD, STATE)
    # A reader, three listings, one writer of trees.
    assert spawning.spawned - spawned <= 5
    assert listing(lab, composed.tree) == "tests/a\ntests/b/x\ntests/b/y/z"
    assert composed.tree == compose(lab.repo, composed.tree, base, GUARD, STATE).tree
    assert compose(lab.repo, tip, "main~1", GUARD, STATE).tree == lab.git("mktree", stdin="")


def test_a_link_in_place_of_the_guarded_folder_is_replaced(lab: Lab) -> None:
    base = lab.commit("base", {"tests/a.py": "a\n", "other/a.py": "pass\n"})
    (lab.path / "tests" / "a.py").unlink()
    (lab.path / "tests").rmdir()
    (lab.path / "tests").symlink_to("other")
    tip = lab.commit("tip", {"other/a.py": "pass\n\n"})
    lab.git("add", "--all")
    lab.git("commit", "-q", "--amend", "-m", "tip")
    tip = lab.git("rev-parse", "HEAD")
    assert lab.git("ls-tree", tip, "tests").startswith("120000")
    composed = compose(lab.repo, tip, base, GUARD)
    assert listing(lab, composed.tree) == "README.md\nother/a.py\ntests/a.py"


def test_no_pattern_matches_nothing(lab: Lab) -> None:
    assert entries(lab.repo, "HEAD", ()) == {}


def test_a_submodule_among_the_guarded_paths_is_reported(lab: Lab) -> None:
    tip = lab.git("rev-parse", "HEAD")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{tip},tests/sub")
    lab.git("config", "-f", ".gitmodules", "submodule.tests/sub.ignore", "all")
    lab.git("config", "-f", ".gitmodules", "submodule.tests/sub.path", "tests/sub")
    lab.git("add", ".gitmodules")
    lab.git("commit", "-q", "-m", "sub")
    composed = compose(lab.repo, "HEAD", "HEAD", GUARD)
    assert composed.submodules == ("tests/sub",)
    with exported(lab.repo, composed.tree) as place:
        assert sorted(os.listdir(place / "tree" / "tests" / "sub")) == []


def test_no_attribute_or_filter_touches_what_is_written(lab: Lab, tmp_path: Path) -> None:
    proof = tmp_path / "filter-ran"
    lab.git("config", "filter.evil.smudge", f"touch {proof}; cat")
    lab.git("config", "core.autocrlf", "true")
    lab.git("config", "core.attributesFile", str(tmp_path / "attributes"))
    (tmp_path / "attributes").write_text("* text eol=crlf\n")
    lab.commit(
        "tip",
        {
            ".gitattributes": "* filter=evil text eol=crlf ident export-subst\n",
            "tests/a.py": "$Id$ $Format:%H$\n",
        },
    )
    proof.unlink(missing_ok=True)
    with exported(lab.repo, "HEAD") as place:
        assert (place / "tree" / "tests" / "a.py").read_bytes() == lab.show("HEAD:tests/a.py").encode()
    assert not proof.exists()


def test_modes_links_and_odd_names_are_written(lab: Lab) -> None:
    odd = os.fsdecode(b"a\xff\nb")
    (lab.path / odd).write_text("odd\n")
    (lab.path / "run").write_text("#!/bin/sh\n")
    (lab.path / "run").chmod(0o755)
    (lab.path / "link").symlink_to("../outside")
    lab.git("add", "--all")
    lab.git("commit", "-q", "-m", "odd")
    with exported(lab.repo, "HEAD") as place:
        tree = place / "tree"
        assert sorted(os.listdir(place)) == ["home", "tmp", "tree"]
        assert sorted(os.listdir(tree)) == sorted(["README.md", odd, "run", "link"])
        assert (tree / odd).read_text() == "odd\n"
        assert os.access(tree / "run", os.X_OK)
        assert not os.access(tree / "README.md", os.X_OK)
        assert os.readlink(tree / "link") == "../outside"
    assert not place.exists()


def hostile(lab: Lab, lines: str) -> str:
    """A tree object as no index would give it."""
    entries = []
    for line in lines.splitlines():
        mode, oid, name = line.split(" ")
        entries.append(f"{mode} {name}\0".encode() + bytes.fromhex(oid))
    (lab.root / "raw").write_bytes(b"".join(entries))
    return lab.git("hash-object", "-t", "tree", "-w", "--literally", str(lab.root / "raw"))


def test_nothing_is_written_through_a_link(lab: Lab, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    link = lab.git("hash-object", "-w", "--stdin", stdin=str(trap))
    blob = lab.git("hash-object", "-w", "--stdin", stdin="evil")
    inner = hostile(lab, f"100644 {blob} b")
    tree = hostile(lab, f"120000 {link} a\n40000 {inner} a")
    with pytest.raises(PlannerError) as caught, exported(lab.repo, tree):
        pass
    assert caught.value.code == "E_EXPORT"
    assert str(caught.value) == "'a' cannot be written out: two entries have that name"
    assert list(trap.iterdir()) == []


@pytest.mark.parametrize("name", ["..", ".git", ".GIT"])
def test_names_that_lead_out_are_refused(lab: Lab, tmp_path: Path, name: str) -> None:
    blob = lab.git("hash-object", "-w", "--stdin", stdin="evil")
    tree = hostile(lab, f"100644 {blob} {name}")
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(PlannerError) as caught:
        write_out(lab.repo.git, tree, target)
    assert (caught.value.code, list(target.iterdir())) == ("E_EXPORT", [])


def test_a_large_file_is_never_in_memory(lab: Lab) -> None:
    content = os.urandom(1024) * 16 * 1024
    lab.commit("large", {"big": content})
    target = lab.root / "out"
    target.mkdir()
    with lab.entered():
        git = lab.repo.git
        tracemalloc.start()
        try:
            write_out(git, "HEAD", target)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < len(content) / 4
    assert (target / "big").read_bytes() == content


def test_what_a_program_made_unwritable_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b" / "c").write_text("c")
    (place / "a" / "b").chmod(0o500)
    (place / "a").chmod(0o000)
    remove_folder(place)
    assert not place.exists()


@pytest.mark.parametrize("kind", ["--bare", "--object-format=sha256"])
def test_bare_and_sha256_repositories(make_lab: Callable[..., Lab], kind: str) -> None:
    lab = make_lab(kind)
    with lab.entered():
        lab.rival("refs/heads/main", "tests/a.py", "a\n")
        lab.rival("refs/heads/other", "tests/evil.py", "evil\n")
        composed = compose(lab.repo, "other", "main", GUARD)
        with exported(lab.repo, composed.tree) as place:
            assert sorted(os.listdir(place / "tree" / "tests")) == ["a.py"]


def test_large_files_do_not_stand_in_memory_at_once(lab: Lab) -> None:
    size = 1024 * 1024
    files = {f"data/{number}": bytes([number]) * size for number in range(24)}
    tree = lab.git("rev-parse", lab.commit("data", files) + "^{tree}")
    target = lab.root / "written"
    target.mkdir()
    tracemalloc.start()
    try:
        write_out(lab.repo.git, tree, target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * size
    assert all((target / name).read_bytes() == content for name, content in files.items())


def test_nothing_is_written_through_a_link_of_a_broken_tree(lab: Lab) -> None:
    outside = lab.root / "outside"
    outside.mkdir()
    link, inner = (
        lab.git("hash-object", "-w", "--stdin", stdin=text) for text in (str(outside), "somewhere")
    )
    for entry in (
        f"120000 blob {inner}\ty",
        f"040000 tree {lab.git('mktree', stdin=f'120000 blob {inner}{chr(9)}z')}\ty",
    ):
        below = lab.git("mktree", stdin=f"{entry}\n")
        tree = lab.git("mktree", stdin=f"120000 blob {link}\tx\n040000 tree {below}\tx\n")
        with pytest.raises(PlannerError) as caught, exported(lab.repo, tree):
            pass
        assert caught.value.message.endswith("cannot be written out: a file is in its way")
        assert list(outside.iterdir()) == []
