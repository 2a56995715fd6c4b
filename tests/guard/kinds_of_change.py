"""Commits for all kinds of changes of the guard's matrix, and a repository that holds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from git_planner.flows.hooks import install
from git_planner.rules.guard.coverage_matrix import CHANGE_KINDS
from tests.hooks.hooked_repository import ITERATION
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
guard: ["tests/**"]
correctness: {run: [python3, -m, unittest, -v, tests.test_code], proof: unittest}
"""
FILES = {
    ".git-planner.yml": POLICY,
    ".gitignore": "*.pyc\n",
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n',
    "setup.cfg": "[metadata]\nname = x\n",
    "tox.ini": "[flake8]\nmax-line-length = 99\n",
    "src/code.py": "VALUE = 1\n",
    "tests/__init__.py": "",
    "tests/test_code.py": "import unittest\n",
    "tests/run.sh": "#!/bin/sh\n",
}


def _write(path: str, text: str) -> Callable[[Path], None]:
    def change(top: Path) -> None:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)

    return change


def _move(old: str, new: str) -> Callable[[Path], None]:
    return lambda top: (top / new).parent.mkdir(parents=True, exist_ok=True) or (top / old).rename(top / new)


def _link_folder(top: Path) -> None:
    shutil.rmtree(top / "tests")
    (top / "tests").symlink_to("src")


def _link_file(top: Path) -> None:
    (top / "tests/test_code.py").unlink()
    (top / "tests/test_code.py").symlink_to("../src/code.py")


CHANGES: dict[str, Callable[[Path], None]] = {
    "modify": _write("tests/test_code.py", "pass\n"),
    "add": _write("tests/deep/er/test_new.py", "pass\n"),
    "delete": lambda top: (top / "tests/test_code.py").unlink(),
    "rename-away": _move("tests/test_code.py", "src/test_code.py"),
    "rename-in": _move("src/code.py", "tests/code.py"),
    "mode": lambda top: (top / "tests/run.sh").chmod(0o755),
    "link-folder": _link_folder,
    "link-file": _link_file,
    "case": _write("Tests/test_code.py", "pass\n"),
    "filter": _write(".gitattributes", "tests/** filter=swap\n"),
    "export-subst": _write(".gitattributes", "*.py export-subst\n"),
    "pyc": _write("tests/__pycache__/test_code.cpython-311.pyc", "x"),
    "conftest": _write("conftest.py", "pass\n"),
    "sitecustomize": _write("src/sitecustomize.py", "pass\n"),
    "pth": _write("src/x.pth", "import os\n"),
    "distribution": _write("src/x-1.dist-info/entry_points.txt", "[pytest11]\nx = code\n"),
    "runner-module": _write("src/pluggy.py", "pass\n"),
    "shadow": _write("src/random.py", "def random():\n    return 0.5\n"),
    "shadow-link": lambda top: (top / "json").symlink_to("src"),
    "policy": _write(".git-planner.yml", POLICY.replace("tests/**", "docs/**")),
    "pyproject": _write(
        "pyproject.toml", FILES["pyproject.toml"] + '[tool.pytest.ini_options]\naddopts="-x"\n'
    ),
    "pytest-ini": _write("pytest.ini", "[pytest]\n"),
    "pytest-toml": _write("src/pytest.toml", "[pytest]\naddopts = ['-x']\n"),
    "tox-ini": _write("tox.ini", FILES["tox.ini"] + "[pytest]\naddopts = -x\n"),
    "setup-cfg": _write("setup.cfg", FILES["setup.cfg"] + "[tool:pytest]\naddopts = -x\n"),
    # Files with index flags never get into a commit, which then holds only the code.
    "assume-unchanged": _write("src/code.py", "VALUE = 2\n"),
    "skip-worktree": _write("src/code.py", "VALUE = 2\n"),
}


def evil_commits(lab: Lab) -> None:
    """Give a repository hooks, an iteration, and one commit per kind of change under refs/evil/."""
    with lab.entered():
        lab.git("config", "gc.auto", "0")
        lab.git("config", "advice.detachedHead", "false")
        lab.commit("project", FILES)
        iteration(lab, 1, "main")
        start = lab.git("rev-parse", "HEAD")
        for kind in CHANGE_KINDS:
            _evil(lab, kind.key, start)
        lab.git("checkout", "-q", "-f", "main")
        lab.git("branch", "harmless", start)
        install.install_hooks(lab.repo)
        # Pattern files as after an ordinary commit, so that the hooks' fast path decides.
        lab.git("checkout", "-q", ITERATION)
        lab.git("commit", "-q", "--allow-empty", "-m", "ordinary")
        assert (lab.path / ".git/planner/guards/refs/heads" / ITERATION).exists()
        lab.git("reset", "-q", "--hard", start)
        lab.git("checkout", "-q", "main")
        shutil.rmtree(lab.path / ".git/logs")


def _evil(lab: Lab, key: str, start: str) -> None:
    lab.git("checkout", "-q", "-f", "--detach", start)
    lab.git("clean", "-q", "-f", "-d", "-x")
    if key == "submodule":
        lab.git("update-index", "--add", "--cacheinfo", f"160000,{start},tests/module")
    else:
        CHANGES[key](lab.path)
        lab.git("add", "--all", "--force")
    lab.git("commit", "-q", "-m", key)
    evil = lab.git("rev-parse", "HEAD")
    lab.git("update-ref", f"refs/evil/{key}", evil)
    # Reverting this commit makes the change again.
    fixed = lab.git("commit-tree", f"{start}^{{tree}}", "-p", evil, "-m", f"fix {key}")
    lab.git("update-ref", f"refs/fixed/{key}", fixed)
