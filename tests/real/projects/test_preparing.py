"""Steps of 'prepare' with real package managers: the registries are asked by their ordinary clients."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from git_planner.flows.measuring import sandbox_paths
from tests.measuring.prepared.test_prepare import kept, record
from tests.support.benchmark_project import iteration
from tests.support.lab import Lab

pytestmark = pytest.mark.real
# Read before the first laboratory is entered.
REACHING = sandbox_paths.network_environment()

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "humming"
version = "1"
"""
PIP = """\
schema: git-planner/policy@1
guard: ["tests/**", pyproject.toml]
jail: '{jail}'
prepare:
  - name: venv
    run: [sh, -c, "python -m venv .venv && .venv/bin/pip install -q pytest -e ."]
    inputs: [pyproject.toml, "src/*/__init__.py"]
    outputs: [.venv]
correctness: {{run: [.venv/bin/python, -m, pytest, -q, -p, "no:cacheprovider"], proof: junit}}
"""
NPM = """\
schema: git-planner/policy@1
guard: ["test/**", package.json, package-lock.json]
prepare:
  - name: dependencies
    run: [npm, ci]
    inputs: [package.json, package-lock.json]
    outputs: [node_modules]
correctness: {run: [node_modules/.bin/tape, "test/*.js"], proof: tape}
"""
PACKAGE = {"name": "small", "version": "1.0.0", "private": True, "devDependencies": {"tape": "5.8.1"}}
TEST = "from humming.value import VALUE\n\n\ndef test_value():\n    assert VALUE == 1\n"
TAPE = "const test = require('tape');\ntest('value', t => { t.equal(require('..'), 1); t.end(); });\n"


@pytest.fixture(autouse=True)
def reachable(lab: Lab) -> None:
    """Let the laboratory reach the registries as this machine does."""
    lab.env |= REACHING


@pytest.mark.parametrize("jail", ["required", "off"])
def test_an_editable_installation_measures_the_candidate(lab: Lab, jail: str) -> None:
    lab.commit(
        "project",
        {
            ".git-planner.yml": PIP.format(jail=jail),
            "pyproject.toml": PYPROJECT,
            "src/humming/__init__.py": "",
            "src/humming/value.py": "VALUE = 1\n",
            "tests/test_value.py": TEST,
        },
    )
    base = record(lab)
    assert base["verdict"] == "baseline", base
    # The working tree stays right, and the candidate is wrong.
    lab.commit("a wrong value", {"src/humming/value.py": "VALUE = 2\n"})
    lab.git("checkout", "-q", "HEAD~1", "--", "src")
    wrong = record(lab)
    assert (wrong["verdict"], wrong["reason"]) == ("invalid", "incorrect")
    assert len(kept(lab)) == 1


def test_npm_installs_once_and_the_lockfile_decides(lab: Lab, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    (tmp_path / "package.json").write_text(json.dumps(PACKAGE))
    lock = [npm, "install", "--package-lock-only", "--no-audit", "--no-fund"]
    subprocess.run(lock, cwd=tmp_path, check=True, timeout=300, env={**os.environ, "HOME": str(tmp_path)})
    lab.commit(
        "project",
        {
            ".git-planner.yml": NPM,
            "package.json": json.dumps(PACKAGE),
            "package-lock.json": (tmp_path / "package-lock.json").read_text(),
            "index.js": "module.exports = 1;\n",
            "test/value.js": TAPE,
        },
    )
    base = record(lab)
    assert base["verdict"] == "baseline", base
    lab.commit("a wrong value", {"index.js": "module.exports = 2;\n"})
    wrong = record(lab)
    assert (wrong["verdict"], wrong["reason"]) == ("invalid", "incorrect")
    assert "prepare-dependencies" not in wrong["seconds"]
    iteration(lab, 1, "HEAD~1")
    lab.commit("no lockfile", {"package-lock.json": None})
    assert record(lab)["reason"] == "guard"
    assert len(kept(lab)) == 1
