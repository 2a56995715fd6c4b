"""Findings of `git planner doctor` about what a policy guards, and whether it is the committed one."""

from __future__ import annotations

import json

from tests.support.lab import Lab

HEAD = "schema: git-planner/policy@1\ncorrectness: {run: [sh, check.sh], proof: exit-status}\n"
CODES = ("guard-unmatched", "tests-unguarded", "policy-edited", "policy-missing")


def findings(lab: Lab) -> list[tuple[str, str]]:
    """Return code and message of what the doctor says about the policy."""
    report = json.loads(lab.run("git-planner", "doctor", "--json").out)
    return [(entry["code"], entry["message"]) for entry in report["findings"] if entry["code"] in CODES]


def test_a_guard_that_misses_the_tests(lab: Lab) -> None:
    tests = {f"test/test_{letter}.py": "" for letter in "abcd"}
    policy = HEAD + 'guard: ["tests/**", conftest.py]\n'
    lab.commit("project", {".git-planner.yml": policy, "check.sh": "", **tests})
    assert findings(lab) == [
        ("guard-unmatched", "'guard' has 'tests/**', which matches no file of HEAD"),
        (
            "tests-unguarded",
            "no pattern guards the tests 'test/test_a.py', 'test/test_b.py', 'test/test_c.py' and 1 more",
        ),
    ]
    lab.commit("guarded", {".git-planner.yml": HEAD + 'guard: ["test/*[.]py"]\n'})
    assert findings(lab) == []
    (lab.path / ".git-planner.yml").write_text(HEAD)
    assert findings(lab) == [
        ("policy-edited", "'.git-planner.yml' is edited and not committed; only the committed one counts")
    ]


def test_a_policy_that_git_ignores(lab: Lab) -> None:
    (lab.path / ".git/info").mkdir(exist_ok=True)
    (lab.path / ".git/info/exclude").write_text(".git-planner.yml\n")
    done = lab.run("git-planner", "init")
    assert "next: commit it on the base branch: git add -f .git-planner.yml && git commit" in done.out
    assert findings(lab) == [("policy-missing", "'.git-planner.yml' is not committed, and git ignores it")]
