"""`git plan spec`: from an empty folder to tasks on a plan's branch and back to the archive."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from git_planner.gitio import git
from git_planner.rules.documents import canonical_json
from tests.specs.written_change import (
    FOLDER,
    PLAN,
    PROJECT,
    PROPOSAL,
    TASKS,
    answer_of,
    spec,
    tasks,
    write,
    written,
)
from tests.support.lab import Lab, Ran
from tests.support.workshop import POLICY, workshop


def test_from_nothing_to_tasks_and_to_the_archive(lab: Lab) -> None:
    workshop(lab)
    assert answer_of(lab, "propose", "Shrink!")["code"] == "E_SPEC"
    assert spec(lab, "init").out == (
        "made openspec/specs/.gitkeep\n"
        "made openspec/changes/.gitkeep\n"
        "made openspec/archive/.gitkeep\n"
        "made openspec/project.md\n"
        "next: fill in 'openspec/project.md', then: git plan spec propose CHANGE\n"
    )
    assert answer_of(lab, "propose", "Shrink!")["written"] == [
        f"{FOLDER}/specs/.gitkeep",
        f"{FOLDER}/proposal.md",
        f"{FOLDER}/tasks.md",
        f"{FOLDER}/design.md",
    ]
    untouched = spec(lab, "validate")
    assert untouched.status == 1
    assert untouched.out.count("is still a placeholder") + untouched.out.count("is a placeholder") == 13
    assert spec(lab, "compile", "shrink").status == 1
    assert not any("plan/" in ref for ref in lab.refs())
    (lab.path / FOLDER / "design.md").unlink()
    write(lab, project=PROJECT, proposal=PROPOSAL, tasks=TASKS)
    assert spec(lab, "validate", "Shrink") == Ran(0, "shrink: valid, 3 tasks, 1 of them ticked\n", "")

    with lab.undisturbed():
        compiled = spec(lab, "compile", "shrink")
    assert compiled == Ran(
        0,
        "plan/shrink: The number is too large.\n"
        "task_001  added      Halve the number\n"
        "task_002  added      Look at the number\n"
        "task_002  done       Look at the number (its box is ticked)\n"
        "task_003  added      Say so in the readme\n",
        "no verify command: task_003; add 'verify:' below the task, or to the policy\n",
    )
    listed = lab.run("git-plan", "task", "list", "--plan", "shrink").out
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["task_001", "todo"],
        ["task_002", "done"],
        ["task_003", "todo"],
    ]
    assert lab.run("git-plan", "lint", "--plan", "shrink").status == 0
    refused = answer_of(lab, "archive", "shrink")
    assert (refused["code"], refused["details"]) == ("E_UNFINISHED", ["shrink/task_001", "shrink/task_003"])
    write(lab, tasks=TASKS.replace("[ ]", "[x]"))
    assert answer_of(lab, "compile", "shrink")["counts"]["done"] == 2
    assert spec(lab, "archive", "shrink").status == 0
    assert sorted(os.listdir(lab.path / "openspec/archive")) == [".gitkeep", f"{lab.repo.now()[:10]}-shrink"]
    lab.fsck()


def test_compiling_writes_one_commit_and_the_second_time_none(lab: Lab) -> None:
    written(lab)
    first = answer_of(lab, "compile", "shrink")
    assert first["changed"]
    assert lab.git("rev-list", "--count", f"main..{PLAN}") == "1"
    assert lab.git("log", "-1", "--format=%s%n%(trailers)", PLAN).splitlines() == [
        "plan shrink: compiled 'shrink', 3 tasks",
        "Planner-Op: spec-compile",
        "Planner-Args: shrink the working tree",
    ]
    assert lab.git("diff", "--name-only", "main", PLAN).splitlines() == [
        ".plans/shrink/CONTEXT.md",
        ".plans/shrink/MASTER.md",
        ".plans/shrink/plan.json",
    ]
    lab._tick()
    second = answer_of(lab, "compile", "shrink")
    assert (second["changed"], second["commit"], second["effects"]) == (False, first["commit"], [])
    document = canonical_json.loads(lab.show(f"{PLAN}:.plans/shrink/plan.json"), "plan.json")
    assert (document["goal"], document["acceptance"], document["constraints"]) == (
        "The number is too large.",
        ["it is 50"],
        ["the number stays positive"],
    )
    one, two, three = document["tasks"]
    assert (one["spec"], one["write_scope"], one["verify"]) == (
        {"change": "shrink", "key": "halve"},
        ["src/size.txt"],
        [["python", "tests/size.py"]],
    )
    assert three["dependencies"] == ["task_001", "task_002"]
    assert [(item["kind"], item["by"], item["note"]) for item in two["evidence"]] == [
        ("manual", "C O Mitter <committer@example.com>", f"its box is ticked in {FOLDER}/tasks.md")
    ]


def test_status_and_evidence_outlive_a_new_compilation(lab: Lab) -> None:
    written(lab)
    spec(lab, "compile", "shrink")
    claimed = lab.run("git-plan", "task", "claim", "task_001", "--plan", "shrink", "--owner", "me")
    assert claimed.status == 0, claimed.err
    before = tasks(lab)
    changed = TASKS.replace("Halve the number", "Make it half").replace("[x] 1.2", "[ ] 1.2")
    write(lab, tasks=changed.replace("* [ ] 1.3 Say so in the readme", "* [ ] 1.3 Tell people"))
    compiled = answer_of(lab, "compile", "shrink")
    assert [(effect["kind"], effect["task"]) for effect in compiled["effects"]] == [
        ("changed", "task_001"),
        ("reopened", "task_002"),
        ("added", "task_004"),
        ("cancelled", "task_003"),
    ]
    after = tasks(lab)
    assert after[0] == {**before[0], "title": "Make it half"}
    assert (after[0]["status"], after[0]["owner"]) == ("in_progress", "me")
    assert (after[1]["status"], after[1]["attempt"]) == ("todo", 2)
    assert after[1]["evidence"] == before[1]["evidence"]
    assert after[2]["status"] == "cancelled"
    master = lab.show(f"{PLAN}:.plans/shrink/MASTER.md")
    assert master.count("## ") == 2
    assert master.startswith(lab.show(f"{PLAN}~2:.plans/shrink/MASTER.md"))
    assert "cancelled:\n\n- task_003 (Say so in the readme)\n" in master


def test_a_commit_can_be_compiled_and_the_working_tree_does_not_count(lab: Lab) -> None:
    written(lab)
    lab.commit(
        "the spec",
        {"openspec/project.md": PROJECT, f"{FOLDER}/tasks.md": TASKS, f"{FOLDER}/proposal.md": PROPOSAL},
    )
    write(lab, tasks="nothing")
    assert spec(lab, "validate", "shrink").status == 1
    assert spec(lab, "validate", "--from", "main").status == 0
    compiled = answer_of(lab, "compile", "shrink", "--from", "main", "--plan", "other")
    assert compiled["source"] == f"'main' at {lab.git('rev-parse', '--short=12', 'main')}"
    assert tasks(lab, "other")[0]["title"] == "Halve the number"
    assert answer_of(lab, "compile", "shrink", "--from", "nowhere")["code"] == "E_UNKNOWN_REF"


def test_two_changes_share_a_plan_and_keep_its_goal(lab: Lab) -> None:
    written(lab)
    spec(lab, "compile", "shrink", "--plan", "both")
    second = lab.path / "openspec/changes/grow"
    second.mkdir()
    (second / "proposal.md").write_text("# G\n\nIt is too small.\n")
    (second / "tasks.md").write_text("- [ ] Halve the number {#halve}\n")
    assert answer_of(lab, "compile", "grow", "--plan", "both")["goal"] == "The number is too large."
    assert [task["spec"]["change"] for task in tasks(lab, "both")] == ["shrink"] * 3 + ["grow"]
    assert len({task["uid"] for task in tasks(lab, "both")}) == 4
    for change in ("shrink", "grow", "shrink"):
        assert not answer_of(lab, "compile", change, "--plan", "both")["changed"]
    assert "`openspec/changes/grow/`" in lab.show("plan/both:.plans/both/CONTEXT.md")


def test_changes_that_are_compiled_at_once_all_get_in(lab: Lab) -> None:
    written(lab)
    changes = [f"change-{n}" for n in range(4)]
    for change in changes:
        folder = lab.path / "openspec/changes" / change
        folder.mkdir()
        (folder / "proposal.md").write_text("# C\n\nMany at once.\n")
        (folder / "tasks.md").write_text(f"- [ ] first of {change}\n- [x] second of {change}\n")
    with ThreadPoolExecutor(len(changes)) as pool:
        ran = list(
            pool.map(
                lambda change: lab.spawn("git-plan", "spec", "compile", change, "--plan", "all"), changes
            )
        )
    assert [item.status for item in ran] == [0] * len(changes), ran
    compiled = tasks(lab, "all")
    assert [item["id"] for item in compiled] == [f"task_{n:03d}" for n in range(1, 9)]
    assert sorted(item["title"] for item in compiled) == sorted(
        f"{which} of {change}" for change in changes for which in ("first", "second")
    )
    assert lab.show("plan/all:.plans/all/MASTER.md").count("## ") == len(changes)
    for change in changes:
        assert not answer_of(lab, "compile", change, "--plan", "all")["changed"]


def test_a_kill_leaves_the_old_plan_or_the_new_one(lab: Lab) -> None:
    written(lab)
    started = git.spawned
    spec(lab, "compile", "shrink")
    calls = git.spawned - started
    before = lab.git("rev-parse", PLAN)
    write(lab, tasks=TASKS + "- [ ] more\n")
    killed = 0
    for call in range(calls - 3, calls + 1):
        ran = lab.spawn("git-plan", "spec", "compile", "shrink", **lab.crash_after(call, after=call % 2 == 0))
        now = lab.git("rev-parse", PLAN)
        killed += ran.status != 0
        assert now == before or lab.git("rev-parse", f"{PLAN}^") == before
        lab.fsck()
    assert killed > 1
    assert spec(lab, "compile", "shrink").status == 0
    assert lab.git("rev-parse", f"{PLAN}^") == before
    assert [task["title"] for task in tasks(lab)][-1] == "more"


# -- verify commands ---------------------------------------------------------------------------------------
def test_verify_commands_come_from_overrides_policy_or_repository(lab: Lab) -> None:
    written(lab)
    (lab.path / "pytest.ini").write_text("[pytest]\n")
    suggested = answer_of(lab, "compile", "shrink", "--plan", "one")
    assert (suggested["verify"], suggested["verify_from"]) == (
        [["python", "-m", "pytest", "-q"]],
        "what the repository has",
    )
    lab.commit("verify", {".git-planner.yml": POLICY + "verify: ['make check', [sh, -c, 'a | b']]\n"})
    by_policy = answer_of(lab, "compile", "shrink", "--plan", "two")
    assert by_policy["verify"] == [["make", "check"], ["sh", "-c", "a | b"]]
    assert by_policy["verify_from"] == "'verify' of '.git-planner.yml'"
    overrides = lab.path / "said.json"
    overrides.write_text(
        json.dumps({"default_verify": ["make it"], "by_key": {"halve": {"verify": ["true"]}}})
    )
    overridden = answer_of(lab, "compile", "shrink", "--plan", "three", "--verify-overrides", str(overrides))
    assert overridden["verify_from"] == "the overrides"
    assert [task["verify"] for task in tasks(lab, "three")] == [
        [["true"]],
        [["make", "it"]],
        [["make", "it"]],
    ]
    # They stay when the file is not given again.
    assert answer_of(lab, "compile", "shrink", "--plan", "three")["counts"]["changed"] == 1
    assert [task["verify"] for task in tasks(lab, "three")][1] == [["make", "it"]]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "E_USAGE"),
        ("{", "E_JSON"),
        ('{"a": 1, "a": 2}', "E_JSON"),
        ("[]", "E_SCHEMA"),
        ('{"by_key": {"nobody": {}}}', "E_SCHEMA"),
        ('{"default_verify": ["<fill: x>"]}', "E_SCHEMA"),
    ],
)
def test_overrides_are_never_ignored(lab: Lab, text: str | None, code: str) -> None:
    written(lab)
    overrides = lab.path / "said.json"
    if text is not None:
        overrides.write_text(text)
    assert answer_of(lab, "compile", "shrink", "--verify-overrides", str(overrides))["code"] == code
    assert PLAN not in lab.refs()


@pytest.mark.parametrize("verify", ["['a | b']", "['TBD']", "[[]]", "[1]", "'make'", "[[a, 1]]"])
def test_a_policy_with_commands_that_cannot_be_run_is_refused(lab: Lab, verify: str) -> None:
    written(lab)
    lab.commit("verify", {".git-planner.yml": POLICY + f"verify: {verify}\n"})
    refused = answer_of(lab, "compile", "shrink")
    assert refused["code"] == "E_POLICY"
    assert all(detail.startswith("/verify") for detail in refused["details"])


# -- the archive -------------------------------------------------------------------------------------------
def test_what_git_knows_moves_in_the_index_too_and_nothing_else_does(lab: Lab) -> None:
    written(lab)
    lab.commit("spec", {f"{FOLDER}/tasks.md": TASKS, f"{FOLDER}/proposal.md": PROPOSAL})
    write(lab, design="# D\n", tasks=TASKS + "\nchanged\n")
    (lab.path / "src/size.txt").write_text("99\n")
    archived = answer_of(lab, "archive", "shrink")
    after = Path(archived["to"])
    assert archived["staged"]
    assert sorted(os.listdir(lab.path / after)) == ["design.md", "proposal.md", "tasks.md"]
    assert lab.git("diff", "--cached", "--name-status", "-M").splitlines() == [
        f"R100\t{FOLDER}/proposal.md\t{after}/proposal.md",
        f"R100\t{FOLDER}/tasks.md\t{after}/tasks.md",
    ]
    assert lab.git("diff", "--name-only").splitlines() == [f"{after}/tasks.md", "src/size.txt"]
    assert not (lab.path / FOLDER).exists()


def test_what_git_does_not_know_is_only_moved(lab: Lab) -> None:
    written(lab)
    before = lab.git("ls-files", "--stage")
    assert answer_of(lab, "archive", "shrink")["staged"] is False
    assert lab.git("ls-files", "--stage") == before
    write(lab, tasks=TASKS)
    assert answer_of(lab, "archive", "shrink")["code"] == "E_DIRTY"
    assert (lab.path / FOLDER / "tasks.md").exists()


def test_force_archives_what_is_not_done_and_says_so(lab: Lab) -> None:
    written(lab)
    spec(lab, "compile", "shrink", "--plan", "a-plan")
    assert answer_of(lab, "archive", "shrink")["details"] == ["a-plan/task_001", "a-plan/task_003"]
    ran = spec(lab, "archive", "shrink", "--force")
    assert ran.status == 0
    assert "2 of its tasks are open, such as a-plan/task_001" in ran.out


def test_thousands_of_tasks_take_few_calls_of_git(lab: Lab) -> None:
    written(lab)
    write(lab, tasks="".join(f"- [ ] task number {n}\n" for n in range(1000)))
    started = git.spawned
    assert answer_of(lab, "compile", "shrink")["tasks"] == 1000
    assert git.spawned - started < 40
    assert (
        len(
            [
                name
                for name in lab.git("ls-tree", "--name-only", f"{PLAN}:.plans/shrink").split()
                if "plan" in name
            ]
        )
        == 5
    )
