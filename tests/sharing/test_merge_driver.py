"""merge, pull, rebase and merge-tree of git, with the merge driver and, as on a hosting site, without it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.sharing import merge_driver
from git_planner.rules.documents import canonical_json
from git_planner.rules.plans.merge_plan import merge_duplicates
from tests.hooks.hooked_repository import tree_bytes
from tests.plans.documents import plan, task
from tests.plans.test_merge_plan import Forks, forks
from tests.support.lab import GIT, Lab
from tests.support.two_clones import FOLDER, PAGE, PLAN, add, page, share, titles, two_clones, update

MERGE_TREE = ("merge-tree", "--write-tree", "--name-only", "--no-messages")


def forked_clones(lab: Lab, *, driver: bool) -> tuple[Lab, Lab]:
    """Make two diverged clones; the second has fetched the plan of the first."""
    lab, other, _ = two_clones(lab)
    if driver:
        assert other.run("git-planner", "init").status == 0
    update(lab, "task_001", "--status", "in_progress")
    add(lab, "From here")
    update(other, "task_001", "--write-scope", "src/**")
    add(other, "From there")
    assert share(lab, "push").status == 0
    other.git("fetch", "-q", "origin")
    return lab, other


def check_both(lab: Lab, name: str) -> None:
    """Fail unless a tip has the changes of both sides."""
    assert sorted(title for _, title in titles(lab, name)) == [
        "From here",
        "From there",
        "Make it shorter",
        "Say so",
    ]
    assert [number for number, _ in titles(lab, name)] == [f"task_00{number}" for number in range(1, 5)]
    first = page(lab, name)["tasks"][0]
    assert (first["status"], first["write_scope"]) == ("in_progress", ["src/**"])
    documents.check("plan", page(lab, name), name)


@pytest.mark.parametrize("how", ["--no-rebase", "--rebase"])
def test_pull_by_git_itself(lab: Lab, how: str) -> None:
    _, other = forked_clones(lab, driver=True)
    other.git("checkout", "-q", "plan/default")
    done = other.run_git("pull", "-q", how, "origin", "plan/default")
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    check_both(other, "plan/default")
    assert other.git("status", "--porcelain", "--untracked-files=no") == ""


def test_pull_in_a_linked_worktree_and_push_by_git_itself(lab: Lab) -> None:
    lab, other = forked_clones(lab, driver=True)
    place = other.worktree("plan", "plan/default")
    other.git("pull", "-q", "--rebase", "origin", "plan/default", cwd=place)
    check_both(other, "plan/default")
    other.git("push", "-q", "origin", "plan/default", cwd=place)
    assert share(lab, "pull").status == 0
    check_both(lab, "plan/default")


def test_merge_tree_with_the_driver_equals_git_plan_pull(lab: Lab) -> None:
    _, other = forked_clones(lab, driver=True)
    arguments = (*MERGE_TREE, "plan/default", "origin/plan/default")
    done = other.run_git(*arguments)
    assert done.status == 0, done.out
    check_both(other, done.out.strip())
    swapped = other.run_git(*MERGE_TREE, "origin/plan/default", "plan/default")
    assert swapped.out == done.out
    assert share(other, "pull").status == 0
    assert other.git("rev-parse", "plan/default^{tree}") == done.out.strip()


def test_without_the_driver_two_new_tasks_conflict(lab: Lab) -> None:
    _, other = forked_clones(lab, driver=False)
    done = other.run_git(*MERGE_TREE, "plan/default", "origin/plan/default")
    assert (done.status, done.out.splitlines()[1:]) == (1, [PAGE])


def test_without_the_driver_different_tasks_merge(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    update(lab, "task_001", "--status", "in_progress", "--note", "a")
    update(other, "task_002", "--status", "in_progress", "--note", "b")
    assert share(lab, "push").status == 0
    other.git("fetch", "-q", "origin")
    done = other.run_git(*MERGE_TREE, "plan/default", "origin/plan/default")
    assert done.status == 0
    merged = page(other, done.out.strip())
    documents.check("plan", merged, "merged")
    assert [(task["status"], task["notes"]) for task in merged["tasks"]] == [
        ("in_progress", ["a"]),
        ("in_progress", ["b"]),
    ]


def duplicate_tasks(lab: Lab) -> Lab:
    """Make a plan where a line-based merge left two new tasks of one number, without a conflict."""
    lab, other, _ = two_clones(lab)
    add(lab, "From here", "--note", "here")
    update(other, "task_002", "--write-scope", "src/**")
    add(other, "From there", "--after", "task_001")
    assert share(lab, "push").status == 0
    other.git("fetch", "-q", "origin")
    done = other.run_git(*MERGE_TREE, "plan/default", "origin/plan/default")
    assert done.status == 0
    sides = [word for tip in ("plan/default", "origin/plan/default") for word in ("-p", tip)]
    merged = other.git("commit-tree", done.out.strip(), *sides, "-m", "by a button")
    other.git("update-ref", PLAN, merged)
    assert sorted(titles(other, PLAN))[2:] == [("task_003", "From here"), ("task_003", "From there")]
    return other


@pytest.mark.parametrize(
    "argv",
    [
        ("task", "update", "task_003", "--note", "x"),
        ("task", "update", "task_001", "--note", "x"),
        ("task", "claim", "task_001"),
        ("task", "add", "more"),
        ("offline", "--kind", "planning-plan"),
    ],
)
def test_a_plan_with_duplicate_ids_is_read_only(lab: Lab, argv: tuple[str, ...]) -> None:
    other = duplicate_tasks(lab)
    before = page(other, PLAN)
    done = other.run("git-plan", *argv, "--json")
    assert (done.status, json.loads(done.out)["code"]) == (3, "E_MERGE")
    assert "git plan sync" in done.err
    assert page(other, PLAN) == before
    assert [fault["code"] for fault in lint(other) if fault["severity"] == "error"] == ["same-id"]


def lint(lab: Lab) -> list[dict[str, str]]:
    """Return the faults that `git plan lint` reports."""
    document: dict[str, list[dict[str, str]]] = json.loads(lab.run("git-plan", "lint", "--json").out)
    return document["faults"]


def test_a_commit_passes_with_duplicate_task_ids(lab: Lab) -> None:
    other = duplicate_tasks(lab)
    assert other.run("git-planner", "init").status == 0
    before = page(other, PLAN)
    other.git("checkout", "-q", "-b", "work")
    done = other.run_git("commit", "-q", "--allow-empty", "-m", "task_003: do it")
    assert done.status == 0, done.err
    assert "git plan sync" in done.err
    assert page(other, PLAN) == before


def test_sync_keeps_both_tasks_of_one_number(lab: Lab) -> None:
    other = duplicate_tasks(lab)
    dry_run = other.run("git-plan", "sync", "--dry-run", "--json")
    assert len(json.loads(dry_run.out)["settled"]) == 1
    assert len({name for name, _ in titles(other, PLAN)}) == 3
    done = other.run("git-plan", "sync", "--json")
    assert (done.status, json.loads(done.out)["settled"]) == (0, json.loads(dry_run.out)["settled"])
    check_all(other)
    repeated = other.run("git-plan", "sync", "--json")
    assert json.loads(repeated.out)["settled"] == []
    update(other, "task_004", "--note", "x")
    check_all(other)


def test_pull_keeps_both_tasks_of_one_number(lab: Lab) -> None:
    other = duplicate_tasks(lab)
    update(lab, "task_001", "--note", "meanwhile")
    assert share(lab, "push").status == 0
    assert share(other, "pull").status == 0
    check_all(other)
    assert share(other, "push").status == 0
    assert share(lab, "pull").status == 0
    check_all(lab)


def check_all(lab: Lab) -> None:
    """Fail unless all four tasks exist, with all their fields and numbers of their own."""
    tasks = {task["title"]: task for task in page(lab, PLAN)["tasks"]}
    assert [task["id"] for task in page(lab, PLAN)["tasks"]] == [f"task_00{number}" for number in range(1, 5)]
    assert tasks.keys() == {"Make it shorter", "Say so", "From here", "From there"}
    assert tasks["From here"]["notes"][0] == "here"
    assert tasks["From there"]["dependencies"] == ["task_001"]
    assert tasks["Say so"]["write_scope"] == ["src/**"]
    documents.check("plan", page(lab, PLAN), "plan")


def merge_by_line(folder: Path, documents_: Forks) -> bytes | None:
    """Merge line by line, as a hosting site does; None on a conflict."""
    for name, document in zip(("base", "ours", "theirs"), documents_, strict=True):
        (folder / name).write_bytes(canonical_json.dumps(document))
    arguments = (GIT, "merge-file", "-p", "--quiet", "ours", "base", "theirs")
    done = subprocess.run(arguments, cwd=folder, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@given(forks())
def test_a_merge_by_line_is_a_conflict_or_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, versions: Forks
) -> None:
    merged = merge_by_line(tmp_path_factory.getbasetemp(), versions)
    if merged is None:
        return
    # The strict parser refuses duplicate keys and stray commas. Duplicate tasks may exist; such a plan is
    # read-only.
    document = merge_duplicates(canonical_json.loads(merged, "merged")).document
    tasks = {document_task["uid"]: document_task for document_task in document["tasks"]}
    assert (
        len(tasks) == len({document_task["id"] for document_task in tasks.values()}) == len(document["tasks"])
    )
    for side in versions[1:]:
        for document_task in side["tasks"]:
            kept = tasks[document_task["uid"]]
            for field in ("notes", "evidence", "inputs"):
                assert [item for item in document_task[field] if item not in kept[field]] == []
    for document_task in versions[0]["tasks"]:
        sides = [
            next(side_task for side_task in side["tasks"] if side_task["uid"] == document_task["uid"])
            for side in versions[1:]
        ]
        for field in document_task:
            changed_values = [side[field] for side in sides if side[field] != document_task[field]]
            assert len(changed_values) != 1 or tasks[document_task["uid"]][field] == changed_values[0]


def test_a_conflict_is_marked_in_the_file(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    assert other.run("git-planner", "init").status == 0
    for clone, goal in ((lab, "left"), (other, "right")):
        clone.rival(PLAN, PAGE, canonical_json.dumps({**page(clone), "goal": goal}).decode())
    assert share(lab, "push").status == 0
    other.git("checkout", "-q", "plan/default")
    done = other.run_git("pull", "-q", "--no-rebase", "origin", "plan/default")
    assert done.status == 1
    assert f"git-planner: conflict in '{PAGE}': both sides changed /goal" in done.err
    text = (other.path / PAGE).read_text()
    assert '<<<<<<< ours\n  "goal": "right",\n' in text
    assert '  "goal": "left",\n>>>>>>> theirs\n' in text


# -- the driver, file by file -------------------------------------------------------------------------------


def run_driver(lab: Lab, base: str, ours: str, theirs: str, path: str = PAGE) -> tuple[int, str, str]:
    """Run the driver's command as git does; return its status, the merged file and stderr."""
    for name, text in (("O", base), ("A", ours), ("B", theirs)):
        (lab.path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    command = lab.git("config", "merge.planner.driver").replace("%%", "%")
    for name in "OAB":
        command = command.replace(f"%{name}", name)
    done = lab.run_program("sh", "-c", command.replace("%P", f"'{path}'"))
    assert "Traceback" not in done.err
    return done.status, (lab.path / "A").read_bytes().decode("utf-8", "surrogateescape"), done.err


def text(*tasks: object, **fields: object) -> str:
    return canonical_json.dumps(plan(*tasks, **fields)).decode()  # type: ignore[arg-type]


def test_the_driver_merges_and_reports_dropped_values(lab: Lab) -> None:
    merge_driver.install(lab.repo)
    ours = text(task(1, intent="left\x1b[2J"), task(2, "aaaaaaaa"))
    theirs = text(task(1, intent="right\x1b[2J"), task(2, "bbbbbbbb"))
    status, result, stderr = run_driver(lab, text(task(1)), ours, theirs)
    assert status == 0
    assert len(json.loads(result)["tasks"]) == 3
    assert "merged: was also task_002" in stderr
    assert "task_001: merged: intent was also '" in stderr
    assert "\x1b" not in stderr


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "status"),
    [
        ("1\n2\n3\n", "1\n2\n3\n4\n", "0\n1\n2\n3\n", 0),
        ("a\n", "b\n", "c\n", 1),
        ("{}\n", text(task(1)), "{}\n", 0),
        ("{ }\n", text(task(1)), "{}\n", 1),
        (text(), text(task(1)), "not json\n", 1),
        (text(), text(task(1)), '{"schema": "git-planner/plan@1", "tasks": 7}\n', 1),
        (text(), text(task(1)), '{"schema": "git-planner/plan@1"}\n', 1),
        (text(), text(task(1)), '{"schema": "git-planner/plan@1", "tasks": [7]}\n', 1),
        (text(), text(task(1)), text(task(2, id=[])), 1),
        (text(), text(task(1)), text({**task(2), "notes": 7}), 1),
        ("\udcff", "\udcff\n", "\udcfe\n", 1),
        ("", "", "", 0),
        ("<<<<<<<\n", text(task(1)), text(task(1), task(2)), 0),
    ],
)
def test_the_driver_merges_foreign_files_by_line(
    lab: Lab, base: str, ours: str, theirs: str, status: int
) -> None:
    merge_driver.install(lab.repo)
    done = run_driver(lab, base, ours, theirs)
    assert done[0] == status
    if status == 1:
        assert "<<<<<<<" in done[1]
        assert ours.splitlines()[0] in done[1]


def test_without_its_python_files_merge_by_line(lab: Lab) -> None:
    merge_driver.install(lab.repo)
    driver = lab.git("config", "merge.planner.driver")
    python = driver.split("test -x ")[1].split(";")[0]
    lab.git("config", "merge.planner.driver", driver.replace(python, "/gone"))
    assert run_driver(lab, "1\n", "1\n2\n", "1\n")[:2] == (0, "1\n2\n")
    status, result, _ = run_driver(lab, "1\n", "2\n", "3\n")
    assert (status, "<<<<<<<" in result) == (1, True)


def test_the_driver_is_installed_once_and_removed_without_trace(make_lab: Callable[..., Lab]) -> None:
    for arguments in ((), ("--bare",)):
        lab = make_lab(*arguments)
        with lab.entered():
            git = lab.repo.common
            (git / "info" / "attributes").write_text("*.png binary")
            (git / "config").write_bytes((git / "config").read_bytes().removesuffix(b"\n"))
            before = tree_bytes(git)
            assert (merge_driver.install(lab.repo), merge_driver.install(lab.repo)) == (True, False)
            assert lab.git("check-attr", "merge", ".plans/x/plan-0002.json").endswith("merge: planner")
            assert lab.git("check-attr", "merge", ".plans/x/MASTER.md").endswith("merge: union")
            assert lab.git("check-attr", "merge", "src/plan.json").endswith("merge: unspecified")
            assert lab.git("check-attr", "binary", "a.png").endswith("binary: set")
            assert (merge_driver.uninstall(lab.repo), merge_driver.uninstall(lab.repo)) == (True, False)
            assert tree_bytes(git) == before


def test_a_locked_configuration_is_left_alone(lab: Lab) -> None:
    (lab.path / ".git" / "config.lock").write_text("")
    with pytest.raises(PlannerError, match="the configuration is locked"):
        merge_driver.install(lab.repo)


def test_other_documents_are_not_merged_by_union(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    assert other.run("git-planner", "init").status == 0
    for clone, word in ((lab, "a"), (other, "b")):
        clone.rival(PLAN, f"{FOLDER}/CONTEXT.md", f"{word}\n")
    assert share(lab, "push").status == 0
    assert json.loads(share(other, "pull", "--json").out)["details"] == [f"{FOLDER}/CONTEXT.md"]
