"""Hook scripts: the files of an installation and their content."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from git_planner import atomic_file
from git_planner.flows.guard.compare_trees import STANDARD
from git_planner.flows.guard.staged import DOCUMENTS
from git_planner.gitio import git
from git_planner.resources import resource_folder
from git_planner.rules import refnames
from git_planner.rules.guard.guard import ALWAYS, wide_globs
from git_planner.rules.plans import pages

Place = Literal["include", "ordinary"]

# Suffix of the hook that an installed one replaced in the ordinary folder.
BACKUP_SUFFIX = ".before-planner"
PREFIXES = (refnames.PLAN, refnames.ITER, refnames.TOURNAMENT)
MARK = b"#!/bin/sh\n# git-planner hook"

# hook -> its parts in hooks/. An installed hook runs first, then the repository's own.
OURS = {
    "pre-commit": ("chain", "run_git_and_python", "guard_fast_path", "pre_commit"),
    "pre-merge-commit": ("chain", "run_git_and_python", "guard_fast_path", "pre_commit"),
    "commit-msg": ("chain", "run_git_and_python", "advance_plan", "message_and_post_hooks"),
    "post-merge": ("chain", "run_git_and_python", "advance_plan", "message_and_post_hooks"),
    "post-rewrite": ("chain", "run_git_and_python", "advance_plan", "message_and_post_hooks"),
    "reference-transaction": (
        "chain",
        "ref_update_filter",
        "run_git_and_python",
        "advance_plan",
        "guard_fast_path",
        "reference_transaction",
    ),
}
# Stages that the pre-commit framework must be installed for.
FRAMEWORK = ("pre-commit", "pre-merge-commit")
# Also installed in the ordinary folder: a rebase detaches HEAD, and other branches than HEAD's can move.
EVERYWHERE = "reference-transaction"
OTHERS = (
    "applypatch-msg",
    "prepare-commit-msg",
    "post-commit",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-index-change",
    "post-receive",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "proc-receive",
    "push-to-checkout",
    "sendemail-validate",
    "update",
)
# Run several times a commit, or take over git's own work by being there: never put there in advance.
_NOT_IN_ADVANCE = {"post-index-change", "proc-receive", "push-to-checkout"}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link to create."""

    target: str


Content = bytes | Link


@dataclass(frozen=True, slots=True)
class HookSetting:
    """Values baked into the hooks.

    Args:
        place: 'include' (a separate folder, for managed branches) or 'ordinary' (the ordinary folder).
        common: the common git directory.
        theirs: the folder of the repository's own hooks, the core.hooksPath without this program. A relative
            path starts at the top of the worktree, where git runs hooks.
        top: where a relative path starts now.
        python: the interpreter.
        code: the folders that hold the package and its dependencies, one per line.
        outside: whether EVERYWHERE is also installed in the folder of the repository's own hooks.
    """

    place: Place
    common: Path
    theirs: str
    top: Path
    python: str
    code: str
    outside: bool = False

    @property
    def planner(self) -> Path:
        """Return the 'planner' folder in the common git directory."""
        return self.common / "planner"

    @property
    def folder(self) -> Path:
        """Return the folder to install into."""
        return self.planner / "hooks" if self.place == "include" else Path(self.theirs)

    def script(self, name: str, theirs: str, *, place: Place | None = None) -> bytes:
        """Return the text of one hook: baked values, then its parts from hooks/."""
        baked = {
            "hook": name,
            "theirs": theirs,
            "planner": str(self.planner),
            "plans_marker": str(self.planner / pages.PLANS_MARKER),
            "common": re.sub(r"[\n\\*?\[\]]", "?", str(self.common)),
            "place": place or self.place,
        }
        if name in OURS:
            baked |= {
                "python": self.python,
                "code": self.code,
                "prefixes": " ".join(PREFIXES),
                "always_guarded": "\n".join(wide_globs(ALWAYS)),
                "documents": "\n".join(wide_globs(DOCUMENTS)),
                "stdlib": f" {' '.join(sorted(STANDARD))} ",
                "page_size": str(pages.PAGE_SIZE),
                "dropped": " ".join(git.DROPPED),
                "fixed": " ".join(f"{name}={value}" for name, value in git.FIXED.items()),
            }
        lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in baked.items())
        texts = resource_folder("hooks")
        origin = "written by 'git planner hooks install', removed by 'git planner hooks uninstall'"
        return b"".join(
            (
                MARK + f" '{name}', {origin}\n".encode(),
                os.fsencode(lines),
                *(
                    texts.joinpath(f"{part}.sh").read_bytes()
                    for part in OURS.get(name, ("chain", "pass_through"))
                ),
            )
        )


def hook_files(setting: HookSetting) -> dict[str, Content]:
    """Return the files of the separate hooks folder by name.

    An existing hook is started by a script, so that its $0 names its own path. A missing one becomes a
    dangling link: git starts nothing until a hook is created there. That hook sees the link in $0 until the
    next installation.
    """
    contents: dict[str, Content] = {}
    for name in (*OURS, *OTHERS):
        theirs = f"{setting.theirs}/{name}"
        if name == EVERYWHERE and setting.outside:
            theirs += BACKUP_SUFFIX
        if name in OURS or is_hook(setting.top / theirs):
            contents[name] = setting.script(name, theirs)
        elif os.path.isabs(setting.theirs):
            contents[name] = Link(theirs)
        elif name not in _NOT_IN_ADVANCE:
            # A link cannot be relative to the top of the current worktree; a script can.
            contents[name] = setting.script(name, theirs)
    return contents


def is_hook(path: Path) -> bool:
    """Return whether git would run the file."""
    return path.is_file() and os.access(path, os.X_OK)


def is_ours(path: Path) -> bool:
    """Return whether a file is a hook written by an installation."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MARK)) == MARK


def content_digest(content: Content) -> str:
    """Return a digest of a hook's content."""
    return f"-> {content.target}" if isinstance(content, Link) else hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str | None:
    """Return the digest of a file; None if it is missing, '' if git would not run it."""
    if path.is_symlink():
        return content_digest(Link(os.readlink(path)))
    if not path.is_file():
        return None
    return content_digest(path.read_bytes()) if path.stat().st_mode & stat.S_IXUSR else ""


def write_hook(path: Path, content: Content) -> bool:
    """Write one hook atomically; return whether anything changed."""
    if file_digest(path) == content_digest(content):
        return False
    if not isinstance(content, Link):
        atomic_file.write(path, content, 0o777)
        return True
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(content.target)
    os.replace(draft, path)
    return True
