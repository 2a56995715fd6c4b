"""The shell patterns of the hooks match everything that git matches with the guarded patterns."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.rules.guard.guard import ALWAYS, guarded_globs, wide_globs, wide_pathspecs
from tests.support.lab import Lab

NAMES = ("a", "A", "ab", "b.py", "B.PY", "x[y", "[ab]", "q?", "é", "É", "s p", "**", "-n", "c!d")
PATTERNS = (
    *("tests/**", "**/b.py", "*", "**", "a", "a/", "./a", "a//ab", "a/../ab", "?", "a?", "*.py", "é", "é/**"),
    *(
        "[ab]",
        "[!a]b",
        "[a-c]/**",
        "x\\[y",
        "x[[]y",
        "a/**/b.py",
        "a/*",
        "**/a/**",
        "s p",
        "c!d",
        "{a,b}",
        "$a",
    ),
)
SAYING = """\
while IFS= read -r path; do
	for glob in "$@"; do
		case $path in $glob | $glob/*) printf '%s\\n' "$path"; break ;; esac
	done
done
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Return one repository for all examples."""
    return Lab(tmp_path_factory.mktemp("globs"))


def missed(place: Lab, paths: set[str], pattern: str) -> set[str]:
    """Return the paths that git matches with a guarded pattern, but the shell does not."""
    oid = place.git("hash-object", "-w", "--stdin", stdin="")
    place.git("read-tree", "--empty")
    lines = "".join(f"100644 {oid}\t{path}\0" for path in sorted(paths))
    place.git("update-index", "-z", "--index-info", stdin=lines)
    specs = wide_pathspecs([pattern])
    by_git = {path for path in place.run_git("ls-files", "-z", "--", *specs).out.split("\0") if path}
    stdin = "".join(f"{path}\n" for path in sorted(paths))
    command = ["sh", "-c", SAYING, "sh", *wide_globs(ALWAYS), *guarded_globs([pattern])]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60)
    return by_git - set(result.stdout.splitlines())


def test_whatever_git_matches_sh_matches_too(place: Lab) -> None:
    deep = {*(f"{one}/{other}" for one in NAMES for other in NAMES), "a/x/y/b.py", "tests/x/y", "Tests/z"}
    for paths in (set(NAMES), deep):
        assert {pattern: lost for pattern in PATTERNS if (lost := missed(place, paths, pattern))} == {}


def _joined(letters: str) -> st.SearchStrategy[str]:
    names = st.text(letters, min_size=1, max_size=4).filter(lambda name: name not in (".", "..", " "))
    return st.lists(names, min_size=1, max_size=3).map("/".join)


def _no_file_in_another(paths: set[str]) -> set[str]:
    return {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}


@given(
    pattern=_joined("aAbé*?[]!-\\. "),
    paths=st.sets(_joined("aAbéÉ[]-. !"), min_size=1, max_size=12).map(_no_file_in_another),
)
def test_whatever_git_matches_sh_matches_too_for_any_pattern(
    place: Lab, pattern: str, paths: set[str]
) -> None:
    assert missed(place, paths, pattern) == set()
