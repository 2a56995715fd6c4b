"""Recognise test files by their names, and the patterns that guard them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Folders that hold tests and what tests read.
_FOLDERS = frozenset(("tests", "test", "__tests__", "spec", "testing", "testdata"))
# Code of others, which is not tested here.
_FOREIGN = frozenset(("node_modules", "vendor", "third_party", "site-packages", "target", ".git"))
_SOURCE = re.compile(
    r".*\.(?:py|[cm]?[jt]sx?|go|rs|rb|php|java|kt|scala|cs|fs|c|cc|cpp|cxx|h|hpp|sh|bats|ex|exs|swift|lua|pl|t)"
)
# The names of test files, and the patterns that match them wherever they are.
_NAMES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(names), globs)
    for names, globs in (
        (r"test_.*\.py", ("**/test_*.py",)),
        (r".*_test\.py", ("**/*_test.py",)),
        (r".*_test\.go", ("**/*_test.go",)),
        (r"test\.rs", ("**/test.rs",)),
        (r"tests\.rs", ("**/tests.rs",)),
        (r".*\.test\.([cm]?[jt]sx?)", ("**/*.test.*",)),
        (r".*\.spec\.([cm]?[jt]sx?)", ("**/*.spec.*",)),
        (r".*_spec\.rb", ("**/*_spec.rb",)),
        (r".*_test\.rb", ("**/*_test.rb",)),
        (r"test_.*\.rb", ("**/test_*.rb",)),
        (r".*Test\.php", ("**/*Test.php",)),
        (r".*Tests?\.(?:java|kt|cs)", ("**/*Test.*", "**/*Tests.*")),
        (r".*_test\.(?:c|cc|cpp|cxx)", ("**/*_test.c*",)),
        (r"test_.*\.(?:c|cc|cpp|cxx)", ("**/test_*.c*",)),
    )
)
# More folders than this are matched by their name, wherever they are.
_MOST_FOLDERS = 4


def is_test_file(path: str) -> bool:
    """Return whether a path is that of a test by convention."""
    *folders, name = path.split("/")
    if _FOREIGN & set(folders):
        return False
    return any(names.fullmatch(name) for names, _ in _NAMES) or (
        bool(_FOLDERS & set(folders)) and _SOURCE.fullmatch(name) is not None
    )


def test_folder(path: str) -> str | None:
    """Return the outermost folder of tests that a path lies in; None if there is none."""
    folders = path.split("/")[:-1]
    for place, folder in enumerate(folders):
        if folder in _FOLDERS:
            return "/".join(folders[: place + 1])
    return None


def guard_patterns(paths: Iterable[str]) -> list[str]:
    """Return the patterns that guard test files: their folders, or their names where they lie beside code."""
    folders: dict[str, None] = {}
    globs: dict[str, None] = {}
    for path in paths:
        folder = test_folder(path)
        if folder is not None:
            folders[folder] = None
            continue
        name = path.rsplit("/", 1)[-1]
        for names, patterns in _NAMES:
            if names.fullmatch(name):
                globs.update(dict.fromkeys(patterns))
                break
    if len(folders) > _MOST_FOLDERS:
        names_ = dict.fromkeys(folder.rsplit("/", 1)[-1] for folder in folders)
        return [*(f"**/{name}/**" for name in names_), *globs]
    return [*(f"{folder}/**" for folder in folders), *globs]


def common_folders(paths: Sequence[str]) -> list[str]:
    """Return the folders of tests that hold some paths; '.' for paths outside of them."""
    return list(dict.fromkeys(test_folder(path) or "." for path in paths))
