"""A plan's branch that was deleted by hand: it is noticed, said with the way back, and not begun anew."""

from __future__ import annotations

import json
import os

import pytest

from git_planner.gitio.store import Delete
from tests.support.lab import Lab

POLICY = "schema: git-planner/policy@1\ncorrectness: {run: [x]}\n"
PLAN = "refs/heads/plan/default"
NOTE = ".git/planner/tips/" + PLAN


def planned(lab: Lab) -> str:
    """Make a plan of one task; return its tip."""
    if not (lab.path / ".git-planner.yml").exists():
        lab.commit("policy", {".git-planner.yml": POLICY})
    assert lab.run("git-plan", "task", "add", "one").status == 0
    return lab.refs()[PLAN]


@pytest.mark.parametrize("way", [("branch", "-D", "plan/default"), ("update-ref", "-d", PLAN)])
def test_a_deleted_plan_is_noticed_and_comes_back(lab: Lab, way: tuple[str, ...]) -> None:
    tip = planned(lab)
    lab.git("-c", "core.hooksPath=/dev/null", *way)
    command = f"git branch plan/default {tip}"
    listed = lab.run("git-plan", "list", "--json")
    assert command in listed.err
    assert [lost["fix"] for lost in json.loads(listed.out)["gone"]] == [command]
    findings = json.loads(lab.run("git-planner", "doctor", "--json").out)["findings"]
    assert [finding["fix"] for finding in findings if finding["code"] == "plan-gone"] == [command]
    for words in (("lint",), ("status",), ("task", "list"), ("task", "update", "task_001", "--title", "two")):
        missed = lab.run("git-plan", *words)
        assert missed.status != 0, words
        assert command in missed.err, words
    for argv in (("git-record", "log"), ("git-iterate",)):
        missed = lab.run(*argv)
        assert (missed.status, "(E_BRANCH_GONE)" in missed.err, "measuring" in missed.err) == (3, True, False)
    added = lab.run("git-plan", "task", "add", "again")
    assert (added.status, PLAN in lab.refs()) == (3, False)
    assert "(E_BRANCH_GONE)" in added.err
    assert command in added.err
    lab.git(*command.split()[1:])
    assert lab.run("git-plan", "task", "add", "again").status == 0
    assert "one" in lab.run("git-plan", "task", "list").out
    assert "gone" not in lab.run("git-plan", "list").err


@pytest.mark.parametrize("kind", ["cut short", "binary", "a pipe", "a link", "a folder"])
def test_a_damaged_note_is_none(lab: Lab, kind: str) -> None:
    planned(lab)
    note = lab.path / NOTE
    content = note.read_bytes()
    note.unlink()
    if kind == "a pipe":
        os.mkfifo(note)
    elif kind == "a link":
        note.symlink_to(lab.path / "precious")
    elif kind == "a folder":
        note.mkdir()
    else:
        note.write_bytes(content[:7] if kind == "cut short" else b"\0\xff" * 20)
    assert "gone" not in lab.run("git-plan", "list").err
    assert planned(lab)
    assert not (lab.path / "precious").exists()
    lab.git("branch", "-D", "plan/default")
    assert ("gone" in lab.run("git-plan", "list").err) == (kind in {"cut short", "binary"})
    assert planned(lab) if kind not in {"cut short", "binary"} else True


def test_a_note_that_is_deleted_lets_a_plan_begin_anew(lab: Lab) -> None:
    planned(lab)
    lab.git("branch", "-D", "plan/default")
    (lab.path / NOTE).unlink()
    assert planned(lab)
    assert "gone" not in lab.run("git-plan", "list").err


def test_a_renamed_plan_and_one_that_we_delete_are_not_gone(lab: Lab) -> None:
    planned(lab)
    lab.git("branch", "-m", "plan/default", "plan/other")
    assert "gone" not in lab.run("git-plan", "list").err
    lab.git("branch", "-m", "plan/other", "plan/default")
    with lab.entered():
        lab.store.transact([PLAN], lambda _: [Delete(PLAN)])
    assert "gone" not in lab.run("git-plan", "list").err
    assert not (lab.path / NOTE).exists()


def test_a_plan_that_git_has_deleted_for_good_is_said_to_be_so(lab: Lab) -> None:
    planned(lab)
    lab.git("branch", "-D", "plan/default")
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("prune", "--expire=now")
    assert "git plan pull --plan default" in lab.run("git-plan", "list").err
    # There is nothing to lose any more.
    assert planned(lab)


def test_a_plan_with_records_alone_is_told_from_a_missing_one(lab: Lab) -> None:
    tip = lab.rival("refs/heads/plan/default", "experiments/records/README", "x")
    # It is here and on a remote alike.
    lab.git("update-ref", "refs/remotes/origin/plan/default", tip)
    listed = lab.run("git-plan", "task", "list")
    assert listed.status == 1
    assert listed.err.splitlines() == [
        "error: the plan 'default' has no task yet (E_NO_PLAN)",
        "hint: add one with 'git plan task add TITLE'",
    ]


def missing(lab: Lab) -> dict[str, str]:
    """The findings of the doctor about plans that are not here: code -> what to do."""
    findings = json.loads(lab.run("git-planner", "doctor", "--json").out)["findings"]
    codes = ("plan-gone", "plan-not-pulled", "records-missing")
    return {finding["code"]: finding["fix"] for finding in findings if finding["code"] in codes}


def test_a_fresh_clone_is_told_to_pull(lab: Lab) -> None:
    planned(lab)
    fresh = lab.clone("fresh")
    assert missing(fresh) == {"plan-not-pulled": "git plan pull origin --plan default"}
    assert fresh.run("git-plan", "pull").status == 0
    assert missing(fresh) == {}


def test_tags_of_records_without_a_ledger_are_told(lab: Lab) -> None:
    lab.commit("policy", {".git-planner.yml": POLICY})
    assert missing(lab) == {}
    lab.git("tag", "best/31-auto-i1", "-m", "new best: size 31")
    assert missing(lab) == {
        "records-missing": "git fetch a remote with branches 'plan/*', then: git plan pull"
    }
    planned(lab)
    assert missing(lab) == {}
