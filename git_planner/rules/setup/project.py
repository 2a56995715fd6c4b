"""A project as its base commit shows it, and what its files configure. Pure."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json

_TOML_LINE = 10_000
# Makefiles in the order in which make finds them.
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
# Files of the top folder whose content is needed; of others the name suffices.
FILES_READ = (
    *(
        "pyproject.toml",
        "setup.cfg",
        "tox.ini",
        "pytest.ini",
        "package.json",
        "composer.json",
        "go.mod",
        *MAKEFILES,
    ),
    *("Cargo.toml", ".config/nextest.toml", "CMakeLists.txt", "meson.build", "pom.xml", "Gemfile.lock"),
    *("build.gradle", "build.gradle.kts", "requirements.txt", "requirements-dev.txt", "asv.conf.json"),
)
PYTEST_FILES = frozenset(("pytest.ini", ".pytest.ini", "conftest.py", "pytest.toml", ".pytest.toml"))
_MANAGERS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}
_TARGET = re.compile(r"^(?:check|test)[ \t]*:(?!=)", re.MULTILINE)
# What 'npm init' writes: it fails on purpose.
_NO_TESTS = "no test specified"


class Project(NamedTuple):
    """A project: the paths of its files, the content of some of them, and the Python that runs it."""

    paths: tuple[str, ...]
    texts: Mapping[str, str]
    python: str = "python"

    @property
    def top(self) -> frozenset[str]:
        """The entries of the top folder, folders with a final '/'."""
        return frozenset(name + slash for path in self.paths for name, slash, _ in (path.partition("/"),))

    def ending(self, *ends: str) -> list[str]:
        """Return the paths that end with one of some texts."""
        return [path for path in self.paths if path.endswith(ends)]


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML file; empty if it cannot be read."""
    # A dotted key of a hundred thousand parts takes all memory there is.
    if max(map(len, text.splitlines()), default=0) > _TOML_LINE:
        return {}
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def python_runner(names: Collection[str], texts: Mapping[str, str]) -> str | None:
    """Return 'nox' or 'tox', which run the tests in environments of their own, 'pytest', or None."""
    tool = parse_toml(texts.get("pyproject.toml", "")).get("tool")
    tools = tool if isinstance(tool, dict) else {}
    config, ini = texts.get("setup.cfg", ""), texts.get("tox.ini", "")
    if "noxfile.py" in names:
        return "nox"
    if "tox" in tools or "tox.toml" in names or "[tox:tox]" in config or "[tox]" in ini or "[testenv" in ini:
        return "tox"
    return "pytest" if has_pytest(names, texts) else None


def has_pytest(names: Collection[str], texts: Mapping[str, str]) -> bool:
    """Return whether files configure pytest."""
    tool = parse_toml(texts.get("pyproject.toml", "")).get("tool")
    is_configured = "[tool:pytest]" in texts.get("setup.cfg", "") or "[pytest]" in texts.get("tox.ini", "")
    return (
        "pytest" in (tool if isinstance(tool, dict) else {})
        or bool(PYTEST_FILES & set(names))
        or is_configured
    )


def node_package(texts: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the content of package.json; empty if there is none, or one with a syntax error."""
    if "package.json" not in texts:
        return {}
    try:
        package = canonical_json.loads(texts["package.json"], "package.json")
    except PlannerError:
        return {}
    return package if isinstance(package, dict) else {}


def node_scripts(package: Mapping[str, Any]) -> dict[str, str]:
    """Return the scripts of a package that do something."""
    scripts = package.get("scripts")
    items = scripts.items() if isinstance(scripts, dict) else ()
    return {
        name: text for name, text in items if isinstance(text, str) and text.strip() and _NO_TESTS not in text
    }


def node_manager(names: Collection[str], package: Mapping[str, Any]) -> str:
    """Return the package manager of a project: the one it names, or that of its lockfile, or npm."""
    wanted = str(package.get("packageManager", "")).partition("@")[0]
    if wanted in ("npm", *_MANAGERS.values()):
        return wanted
    return next((tool for lock, tool in _MANAGERS.items() if lock in names), "npm")


def make_target(names: Collection[str], texts: Mapping[str, str]) -> str | None:
    """Return the target of the Makefile that checks the project, 'check' or 'test'."""
    makefile = next((name for name in MAKEFILES if name in names), None)
    match = _TARGET.search(texts.get(makefile or "", ""))
    return re.split(r"[ \t:]", match[0])[0] if match else None


def simple_commands(script: str) -> Iterator[list[str]]:
    """Yield the commands of a shell script of one line that are words only."""
    for part in re.split(r"&&|;", script):
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        if words and not any(set(word) & set("|<>$`()&") for word in words):
            yield words
