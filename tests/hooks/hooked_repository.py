"""A repository with a policy and one iteration, for the tests of the hooks."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import groupby
from pathlib import Path

from git_planner.flows.hooks import install as hooks
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
guard: ["tests/**", "*.lock"]
correctness: {run: [python3, -m, pytest]}
"""
ITERATION = "iter/0001-next"
GUARDED = "  guarded by '.git-planner.yml' at HEAD: 'tests/**' '*.lock' '.git-planner.yml'\n"
UNSTAGE = (
    "hint: take them out of the commit with 'git restore --staged -- PATH'; "
    "change guarded files on the base branch: 'git planner guard propose'\n"
)
ONLY = (
    "hint: name the other paths only: 'git commit -- PATH'; "
    "change guarded files on the base branch: 'git planner guard propose'\n"
)


def guarded_lab(lab: Lab, *, ordinary: bool = False, install: bool = True) -> Lab:
    """Main with a policy, code and tests; on the branch of an iteration; hooks installed."""
    files = {
        ".git-planner.yml": POLICY,
        "src/code.py": "print(1)\n",
        "tests/test_code.py": "def test(): assert True\n",
        "tests/run.sh": "#!/bin/sh\n",
    }
    lab.commit("policy", files)
    if install:
        hooks.install_hooks(lab.repo, ordinary=ordinary)
    lab.git("checkout", "-q", "-b", ITERATION)
    return lab


def begun(lab: Lab) -> Lab:
    """The iteration with its state commit and the trusted copy of that, as planning leaves them."""
    blob = lab.git("hash-object", "-w", "--stdin", stdin="{}\n")
    tree = lab.git("mktree", stdin=f"100644 blob {blob}\tstate.json\n")
    rows = lab.git("ls-tree", "HEAD") + f"\n040000 tree {tree}\t.advisor\n"
    start = lab.git("commit-tree", lab.git("mktree", stdin=rows), "-p", "HEAD", "-m", "state")
    moves = f"update refs/heads/{ITERATION} {start}\ncreate refs/planner/iterations/0001 {start}\n"
    lab.git("update-ref", "--stdin", stdin=moves)
    lab.git("restore", "--staged", "--worktree", ".advisor")
    return lab


def refusal(*what: str, branch: str = ITERATION, hint: str = UNSTAGE, guarded: str = GUARDED) -> str:
    """What the guard says."""
    lines = "".join(f"  {line}\n" for line in what)
    return f"error: guarded paths are staged on '{branch}' (E_GUARD)\n{lines}{guarded}{hint}"


def hook(path: Path, text: str) -> Path:
    """Write an executable sh script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# Files of the git directory that a commit writes.
COMMIT_FILES = ("index", "COMMIT_EDITMSG", "ORIG_HEAD")


def tree_bytes(folder: Path, *, but: Collection[str] = ()) -> dict[str, tuple[int, bytes]]:
    """Return every file of a git directory that a hook installation could touch: modes and bytes.

    Args:
        folder: the git directory.
        but: files to leave out.
    """
    skipped = ("objects", "logs", "refs")
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in but and name.split("/")[0] not in skipped and (path.is_file() or path.is_symlink()):
            content = b"-> " + str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            files[name] = (path.lstat().st_mode, content)
    return files


def hooks_started(lab: Lab, *git: str) -> list[str]:
    """The names of the hooks that a git command starts, by git's own trace; repeated ones once.

    Newer gits run reference-transaction more often.
    """
    trace = lab.root / "trace"
    trace.unlink(missing_ok=True)
    result = lab.run_program("git", *git, env={"GIT_TRACE2_EVENT": str(trace)})
    assert result.status == 0, result.err
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    names = [event["hook_name"] for event in events if event.get("child_class") == "hook"]
    return [name for name, _ in groupby(names)]
