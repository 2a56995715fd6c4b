"""Hooks that are there already go on running, on our branches and elsewhere, as if we were not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from git_planner.flows.hooks import install
from git_planner.flows.hooks.status import hook_status
from tests.hooks.hooked_repository import ITERATION, guarded_lab, hook, hooks_started, refusal
from tests.support.lab import Lab

# The manner of husky 9: every hook sources one file, which starts the person's script beside the folder.
HUSKY = """\
script="$(dirname "$(dirname "$0")")/$(basename "$0")"
if [ -f "$script" ]; then
    sh -e "$script" "$@" || { code=$?; echo "script failed: $code"; exit $code; }
fi
exit 0
"""


def both(lab: Lab) -> list[str]:
    """The branches that everything is tried on."""
    return ["main", ITERATION]


def assert_guarded(lab: Lab) -> None:
    """The guard refuses on the iteration, and lets the same pass on main."""
    lab.git("checkout", "-q", ITERATION)
    (lab.path / "tests/run.sh").write_text("#!/bin/sh\nexit 1\n")
    lab.git("add", "tests")
    result = lab.run_git("commit", "-m", "no")
    assert (result.status, refusal("changed: tests/run.sh") in result.err) == (1, True)
    lab.git("stash", "-q")
    lab.git("checkout", "-q", "main")
    lab.git("stash", "pop", "-q", "--index")
    assert lab.run_git("commit", "-q", "-m", "yes").status == 0


def test_arguments_stdin_status_and_environment_pass(lab: Lab) -> None:
    guarded_lab(lab, install=False)
    folder = lab.path / ".git/hooks"
    hook(folder / "pre-push", 'echo "$0 $*" >>"$LOG"; cat >>"$LOG"; exit 3')
    hook(folder / "commit-msg", 'echo "$0 $(basename "$1")" >>"$LOG"; sed -i s/typo/word/ "$1"')
    hook(folder / "pre-commit", 'echo "$0 $GIT_INDEX_FILE" >>"$LOG"')
    lab.env["LOG"] = str(lab.root / "log")
    lab.git("init", "-q", "--bare", str(lab.root / "remote"))
    install.install_hooks(lab.repo)
    outputs = {}
    for branch in both(lab):
        lab.git("checkout", "-q", branch)
        lab.git("commit", "-q", "--allow-empty", "-m", "a typo")
        assert lab.git("log", "-1", "--format=%s") == "a word"
        result = lab.run_git("push", "-q", "../remote", "HEAD:refs/heads/x")
        assert (result.status, lab.refs().get("refs/heads/x")) == (1, None)
        outputs[branch] = Path(lab.env["LOG"]).read_text().replace(lab.git("rev-parse", "HEAD"), "OID")
        Path(lab.env["LOG"]).unlink()
    zero = "0" * 40
    # Started by our scripts, a hook's $0 is the full path; git itself names it from the top.
    assert {branch: text.replace(f"{lab.path}/", "") for branch, text in outputs.items()} == {
        "main": ".git/hooks/pre-commit .git/index\n.git/hooks/commit-msg COMMIT_EDITMSG\n"
        f".git/hooks/pre-push ../remote ../remote\nHEAD OID refs/heads/x {zero}\n",
        ITERATION: ".git/hooks/pre-commit .git/index\n.git/hooks/commit-msg COMMIT_EDITMSG\n"
        f".git/hooks/pre-push ../remote ../remote\nHEAD OID refs/heads/x {zero}\n",
    }


def test_a_refusal_of_theirs_refuses(lab: Lab) -> None:
    hook(lab.path / ".git/hooks/pre-commit", 'test ! -e no || { echo "theirs says no" >&2; exit 9; }')
    guarded_lab(lab)
    (lab.path / "no").write_text("")
    for branch in both(lab):
        lab.git("checkout", "-q", branch)
        result = lab.run_git("commit", "-q", "--allow-empty", "-m", "x")
        assert (result.status, result.err) == (1, "theirs says no\n")
    (lab.path / "no").unlink()
    assert_guarded(lab)


def test_a_hook_that_git_would_not_run_is_not_run(lab: Lab) -> None:
    hook(lab.path / ".git/hooks/pre-commit", "echo never >&2").chmod(0o644)
    hook(lab.path / ".git/hooks/post-commit", "echo never >&2").chmod(0o644)
    lab.git("config", "advice.ignoredHook", "false")
    guarded_lab(lab)
    assert lab.run_git("commit", "-q", "--allow-empty", "-m", "x").err == ""


def test_hooks_see_the_repository_as_without_us(lab: Lab) -> None:
    """What they ask of git about hooks, and what they commit elsewhere, is as if we were not installed."""
    other = lab.root / "other"
    lab.git("init", "-q", str(other))
    asks = ["git rev-parse --git-path hooks >&2", "unset GIT_INDEX_FILE GIT_DIR", "cd ../other"]
    hook(lab.path / ".git/hooks/pre-commit", "\n".join([*asks, asks[0]]))
    guarded_lab(lab)
    lab.env["GIT_CONFIG_COUNT"] = "1"
    lab.env["GIT_CONFIG_KEY_0"], lab.env["GIT_CONFIG_VALUE_0"] = "user.name", "Somebody"
    result = lab.run_git("commit", "-q", "--allow-empty", "-m", "x")
    assert result.err == f"{lab.path}/.git/hooks\n.git/hooks\n"


def test_husky(lab: Lab) -> None:
    """husky 9: core.hooksPath is .husky/_, whose files start the scripts beside that folder."""
    folder = lab.path / ".husky/_"
    hook(folder / "h", HUSKY).chmod(0o644)
    for name in ("pre-commit", "commit-msg", "post-commit", "pre-push"):
        hook(folder / name, '. "$(dirname "$0")/h"')
    (folder / ".gitignore").write_text("*")
    scripts = {".husky/pre-commit": 'echo "husky $(pwd)" >&2\n', ".husky/commit-msg": 'grep -q word "$1"\n'}
    lab.commit("husky", scripts)
    guarded_lab(lab, install=False)
    lab.git("config", "core.hooksPath", ".husky/_")
    install.install_hooks(lab.repo)
    assert [finding.code for finding in hook_status(lab.repo).findings] == ["hooks-partly"]
    place = _worktree_with_husky(lab)
    for branch, where in (("main", lab.path), (ITERATION, lab.path), ("iter/0002-b", place)):
        if where == lab.path:
            lab.git("checkout", "-q", branch)
        result = lab.run_git("commit", "-q", "--allow-empty", "-m", "word", cwd=where)
        assert (result.status, result.err) == (0, f"husky {where}\n")
        result = lab.run_git("commit", "-q", "--allow-empty", "-m", "other", cwd=where)
        assert (result.status, result.err) == (1, f"husky {where}\nscript failed: 1\n")
    (place / "tests/run.sh").write_text("")
    lab.git("add", "tests", cwd=place)
    message = refusal("changed: tests/run.sh", branch="iter/0002-b")
    assert lab.run_git("commit", "-m", "word", cwd=place).err == message


def _worktree_with_husky(lab: Lab) -> Path:
    """A linked worktree has its own copy of the ignored folder, as after `npm install` there."""
    lab.git("branch", "iter/0002-b")
    place = lab.worktree("other", "iter/0002-b")
    shutil.copytree(lab.path / ".husky/_", place / ".husky/_", dirs_exist_ok=True)
    return place


LEFTHOOK = """\
no_auto_install: false
pre-commit:
  jobs:
    - run: echo lefthook-pre-commit
pre-push:
  jobs:
    - run: cat
      use_stdin: true
"""


def test_lefthook(lab: Lab) -> None:
    lab.commit("lefthook", {"lefthook.yml": LEFTHOOK})
    # It knows its settings by their date, to the second: what is changed below must not be as old.
    os.utime(lab.path / "lefthook.yml", (1_700_000_000, 1_700_000_000))
    assert lab.run_program("lefthook", "install").status == 0
    guarded_lab(lab)
    assert hook_status(lab.repo).findings == ()
    lab.git("init", "-q", "--bare", str(lab.root / "remote"))
    for branch in both(lab):
        lab.git("checkout", "-q", branch)
        assert "lefthook-pre-commit" in lab.run_git("commit", "--allow-empty", "-m", "x").err
        result = lab.run_git("push", "../remote", f"HEAD:refs/heads/{branch}")
        assert (result.status, f"refs/heads/{branch}" in result.out + result.err) == (0, True)
    # Its way of keeping up: a run after a change of its settings rewrites the hooks, where they really are.
    lab.git("checkout", "-q", ITERATION)
    ours = {
        path.name: path.read_bytes() for path in (lab.path / ".git/planner/hooks").iterdir() if path.exists()
    }
    lab.commit("lefthook", {"lefthook.yml": LEFTHOOK + "post-commit:\n  jobs:\n    - run: echo after\n"})
    assert {name: (lab.path / ".git/planner/hooks" / name).read_bytes() for name in ours} == ours
    assert (lab.path / ".git/hooks/post-commit").is_file()
    assert "after" in lab.run_git("commit", "--allow-empty", "-m", "x").err
    assert_guarded(lab)


PRE_COMMIT = """\
repos:
  - repo: local
    hooks:
      - id: theirs
        name: theirs
        entry: sh -c 'echo pre-commit framework; test ! -e no'
        language: system
        always_run: true
        pass_filenames: false
        verbose: true
"""


@pytest.mark.parametrize("tool", ["pre-commit", "prek"])
def test_pre_commit_framework(lab: Lab, tool: str) -> None:
    hook(lab.path / ".git/hooks/pre-commit", "echo legacy")
    lab.commit("framework", {".pre-commit-config.yaml": PRE_COMMIT})
    lab.env["PRE_COMMIT_HOME"] = lab.env["PREK_HOME"] = str(lab.root / "cache")
    result = lab.run_program(tool, "install")
    assert result.status == 0, result.err
    guarded_lab(lab)
    for branch in both(lab):
        lab.git("checkout", "-q", branch)
        result = lab.run_git("commit", "--allow-empty", "-m", "x")
        assert (result.status, "pre-commit framework" in result.err, "legacy" in result.out + result.err) == (
            0,
            True,
            True,
        )
        (lab.path / "no").write_text("")
        assert lab.run_git("commit", "--allow-empty", "-m", "x").status == 1
        (lab.path / "no").unlink()
    assert_guarded(lab)


def test_the_framework_installed_later(lab: Lab) -> None:
    guarded_lab(lab)
    lab.git("checkout", "-q", "main")
    lab.commit("framework", {".pre-commit-config.yaml": PRE_COMMIT})
    lab.env["PRE_COMMIT_HOME"] = str(lab.root / "cache")
    assert lab.run_program("pre-commit", "install").status == 0
    # A hook of ours looks for theirs when it runs, so nothing needs to be done for this one.
    assert hook_status(lab.repo).findings == ()
    lab.git("checkout", "-q", ITERATION)
    lab.git("checkout", "-q", "main", "--", ".pre-commit-config.yaml")
    assert "pre-commit framework" in lab.run_git("commit", "-m", "x").err


def test_no_hook_of_theirs_starts_nothing(lab: Lab) -> None:
    guarded_lab(lab)
    assert hooks_started(lab, "commit", "-q", "--allow-empty", "-m", "x") == [
        "pre-commit",
        "commit-msg",
        "reference-transaction",
    ]
    lab.git("config", "core.hooksPath", "hooks-of-the-project")
    install.install_hooks(lab.repo)
    # From a relative place a link cannot be made, so all are started, and find nothing.
    assert "post-checkout" in hooks_started(lab, "checkout", "-q", "--", ".")
