"""Suggest verify commands from the files of a repository. Pure.

Suggestions rely on the files that the tools themselves look for, and only on those with an effect: a 'test'
script, a 'test' target, a folder of tests. One per kind of project, at most three.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json

MAX_COMMANDS = 3
_TOML_LINE = 10_000
Command = tuple[str, ...]
# Files whose content is needed; of others the name suffices. Makefiles in the order in which make finds them.
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
FILES_READ = ("pyproject.toml", "setup.cfg", "tox.ini", "package.json", *MAKEFILES)
_PYTHON = {"pyproject.toml", "setup.py", "setup.cfg"}
_PYTEST = {"pytest.ini", ".pytest.ini", "conftest.py", "pytest.toml", ".pytest.toml"}
_MANAGERS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}
_TARGET = re.compile(r"^(?:check|test)[ \t]*:(?!=)", re.MULTILINE)
# What 'npm init' writes: it fails on purpose.
_NO_TESTS = "no test specified"


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
    project = _toml(texts.get("pyproject.toml", ""))
    tool = project.get("tool")
    tools = tool if isinstance(tool, dict) else {}
    config = texts.get("setup.cfg", "")
    ini = texts.get("tox.ini", "")
    has_tests = bool({"tests/", "test/"} & set(names)) and bool(_PYTHON & set(names))
    if "noxfile.py" in names:
        yield ("nox",)
    elif (
        "tox" in tools or "tox.toml" in names or "[tox:tox]" in config or "[tox]" in ini or "[testenv" in ini
    ):
        yield ("tox",)
    elif (
        "pytest" in tools
        or _PYTEST & set(names)
        or "[tool:pytest]" in config
        or "[pytest]" in ini
        or has_tests
    ):
        yield ("python", "-m", "pytest", "-q")


def _node(names: Collection[str], texts: Mapping[str, str]) -> Iterator[Command]:
    if "package.json" not in texts:
        return
    try:
        package = canonical_json.loads(texts["package.json"], "package.json")
    except PlannerError:
        # Ignore a file with a syntax error.
        return
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict):
        return
    wanted = str(package.get("packageManager", "")).partition("@")[0]
    manager = next((tool for lock, tool in _MANAGERS.items() if lock in names), "npm")
    if wanted in ("npm", *_MANAGERS.values()):
        manager = wanted
    for script in ("typecheck", "test"):
        text = scripts.get(script)
        if isinstance(text, str) and text.strip() and _NO_TESTS not in text:
            yield (manager, "run", script)


def _others(names: Collection[str], _: Mapping[str, str]) -> Iterator[Command]:
    if "Cargo.toml" in names:
        yield ("cargo", "test")
    if "go.mod" in names:
        yield ("go", "test", "./...")


def _make(names: Collection[str], texts: Mapping[str, str]) -> Iterator[Command]:
    makefile = next((name for name in MAKEFILES if name in names), None)
    match = _TARGET.search(texts.get(makefile or "", ""))
    if match:
        yield ("make", re.split(r"[ \t:]", match[0])[0])


def _xcode(names: Collection[str], _: Mapping[str, str]) -> Iterator[Command]:
    projects = [name.rstrip("/") for name in names if name.rstrip("/").endswith(".xcodeproj")]
    # With several projects the choice is ambiguous.
    if len(projects) == 1:
        scheme = projects[0].rsplit("/", 1)[-1].removesuffix(".xcodeproj")
        yield ("xcodebuild", "-project", projects[0], "-scheme", scheme, "build")


def _toml(text: str) -> dict[str, object]:
    # A dotted key of a hundred thousand parts takes all memory there is.
    if max(map(len, text.splitlines()), default=0) > _TOML_LINE:
        return {}
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


_RULES: tuple[Callable[[Collection[str], Mapping[str, str]], Iterator[Command]], ...] = (
    _python,
    _node,
    _others,
    _make,
    _xcode,
)
