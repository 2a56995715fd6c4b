"""The house: which package may use which, who starts programs, where each third-party name enters, and how
long things get. A rule that no test keeps is not a rule.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from git_planner.errors import CODES
from git_planner.rules.planning.source_symbols import GRAMMARS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "git_planner"

BELOW = {
    "errors": set(),
    "rules": {"errors"},
    "gitio": {"errors"},
    "documents": {"errors", "rules"},
    "config": {"errors", "rules", "documents", "gitio"},
    "gate": {"errors", "rules", "gitio", "documents", "config"},
    "agents": {"errors", "rules", "gitio", "documents", "config", "host"},
    "host": {"errors", "rules", "gitio", "documents", "config"},
    "engines": {"errors", "rules", "gitio", "documents", "config", "host"},
}
for _part in ("config", "agents", "host", "engines"):
    BELOW[_part].add("resources")
# A face, too: what follows a commit is a flow, loaded when there is something to follow.
BELOW["gate"].add("flows")
BELOW["redact"] = {"errors", "atomic_file"}
BELOW["atomic_file"] = set()
for _part in ("agents", "config", "gitio", "host", "gate"):
    BELOW[_part].add("atomic_file")
BELOW["managed_block"] = {"errors"}
BELOW["gitio"].add("managed_block")
BELOW["agents"].add("redact")
BELOW["turn_notes"] = {"atomic_file"}
BELOW["gitio"].add("turn_notes")
BELOW["folders"] = set()
for _part in ("gitio", "agents", "host", "engines"):
    BELOW[_part].add("folders")
# One function writes what is committed, and it masks.
BELOW["gitio"].add("redact")
BELOW["owned_folder"] = {"atomic_file", "folders"}
for _part in ("gitio", "agents", "host", "engines"):
    BELOW[_part].add("owned_folder")
BELOW["progress"] = set()
for _part in ("gitio", "agents", "host", "engines"):
    BELOW[_part].add("progress")
BELOW["resources"] = {"errors"}
BELOW["boot"] = set()
for _part in ("gitio", "host"):
    BELOW[_part].add("boot")
BELOW["flows"] = {*BELOW}
BELOW["report"] = {*BELOW}
BELOW["mcp"] = {*BELOW}
BELOW["cli"] = {*BELOW}

DOORS = {
    "anyio": {"mcp/"},
    "click": {"cli/"},
    "detect_secrets": {"redact.py"},
    "distributed": {"engines/dask.py"},
    "filelock": {"gitio/store.py"},
    "git": {"gitio/remote.py"},
    "jsonschema": {"documents.py"},
    "jinja2": {"agents/templates.py"},
    "markdown_it": {"rules/documents/markdown.py"},
    "matplotlib": {"report/"},
    "mcp": {"mcp/"},
    "mcp_types": {"mcp/"},
    "orjson": {"rules/documents/canonical_json.py"},
    "plotext": {"report/"},
    "psutil": {"host/"},
    "referencing": {"documents.py"},
    "rich": {"report/"},
    "textual": {"report/top/", "cli/git_planner/top.py"},
    "tree_sitter": {"rules/planning/source_symbols.py"},
    "yaml": {"config/yaml_subset.py"},
}
STARTERS = {
    "host/bounded_call.py",
    "host/calls/fork_server.py",
    "host/terminals/foreground.py",
    "host/process.py",
    "host/start_program.py",
    "host/supervisor.py",
    "host/terminals/detached.py",
    "host/terminals/launch.py",
    "host/terminals/tmux.py",
    "host/terminals/tmux_server.py",
    "gitio/git.py",
    "gitio/remote.py",
}
STARTING_MODULES = {"subprocess", "multiprocessing", "pty"}
STARTING_CALLS = re.compile(
    r"os\.(exec|spawn|popen|posix_spawn|system|fork|startfile)\w*|asyncio\.create_subproc.*"
)
IMPURE_MODULES = {"os", "pathlib", "socket", "time", "shutil", "tempfile", "io", *STARTING_MODULES}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "service", "misc"}
# Participles in the place of a noun.
NAMES_WITHOUT_NOUN = {"each", "found", "made", "said", "told", "left"}
NAMES_WITHOUT_NOUN_IN_CODE = {"each", "said", "told"}
BOUNDARIES = {"cli/boundary.py", "gate.py"}
# A docstring begins with a verb or a noun, not with a relative clause.
RELATIVE = re.compile(r"(What|Whether|Who|Whom|Whose|Where|How|The same)\b")


def sources(folder: Path = PACKAGE) -> list[Path]:
    """The Python files of a folder."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def within(path: Path) -> str:
    """A file's name within the package."""
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree: a dozen tests look at each."""
    return tuple(ast.walk(tree(path)))


def dotted(node: ast.expr) -> str:
    """Return the text of a name with its attributes, such as 'os.path'; empty for anything else."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return before and f"{before}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def name_called(call: ast.Call) -> str:
    """Return the last name of what is called, such as 'run' for 'git.run()'."""
    called = call.func
    return (
        called.attr
        if isinstance(called, ast.Attribute)
        else called.id
        if isinstance(called, ast.Name)
        else ""
    )


@functools.cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of every module that a file imports, at its top or within a function."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[tuple[int, str]]:
    package = ["git_planner", *path.relative_to(PACKAGE).parts[:-1]]
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*prefix, *([node.module] if node.module else [])])
            yield node.lineno, module
            if module == "git_planner":
                yield from ((node.lineno, f"git_planner.{alias.name}") for alias in node.names)


def part(module: str) -> str | None:
    """The part of the house that one of our modules belongs to."""
    names = module.split(".")
    return names[1] if names[0] == "git_planner" and len(names) > 1 and names[1] != "__version__" else None


def test_arrows_point_down() -> None:
    wrong = []
    for path in sources():
        own = within(path).split("/")[0].removesuffix(".py")
        if own == "__init__":
            continue
        allowed = {own, *BELOW[own]} | ({"report"} if own in ("cli", "mcp") else set())
        for line, module in imported(path):
            if (other := part(module)) and other not in allowed:
                wrong.append(f"{within(path)}:{line} imports {module}")
    assert wrong == []


def test_rules_touch_nothing() -> None:
    wrong = []
    for path in sources(PACKAGE / "rules"):
        names = {(line, module.split(".")[0]) for line, module in imported(path)}
        wrong += [f"{within(path)}:{line} {name}" for line, name in sorted(names) if name in IMPURE_MODULES]
        wrong += [
            f"{within(path)}:{node.lineno} {node.func.id}()"
            for node in nodes(path)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("print", "open")
        ]
        wrong += [
            f"{within(path)}:{node.lineno} {ast.unparse(node)}"
            for node in nodes(path)
            if isinstance(node, ast.Attribute)
            and re.fullmatch(r"sys\.(stdin|stdout|stderr|argv|exit)", dotted(node))
        ]
    assert wrong == []


def test_third_party_names_have_one_door_each() -> None:
    wrong = []
    for path in sources():
        for line, module in imported(path):
            name = module.split(".")[0]
            if name in sys.stdlib_module_names or name in ("git_planner", "__future__"):
                continue
            if not any(within(path).startswith(door) for door in DOORS.get(name, ())):
                wrong.append(f"{within(path)}:{line} {module}")
    assert wrong == []


def test_few_files_start_programs() -> None:
    wrong = []
    for path in sources():
        if within(path) in STARTERS:
            continue
        wrong += [
            f"{within(path)}:{line} {module}"
            for line, module in imported(path)
            if module.split(".")[0] in STARTING_MODULES
        ]
        wrong += [
            f"{within(path)}:{node.lineno} {ast.unparse(node)}"
            for node in nodes(path)
            if isinstance(node, ast.Attribute) and STARTING_CALLS.fullmatch(dotted(node))
        ]
    assert wrong == []


def test_broad_excepts_stand_at_the_two_boundaries_only() -> None:
    places = []
    for path in sources():
        for node in nodes(path):
            if isinstance(node, ast.ExceptHandler):
                names = (
                    {"BaseException"}
                    if node.type is None
                    else set(re.findall(r"\w+", ast.unparse(node.type)))
                )
                if names & {"Exception", "BaseException"}:
                    places.append(within(path))
    assert set(places) <= BOUNDARIES
    assert len(places) == len(set(places))


def test_no_suppress_or_except_swallows_a_whole_family() -> None:
    wrong = []
    for path in sources():
        for node in nodes(path):
            caught: list[ast.expr] = []
            if isinstance(node, ast.Call) and name_called(node) == "suppress":
                caught = node.args
            elif isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Tuple):
                caught = node.type.elts
            if caught:
                names = {ast.unparse(error) for error in caught}
                if names & {"Exception", "BaseException"} or ("PlannerError" in names and len(names) > 4):
                    wrong.append(f"{within(path)}:{caught[0].lineno} {sorted(names)}")
    assert wrong == []


def test_refs_are_listed_by_the_function_that_misses_none() -> None:
    listing = {within(path) for path in sources() if '"for-each-ref"' in path.read_text(encoding="utf-8")}
    # A completion may miss a name.
    assert listing == {"gitio/history.py", "cli/completion_values.py"}


def test_files_and_functions_are_short() -> None:
    long = []
    for path in sources() + sources(ROOT / "tests"):
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines >= 500:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > 60:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert long == []


def test_modules_are_named_by_what_they_are() -> None:
    names = {path.stem.strip("_") for path in sources() + sources(ROOT / "tests")}
    assert names & BANNED_NAMES == set()


def test_every_error_code_is_declared_and_used() -> None:
    used = set()
    for path in sources():
        if within(path) == "errors.py":
            continue
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= set(re.findall(r"(?<![A-Z_])E_[A-Z]+(?:_[A-Z]+)*\b", node.value))
    assert sorted(used - CODES.keys()) == []
    assert sorted(CODES.keys() - used) == []
    assert list(CODES) == sorted(CODES)


def test_public_functions_say_what_they_do() -> None:
    silent = []
    for path in sources():
        module = tree(path)
        if not ast.get_docstring(module):
            silent.append(within(path))
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                nested = node not in module.body
                if not node.name.startswith("_") and not nested and not ast.get_docstring(node):
                    silent.append(f"{within(path)}:{node.lineno} {node.name}")
    assert silent == []


def test_no_class_name_is_used_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{within(path)}:{node.lineno}")
    assert {name: lines for name, lines in places.items() if len(lines) > 1} == {}


def test_variables_carry_their_noun() -> None:
    wrong = []
    for folder, names in ((ROOT / "tests", NAMES_WITHOUT_NOUN), (PACKAGE, NAMES_WITHOUT_NOUN_IN_CODE)):
        for path in sources(folder):
            for node in nodes(path):
                name = node.arg if isinstance(node, ast.arg) else getattr(node, "id", "")
                if name in names:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert wrong == []


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    wrong = []
    for path in sources():
        for node in nodes(path):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                if RELATIVE.match(first):
                    wrong.append(f"{within(path)}: {first}")
    assert wrong == []


def test_every_test_can_fail() -> None:
    silent = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef)]
        tests = [node for node in functions if node.name.startswith("test_")]
        silent += [
            f"{path.relative_to(ROOT)}:{node.lineno} {node.name}" for node in tests if not _asserts(node)
        ]
    assert silent == []


def _asserts(function: ast.FunctionDef) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = name_called(node)
            if name in ("raises", "suppress") or name.lstrip("_").startswith(
                ("assert", "check", "expect", "refus")
            ):
                return True
    return False


def schemas() -> list[Path]:
    """The schema files."""
    return sorted((PACKAGE / "schemas").glob("*.json"))


def test_there_are_schemas() -> None:
    assert {path.stem for path in schemas()} >= {
        "policy",
        "packet",
        "directive",
        "state",
        "planning-plan",
        "record",
    }


@pytest.mark.parametrize("path", schemas(), ids=lambda path: path.stem)
def test_schema_is_a_schema(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"]
    jsonschema.Draft202012Validator.check_schema(schema)


def loaded(statement: str) -> set[str]:
    """The modules that a statement loads in a fresh interpreter, beyond what that one has anyway."""
    code = f"import sys; before = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


def test_the_gate_loads_little() -> None:
    modules = loaded("import git_planner.gate")
    costly = {
        "argparse",
        "asyncio",
        "dataclasses",
        "inspect",
        "json",
        "logging",
        "subprocess",
        "tempfile",
        "typing",
    }
    assert modules & costly == set()
    assert {name.split(".")[0] for name in modules} - sys.stdlib_module_names == {"git_planner"}


def test_the_command_line_starts_light() -> None:
    modules = {name.split(".")[0] for name in loaded("import git_planner.cli")}
    assert modules & (DOORS.keys() - {"click"}) == set()
    assert not any(name.startswith("git_planner.flows") for name in modules)


@pytest.mark.parametrize("flow", ["board.sessions.start_session", "iterations.status"])
def test_everyday_commands_load_no_agent(flow: str) -> None:
    costly = {f"git_planner.{name}" for name in ("agents.contract", "agents.confinement", "host.jail")}
    assert loaded(f"import git_planner.flows.{flow}") & {*costly, "psutil"} == set()


DISTRIBUTIONS = {
    "git": "gitpython",
    "markdown_it": "markdown-it-py",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
}
# They come with jsonschema and mcp, and are imported with them only.
BROUGHT_ALONG = {"anyio", "mcp_types", "referencing"}
# Programs that are run and not imported: hook managers, builders, and plugins of pytest.
PROGRAMS = {
    "asyncssh",
    "pre-commit",
    "hatchling",
    "lefthook",
    "prek",
    "pytest-xdist",
    "pytest-timeout",
}


def third_party(folder: Path, own: set[str]) -> set[str]:
    """Return the distributions that the files of a folder import, at their top or within a function."""
    names = set()
    for path in sources(folder):
        for node in nodes(path):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    names -= {*sys.stdlib_module_names, *BROUGHT_ALONG, *own}
    return {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in names}


def declared(lines: list[str]) -> set[str]:
    """Return the names of the distributions in a list of requirements."""
    return {re.split(r"[\s;<>=\[]", line)[0].lower() for line in lines} - {"git-planner"}


def test_what_is_imported_is_what_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    of_users = [line for name, lines in extras.items() if name not in ("test", "lint") for line in lines]
    package = declared([*project["dependencies"], *of_users])
    grammars = {module.replace("_", "-") for module, _ in GRAMMARS.values()}
    assert third_party(PACKAGE, {"git_planner"}) == package - PROGRAMS - grammars
    tests = third_party(ROOT / "tests", {"git_planner", "tests"})
    assert tests - package == declared(extras["test"]) - PROGRAMS
