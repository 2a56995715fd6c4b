"""Description of the tools that a policy's commands name: results of unlike tools are not compared."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from git_planner.host.machine import rustup_home

_WORD = re.compile(r"[A-Za-z][\w.+-]{0,60}")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
_MOST_WORDS = 60
# Modules that Python imports when it starts, besides what '*.pth' files name.
_START_MODULES = ("sitecustomize.py", "usercustomize.py")
_MAX_START_FILE = 1 << 20


def describe_tools(runs: Iterable[Sequence[str]], path: str) -> dict[str, Any]:
    """Describe the programs that command lines name: the first word, and what a shell in them would start.

    Args:
        runs: the command lines.
        path: the search path for programs, absolute entries only.
    """
    tools: dict[str, Any] = {}
    for run in runs:
        tools[run[0]] = _describe(run[0], path)
        for word in _inner_words(run):
            if word not in tools and (tool := _describe(word, path)) is not None:
                tools[word] = tool
    return dict(sorted(tools.items()))


def _inner_words(run: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command line after its first that may name programs."""
    words: list[str] = []
    for argument in run[1:]:
        with suppress(ValueError):
            words += shlex.split(argument) if " " in argument else [argument]
    yield from (word for word in words[:_MOST_WORDS] if _WORD.fullmatch(word))


def _describe(name: str, path: str) -> dict[str, Any] | None:
    """Return path, size and time of a program, to notice a replacement; None if there is none."""
    if "/" in name and not os.path.isabs(name):
        return {"path": name}
    program = shutil.which(name, path=path)
    if program is None:
        return None
    real = os.path.realpath(program)
    status = os.stat(real)
    tool = {
        "path": utf8_text(program),
        "file": utf8_text(real),
        "size": status.st_size,
        "changed": int(status.st_mtime),
    }
    if _PYTHON.fullmatch(os.path.basename(program)) or _PYTHON.fullmatch(os.path.basename(real)):
        tool["packages"] = _packages_digest(Path(program), Path(real))
    if os.path.basename(real) == "rustup":
        tool["toolchains"] = _toolchains_digest(path)
    return tool


def _toolchains_digest(path: str) -> str:
    """Return a digest of rustup's toolchains and its settings: its stand-ins start one of them."""
    state = hashlib.sha256()
    home = rustup_home(path)
    for file in sorted(home.glob("toolchains/*/bin/rustc")) if home else ():
        with suppress(OSError):
            status = file.stat()
            state.update(
                f"{file}\0{status.st_size}\0{int(status.st_mtime)}\0".encode(errors="surrogateescape")
            )
    if home:
        with suppress(OSError), open(home / "settings.toml", "rb") as settings:
            state.update(settings.read(_MAX_START_FILE))
    return state.hexdigest()


def _packages_digest(program: Path, real: Path) -> str:
    """Return a digest of what an interpreter imports at its start, and of its installed distributions."""
    state = hashlib.sha256()
    for folder in _module_folders(program, real):
        for entry in sorted(_relevant_names(folder)):
            state.update(f"{entry}\0".encode("utf-8", "surrogateescape"))
            if entry.endswith(".pth") or entry in _START_MODULES:
                with suppress(OSError), open(folder / entry, "rb") as file:
                    state.update(file.read(_MAX_START_FILE))
        state.update(b"\1")
    return state.hexdigest()


def _module_folders(program: Path, real: Path) -> Iterator[Path]:
    """Yield the folders of an interpreter's modules, of its virtual environment first."""
    # Absolute, but not resolved: an interpreter finds its environment beside the link that it was started by.
    prefixes = dict.fromkeys((program.parent.parent, real.parent.parent))
    for prefix in prefixes:
        yield from python_libraries(prefix)


def python_libraries(prefix: Path) -> Iterator[Path]:
    """Yield the folders of modules of one installation."""
    for library in ("lib", "lib64", "local/lib"):
        with suppress(OSError):
            for name in sorted(os.listdir(prefix / library)):
                if _PYTHON.fullmatch(name):
                    folder = prefix / library / name
                    yield from (folder, folder / "site-packages", folder / "dist-packages")


def search_folders(prefixes: Iterable[str]) -> frozenset[str]:
    """Return the folders that '*.pth' files of installations put on Python's search path.

    An import lists each of them, such as the checkout of an editable installation, whatever it looks for.

    Args:
        prefixes: the folders of installations, such as a virtual environment.
    """
    folders: set[str] = set()
    for prefix in map(Path, prefixes):
        for modules in python_libraries(prefix):
            for name in _relevant_names(modules):
                if name.endswith(".pth"):
                    with suppress(OSError), open(modules / name, "rb") as file:
                        lines = os.fsdecode(file.read(_MAX_START_FILE)).splitlines()
                        folders.update(
                            os.path.normpath(modules / line.strip()) for line in lines if line.strip()
                        )
    return frozenset(folders)


def _relevant_names(folder: Path) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [
        name for name in names if name.endswith((".dist-info", ".egg-info", ".pth")) or name in _START_MODULES
    ]


def utf8_text(value: str | None) -> str | None:
    """Return a text with bytes that are not UTF-8 written as '\\xNN'."""
    if value is None:
        return None
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
