"""Editable installations that point into the repository: refused where they would be measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from git_planner.flows.measuring.editable_installs import working_tree_fault
from tests.measuring.prepared.test_prepare import record
from tests.support.lab import Lab

POLICY = """\
schema: git-planner/policy@1
guard: ["tests/**"]
jail: '{jail}'
correctness: {{run: [{run}], proof: unittest, timeout: 30}}
"""
TEST = """\
import unittest
from package import VALUE


class ValueTest(unittest.TestCase):
    def test_value(self):
        self.assertEqual(VALUE, 1)
"""
FINDER = """\
import sys
MAPPING: dict[str, str] = {{'package': '{}'}}
"""


def environment(lab: Lab, folder: Path, *, finder: bool = False) -> Path:
    """Make a virtual environment with an editable installation, first on PATH; return its folder."""
    top = lab.root / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", top], check=True)
    (modules,) = top.glob("lib/python*/site-packages")
    if finder:
        (modules / "__editable__.package-1.pth").write_text("import __editable___package_1_finder; 1\n")
        (modules / "__editable___package_1_finder.py").write_text(FINDER.format(folder / "package"))
    else:
        (modules / "__editable__.package-1.pth").write_text(f"{folder}\n")
    lab.env["PATH"] = f"{top / 'bin'}{os.pathsep}{lab.env['PATH']}"
    return top


def package(lab: Lab, *, inner: str = "src/", jail: str = "auto", run: str = "", **files: str) -> None:
    """Commit a project whose tests import a package."""
    run = run or "python, -m, unittest, -v, tests.test_value"
    lab.commit(
        "project",
        {
            ".git-planner.yml": POLICY.format(jail=jail, run=run),
            f"{inner}package/__init__.py": "VALUE = 1\n",
            "tests/__init__.py": "",
            "tests/test_value.py": TEST,
            **files,
        },
    )


@pytest.mark.parametrize("finder", [False, True])
@pytest.mark.parametrize("jail", ["auto", "off"])
def test_an_installation_of_the_working_tree_is_refused(lab: Lab, jail: str, finder: bool) -> None:
    package(lab, jail=jail)
    environment(lab, lab.path / "src", finder=finder)

    document = record(lab)

    assert (document["verdict"], document["reason"]) == ("unmeasured", "working_tree")
    assert "lets 'package' be imported from the working tree" in document["summary"]
    assert "__editable__" in document["summary"]
    assert "pip install -e ." in document["summary"]


def fault(lab: Lab, *argv: str) -> str | None:
    """Return what is wrong with a command that measures the working tree's content."""
    return working_tree_fault(lab.repo, argv, lab.path, lab.env["PATH"])


def test_only_true_faults_are_named(lab: Lab) -> None:
    package(lab)
    environment(lab, lab.path / "src")
    runs = ("python", "-m", "unittest")
    assert fault(lab, *runs) is not None
    assert fault(lab, "sh", "-c", "python -m unittest") is not None
    assert fault(lab, "env", "PYTHONPATH=src", *runs) is None
    assert fault(lab, "sh", "-c", "cd src && python -m unittest") is None
    assert fault(lab, ".venv/bin/python", "-m", "unittest") is None
    assert fault(lab, "make", "test") is None
    (lab.path / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['src']\n")
    assert fault(lab, *runs) is None
    (lab.path / "pyproject.toml").unlink()
    (lab.path / "tests" / "test_value.py").write_text("import unittest\n")
    assert fault(lab, *runs) is None, "nothing imports the package"


def test_a_flat_layout_is_searched_first_where_python_starts_in_it(lab: Lab) -> None:
    package(lab, inner="")
    environment(lab, lab.path)
    assert fault(lab, "python", "-m", "unittest") is None
    assert fault(lab, "python", "-I", "-m", "unittest") is not None
    assert fault(lab, "python", "-c", "import package") is None
    assert fault(lab, "python", "tests/bench.py") is not None
    assert record(lab)["verdict"] == "baseline"


def test_an_installation_of_something_else_is_no_fault(lab: Lab) -> None:
    package(lab)
    other = lab.root / "other"
    other.mkdir()
    environment(lab, other)
    assert fault(lab, "python", "-m", "unittest") is None
