"""What is guarded besides the policy's own patterns, which refs the guard knows, and how findings are said.

One definition for hooks, `git planner check`, `git record` and the server. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from git_planner.rules import refnames
from git_planner.rules.policy.policy import ALWAYS_GUARDED, SECTIONED, START_UP, pathspecs

# Guarded where a commit has no policy that would say more.
DEFAULT_GUARD = ("tests/**",)
# The state of an iteration is written once; nobody commits it by hand.
STATE = (".advisor/**",)
ATTRIBUTES_FILE = "**/.gitattributes"
# Attributes that change what git writes out, packs up or merges.
ATTRIBUTES = (
    "filter",
    "working-tree-encoding",
    "ident",
    "text",
    "eol",
    "crlf",
    "export-subst",
    "export-ignore",
    "merge",
)

# Folders that are usual on sys.path: a module added there comes before the one it is called like.
_IMPORT_ROOTS = ("src/", "lib/")
# What pytest is made of; the standard library's modules are the interpreter's to tell.
TEST_TOOLS = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging")
# Where such modules could be added. That is all git is asked; the names are looked up in its answer.
SHADOWING = tuple(
    f":(top,glob){place}{name}" for place in ("", *_IMPORT_ROOTS) for name in ("*", "*/__init__.*")
)
_MODULE = re.compile(r"([^/.]+)(?:/__init__)?\.(?:[^/]+\.)?(?:py|pyc|pyd|so)")
_LINKS = ("120000", "160000")

_STATUS = {"A": "added", "D": "deleted", "M": "changed", "T": "changed in type"}

RefKind = Literal["iteration", "best", "plan", "proposal", "tournament", "start", "free"]
CHECK_SCHEMA = "git-planner/check@1"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed path. `status` is git's letter; modes are octal texts, '000000' where there is no file."""

    path: str
    status: str
    old_mode: str
    new_mode: str

    @property
    def message(self) -> str:
        """What happened, as in 'added: tests/x.py'."""
        what = _STATUS.get(self.status, "changed")
        if "000000" not in (self.old_mode, self.new_mode) and self.old_mode != self.new_mode:
            what = f"mode {self.old_mode} to {self.new_mode}"
        return f"{what}: {self.path}"


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing that a check found.

    `severity` 'error' fails the check. `code` is stable: 'guard', 'start-up', 'shadow', 'runner',
    'attributes', 'case', 'state', 'scope', 'document', 'trust', 'index-flags'. `path` and `commit` may be
    None.
    """

    severity: Literal["error", "warning", "info"]
    code: str
    message: str
    path: str | None
    commit: str | None
    fix: str

    def document(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


def ref_kind(ref: str) -> RefKind:
    """What the guard asks of a ref, by its full name."""
    if ref.startswith(refnames.ITERATIONS):
        return "start"
    branch = ref.removeprefix(refnames.HEADS) if ref.startswith(refnames.HEADS) else ""
    if branch.startswith(refnames.PROPOSALS):
        return "proposal"
    if branch.startswith(refnames.PLAN):
        return "plan"
    if branch.startswith(refnames.TOURNAMENT):
        return "tournament"
    if branch == "iter/best" or branch.startswith("iter/best-"):
        return "best"
    return "iteration" if branch.startswith(refnames.ITER) else "free"


def wide_pathspecs(patterns: Iterable[str]) -> list[str]:
    """Pathspecs of everything that could matter to the guard, whatever the case of its letters.

    What differs in none of these differs in nothing guarded; what differs in one of them has to be judged.
    """
    specs = pathspecs((*patterns, *SECTIONED, ATTRIBUTES_FILE))
    return [spec.replace(":(top,glob)", ":(top,icase,glob)", 1) for spec in specs]


# What may matter whatever a policy says. Hooks have it in their text, which a shell reads faster than a file.
ALWAYS = (*START_UP, *ALWAYS_GUARDED, *SECTIONED, ATTRIBUTES_FILE, *STATE)


def guarded_globs(patterns: Iterable[str]) -> list[str]:
    """Patterns of sh that take in what is guarded beyond ALWAYS, see `wide_globs`."""
    return wide_globs(pattern for pattern in patterns if pattern not in ALWAYS)


def wide_globs(patterns: Iterable[str]) -> list[str]:
    """Patterns of sh that take in whatever git matches with some of ours, and more.

    They are for a `case`, by which a hook tells in no time that nothing of interest is changed: '*' crosses
    folders, what lies below a pattern is meant too, and the case of letters does not count.
    """
    globs = dict.fromkeys(_wide_glob(pattern) for pattern in patterns)
    # What another one takes in anyway is left out.
    ends = tuple(glob[1:] for glob in globs if glob.startswith("*"))
    return [glob for glob in globs if not glob.endswith(ends) or glob.startswith("*")]


def _wide_glob(pattern: str) -> str:
    parts = [part for part in pattern.removesuffix("/**").split("/") if part not in ("", ".")]
    # What git would resolve is left to Python, which is asked about whatever one of these takes in.
    pattern = "*" if ".." in parts or not parts else "/".join(parts)
    glob = re.sub(r"\*\*/|\\.|\[.*\]|[^\w\s/.,:;@%+=~#-]", "*", pattern)
    glob = re.sub(r"[A-Za-z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", glob)
    return re.sub(r"\*+", "*", glob)


def is_shadowing(path: str, mode: str, standard: Collection[str]) -> bool:
    """Whether a file that is added would be imported in the place of a standard module, or of a test tool's.

    Args:
        path: its path.
        mode: its mode, in octal; a link or a submodule may hold anything, so its name is enough.
        standard: the names of those modules.
    """
    if mode in _LINKS and f"{path}/" in _IMPORT_ROOTS:
        return True
    inner = path.removeprefix(next((root for root in _IMPORT_ROOTS if path.startswith(root)), ""))
    if mode in _LINKS:
        return inner in standard
    match = _MODULE.fullmatch(inner)
    return match is not None and match[1] in standard


def runner_sections(path: str, data: bytes | None) -> Any:
    """The parts of a configuration file that say how tests are run; None when there are none.

    A file that cannot be read stands for itself, so that any change of it counts.
    """
    if data is None:
        return None
    # Both are heavy for a hook, and rarely needed.
    import configparser
    import tomllib

    try:
        if path.lower().endswith(".toml"):
            return _toml_sections(tomllib.loads(data.decode("utf-8")))
        return _ini_sections(path, data.decode("utf-8"))
    except (ValueError, RecursionError, configparser.Error):
        return {"unreadable": data}


def _toml_sections(document: Mapping[str, Any]) -> dict[str, Any] | None:
    tool, project = document.get("tool", {}), document.get("project", {})
    points = project.get("entry-points", {}) if isinstance(project, dict) else {}
    sections = {
        name: tool[name] for name in ("pytest", "coverage") if isinstance(tool, dict) and name in tool
    }
    if isinstance(points, dict) and "pytest11" in points:
        sections["pytest11"] = points["pytest11"]
    return sections or None


def _ini_sections(path: str, text: str) -> dict[str, Any] | None:
    import configparser

    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    sections: dict[str, Any] = {}
    for name in parser.sections():
        plain = name.lower()
        ours = plain in ("pytest", "tool:pytest", "coverage:run", "tox") or plain.startswith("testenv")
        if ours and not (plain == "pytest" and path.lower().endswith("setup.cfg")):
            sections[name] = dict(parser.items(name))
        elif plain == "options.entry_points" and parser.has_option(name, "pytest11"):
            sections[name] = parser.get(name, "pytest11")
    return sections or None
