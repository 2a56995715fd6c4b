"""Recognise what tests need and git does not hold: dependencies, a generated version file. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from git_planner.rules.setup.detect_tests import DetectedTests
from git_planner.rules.setup.project import Project, node_manager, node_package, node_scripts, parse_toml

# The lockfiles of each package manager, and the command that installs exactly what they name.
_NODE_INSTALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "npm": (("package-lock.json", "npm-shrinkwrap.json"), ("npm", "ci", "--no-audit", "--no-fund")),
    "pnpm": (("pnpm-lock.yaml",), ("pnpm", "install", "--frozen-lockfile")),
    "yarn": (("yarn.lock",), ("yarn", "install", "--frozen-lockfile")),
}
# With these an installation needs more of the tree than package.json and a lockfile.
_NODE_OTHERS = frozenset(("pnpm-workspace.yaml", ".yarnrc.yml", ".pnp.cjs", "node_modules/"))
_NODE_LOCAL = ("file:", "link:", "workspace:", "portal:", ".", "/")
# Scripts of the package itself that an installation would run, without the files that they need.
_NODE_HOOKS = frozenset(("preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare"))
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
    if tests.name == "go":
        return list(_go(project))
    return list(_version_file(project)) if tests.name in _PYTHON_TESTS else []


def _node(project: Project) -> Iterator[SuggestedStep]:
    package = node_package(project.texts)
    manager = node_manager(project.top, package)
    locks, install = _NODE_INSTALLS.get(manager, ((), ()))
    lock = next((name for name in locks if name in project.top), None)
    groups = (package.get(key) for key in ("dependencies", "devDependencies"))
    versions = [str(version) for group in groups if isinstance(group, dict) for version in group.values()]
    is_whole = "workspaces" not in package and not _NODE_OTHERS & project.top
    if lock is None or not versions or not is_whole or any(text.startswith(_NODE_LOCAL) for text in versions):
        return
    run = (*install, *(("--ignore-scripts",) if _NODE_HOOKS & set(node_scripts(package)) else ()))
    inputs = ("package.json", lock, *(name for name in (".npmrc",) if name in project.top))
    yield SuggestedStep("dependencies", run, inputs, ("node_modules",), network=True)


def _go(project: Project) -> Iterator[SuggestedStep]:
    module = project.texts.get("go.mod", "")
    # Without a requirement nothing is downloaded; a replacement by a folder needs that folder.
    is_whole = "require" in module and "=> ." not in module and "=> /" not in module
    if is_whole and "go.sum" in project.top and not {"go.work", "vendor/"} & project.top:
        run, inputs = ("go", "mod", "download"), ("go.mod", "go.sum")
        yield SuggestedStep("modules", run, inputs, ("~/go/pkg/mod",), network=True)


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
