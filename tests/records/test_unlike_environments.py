"""Results of unlike environments are not compared, and what could not start is not a result."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from git_planner.flows.measuring.tool_description import describe_tools
from git_planner.flows.records.ledger import read_ledger
from git_planner.rules.measuring.startup import startup_problem
from tests.support.benchmark_project import POLICY, attempt, project
from tests.support.lab import Lab

UNJAILED = POLICY + "jail: 'off'\n"


def test_a_fake_interpreter_wins_nothing(lab: Lab) -> None:
    """An agent ran `git record` with a `python` of its own first on PATH."""
    base = project(lab, UNJAILED)
    attempt(lab, 1, 105)
    bench = 'case "$1" in tests/bench.py) echo CYCLES: $(cat "$0.value"); exit;; esac\n'
    fake = lab.root / "fake" / "python"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\n{bench}exec "{sys.executable}" "$@"\n')
    fake.chmod(0o755)
    honest, lab.env["PATH"] = lab.env["PATH"], f"{fake.parent}:{lab.env['PATH']}"
    fake.with_suffix(".value").write_text("200")
    assert lab.run("git-record", "main").status == 0
    fake.with_suffix(".value").write_text("1")
    assert json.loads(lab.run("git-record", "--json").out)["advanced"] is True
    lab.env["PATH"] = honest
    done = json.loads(lab.run("git-record", "--json").out)
    assert (done["cached"], done["record"]["verdict"], done["record"]["delta"]) == (False, "worse", 5.0)
    verdicts = [(record.verdict, record.value) for record in read_ledger(lab.repo, "default")]
    assert verdicts == [("baseline", 200), ("disputed", 1), ("baseline", 100), ("worse", 105)]
    assert lab.refs()["refs/heads/iter/best"] == base
    again = json.loads(lab.run("git-record", "--json").out)
    assert (again["cached"], again["cached_note"]) == (
        True,
        "this commit was recorded before; --force measures it again",
    )


def test_the_digest_knows_what_an_interpreter_imports_at_its_start(tmp_path: Path) -> None:
    bin_, site = tmp_path / "bin", tmp_path / "lib" / "python3.99" / "site-packages"
    bin_.mkdir()
    site.mkdir(parents=True)
    program = bin_ / "python"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    digests = set()
    for name, content in [
        ("nothing", ""),
        ("a.pth", "import os"),
        ("a.pth", "import sys"),
        ("sitecustomize.py", "x = 1"),
        ("sitecustomize.py", "x = 2"),
        ("usercustomize.py", ""),
        ("six-1.0.dist-info", ""),
        ("../sitecustomize.py", "y = 1"),
    ]:
        (site / name).write_text(content)
        digests.add(describe_tools([["python", "x.py"]], str(bin_))["python"]["packages"])
    assert len(digests) == 8
    # A program that a shell starts counts, too; the words of a command that are no programs do not.
    shell = describe_tools([["/bin/sh", "-c", "python bench.py --fast"]], f"{bin_}:/bin")
    assert set(shell) == {"/bin/sh", "python"}
    assert describe_tools([["no-such-tool"]], str(bin_)) == {"no-such-tool": None}


@pytest.mark.parametrize(
    ("argv", "status", "stderr", "starts"),
    [
        (["python", "-m", "pytest", "-q"], 1, "/usr/bin/python3: No module named pytest\n", False),
        (["sh", "-c", "python -m pytest.x"], 1, "python3.11: No module named 'pytest'", False),
        (["python", "-m", "pytest"], 1, "E   ModuleNotFoundError: No module named 'numpy'\n", True),
        (["python", "bench.py"], 1, "python: No module named pytest\n", True),
        (["python", "-m", "pytest"], 2, "python: No module named pytest\n", True),
        (["sh", "run.sh"], 127, "run.sh: 1: nope: not found\n", False),
        (["./run.sh"], 126, "", False),
        (["true"], 0, "", True),
    ],
)
def test_what_could_not_start(argv: list[str], status: int, stderr: str, *, starts: bool) -> None:
    assert (startup_problem(argv, status, stderr.encode()) is None) is starts


def test_a_missing_module_is_unmeasured_and_measured_once_it_is_there(lab: Lab) -> None:
    run = "{run: [python, -m, unittest, -v, tests.test_value]"
    site = lab.root / "site"
    site.mkdir()
    policy = UNJAILED.replace(run, "{run: [python, -m, late_runner, -v, tests.test_value]")
    project(lab, policy + "environment: [PYTHONPATH]\n")
    lab.env["PYTHONPATH"] = str(site)
    ran = lab.run("git-record", "main")
    assert (ran.status, "unmeasured: a program or module" in ran.out) == (4, True)
    assert "the module 'late_runner' is not installed" in ran.out
    (site / "late_runner.py").write_text("import unittest\nunittest.main(module=None)\n")
    done = json.loads(lab.run("git-record", "main", "--json").out)
    assert (done["cached"], done["record"]["verdict"]) == (False, "baseline")


def test_skipped_tests_are_in_the_summary(lab: Lab) -> None:
    more = "class More(unittest.TestCase):\n    @unittest.skip('no')\n    def test_more(self): ...\n"
    project(
        lab,
        **{
            "tests/test_value.py": "from src.cases import *\n",
            "src/cases.py": "import unittest\nclass Some(unittest.TestCase):\n    def test_some(self): ...\n",
        },
    )
    attempt(lab, 1, 90)
    cases = (lab.path / "src/cases.py").read_text()
    lab.commit("skips", {"src/cases.py": cases + more})
    record = json.loads(lab.run("git-record", "--json").out)["record"]
    assert record["summary"] == "cycles 90 (-10 against 100); 1 of 2 tests skipped"
    assert any("1 more than in the baseline" in note for note in record["notes"])
