"""`git planner init` in projects that nobody prepared: it looks, writes a short policy, and tries it."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from git_planner.config.policy_file import parse_policy
from tests.support.lab import Lab

UNITTEST = """\
import unittest


class ATest(unittest.TestCase):
    def test_one(self):
        pass

    @unittest.skip("later")
    def test_two(self):
        pass
"""


def test_a_project_is_recognised_written_and_tried(lab: Lab) -> None:
    commit = lab.commit("project", {"test/test_a.py": UNITTEST, "a.py": "", "setup.cfg": ""})
    done = lab.run("git-planner", "init")
    assert (done.status, done.err) == (0, "")
    lines = re.sub(r"seconds .*", "seconds  N", done.out).splitlines()
    assert lines[0] == f"policy: wrote '{lab.path}/.git-planner.yml', for unittest"
    assert lines[3:-3] == [
        f"tried: {commit[:12]} is valid",
        "  files guarded    2",
        "  tests collected  2",
        "  passed           1",
        "  skipped          1",
        "  seconds  N",
    ]
    text = (lab.path / ".git-planner.yml").read_text()
    assert text == (
        "# The policy of git-planner; 'git help gitplanner-policy' explains every key.\n"
        "schema: git-planner/policy@1\n\n"
        "# The branch that iterations start from.\nbase: main\n\n"
        "# Paths that no iteration may change: tests, what configures them, lockfiles.\n"
        'guard: ["test/**", setup.cfg]\n\n'
        "# The command that runs the tests (unittest, by test/test_a.py)."
        " 'unittest' is the format of the report that must list them.\n"
        'correctness:\n  run: [python, "-m", unittest, discover, "-v", "-s", test]\n'
        "  proof: unittest\n  timeout: 600\n\n"
        "# The metrics, of which the first decides; without them, only the tests are checked.\n"
        "# metrics:\n#   - {name: cycles, run: [./bench], pattern: 'CYCLES: (\\d+)', better: lower}\n"
    )
    # Nothing is recorded, and the next 'init' keeps the policy without a trial.
    assert "tried" not in lab.run("git-planner", "init").out
    assert not lab.git("for-each-ref", "refs/heads/plan")


def test_a_base_that_is_not_valid_is_told_with_the_line_to_change(lab: Lab) -> None:
    lab.commit("project", {"Makefile": "check:\n\t@echo broken >&2; exit 3\n", "tests/t.sh": ""})
    done = lab.run("git-planner", "init", "--json")
    document = json.loads(done.out)
    assert (done.status, document["written"], document["template"]) == (1, True, "make")
    trial = document["trial"]
    assert trial["cause"] == "tests failed: the command ended with status 2"
    assert (trial["guarded"], trial["line"]) == (2, "12: run: [make, check]")
    assert trial["excerpt"][0] == "broken"
    (lab.path / ".git-planner.yml").unlink()
    table = lab.run("git-planner", "init").out.split("tried: ")[1].split("next: ")[0].splitlines()
    assert table[3] == "  cause            tests failed: the command ended with status 2"
    assert table[5:7] == [
        f"  output           {lab.path}/.git/planner/trial",
        "                   | broken",
    ]


def test_the_kind_of_project_can_be_chosen(lab: Lab) -> None:
    lab.commit("project", {"Makefile": "test:\n", "package.json": '{"scripts": {"test": "node --test"}}'})
    ran = lab.run("git-planner", "init", "--template", "go", "--no-try")
    assert (ran.status, ran.err) == (
        2,
        (
            "error: '--template go' does not fit the files of HEAD (E_USAGE)\n"
            "hint: choose one of node, make, full\n"
        ),
    )
    done = lab.run("git-planner", "init", "--template", "make", "--no-try")
    assert (done.status, done.out.splitlines()[1]) == (0, "also possible: --template node")
    assert "tried" not in done.out
    assert parse_policy((lab.path / ".git-planner.yml").read_bytes(), "policy").correctness is not None


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_project_of_node(lab: Lab) -> None:
    test = "const {test} = require('node:test');\ntest('adds', () => {});\ntest('later', {skip: true});\n"
    lab.commit("project", {"package.json": '{"scripts": {"test": "node --test"}}', "test/a.test.js": test})
    document = json.loads(lab.run("git-planner", "init", "--json").out)
    assert (document["template"], document["trial"]["cause"]) == ("node", None)
    assert document["trial"]["tests"] == {"collected": 2, "passed": 1, "failed": 0, "skipped": 1}


def test_names_of_files_cannot_write_into_the_policy(lab: Lab) -> None:
    lab.commit("project", {"tests/a\nguard: []\n/test_a.py": "", "x'\" #: [/tests/test_b.py": ""})
    lab.run("git-planner", "init", "--no-try")
    policy = parse_policy((lab.path / ".git-planner.yml").read_bytes(), "policy")
    assert set(policy.guard) == {"tests/**", "x'\" #: [/tests/**"}
