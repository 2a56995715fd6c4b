"""Specs as they come from outside: names, links, bytes, places; what is no spec is told where it is."""

from __future__ import annotations

import os
from typing import Any

import pytest

from git_planner.rules.specs.change import MAX_BYTES
from tests.specs.written_change import FOLDER, PLAN, PROJECT, PROPOSAL, TASKS, answer_of, spec, write, written
from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop


def test_what_is_there_is_written_over_only_when_told(lab: Lab) -> None:
    workshop(lab)
    spec(lab, "init")
    write(lab, project=PROJECT, tasks=TASKS)
    assert answer_of(lab, "init")["written"] == []
    assert answer_of(lab, "propose", "shrink")["kept"] == [f"{FOLDER}/tasks.md"]
    assert (lab.path / FOLDER / "tasks.md").read_text() == TASKS
    os.link(lab.path / FOLDER / "tasks.md", lab.root / "as it was")
    assert f"{FOLDER}/tasks.md" in answer_of(lab, "propose", "shrink", "--force")["written"]
    # Put in its place, not emptied and written anew.
    assert (lab.root / "as it was").read_text() == TASKS
    assert "<fill:" in (lab.path / FOLDER / "tasks.md").read_text()
    assert answer_of(lab, "init", "--force")["written"] == ["openspec/project.md"]


@pytest.mark.parametrize(
    "name", ["../../../outside", "/outside", "OUTSIDE", "out/../side", "out\nside", "--outside", "outside.md"]
)
def test_no_name_leaves_the_folder(lab: Lab, name: str) -> None:
    workshop(lab)
    spec(lab, "init")
    before = {path for path in lab.root.rglob("*") if ".git" not in path.parts}
    change = answer_of(lab, "propose", "--", name)["change"]
    assert change in ("outside", "out-side", "outside-md")
    new = {path for path in lab.root.rglob("*") if ".git" not in path.parts} - before
    top = lab.path / "openspec/changes" / change
    assert new
    assert all(path == top or top in path.parents for path in new)


@pytest.mark.parametrize("name", ["", "..", "/", "日本"])
def test_a_name_without_letters_is_refused(lab: Lab, name: str) -> None:
    workshop(lab)
    for command in ("propose", "validate", "compile", "archive"):
        assert answer_of(lab, command, name)["code"] == "E_NAME"


@pytest.mark.parametrize("plan", ["../x", "0001-next", "best", "X"])
def test_a_plan_cannot_be_called_anything(lab: Lab, plan: str) -> None:
    written(lab)
    assert answer_of(lab, "compile", "shrink", "--plan", plan)["code"] == "E_NAME"


def test_links_are_not_followed(lab: Lab) -> None:
    written(lab)
    outside = lab.root / "outside"
    outside.mkdir()
    (outside / "tasks.md").write_text(TASKS)
    path = lab.path / FOLDER / "tasks.md"
    path.unlink()
    path.symlink_to(outside / "tasks.md")
    assert answer_of(lab, "validate", "shrink")["faults"] == [
        {
            "path": f"{FOLDER}/tasks.md",
            "line": 1,
            "message": f"'{FOLDER}/tasks.md' is a symlink, and symlinks are not followed",
        }
    ]
    lab.commit("links", {"openspec/project.md": PROJECT, f"{FOLDER}/proposal.md": PROPOSAL})
    lab.git("add", f"{FOLDER}/tasks.md")
    lab.git("commit", "-qm", "a link")
    assert [
        fault["message"] for fault in answer_of(lab, "validate", "shrink", "--from", "main")["faults"]
    ] == ["is not a file"]
    (lab.path / "openspec/changes/away").symlink_to(outside)
    assert answer_of(lab, "propose", "away")["code"] == "E_DIRTY"
    assert answer_of(lab, "archive", "away")["code"] == "E_DIRTY"
    assert sorted(os.listdir(outside)) == ["tasks.md"]


def test_every_kind_of_bad_file_is_told_with_its_place(lab: Lab) -> None:
    written(lab)
    folder = lab.path / FOLDER
    (folder / "proposal.md").write_bytes(b"# T\n\nhello \xff\n")
    (folder / "tasks.md").write_bytes(b"- [ ] a\n" + b" " * MAX_BYTES)
    (folder / "design.md").mkdir()
    (folder / "specs/deep").mkdir(parents=True)
    (folder / "specs/deep/spec.md").write_text("# S\n\nTBD\n")
    os.mkfifo(folder / "specs/pipe.md")
    (lab.path / "openspec/changes/Not A Name").mkdir()
    (lab.path / "openspec/changes/not\na name").mkdir()
    judged = spec(lab, "validate")
    assert judged == Ran(
        1,
        "shrink: not valid\n"
        "  openspec/changes/Not A Name:1: is not a valid change name; use 'not-a-name'\n"
        "  'openspec/changes/not\\na name':1: is not a valid change name; use 'not-a-name'\n"
        f"  {FOLDER}/design.md:1: is not a file\n"
        f"  {FOLDER}/proposal.md:3: is not UTF-8\n"
        f"  {FOLDER}/specs/deep/spec.md:3: is still a placeholder: 'TBD'\n"
        f"  {FOLDER}/specs/pipe.md:1: is not a file\n"
        f"  {FOLDER}/tasks.md:1: has 512,008 bytes; at most 512,000 are read\n",
        "",
    )


def test_a_byte_order_mark_and_other_line_ends_are_read(lab: Lab) -> None:
    written(lab)
    path = lab.path / FOLDER / "tasks.md"
    path.write_bytes(b"\xef\xbb\xbf" + TASKS.replace("\n", "\r\n").encode())
    assert answer_of(lab, "compile", "shrink")["tasks"] == 3
    write(lab, tasks=TASKS)
    assert not answer_of(lab, "compile", "shrink")["changed"]


def test_a_secret_does_not_get_into_a_plan(lab: Lab) -> None:
    written(lab)
    secret = "ghp_" + "a1B2" * 9
    write(
        lab,
        tasks=TASKS + f"- [ ] use {secret}\n",
        proposal=PROPOSAL.replace("too large", f"too large {secret}"),
    )
    assert answer_of(lab, "compile", "shrink")["changed"]
    assert secret not in lab.git("log", "-p", PLAN)
    assert not answer_of(lab, "compile", "shrink")["changed"]


def test_a_bare_repository_has_only_commits(make_lab: Any) -> None:
    lab = make_lab()
    written(lab)
    lab.commit(
        "spec",
        {"openspec/project.md": PROJECT, f"{FOLDER}/tasks.md": TASKS, f"{FOLDER}/proposal.md": PROPOSAL},
    )
    bare = lab.root / "bare.git"
    lab.git("clone", "-q", "--bare", str(lab.path), str(bare))
    for command in (["init"], ["propose", "x"], ["validate"], ["compile", "shrink"], ["archive", "shrink"]):
        assert lab.run("git-plan", "spec", *command, cwd=bare).status == 2
    assert lab.run("git-plan", "spec", "compile", "shrink", "--from", "main", cwd=bare).status == 0


def test_there_must_be_a_change(lab: Lab) -> None:
    workshop(lab)
    spec(lab, "init")
    assert answer_of(lab, "validate")["code"] == "E_SPEC"
    assert answer_of(lab, "archive", "nothing")["code"] == "E_SPEC"
    assert [fault["path"] for fault in answer_of(lab, "validate", "nothing")["faults"]] == [
        "openspec/changes/nothing/proposal.md",
        "openspec/changes/nothing/tasks.md",
        *["openspec/project.md"] * 3,
    ]


def test_a_plan_branch_that_is_checked_out_moves_with_its_files(lab: Lab) -> None:
    written(lab)
    spec(lab, "compile", "shrink")
    place = lab.worktree("shrinking", "plan/shrink")
    write(lab, tasks=TASKS + "- [ ] more\n")
    assert answer_of(lab, "compile", "shrink")["changed"]
    assert lab.git("status", "--porcelain", cwd=place) == ""
    assert "more" in (place / ".plans/shrink/MASTER.md").read_text()
    (place / ".plans/shrink/plan.json").write_text("mine")
    write(lab, tasks=TASKS)
    assert answer_of(lab, "compile", "shrink")["code"] == "E_CHECKED_OUT"
    assert (place / ".plans/shrink/plan.json").read_text() == "mine"
