"""Editable installations that let measured commands import the person's working tree.

Such an installation puts a folder of the repository on the search path of an interpreter. Commands that name
the interpreter then measure that folder, and not the candidate. It is a fault only where that can be proved:
the measured tree imports the module, and nothing puts the tree's own folder before it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from git_planner.flows.measuring.tool_description import python_libraries
from git_planner.gitio.repository import Repository

_MAX_FILE = 1 << 20
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
# Programs that start another one with the words that follow.
_STARTERS = frozenset(("env", "sh", "bash", "dash", "nice", "time", "timeout"))
_IMPORT = re.compile(r"import\s+(\w*editable\w*)")
_QUOTED = re.compile(r"""['"](/[^'"\n]+)['"]""")
# Options of an interpreter that leave the current folder out of its search path.
_ISOLATED = re.compile(r"-[A-Za-z]*[IP]")
# Files that a test runner takes further search folders from.
_CONFIGURATION = (
    "pyproject.toml",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    "setup.cfg",
    "tox.ini",
    "conftest.py",
)
_PATH_WORDS = (b"pythonpath", b"sys.path")


class Editable(NamedTuple):
    """An entry of an editable installation: the file that makes it, and the folder that is imported from."""

    file: Path
    folder: Path


def working_tree_fault(repo: Repository, argv: Sequence[str], tree: Path, path: str) -> str | None:
    """Return why a command would measure the working tree and not the measured one, if that is proved.

    Args:
        repo: the repository.
        argv: the command.
        tree: the folder of the measured tree.
        path: the search path for programs.
    """
    for name, arguments in _interpreters(argv, path):
        for entry in _editables(name):
            for top in _tops(repo):
                if not entry.folder.is_relative_to(top):
                    continue
                inner = entry.folder.relative_to(top)
                modules = _modules(tree / inner)
                if _comes_first(arguments, inner, tree):
                    continue
                module = _imported(tree, modules, below=inner)
                if module is not None:
                    return _sentence(entry, module)
    return None


def _sentence(entry: Editable, module: str) -> str:
    return (
        f"'{entry.file}' lets '{module}' be imported from the working tree, '{entry.folder}', so that the "
        "candidate would not be measured; let a step of 'prepare' install it, such as run: [sh, -c, 'python "
        "-m venv .venv && .venv/bin/pip install -e .'] with outputs: [.venv], and run '.venv/bin/python'"
    )


def _interpreters(argv: Sequence[str], path: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the interpreters outside the tree that a command starts, each with its arguments."""
    words = list(argv)
    if os.path.basename(argv[0]) in _STARTERS:
        words = []
        for word in argv[1:]:
            with suppress(ValueError):
                words += shlex.split(word)
        if any(word.startswith("PYTHONPATH=") or word == "cd" for word in words):
            return
    for place, word in enumerate(words):
        is_first = place == 0 and words == list(argv)
        if not is_first and not _PYTHON.fullmatch(os.path.basename(word)):
            continue
        program = shutil.which(word, path=path) if "/" not in word else word
        if program is None or not os.path.isabs(program):
            continue
        if _PYTHON.fullmatch(os.path.basename(program)):
            yield program, words[place + 1 :]
        elif interpreter := _script_interpreter(program):
            yield interpreter, (program,)


def _script_interpreter(program: str) -> str | None:
    """Return the Python that a script is written for."""
    with suppress(OSError), open(program, "rb") as file:
        first = file.readline(512)
        words = os.fsdecode(first[2:]).split() if first.startswith(b"#!") else []
        if words and os.path.isabs(words[0]) and _PYTHON.fullmatch(os.path.basename(words[0])):
            return words[0]
    return None


@cache
def _editables(program: str) -> tuple[Editable, ...]:
    """Return what the editable installations of an interpreter import from."""
    entries: list[Editable] = []
    for folder in python_libraries(Path(program).parent.parent):
        with suppress(OSError):
            for name in sorted(os.listdir(folder)):
                if name.endswith(".pth"):
                    entries += _entries(folder, folder / name)
    return tuple(entries)


def _entries(folder: Path, file: Path) -> Iterator[Editable]:
    for line in _text(file).splitlines():
        if finder := _IMPORT.match(line):
            for quoted in _QUOTED.findall(_text(folder / f"{finder[1]}.py")):
                yield Editable(folder / f"{finder[1]}.py", Path(os.path.realpath(quoted)).parent)
        elif os.path.isabs(line.strip()):
            yield Editable(file, Path(os.path.realpath(line.strip())))


def _text(file: Path) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            return lines.read(_MAX_FILE)
    except OSError:
        return ""


def _tops(repo: Repository) -> Iterator[Path]:
    """Yield the folders of the person's working trees."""
    tops = [repo.top] if repo.top is not None else []
    if repo.common.name == ".git":
        tops.append(repo.common.parent)
    yield from dict.fromkeys(Path(os.path.realpath(top)) for top in tops)


def _modules(folder: Path) -> list[str]:
    """Return the names of the modules in a folder of the measured tree."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    modules = []
    for name in names:
        if name.endswith(".py"):
            modules.append(name.removesuffix(".py"))
        elif (folder / name / "__init__.py").is_file():
            modules.append(name)
    return [module for module in modules if module.isidentifier() and module not in ("setup", "conftest")]


def _comes_first(arguments: Sequence[str], inner: Path, tree: Path) -> bool:
    """Return whether the tree's own folder may come before the installation's on the search path."""
    if os.environ.get("PYTHONPATH") or _is_configured(tree):
        return True
    if inner.parts:
        return False
    # The current folder is searched first for '-m' and '-c', and that of a script for the script.
    for word in arguments:
        if _ISOLATED.fullmatch(word):
            return False
        if not word.startswith("-") or word[1:2] in ("m", "c"):
            return word.startswith("-") or "/" not in word
    return False


def _is_configured(tree: Path) -> bool:
    for name in _CONFIGURATION:
        with suppress(OSError), open(tree / name, "rb") as file:
            content = file.read(_MAX_FILE)
            if any(word in content for word in _PATH_WORDS):
                return True
    return any(_mentions_path(place) for place in tree.glob("*/conftest.py"))


def _mentions_path(file: Path) -> bool:
    return "sys.path" in _text(file)


def _imported(tree: Path, modules: Sequence[str], *, below: Path) -> str | None:
    """Return the first of some modules that a file of the tree outside of it imports."""
    if not modules:
        return None
    pattern = re.compile(rf"^\s*(?:from|import)\s+({'|'.join(map(re.escape, modules))})\b", re.MULTILINE)
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if not name.endswith(".py"):
                continue
            for match in pattern.finditer(_text(file)):
                if not file.is_relative_to(tree / below / match[1]):
                    return match[1]
    return None
