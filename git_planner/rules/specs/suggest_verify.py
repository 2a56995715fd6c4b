"""Suggest verify commands from the files of a repository. Pure.

Suggestions rely on the files that the tools themselves look for, and only on those with an effect: a 'test'
script, a 'test' target, a folder of tests. One per kind of project, at most three.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from git_planner.rules.setup.project import (
    MAKEFILES,
    make_target,
    node_manager,
    node_package,
    node_scripts,
    python_runner,
)

MAX_COMMANDS = 3
Command = tuple[str, ...]
# Files whose content is needed; of others the name suffices.
FILES_READ = ("pyproject.toml", "setup.cfg", "tox.ini", "package.json", *MAKEFILES)
_PYTHON = {"pyproject.toml", "setup.py", "setup.cfg"}


def suggest_verify(names: Collection[str], texts: Mapping[str, str]) -> tuple[Command, ...]:
    """Suggest commands that verify a repository.

    Args:
        names: the entries of the top folder, folders with a final '/', and '.xcodeproj' entries one folder
            below.
        texts: name -> content of the present files of FILES_READ.
    """
    commands = [command for rule in _RULES for command in rule(names, texts)]
    return tuple(dict.fromkeys(commands))[:MAX_COMMANDS]


def _python(names: Collection[str], texts: Mapping[str, str]) -> Iterator[Command]:
    """Suggest nox or tox, which run pytest in its environment, or pytest itself."""
    runner = python_runner(names, texts)
    has_tests = bool({"tests/", "test/"} & set(names)) and bool(_PYTHON & set(names))
    if runner in ("nox", "tox"):
        yield (runner,)
    elif runner == "pytest" or has_tests:
        yield ("python", "-m", "pytest", "-q")


def _node(names: Collection[str], texts: Mapping[str, str]) -> Iterator[Command]:
    package = node_package(texts)
    scripts = node_scripts(package)
    for script in ("typecheck", "test"):
        if script in scripts:
            yield (node_manager(names, package), "run", script)


def _others(names: Collection[str], _: Mapping[str, str]) -> Iterator[Command]:
    if "Cargo.toml" in names:
        yield ("cargo", "test")
    if "go.mod" in names:
        yield ("go", "test", "./...")


def _make(names: Collection[str], texts: Mapping[str, str]) -> Iterator[Command]:
    target = make_target(names, texts)
    if target is not None:
        yield ("make", target)


def _xcode(names: Collection[str], _: Mapping[str, str]) -> Iterator[Command]:
    projects = [name.rstrip("/") for name in names if name.rstrip("/").endswith(".xcodeproj")]
    # With several projects the choice is ambiguous.
    if len(projects) == 1:
        scheme = projects[0].rsplit("/", 1)[-1].removesuffix(".xcodeproj")
        yield ("xcodebuild", "-project", projects[0], "-scheme", scheme, "build")


_RULES: tuple[Callable[[Collection[str], Mapping[str, str]], Iterator[Command]], ...] = (
    _python,
    _node,
    _others,
    _make,
    _xcode,
)
