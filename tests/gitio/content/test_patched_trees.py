"""Trees made from patches of unknown origin: what applies, what is refused; nothing else is touched."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.gitio import history
from git_planner.gitio.content.patched_trees import PatchedTree, counted_trees, patch_ids, patched_trees
from tests.support.lab import Lab

FILES: dict[str, str | bytes | None] = {
    "README.md": "hello\n",
    "src/one.py": "a = 1\nb = 2\n",
    "src/crlf.txt": b"one\r\ntwo\r\n",
    "src/blob.bin": bytes(range(256)),
    "tests/test_one.py": "assert True\n",
    ".gitattributes": "*.py filter=evil whitespace=error\n",
}


def first(lab: Lab) -> None:
    """Make the base commit of all patches."""
    lab.commit("files", FILES)
    lab.git("config", "apply.whitespace", "fix")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Provide a repository whose attributes name a filter, and whose configuration changes white space."""
    lab = Lab(tmp_path).prepare("patched-trees", first)
    with lab.entered():
        yield lab


def patch_of(lab: Lab, files: dict[str, str | bytes | None], *options: str) -> bytes:
    """Return the patch of a change that git itself makes in another clone."""
    place = lab.root / "elsewhere"
    lab.git("-c", "core.hooksPath=/dev/null", "worktree", "add", "-q", "--detach", str(place), "main")
    lab.commit("change", files, cwd=place)
    args = ["git", "diff", "--binary", *options, "main", "HEAD"]
    done = subprocess.run(args, cwd=place, env=lab.env, capture_output=True, check=True)
    lab.git("worktree", "remove", "--force", str(place))
    return done.stdout


def added(path: str, lines: str = "x\n", mode: str = "100644") -> bytes:
    """Return a patch that adds one file, whatever its path."""
    body = "".join(f"+{line}\n" for line in lines.splitlines())
    end = "" if lines.endswith("\n") else "\\ No newline at end of file\n"
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines.splitlines())} @@\n{body}{end}"
    ).encode()


def only(lab: Lab, patch: bytes, **limits: float) -> PatchedTree | PlannerError:
    """Apply one patch to main."""
    (result,) = patched_trees(lab.repo, "main", [patch], **limits)  # type: ignore[arg-type]
    return result


def tree_with(lab: Lab, files: dict[str, str | bytes | None]) -> str:
    """Return the tree that git itself makes of the base and some files."""
    lab.git("config", "--unset", "filter.evil.clean")
    lab.git("switch", "-q", "--detach", "main")
    lab.commit("expected", files)
    return lab.git("rev-parse", "HEAD^{tree}")


GOOD: dict[str, dict[str, str | bytes | None]] = {
    "text": {"src/one.py": "a = 1   \nb = 3\n"},
    "binary": {"src/blob.bin": bytes(reversed(range(256))), "new.bin": b"\0\1" * 4000},
    "crlf": {"src/crlf.txt": b"one\r\n2\r\n"},
    "rename": {"src/one.py": None, "src/uno.py": "a = 1\nb = 2\n"},
    "guarded": {"tests/test_one.py": "pass\n"},
    "odd names": {'src/\u00e4 "q"\t.py': "x\n"},
    "latin": {"src/latin.txt": "caf\u00e9\n".encode("latin-1")},
}


@pytest.mark.parametrize("name", GOOD)
def test_a_patch_leads_to_the_tree_that_git_makes(lab: Lab, name: str) -> None:
    patch = patch_of(lab, GOOD[name], "-M")
    lab.git("config", "filter.evil.clean", f"touch {lab.root}/ran")
    with lab.undisturbed():
        result = only(lab, patch)
    assert isinstance(result, PatchedTree), result
    assert result.tree == tree_with(lab, GOOD[name])
    assert set(result.paths) == set(GOOD[name])
    assert result.files == len(GOOD[name])
    assert not (lab.root / "ran").exists()


def test_counts_and_modes(lab: Lab) -> None:
    patch = b"diff --git a/src/one.py b/src/one.py\nold mode 100644\nnew mode 100755\n" + added(
        "n.txt", "1\n2\n"
    )
    result = only(lab, patch)
    assert isinstance(result, PatchedTree)
    assert (result.files, result.added, result.removed) == (2, 2, 0)
    assert lab.git("ls-tree", result.tree, "src/one.py").startswith("100755")


def huge_delta(first: int = 52) -> bytes:
    """Return a binary patch of some bytes that makes a file of 8 GiB, by its own account.

    Args:
        first: the bytes that its first line holds, of at most 52.
    """
    import base64
    import zlib

    size, head = 8 * 2**30, b"\x80\x02"
    while size >= 0x80:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    packed = zlib.compress(head + bytes([size]) + b"\x90" * 10)
    lines = b""
    for part in (packed[:first], packed[first:]):
        length = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[len(part) - 1 : len(part)]
        lines += length + base64.b85encode(part + b"\0" * (-len(part) % 4)) + b"\n" if part else b""
    return (
        b"diff --git a/src/blob.bin b/src/blob.bin\nindex "
        + b"1" * 40
        + b".."
        + b"2" * 40
        + b" 100644\nGIT binary patch\ndelta 20\n"
        + lines
        + b"\n"
    )


def literal_bomb(size: bytes) -> bytes:
    """Return a binary patch that makes a file of the size that it names."""
    head = b"diff --git a/b b/b\nnew file mode 100644\nGIT binary patch\nliteral "
    return head + size + b"\nzcmeIuF#!PxAOD\n"


BAD: dict[str, tuple[bytes, str, str]] = {
    "other base": (
        b"diff --git a/src/one.py b/src/one.py\n--- a/src/one.py\n+++ b/src/one.py\n@@ -1 +1 @@\n-c\n+d\n",
        "E_PATCH",
        "does not apply: patch failed: src/one.py:1",
    ),
    "missing file": (
        b"diff --git a/no.py b/no.py\n--- a/no.py\n+++ b/no.py\n@@ -1 +1 @@\n-c\n+d\n",
        "E_PATCH",
        "no.py: does not exist in index",
    ),
    "present file": (added("README.md"), "E_PATCH", "README.md: already exists in index"),
    "empty": (b"", "E_PATCH", "the patch is empty"),
    "blank": (b"\n \r\n", "E_PATCH", "the patch is empty"),
    "prose": (b"I changed the file as you said.\n", "E_PATCH", "is not a patch"),
    "UTF-16": (added("x").decode().encode("utf-16"), "E_PATCH", "is not a patch"),
    "noise": (bytes(range(256)) * 40, "E_PATCH", "is not a patch"),
    "cut off": (added("x", "1\n2\n3\n")[:-4], "E_PATCH", "corrupt patch"),
    "above": (added("../out.txt"), "E_PATCH", "invalid path '../out.txt'"),
    "above within": (added("src/../../out.txt"), "E_PATCH", "invalid path"),
    "absolute": (added("/tmp/out.txt"), "E_PATCH", "invalid path '/tmp/out.txt'"),
    "git": (added(".git/hooks/pre-commit", mode="100755"), "E_PATCH", "invalid path"),
    "Git": (added("src/.GIT/config"), "E_PATCH", "invalid path"),
    "short git": (added("git~1/config"), "E_PATCH", "invalid path"),
    "invisible git": (added(".g\u200cit/config"), "E_PATCH", "invalid path"),
    "link out": (added("link", "../../etc", "120000"), "E_PATCH", "the link 'link' leads out"),
    "absolute link": (added("link", "/etc/passwd", "120000"), "E_PATCH", "the link 'link' leads out"),
    "link to git": (
        added("src/link", "../.git/config", "120000"),
        "E_PATCH",
        "the link 'src/link' leads out",
    ),
    "link over a link": (
        added("d/here", ".", "120000") + added("link", "d/here/../../x", "120000"),
        "E_PATCH",
        "the link 'link' leads out",
    ),
    "through a link": (
        added("link", "src", "120000") + added("link/x.py"),
        "E_PATCH",
        "beyond a symbolic link",
    ),
    "submodule": (
        added("sub", "Subproject commit " + "1" * 40 + "\n", "160000"),
        "E_PATCH",
        "'sub' is a submodule",
    ),
    "no change": (
        added("README.md")
        .replace(b"new file mode 100644\n", b"")
        .replace(b"/dev/null", b"a/README.md")
        .replace(b"-0,0 +1,1", b"-1 +1")
        .replace(b"+x", b"-hello\n+hello"),
        "E_PATCH",
        "changes nothing",
    ),
    "bomb": (huge_delta(), "E_TOO_LARGE", "8,589,934,592 bytes"),
    "delta bomb of short lines": (huge_delta(1), "E_TOO_LARGE", "8,589,934,592 bytes"),
    "literal bomb": (literal_bomb(b"99999999999"), "E_TOO_LARGE", "99,999,999,999 bytes"),
    # git reads the number as C does.
    "literal bomb, blank": (literal_bomb(b" 	99999999999"), "E_TOO_LARGE", "99,999,999,999 bytes"),
    "literal bomb, plus": (literal_bomb(b"+99999999999"), "E_TOO_LARGE", "99,999,999,999 bytes"),
    "literal bomb, words": (literal_bomb(b"99999999999 bytes"), "E_TOO_LARGE", "99,999,999,999 bytes"),
    "literal bomb, digits": (
        literal_bomb(b"9" * 5000),
        "E_TOO_LARGE",
        "18,446,744,073,709,551,615 bytes",
    ),
    "literal bomb, minus": (literal_bomb(b"-1"), "E_TOO_LARGE", "18,446,744,073,709,551,615 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_patch_is_an_error_of_its_own(lab: Lab, name: str) -> None:
    patch, code, words = BAD[name]
    with lab.undisturbed():
        good, error, again = patched_trees(lab.repo, "main", [added("ok"), patch, added("ok")])
    assert isinstance(error, PlannerError), error
    assert error.code == code
    assert words in " ".join((error.message, *error.details)), (error.message, error.details)
    assert good == again
    assert list((lab.path / ".git" / "planner" / "patches").iterdir()) == []
    lab.fsck()


def test_a_link_within_the_repository(lab: Lab) -> None:
    result = only(lab, added("src/deep/link", "../../README.md", "120000"))
    assert isinstance(result, PatchedTree)
    assert lab.show(f"{result.tree}:src/deep/link") == "../../README.md"


def test_limits_of_size_and_time(lab: Lab) -> None:
    large = only(lab, added("x", "y\n" * 600), most_bytes=1000)
    assert isinstance(large, PlannerError)
    assert (large.code, large.message) == (
        "E_TOO_LARGE",
        "the patch has 1,880 bytes; at most 1,000 are applied",
    )
    late = only(lab, added("x"), seconds=0.000001)
    assert isinstance(late, PlannerError)
    assert late.code == "E_DEADLINE"


def test_patch_ids_are_those_of_single_patches(lab: Lab) -> None:
    patches = [added("a"), added("b", "1\n2\n"), added("a"), patch_of(lab, GOOD["binary"])]
    trees = [
        result.tree for result in patched_trees(lab.repo, "main", patches) if isinstance(result, PatchedTree)
    ]
    ids = patch_ids(lab.repo, "main", trees)
    assert ids == {tree: history.patch_id(lab.repo.git, "main^{tree}", tree) for tree in trees}
    assert len(set(ids.values())) == 3
    # Diffs that are too large together are read one by one, and one that is too large alone has no id.
    few = [tree for tree in dict.fromkeys(trees) if tree != trees[3]]
    assert patch_ids(lab.repo, "main", trees, most=400) == {tree: ids[tree] for tree in few}
    base = lab.repo.resolve("main", "tree")
    assert [counted.added for counted in counted_trees(lab.repo, "main", [base, trees[1], base])] == [0, 2, 0]


def test_a_worktree_and_another_hash(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "--object-format=sha256")
    lab.git("branch", "side")
    place = lab.worktree("side", "side")
    with lab.entered(place):
        result = only(lab, added("deep/new.py"))
    assert isinstance(result, PatchedTree)
    assert lab.git("ls-tree", "-r", "--name-only", result.tree) == "README.md\ndeep/new.py"
