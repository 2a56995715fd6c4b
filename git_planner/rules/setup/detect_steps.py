"""Recognise what tests need and git does not hold: dependencies, a generated version file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from git_planner.rules.setup.detect_tests import DetectedTests
from git_planner.rules.setup.project import Project, node_manager, node_package, parse_toml

# The lockfile of each package manager, and the command that installs exactly what it names.
_NODE_INSTALLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "npm": ("package-lock.json", ("npm", "ci", "--no-audit", "--no-fund")),
    "pnpm": ("pnpm-lock.yaml", ("pnpm", "install", "--frozen-lockfile")),
    "yarn": ("yarn.lock", ("yarn", "install", "--frozen-lockfile")),
}
_NODE_TESTS = frozenset(("node", "npm", "jest", "vitest", "mocha", "ava", "tape"))
_PYTHON_TESTS = frozenset(("pytest", "unittest"))
_FILE = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.py")
_VERSION = '__version__ = version = "0.0.0"\n__version_tuple__ = version_tuple = (0, 0, 0)\n'


class SuggestedStep(NamedTuple):
    """A step of 'prepare': its name, its command, its inputs and outputs, and whether it needs a network."""

    name: str
    run: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    network: bool


def suggest_steps(project: Project, tests: DetectedTests) -> list[SuggestedStep]:
    """Return the steps that the tests of a project need."""
    if tests.name in _NODE_TESTS:
        return list(_node(project))
    return list(_version_file(project)) if tests.name in _PYTHON_TESTS else []


def _node(project: Project) -> Iterator[SuggestedStep]:
    package = node_package(project.texts)
    manager = node_manager(project.top, package)
    lock, install = _NODE_INSTALLS.get(manager, ("", ()))
    is_needed = any(package.get(key) for key in ("dependencies", "devDependencies"))
    if is_needed and lock in project.top and "node_modules/" not in project.top:
        inputs = ("package.json", lock, *(name for name in (".npmrc",) if name in project.top))
        yield SuggestedStep("dependencies", install, inputs, ("node_modules",), network=True)


def _version_file(project: Project) -> Iterator[SuggestedStep]:
    """Yield the version file that hatch-vcs or setuptools-scm writes: they ask git, which is hidden."""
    tool = parse_toml(project.texts.get("pyproject.toml", "")).get("tool")
    tools = tool if isinstance(tool, dict) else {}
    named = (
        _value(tools, "hatch", "build", "hooks", "vcs", "version-file"),
        _value(tools, "setuptools_scm", "version_file"),
        _value(tools, "setuptools_scm", "write_to"),
    )
    file = next((name for name in named if isinstance(name, str)), "")
    if _FILE.fullmatch(file) and ".." not in file and file not in project.paths:
        folder = file.rpartition("/")[0]
        make = f'mkdir -p {folder} && printf "$0" > {file}' if folder else f'printf "$0" > {file}'
        run = ("sh", "-c", make, _VERSION)
        yield SuggestedStep("version", run, ("pyproject.toml",), (file,), network=False)


def _value(tools: object, *keys: str) -> object:
    for key in keys:
        tools = tools.get(key) if isinstance(tools, dict) else None
    return tools
