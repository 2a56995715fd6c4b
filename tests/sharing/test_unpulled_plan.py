"""A fresh clone whose remote has the plan: each command that needs it tells to pull, and begins none anew."""

from __future__ import annotations

from tests.support.lab import Lab
from tests.support.two_clones import PLAN, two_clones

COMMANDS = (
    ("git-iterate",),
    ("git-plan", "status"),
    ("git-iterate", "best", "ensure"),
    ("git-iterate", "publish"),
    ("git-record",),
    ("git-record", "log"),
    ("git-record", "best"),
    ("git-plan", "offline"),
    ("git-plan", "lint"),
    ("git-plan", "sync"),
    ("git-plan", "delegate"),
    ("git-plan", "spec", "compile", "a-change", "--plan", "default"),
    ("git-plan", "task", "list"),
    ("git-plan", "task", "add", "more"),
    ("git-plan", "task", "claim", "task_001"),
    ("git-plan", "task", "verify", "task_001"),
)


def test_a_fresh_clone_is_told_to_pull_its_plan(lab: Lab) -> None:
    _, _, bare = two_clones(lab)
    fresh = lab.beside("fresh")
    fresh.root.mkdir()
    lab.git("clone", "-q", f"file://{bare}", str(fresh.path))
    before = fresh.refs()
    for words in COMMANDS:
        ran = fresh.run(*words)
        assert (ran.status, "(E_NO_PLAN)" in ran.err) == (1, True), (words, ran.err)
        assert "hint: git plan pull origin --plan default" in ran.err, words
    assert fresh.refs() == before
    assert fresh.run("git-plan", "pull", "origin", "--plan", "default").status == 0
    assert fresh.refs()[PLAN] == lab.refs()[PLAN]
    assert fresh.run("git-plan", "task", "list").status == 0
    assert fresh.run("git-record", "log").status == 0
