"""All ways of the guard's matrix to make or move a commit, with real programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import git as gitpython
from dulwich import porcelain

from tests.hooks.hooked_repository import ITERATION
from tests.support.lab import Lab

Way = Callable[[Lab, str], None]
QUIET = ("-q", "-m", "x")


def on(lab: Lab) -> None:
    """Check out the iteration's branch."""
    lab.git("checkout", "-q", ITERATION)


def stage(lab: Lab, evil: str, cwd: Path | None = None) -> None:
    """Set index and files to the change; HEAD stays."""
    lab.git("read-tree", "-u", "-m", "HEAD", evil, cwd=cwd)


def _committed(*arguments: str) -> Way:
    def way(lab: Lab, evil: str) -> None:
        on(lab)
        stage(lab, evil)
        lab.run_git("commit", *QUIET, *arguments)

    return way


def _amend(lab: Lab, evil: str) -> None:
    on(lab)
    lab.git("commit", "-q", "--allow-empty", "-m", "first")
    stage(lab, evil)
    lab.run_git("commit", "-q", "--amend", "--no-edit")


def _run(*arguments: str) -> Way:
    def way(lab: Lab, evil: str) -> None:
        on(lab)
        lab.run_git(*(word.replace("EVIL", evil).replace("FIXED", _fixed(evil)) for word in arguments))

    return way


def _away(*arguments: str) -> Way:
    def way(lab: Lab, evil: str) -> None:
        lab.git("branch", "-q", "-f", "evil", evil)
        lab.run_git(*arguments)

    return way


def _fixed(evil: str) -> str:
    return evil.replace("refs/evil/", "refs/fixed/")


def _rebase(lab: Lab, evil: str) -> None:
    on(lab)
    lab.git("commit", "-q", "--allow-empty", "-m", "to be moved")
    lab.run_git("rebase", "-q", "--onto", evil, "HEAD~1")


def _rebase_exec(lab: Lab, evil: str) -> None:
    on(lab)
    lab.git("commit", "-q", "--allow-empty", "-m", "to be moved")
    lab.git("commit", "-q", "--allow-empty", "-m", "and this")
    change = f"git read-tree -u -m HEAD {evil} && git commit -q --no-verify -m x; :"
    lab.run_git("rebase", "-q", "--exec", change, "HEAD~1")


def _squash(lab: Lab, evil: str) -> None:
    on(lab)
    lab.git("merge", "-q", "--squash", evil)
    lab.run_git("commit", "-q", "--no-verify", "-m", "x")


def _octopus(lab: Lab, evil: str) -> None:
    on(lab)
    other = lab.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "another")
    lab.run_git("merge", "-q", "--no-ff", "-m", "x", evil, other)


def _am(lab: Lab, evil: str) -> None:
    on(lab)
    patch = lab.run_git("format-patch", "-1", "--stdout", "--binary", evil).out
    lab.run_git("am", "-q", "--keep-cr", stdin=patch)


def _apply(lab: Lab, evil: str) -> None:
    on(lab)
    patch = lab.run_git("diff", "--binary", "--full-index", "HEAD", evil).out
    lab.git("apply", "--index", stdin=patch)
    lab.run_git("commit", "--no-verify", *QUIET)


def _stash(lab: Lab, evil: str) -> None:
    on(lab)
    index = lab.git("commit-tree", f"{evil}^{{tree}}", "-p", "HEAD", "-m", "index")
    stash = lab.git("commit-tree", f"{evil}^{{tree}}", "-p", "HEAD", "-p", index, "-m", "stash")
    lab.git("stash", "store", stash)
    lab.git("stash", "apply", "-q", "--index")
    lab.run_git("commit", "--no-verify", *QUIET)


def _plumbing(lab: Lab, evil: str) -> None:
    commit = lab.git("commit-tree", f"{evil}^{{tree}}", "-p", ITERATION, "-m", "x")
    lab.run_git("update-ref", f"refs/heads/{ITERATION}", commit)


def _fast_import(lab: Lab, evil: str) -> None:
    stream = f"reset refs/heads/{ITERATION}\nfrom {lab.git('rev-parse', evil)}\n\ndone\n"
    lab.run_git("fast-import", "--quiet", "--force", stdin=stream)


def _worktree(lab: Lab, evil: str) -> None:
    lab.git("checkout", "-q", "main")
    place = lab.worktree("linked", ITERATION)
    stage(lab, evil, place)
    lab.run_git("commit", "--no-verify", *QUIET, cwd=place)


def _push(lab: Lab, evil: str) -> None:
    other = lab.clone("other", "-q")
    other.git("fetch", "-q", "origin", "+refs/evil/*:refs/evil/*")
    other.run_git("push", "-q", "origin", f"+{evil}:refs/heads/{ITERATION}")


def _branch_move(lab: Lab, evil: str) -> None:
    lab.git("checkout", "-q", "--detach")
    lab.git("branch", "-q", "evil", evil)
    lab.git("branch", "-q", "-M", "evil", ITERATION)


def _symbolic(lab: Lab, evil: str) -> None:
    lab.git("branch", "-q", "evil", evil)
    lab.run_git("symbolic-ref", f"refs/heads/{ITERATION}", "refs/heads/evil")


def _gitpython(lab: Lab, evil: str) -> None:
    on(lab)
    stage(lab, evil)
    with gitpython.Repo(lab.path) as repo:
        repo.index.commit("x", skip_hooks=True)


def _dulwich(lab: Lab, evil: str) -> None:
    on(lab)
    stage(lab, evil)
    who = b"A U Thor <author@example.com>"
    porcelain.commit(str(lab.path), message=b"x", author=who, committer=who, no_verify=True)


def _hooks_path(lab: Lab, evil: str) -> None:
    on(lab)
    stage(lab, evil)
    lab.git("-c", "core.hooksPath=/dev/null", "commit", *QUIET)


WAYS: dict[str, Way] = {
    "commit": _committed(),
    "commit-all": _committed("-a"),
    "commit-path": _committed("--", "."),
    "amend": _amend,
    "no-verify": _committed("--no-verify"),
    "cherry-pick": _run("cherry-pick", "EVIL"),
    "revert": _run("revert", "--no-edit", "FIXED"),
    "rebase": _rebase,
    "rebase-exec": _rebase_exec,
    "merge": _run("merge", "-q", "--no-ff", "-m", "x", "EVIL"),
    "fast-forward": _run("merge", "-q", "--ff-only", "EVIL"),
    "squash": _squash,
    "octopus": _octopus,
    "am": _am,
    "apply": _apply,
    "stash": _stash,
    "reset": _run("reset", "-q", "--hard", "EVIL"),
    "branch-force": _away("branch", "-q", "-f", ITERATION, "evil"),
    "plumbing": _plumbing,
    "fast-import": _fast_import,
    "worktree": _worktree,
    "push": _push,
    "fetch": _away("fetch", "-q", ".", f"+evil:{ITERATION}"),
    "branch-move": _branch_move,
    "symbolic-ref": _symbolic,
    "gitpython": _gitpython,
    "dulwich": _dulwich,
    "hooks-path": _hooks_path,
}
