"""The layout of the package: capabilities and their order, the size of folders, what may not move."""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "git_planner"
TESTS = ROOT / "tests"

# Layer -> floors, lowest first. A folder may import from the floors below its own only.
FLOORS = {
    "rules": (
        ("documents", "stats"),
        ("policy",),
        ("forge", "records", "setup", "tasks"),
        ("measuring", "planning", "plans", "specs"),
        (
            "approval",
            "board",
            "delegation",
            "discovery",
            "guard",
            "imports",
            "iterations",
            "review",
            "tournament",
        ),
        ("ci",),
    ),
    "flows": (
        ("forge", "guard", "runs"),
        ("approval", "hooks", "measuring", "plans"),
        ("records", "specs"),
        ("planning", "sharing"),
        ("discovery", "iterations", "tasks"),
        ("delegation", "imports", "review", "setup", "tournament"),
        ("board", "ci"),
    ),
}
# Modules of rules/ that every capability may use.
WORDS = {"did_you_mean", "diagnostic", "printable", "refnames", "timestamps"}
CAPABILITIES = {name for floors in FLOORS.values() for floor in floors for name in floor}
# Folders of tests that follow a layer or a kind of test instead of a capability.
LAYERS = {"agents", "cli", "engines", "foundation", "gitio", "host", "mcp", "report"}
KINDS = {"architecture", "bench", "docs", "end_to_end", "real", "support"}
MOST_MODULES = 12
PROGRAMS = ("git_plan", "git_iterate", "git_record", "git_bo4", "git_planner")


def folders(top: Path) -> list[str]:
    """Return the names of the folders of a folder that hold Python files."""
    return sorted(path.name for path in top.iterdir() if path.is_dir() and any(path.glob("*.py")))


def sources(top: Path) -> list[Path]:
    """Return the Python files below a folder."""
    return sorted(path for path in top.rglob("*.py") if "__pycache__" not in path.parts)


def module_name(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path, known: set[str]) -> Iterator[tuple[int, str]]:
    """Return line and name of each of our modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if (name := full if full in known else node.module) in known:
                    yield node.lineno, name
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in known)


@pytest.mark.parametrize("layer", FLOORS)
def test_folders_are_named_by_capability(layer: str) -> None:
    named = {name for floor in FLOORS[layer] for name in floor}
    assert set(folders(PACKAGE / layer)) == named
    modules = {path.stem for path in (PACKAGE / layer).glob("*.py")} - {"__init__"}
    assert modules == (WORDS if layer == "rules" else set())


def test_tests_and_commands_have_folders_of_the_same_names() -> None:
    assert set(folders(TESTS)) - CAPABILITIES == LAYERS | KINDS
    assert set(folders(PACKAGE / "cli")) == {*PROGRAMS, "reference"}


@pytest.mark.parametrize("layer", FLOORS)
def test_capabilities_use_only_those_below(layer: str) -> None:
    floor_of = {name: place for place, floor in enumerate(FLOORS[layer]) for name in floor}
    known = {module_name(path) for path in sources(PACKAGE / layer)}
    wrong = []
    for path in sources(PACKAGE / layer):
        own = path.relative_to(PACKAGE / layer).parts[0].removesuffix(".py")
        for line, module in imported(path, known):
            other = module.split(".")[2] if module.count(".") > 1 else ""
            allowed = other in ("", own) or other in WORDS or floor_of[other] < floor_of.get(own, 0)
            if not allowed:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
    assert wrong == []
    assert len(FLOORS["flows"]) <= 7


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    paths = {module_name(path): path for path in sources(PACKAGE)}
    below = {
        name: {other for _, other in imported(path, set(paths))} - {name} for name, path in paths.items()
    }
    # Take away what imports nothing that is left; what stays is in a circle, or above one.
    while free := {name for name, others in below.items() if not others & below.keys()}:
        below = {name: others for name, others in below.items() if name not in free}
    assert {name: sorted(others & below.keys()) for name, others in below.items()} == {}


@pytest.mark.parametrize("top", [PACKAGE, TESTS], ids=["git_planner", "tests"])
def test_folders_are_small(top: Path) -> None:
    sizes = {}
    for path in sources(top):
        if path.name != "__init__.py":
            sizes.setdefault(path.parent, []).append(path.name)
    large = {str(folder.relative_to(ROOT)): len(names) for folder, names in sizes.items()}
    assert {name: size for name, size in large.items() if size > MOST_MODULES} == {}


def test_what_installed_hooks_and_scripts_call_stays_where_it_is() -> None:
    for name in ("git_planner.gate", "git_planner.cli.driver"):
        assert callable(importlib.import_module(name).main)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {
        f"git-{name}": f"git_planner.cli:{name}" for name in ("plan", "iterate", "record", "bo4", "planner")
    }
    cli = importlib.import_module("git_planner.cli")
    assert all(callable(getattr(cli, name)) for name in ("plan", "iterate", "record", "bo4", "planner"))
    assert not (PACKAGE / "hooks").exists(), "the wheel puts hooks/ there"


def test_packages_are_docstrings_only() -> None:
    for path in sources(PACKAGE):
        if path.name == "__init__.py" and path.parent not in (PACKAGE, PACKAGE / "cli"):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert [type(node) for node in body] == [ast.Expr], path
