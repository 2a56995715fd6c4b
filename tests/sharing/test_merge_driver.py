"""git's own merge, pull, rebase and merge-tree, with our driver and, as on a hosting site, without it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

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


def fork(lab: Lab, *, driver: bool) -> tuple[Lab, Lab]:
    """Two clones that went different ways; the second one has fetched the first one's."""
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
    """Fail unless a tip has all that both sides did."""
    assert sorted(title for _, title in titles(lab, name)) == [
        "From here",
        "From there",
        "Make it shorter",
        "Say so",
    ]
    assert [number for number, _ in titles(lab, name)] == [f"task_00{each}" for each in range(1, 5)]
    first = page(lab, name)["tasks"][0]
    assert (first["status"], first["write_scope"]) == ("in_progress", ["src/**"])
    documents.check("plan", page(lab, name), name)


@pytest.mark.parametrize("how", ["--no-rebase", "--rebase"])
def test_pull_by_git_itself(lab: Lab, how: str) -> None:
    _, other = fork(lab, driver=True)
    other.git("checkout", "-q", "plan/default")
    done = other.run_git("pull", "-q", how, "origin", "plan/default")
    assert done.status == 0, done.err
    assert "Traceback" not in done.err
    check_both(other, "plan/default")
    assert other.git("status", "--porcelain", "--untracked-files=no") == ""


def test_pull_in_a_linked_worktree_and_push_by_git_itself(lab: Lab) -> None:
    lab, other = fork(lab, driver=True)
    place = other.worktree("plan", "plan/default")
    other.git("pull", "-q", "--rebase", "origin", "plan/default", cwd=place)
    check_both(other, "plan/default")
    other.git("push", "-q", "origin", "plan/default", cwd=place)
    assert share(lab, "pull").status == 0
    check_both(lab, "plan/default")


def test_merge_tree_with_the_driver_is_what_our_pull_makes(lab: Lab) -> None:
    _, other = fork(lab, driver=True)
    words = (*MERGE_TREE, "plan/default", "origin/plan/default")
    done = other.run_git(*words)
    assert done.status == 0, done.out
    check_both(other, done.out.strip())
    swapped = other.run_git(*MERGE_TREE, "origin/plan/default", "plan/default")
    assert swapped.out == done.out
    assert share(other, "pull").status == 0
    assert other.git("rev-parse", "plan/default^{tree}") == done.out.strip()


def test_without_the_driver_two_new_tasks_conflict(lab: Lab) -> None:
    _, other = fork(lab, driver=False)
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
    found = page(other, done.out.strip())
    documents.check("plan", found, "merged")
    assert [(each["status"], each["notes"]) for each in found["tasks"]] == [
        ("in_progress", ["a"]),
        ("in_progress", ["b"]),
    ]


def slid(lab: Lab) -> Lab:
    """A plan on which a merge by line has put two new tasks of one number, without a conflict."""
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
def test_what_a_merge_by_line_left_twice_is_not_written_on(lab: Lab, argv: tuple[str, ...]) -> None:
    other = slid(lab)
    before = page(other, PLAN)
    done = other.run("git-plan", *argv, "--json")
    assert (done.status, json.loads(done.out)["code"]) == (3, "E_MERGE")
    assert "git plan sync" in done.err
    assert page(other, PLAN) == before
    assert [each["code"] for each in lint(other) if each["severity"] == "error"] == ["same-id"]


def lint(lab: Lab) -> list[dict[str, str]]:
    """What `git plan lint` finds."""
    found: dict[str, list[dict[str, str]]] = json.loads(lab.run("git-plan", "lint", "--json").out)
    return found["faults"]


def test_a_commit_passes_while_a_task_is_there_twice(lab: Lab) -> None:
    other = slid(lab)
    assert other.run("git-planner", "init").status == 0
    before = page(other, PLAN)
    other.git("checkout", "-q", "-b", "work")
    done = other.run_git("commit", "-q", "--allow-empty", "-m", "task_003: do it")
    assert done.status == 0, done.err
    assert "git plan sync" in done.err
    assert page(other, PLAN) == before


def test_sync_keeps_both_of_two_tasks_of_one_number(lab: Lab) -> None:
    other = slid(lab)
    tried = other.run("git-plan", "sync", "--dry-run", "--json")
    assert len(json.loads(tried.out)["settled"]) == 1
    assert len({name for name, _ in titles(other, PLAN)}) == 3
    done = other.run("git-plan", "sync", "--json")
    assert (done.status, json.loads(done.out)["settled"]) == (0, json.loads(tried.out)["settled"])
    check_all(other)
    again = other.run("git-plan", "sync", "--json")
    assert json.loads(again.out)["settled"] == []
    update(other, "task_004", "--note", "x")
    check_all(other)


def test_pull_keeps_both_of_two_tasks_of_one_number(lab: Lab) -> None:
    other = slid(lab)
    update(lab, "task_001", "--note", "meanwhile")
    assert share(lab, "push").status == 0
    assert share(other, "pull").status == 0
    check_all(other)
    assert share(other, "push").status == 0
    assert share(lab, "pull").status == 0
    check_all(lab)


def check_all(lab: Lab) -> None:
    """Fail unless all four tasks are there, with all that was said of them and numbers of their own."""
    found = {each["title"]: each for each in page(lab, PLAN)["tasks"]}
    assert [each["id"] for each in page(lab, PLAN)["tasks"]] == [f"task_00{each}" for each in range(1, 5)]
    assert found.keys() == {"Make it shorter", "Say so", "From here", "From there"}
    assert found["From here"]["notes"][0] == "here"
    assert found["From there"]["dependencies"] == ["task_001"]
    assert found["Say so"]["write_scope"] == ["src/**"]
    documents.check("plan", page(lab, PLAN), "plan")


def by_line(folder: Path, documents_: Forks) -> bytes | None:
    """A merge as a hosting site makes it; None when it conflicts."""
    for name, document in zip(("base", "ours", "theirs"), documents_, strict=True):
        (folder / name).write_bytes(canonical_json.dumps(document))
    words = (GIT, "merge-file", "-p", "--quiet", "ours", "base", "theirs")
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


@given(forks())
@settings(max_examples=150)
def test_a_merge_by_line_is_a_conflict_or_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, fork: Forks
) -> None:
    merged = by_line(tmp_path_factory.getbasetemp(), fork)
    if merged is None:
        return
    # Read strictly: no key twice, no comma too many. Tasks may be there twice, which nobody writes on.
    found = merge_duplicates(canonical_json.loads(merged, "merged")).document
    tasks = {each["uid"]: each for each in found["tasks"]}
    assert len(tasks) == len({each["id"] for each in tasks.values()}) == len(found["tasks"])
    for side in fork[1:]:
        for each in side["tasks"]:
            kept = tasks[each["uid"]]
            for field in ("notes", "evidence", "inputs"):
                assert [item for item in each[field] if item not in kept[field]] == []
    for each in fork[0]["tasks"]:
        sides = [next(one for one in side["tasks"] if one["uid"] == each["uid"]) for side in fork[1:]]
        for field in each:
            said = [side[field] for side in sides if side[field] != each[field]]
            assert len(said) != 1 or tasks[each["uid"]][field] == said[0]


def test_what_both_changed_is_marked_for_a_person(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    assert other.run("git-planner", "init").status == 0
    for clone, goal in ((lab, "left"), (other, "right")):
        clone.rival(PLAN, PAGE, canonical_json.dumps({**page(clone), "goal": goal}).decode())
    assert share(lab, "push").status == 0
    other.git("checkout", "-q", "plan/default")
    done = other.run_git("pull", "-q", "--no-rebase", "origin", "plan/default")
    assert done.status == 1
    assert f"git-planner: '{PAGE}': both sides changed /goal" in done.err
    text = (other.path / PAGE).read_text()
    assert '<<<<<<< ours\n  "goal": "right",\n' in text
    assert '  "goal": "left",\n>>>>>>> theirs\n' in text


# -- the driver, file by file -------------------------------------------------------------------------------


def drive(lab: Lab, base: str, ours: str, theirs: str, path: str = PAGE) -> tuple[int, str, str]:
    """Run the driver's command as git does; status, what the file holds then, and what was said."""
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


def test_the_driver_merges_and_says_what_gave_way(lab: Lab) -> None:
    merge_driver.install(lab.repo)
    one = text(task(1, intent="left\x1b[2J"), task(2, "aaaaaaaa"))
    other = text(task(1, intent="right\x1b[2J"), task(2, "bbbbbbbb"))
    status, result, said = drive(lab, text(task(1)), one, other)
    assert status == 0
    assert len(json.loads(result)["tasks"]) == 3
    assert "merged: was also task_002" in said
    assert "task_001: merged: intent was also '" in said
    assert "\x1b" not in said


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
def test_the_driver_meets_what_is_not_ours(lab: Lab, base: str, ours: str, theirs: str, status: int) -> None:
    merge_driver.install(lab.repo)
    done = drive(lab, base, ours, theirs)
    assert done[0] == status
    if status == 1:
        assert "<<<<<<<" in done[1]
        assert ours.splitlines()[0] in done[1]


def test_with_the_python_gone_files_merge_by_line(lab: Lab) -> None:
    merge_driver.install(lab.repo)
    driver = lab.git("config", "merge.planner.driver")
    python = driver.split("test -x ")[1].split(";")[0]
    lab.git("config", "merge.planner.driver", driver.replace(python, "/gone"))
    assert drive(lab, "1\n", "1\n2\n", "1\n")[:2] == (0, "1\n2\n")
    status, result, _ = drive(lab, "1\n", "2\n", "3\n")
    assert (status, "<<<<<<<" in result) == (1, True)


def test_it_is_installed_once_and_removed_without_trace(make_lab: Callable[..., Lab]) -> None:
    for words in ((), ("--bare",)):
        lab = make_lab(*words)
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


def test_records_and_reviews_of_one_name_are_no_business_of_union(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    assert other.run("git-planner", "init").status == 0
    for clone, word in ((lab, "a"), (other, "b")):
        clone.rival(PLAN, f"{FOLDER}/CONTEXT.md", f"{word}\n")
    assert share(lab, "push").status == 0
    assert json.loads(share(other, "pull", "--json").out)["details"] == [f"{FOLDER}/CONTEXT.md"]
