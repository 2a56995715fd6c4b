"""What an installation of our hooks consists of: which files, and what is in them. Writes nothing."""

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
from git_planner.resources import resource_folder
from git_planner.rules import refnames
from git_planner.rules.guard.guard import ALWAYS, wide_globs

Place = Literal["include", "ordinary"]

# Beside a hook of ours in the ordinary place: the hook that was there.
BACKUP_SUFFIX = ".before-planner"
PREFIXES = (refnames.PLAN, refnames.ITER, refnames.TOURNAMENT)
MARK = b"#!/bin/sh\n# git-planner hook"

# hook -> its shell texts in hooks/. A hook of ours runs, then the one that the repository had.
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
# What the pre-commit framework has to be installed for.
FRAMEWORK = ("pre-commit", "pre-merge-commit")
# Stands in the ordinary folder, too: in a rebase HEAD is on no branch, and branches move that are not HEAD's.
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
    """A symbolic link to be made."""

    target: str


Content = bytes | Link


@dataclass(frozen=True, slots=True)
class HookSetting:
    """What is baked into the hooks.

    Args:
        place: 'include' (a folder of ours, on our branches only) or 'ordinary' (the ordinary hooks folder).
        common: the common git directory.
        theirs: the folder of the repository's own hooks, as core.hooksPath has it without us. A relative one
            is meant from the top of each worktree, which is where git runs hooks.
        top: what a relative one is looked up from now.
        python: the interpreter.
        code: the folders that hold the package and what it needs, one a line.
        outside: whether EVERYWHERE stands in the folder of the repository's own hooks, too.
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
        """Our folder in the common git directory."""
        return self.common / "planner"

    @property
    def folder(self) -> Path:
        """Where the hooks go."""
        return self.planner / "hooks" if self.place == "include" else Path(self.theirs)

    def script(self, name: str, theirs: str, *, place: Place | None = None) -> bytes:
        """The text of one hook: baked values, what all hooks share, then what this one does."""
        baked = {
            "hook": name,
            "theirs": theirs,
            "planner": str(self.planner),
            "common": re.sub(r"[\n\\*?\[\]]", "?", str(self.common)),
            "place": place or self.place,
        }
        if name in OURS:
            baked |= {
                "python": self.python,
                "code": self.code,
                "prefixes": " ".join(PREFIXES),
                "always": "\n".join(wide_globs(ALWAYS)),
                "documents": "\n".join(wide_globs(DOCUMENTS)),
                "standard": f" {' '.join(sorted(STANDARD))} ",
            }
        lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in baked.items())
        texts = resource_folder("hooks")
        how = "written by 'git planner hooks install', removed by 'git planner hooks uninstall'"
        return b"".join(
            (
                MARK + f" '{name}', {how}\n".encode(),
                os.fsencode(lines),
                *(
                    texts.joinpath(f"{part}.sh").read_bytes()
                    for part in OURS.get(name, ("chain", "pass_through"))
                ),
            )
        )


def hook_files(setting: HookSetting) -> dict[str, Content]:
    """The files of our own folder; name -> content.

    A hook that the repository has is started by a script, so that it finds itself where it lies ($0). One
    that it has not is a link that leads nowhere yet: git sees no hook and starts nothing, until somebody puts
    one there. Such a newcomer sees our folder in its $0 until the next install.
    """
    found: dict[str, Content] = {}
    for name in (*OURS, *OTHERS):
        theirs = f"{setting.theirs}/{name}"
        if name == EVERYWHERE and setting.outside:
            theirs += BACKUP_SUFFIX
        if name in OURS or is_hook(setting.top / theirs):
            found[name] = setting.script(name, theirs)
        elif os.path.isabs(setting.theirs):
            found[name] = Link(theirs)
        elif name not in _NOT_IN_ADVANCE:
            # A link cannot lead to "below the top of whatever worktree this is"; a script can.
            found[name] = setting.script(name, theirs)
    return found


def is_hook(path: Path) -> bool:
    """Whether git would run that file."""
    return path.is_file() and os.access(path, os.X_OK)


def is_ours(path: Path) -> bool:
    """Whether a file is a hook that we wrote."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MARK)) == MARK


def content_digest(content: Content) -> str:
    """What the content is, in short."""
    return f"-> {content.target}" if isinstance(content, Link) else hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str | None:
    """The same for what lies on the disk; None when there is nothing, '' when git would not run it."""
    if path.is_symlink():
        return content_digest(Link(os.readlink(path)))
    if not path.is_file():
        return None
    return content_digest(path.read_bytes()) if path.stat().st_mode & stat.S_IXUSR else ""


def write_hook(path: Path, content: Content) -> bool:
    """Write one hook, whole or not at all; return whether anything changed."""
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
