"""The content of a worktree: nested repositories, submodules, odd files and names, limits."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from git_planner.gitio import worktree
from git_planner.gitio.content.read_content import Content, read_content
from git_planner.gitio.content.survey import Limits
from git_planner.gitio.repository import Repository
from tests.support.lab import Lab


def agent_place(lab: Lab) -> Repository:
    """Check a branch out in a worktree as an agent gets it."""
    lab.git("branch", "work")
    with lab.entered():
        return worktree.add(lab.repo, lab.root / "place", "work")


def read(lab: Lab, place: Repository, limits: Limits | None = None) -> Content:
    """Read the content of a worktree."""
    with lab.entered():
        return read_content(place, "main", limits)


def script(lab: Lab, place: Repository, text: str) -> None:
    """Run a shell script in a worktree."""
    assert place.top is not None
    done = lab.run_program("sh", "-ec", text, cwd=place.top)
    assert done.status == 0, done.err


def listed(lab: Lab, tree: str) -> list[str]:
    """List the files of a tree as 'mode path'."""
    lines = lab.run_git("ls-tree", "-r", "-z", tree).out.split("\0")[:-1]
    return [f"{line.split(' ')[0]} {line.split(chr(9))[1]}" for line in lines]


NESTED = {
    "with a commit": ("git init -q n; echo 1 >n/f; git -C n add f; git -C n commit -qm x", ["n/f"]),
    "without a commit": ("git init -q n; echo 1 >n/f", ["n/f"]),
    "in a nested one": ("git init -q n/m; git init -q n; echo 1 >n/m/f; echo 1 >n/g", ["n/g", "n/m/f"]),
    "empty": ("git init -q n; git init -q o/p", []),
    "with a fake .git": (
        "mkdir n o; echo gitdir: /nowhere >n/.git; echo 1 >n/f; mkdir o/.git; echo 1 >o/f",
        ["n/f", "o/f"],
    ),
    "worktree of another": (
        "cd ..; git init -q o; cd o; git commit -qm x --allow-empty; git worktree add -q ../place/n",
        [],
    ),
    "ignored files": (
        "git init -q n; echo '*.o' >.gitignore; echo g >n/.gitignore; echo 1 | tee n/f n/g n/x.o; ",
        [".gitignore", "n/.gitignore", "n/f"],
    ),
    "ignored": ("echo n >.gitignore; git init -q n; echo 1 >n/f", [".gitignore"]),
}


@pytest.mark.parametrize(("text", "paths"), NESTED.values(), ids=NESTED.keys())
def test_a_nested_repository_is_a_folder_of_files(lab: Lab, text: str, paths: list[str]) -> None:
    place = agent_place(lab)
    script(lab, place, text)
    content = read(lab, place)
    assert content.problems == ()
    assert listed(lab, content.tree) == sorted(f"100644 {path}" for path in ["README.md", *paths])


def test_a_bare_repository_is_a_folder_of_files(lab: Lab) -> None:
    place = agent_place(lab)
    script(lab, place, "git init -q --bare n")
    content = read(lab, place)
    assert content.problems == ()
    assert "100644 n/HEAD" in listed(lab, content.tree)


def test_a_gitlink_that_an_agent_staged_or_committed_is_a_folder_of_files(lab: Lab) -> None:
    place = agent_place(lab)
    script(
        lab,
        place,
        "git init -q n; echo 1 >n/f; git -C n add f; git -C n commit -qm x; git add n; git commit -qm own",
    )
    assert listed(lab, read(lab, place).tree) == ["100644 README.md", "100644 n/f"]


ODD = {
    "newline": ("mkdir 'a\nb'; echo 1 >'a\nb/c'", ["100644 a\nb/c"], []),
    "not UTF-8": ("echo 1 >\"$(printf 'a\\377')\"", ["100644 a\N{REPLACEMENT CHARACTER}"], []),
    "case": ("echo 1 >readme.md", ["100644 readme.md"], []),
    "link out": (
        "ln -s /etc/passwd p; ln -s .. up; ln -s nowhere n",
        ["120000 n", "120000 p", "120000 up"],
        [],
    ),
    "pipe": ("mkfifo p", [], []),
    "pipes that git would open": (
        "mkdir -p d/e n; mkfifo .gitignore d/e/.gitattributes n/.gitattributes; echo 1 >d/e/x; echo 1 >n/x",
        ["100644 d/e/x", "100644 n/x"],
        [],
    ),
    ".GIT": ("mkdir .GIT; echo 1 >.GIT/x; echo 1 >y", ["100644 y"], ["a name that git refuses: .GIT/x"]),
    "git~1": ("echo 1 >git~1; echo 1 >y", ["100644 y"], ["a name that git refuses: git~1"]),
    "folder for a file": ("rm README.md; mkdir README.md; echo 1 >README.md/x", ["100644 README.md/x"], []),
    "link for a folder": ("echo 1 >f; ln -s . d", ["120000 d", "100644 f"], []),
}


@pytest.mark.parametrize(("text", "paths", "problems"), ODD.values(), ids=ODD.keys())
def test_odd_files_and_names(lab: Lab, text: str, paths: list[str], problems: list[str]) -> None:
    place = agent_place(lab)
    script(lab, place, text)
    content = read(lab, place)
    assert content.problems == tuple(problems)
    known = [] if "rm README.md" in text else ["100644 README.md"]
    assert sorted(listed(lab, content.tree)) == sorted([*known, *paths])


def test_what_holds_no_content_counts_as_nothing(lab: Lab) -> None:
    lab.commit("links", {"d/x": "1\n"})
    place = agent_place(lab)
    assert place.top is not None
    script(lab, place, "rm README.md; mkfifo README.md; rm -r d; mkdir e; echo 1 >e/x; ln -s e d")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(place.top)
        try:
            server.bind("s")
        finally:
            os.chdir(here)
    content = read(lab, place)
    assert (content.problems, listed(lab, content.tree)) == ((), ["120000 d", "100644 e/x"])


METADATA = ("PKG-INFO", "SOURCES.txt", "entry_points.txt")
INSTALLING = (
    "mkdir a.egg-info; for name in PKG-INFO SOURCES.txt entry_points.txt; do echo 1 >a.egg-info/$name; done"
)
INSTALLED = {
    "alone": ("", []),
    "in src": ("mkdir src; mv a.egg-info src", []),
    "with a file of the agent's own": (
        "echo 1 >a.egg-info/work.py",
        [*(f"a.egg-info/{name}" for name in METADATA), "a.egg-info/work.py"],
    ),
    "incomplete": ("rm a.egg-info/SOURCES.txt", ["a.egg-info/PKG-INFO", "a.egg-info/entry_points.txt"]),
    "a file of that name": ("rm -r a.egg-info; echo 1 >a.egg-info", ["a.egg-info"]),
}


@pytest.mark.parametrize(("text", "paths"), INSTALLED.values(), ids=INSTALLED.keys())
def test_the_metadata_of_an_installation_is_no_work(lab: Lab, text: str, paths: list[str]) -> None:
    place = agent_place(lab)
    script(lab, place, f"{INSTALLING}\n{text}\necho 1 >work")
    content = read(lab, place)
    assert content.problems == ()
    assert listed(lab, content.tree) == [f"100644 {path}" for path in ["README.md", *paths, "work"]]


def test_metadata_that_the_project_tracks_is_work(lab: Lab) -> None:
    lab.commit("tracked", {"a.egg-info/requires.txt": "x\n"})
    place = agent_place(lab)
    script(lab, place, INSTALLING.replace("mkdir a.egg-info; ", ""))
    assert f"100644 a.egg-info/{METADATA[2]}" in listed(lab, read(lab, place).tree)


def test_large_files_are_named_before_they_are_read(lab: Lab) -> None:
    lab.commit("large", {"old": "x" * 3000, "grown": "1\n", ".gitattributes": "*.bin filter=count\n"})
    lab.git("config", "filter.count.clean", "wc -c")
    place = agent_place(lab)
    script(lab, place, "truncate -s 300M new; truncate -s 5000 grown; truncate -s 5000 y.bin; echo 1 >small")
    content = read(lab, place, Limits(file_bytes=2048))
    assert content.problems == (
        "larger than 0.00195312 MB ('scope.max_file_mb'): grown",
        "larger than 0.00195312 MB ('scope.max_file_mb'): new",
    )
    names = [line.split(" ")[1] for line in listed(lab, content.tree)]
    assert names == [".gitattributes", "README.md", "old", "small", "y.bin"]
    assert lab.show(f"{content.tree}:y.bin").strip() == "5000"


def test_too_many_and_too_deep_files_are_named(lab: Lab) -> None:
    place = agent_place(lab)
    assert place.top is not None
    script(lab, place, "mkdir -p a/b/c/d; echo 1 >a/b/c/d/e; echo 1 >a/f")
    content = read(lab, place, Limits(depth=2))
    assert content.problems == ("nested in more than 2 folders: a/b/c/d/e",)
    assert listed(lab, content.tree) == ["100644 README.md", "100644 a/f"]
    content = read(lab, place, Limits(new_files=1))
    assert content.problems == ("one of more than 1 new files ('scope.max_new_files'): a/b/c/d/e",)


def test_files_in_an_impossible_encoding_are_named_with_the_line_that_asks_for_it(lab: Lab) -> None:
    place = agent_place(lab)
    script(lab, place, "mkdir d; echo 1 >a.txt; echo 1 >d/b.txt; echo 1 >d/c; echo 1 >e.utf")
    script(lab, place, "printf '# one\n*.txt working-tree-encoding=NOPE-8\n' >.gitattributes")
    script(lab, place, "printf '*.utf text working-tree-encoding=UTF-16\n' >>.gitattributes")
    content = read(lab, place)
    assert content.problems == (
        "not in the encoding 'NOPE-8' that '.gitattributes:2' names: a.txt",
        "not in the encoding 'UTF-16' that '.gitattributes:3' names: e.utf",
    )
    names = [".gitattributes", "README.md", "d/c"]
    assert [line.split(" ")[1] for line in listed(lab, content.tree)] == names


def submodule(lab: Lab) -> str:
    """Add a submodule 'sub' with one commit to main; return that commit."""
    library = Lab(lab.root / "library")
    library.commit("one", {"f": "1\n"})
    lab.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path), "sub")
    lab.git("commit", "-q", "-m", "submodule")
    library.commit("two", {"f": "2\n"})
    lab.git("-C", "sub", "fetch", "-q")
    return lab.git("rev-parse", "HEAD:sub")


UPDATE = "git -c protocol.file.allow=always submodule --quiet update --init; "
SUBMODULES = {
    "empty": ("true", "160000 sub", None),
    "initialised": (UPDATE, "160000 sub", None),
    "moved to a commit of its remote": (f"{UPDATE}git -C sub checkout -q origin/main", "160000 sub", None),
    "moved to a commit of its own": (
        f"{UPDATE}echo 3 >sub/f; git -C sub commit -qam own",
        "100644 sub/f",
        "submodule at a commit",
    ),
    "changed": (f"{UPDATE}echo 3 >sub/f", "100644 sub/f", "submodule with changed files"),
    "files in its folder": ("echo 3 >sub/f", "100644 sub/f", None),
    "removed": ("rmdir sub", None, None),
}


@pytest.mark.parametrize(("text", "entry", "problem"), SUBMODULES.values(), ids=SUBMODULES.keys())
def test_a_submodule_keeps_only_commits_that_others_can_get(
    lab: Lab, text: str, entry: str | None, problem: str | None
) -> None:
    submodule(lab)
    place = agent_place(lab)
    script(lab, place, text)
    content = read(lab, place)
    entries = [line for line in listed(lab, content.tree) if line.split(" ")[1].startswith("sub")]
    assert [line for line in entries if line != "100644 sub/README.md"] == ([entry] if entry else [])
    assert [problem in line for line in content.problems] == ([True] if problem else [])
    if "origin/main" in text:
        assert lab.git("rev-parse", f"{content.tree}:sub") == lab.git("-C", "sub", "rev-parse", "origin/main")


def test_outside_of_a_sparse_checkout_only_what_is_there_counts(lab: Lab) -> None:
    lab.commit("folders", {"in/a": "1\n", "out/b": "1\n", "out/c": "1\n"})
    lab.git("sparse-checkout", "set", "in")
    place = agent_place(lab)
    assert place.top is not None
    assert not (place.top / "out").exists()
    script(lab, place, "rm in/a; mkdir out; echo 2 >out/c; echo 2 >out/d; echo 2 >in/e")
    content = read(lab, place)
    assert content.problems == ()
    assert [line.split(" ")[1] for line in listed(lab, content.tree)] == [
        "README.md",
        "in/e",
        "out/b",
        "out/c",
        "out/d",
    ]
    assert (lab.show(f"{content.tree}:out/b"), lab.show(f"{content.tree}:out/c")) == ("1\n", "2\n")
