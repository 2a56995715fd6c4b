"""Guarded patterns besides the policy's own, kinds of refs, and the findings of a check. Pure.

Shared by the hooks, `git planner check`, `git record` and the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from git_planner.rules import refnames
from git_planner.rules.policy.policy import ALWAYS_GUARDED, SECTIONED, START_UP, pathspecs

# Guarded in commits without a policy.
DEFAULT_GUARD = ("tests/**",)
# The state of an iteration is immutable.
STATE = (".advisor/**",)
ATTRIBUTES_FILE = "**/.gitattributes"
# Attributes that change what git checks out, archives or merges.
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

# Folders that are usually on sys.path: a module added there shadows the standard one of its name.
_IMPORT_ROOTS = ("src/", "lib/")
# The packages of pytest; `sys.stdlib_module_names` lists the standard library.
TEST_TOOLS = (
    *("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments"),
    *("py", "exceptiongroup", "tomli", "colorama"),
)
# Pathspecs of files that could shadow a module; their names are checked in Python.
SHADOWING = tuple(
    f":(top,glob){place}{name}" for place in ("", *_IMPORT_ROOTS) for name in ("*", "*/__init__.*")
)
# Files of the kinds that configure test runners. An installed runner may read others than START_UP lists.
CONFIGURATION_ENDS = (".toml", ".ini", ".cfg")
CONFIGURATION = tuple(f":(top,glob)**/*{end}" for end in CONFIGURATION_ENDS)
LISTED_NAMES = frozenset(pattern.rpartition("/")[2] for pattern in (*START_UP, *SECTIONED))
_MODULE = re.compile(r"([^/.]+)(?:/__init__)?\.(?:[^/]+\.)?(?:py|pyc|pyd|so)")
_LINKS = ("120000", "160000")

_STATUS = {"A": "added", "D": "deleted", "M": "changed", "T": "changed in type"}

RefKind = Literal["iteration", "best", "plan", "proposal", "tournament", "start", "free"]
CHECK_SCHEMA = "git-planner/check@1"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed path. `status` is git's letter; modes are octal strings, '000000' if there is no file."""

    path: str
    status: str
    old_mode: str
    new_mode: str

    @property
    def message(self) -> str:
        """The change in words, such as 'added: tests/x.py'."""
        what = _STATUS.get(self.status, "changed")
        if "000000" not in (self.old_mode, self.new_mode) and self.old_mode != self.new_mode:
            what = f"mode {self.old_mode} to {self.new_mode}"
        return f"{what}: {self.path}"


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One finding of a check.

    `severity` 'error' fails the check. `code` is stable: 'guard', 'start-up', 'shadow', 'runner',
    'attributes', 'case', 'state', 'scope', 'document', 'trust', 'index-flags', 'review'. `path` and
    `commit` may be None.
    """

    severity: Literal["error", "warning", "info"]
    code: str
    message: str
    path: str | None
    commit: str | None
    fix: str

    def document(self) -> dict[str, Any]:
        """Return the finding as a JSON document."""
        return asdict(self)


def ref_kind(ref: str) -> RefKind:
    """Return the kind of a ref by its full name, which decides how the guard checks it."""
    if ref.startswith(refnames.ITERATIONS):
        return "start"
    branch = refnames.short_name(ref) if ref.startswith(refnames.HEADS) else ""
    if branch.startswith(refnames.PROPOSALS):
        return "proposal"
    if branch.startswith(refnames.PLAN):
        return "plan"
    if branch.startswith(refnames.TOURNAMENT):
        return "tournament"
    if refnames.is_best(branch):
        return "best"
    return "iteration" if branch.startswith(refnames.ITER) else "free"


def wide_pathspecs(patterns: Iterable[str]) -> list[str]:
    """Return case-insensitive pathspecs of everything that the guard could protect.

    A commit without a change in them needs no further check.
    """
    specs = pathspecs((*patterns, *SECTIONED, ATTRIBUTES_FILE))
    return [spec.replace(":(top,glob)", ":(top,icase,glob)", 1) for spec in specs]


# Patterns that count under every policy. The hook scripts contain them, which is faster than reading a file.
ALWAYS = (*START_UP, *ALWAYS_GUARDED, *SECTIONED, ATTRIBUTES_FILE, *STATE)


def guarded_globs(patterns: Iterable[str]) -> list[str]:
    """Return shell patterns for the guarded patterns beyond ALWAYS; see `wide_globs`."""
    return wide_globs(pattern for pattern in patterns if pattern not in ALWAYS)


def wide_globs(patterns: Iterable[str]) -> list[str]:
    """Return shell patterns that match at least everything that git matches with the given patterns.

    A hook uses them in a `case` statement to recognise quickly that no guarded path changes: '*' crosses
    folders, everything below a pattern matches too, and case is ignored.
    """
    globs = dict.fromkeys(_wide_glob(pattern) for pattern in patterns)
    # Leave out globs that another one covers.
    ends = tuple(glob[1:] for glob in globs if glob.startswith("*"))
    return [glob for glob in globs if not glob.endswith(ends) or glob.startswith("*")]


def _wide_glob(pattern: str) -> str:
    parts = [part for part in pattern.removesuffix("/**").split("/") if part not in ("", ".")]
    # Patterns that git would normalise match everything here, so that Python decides.
    pattern = "*" if ".." in parts or not parts else "/".join(parts)
    glob = re.sub(r"\*\*/|\\.|\[.*\]|[^\w\s/.,:;@%+=~#-]", "*", pattern)
    glob = re.sub(r"[A-Za-z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", glob)
    return re.sub(r"\*+", "*", glob)


def imported_name(path: str, mode: str) -> str | None:
    """Return the name under which Python would import an added file; None if it is no module at the top.

    Args:
        path: the path of the file.
        mode: its octal mode; a link or a submodule may hold anything, so its name is enough, and in place of
            a folder on the path it may hold modules of any name, which '' stands for.
    """
    if mode in _LINKS and f"{path}/" in _IMPORT_ROOTS:
        return ""
    inner = path.removeprefix(next((root for root in _IMPORT_ROOTS if path.startswith(root)), ""))
    if mode in _LINKS:
        return None if "/" in inner else inner
    match = _MODULE.fullmatch(inner)
    return match[1] if match else None


def importable_names(paths: Iterable[str]) -> frozenset[str]:
    """Return the names under which modules can be imported, whichever of their folders is on the path."""
    names: set[str] = set()
    for path in paths:
        folder, _, file = path.rpartition("/")
        match = _MODULE.fullmatch(file)
        if match:
            names.update((*folder.split("/"), match[1]))
    return frozenset(name for name in names if name.isidentifier() and name != "__init__")
