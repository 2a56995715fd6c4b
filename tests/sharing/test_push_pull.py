"""Two clones of one plan and a bare remote: push, pull, races, kills, and hostile remotes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.gitio import remote
from git_planner.rules.documents import canonical_json
from tests.support.lab import Lab
from tests.support.two_clones import FOLDER, PAGE, PLAN, add, page, share, titles, two_clones, update


def remote_oid(lab: Lab, bare: Path, ref: str = PLAN) -> str:
    return lab.git(f"--git-dir={bare}", "rev-parse", ref)


def commit_to_plan(lab: Lab, path: str, content: str) -> str:
    """Commit a file to the plan branch without git-planner."""
    return lab.rival(PLAN, path, content)


def test_two_clones_advance_one_plan(lab: Lab) -> None:
    lab, other, bare = two_clones(lab)
    with lab.undisturbed(), other.undisturbed():
        update(lab, "task_001", "--status", "in_progress", "--note", "mine")
        add(lab, "From here", "--after", "task_001")
        update(other, "task_001", "--write-scope", "src/**")
        update(other, "task_002", "--title", "Say it")
        add(other, "From there")
        add(other, "And more", "--after", "task_003")
        assert share(lab, "push").status == 0
        pushed = share(other, "push", "--json")
        assert pushed.status == 0, pushed.err
        document = json.loads(pushed.out)
        assert [plan["did"] for plan in document["plans"]] == ["merged"]
        assert document["moved"] == {PLAN: remote_oid(lab, bare)}
        assert share(lab, "pull").out == f"default: fast-forwarded ({remote_oid(lab, bare)[:12]})\n"
    assert lab.refs()[PLAN] == other.refs()[PLAN] == remote_oid(lab, bare)
    tasks = {task["title"]: task for task in page(lab)["tasks"]}
    assert sorted(task["id"] for task in tasks.values()) == [f"task_00{number}" for number in range(1, 6)]
    assert list(tasks)[:2] == ["Make it shorter", "Say it"]
    assert (tasks["Make it shorter"]["status"], tasks["Make it shorter"]["notes"]) == (
        "in_progress",
        ["mine"],
    )
    assert tasks["Make it shorter"]["write_scope"] == ["src/**"]
    assert tasks["From here"]["dependencies"] == ["task_001"]
    assert tasks["And more"]["dependencies"] == [tasks["From there"]["id"]]
    documents.check("plan", page(lab), "the merged plan")
    assert len(lab.git("rev-list", "--parents", "-1", PLAN).split()) == 3
    lab.fsck()
    assert share(lab, "push").out == f"default: up to date ({remote_oid(lab, bare)[:12]})\n"


def test_two_clones_that_start_the_same_plan_merge_it(lab: Lab) -> None:
    lab, other, bare = two_clones(lab)
    lab.git(f"--git-dir={bare}", "update-ref", "-d", PLAN)
    for clone in (lab, other):
        clone.git("update-ref", "-d", PLAN)
        shutil.rmtree(clone.path / ".git/planner/tips", ignore_errors=True)
        clone.git("update-ref", "-d", "refs/remotes/origin/plan/default")
        clone.commit(f"news of {clone.root.name}", {f"src/{clone.root.name}.txt": "1\n"})
        add(clone, f"task of {clone.root.name}")
    assert page(lab)["base"] != page(other)["base"]
    assert share(lab, "push").status == share(other, "push").status == share(lab, "pull").status == 0
    assert lab.refs()[PLAN] == other.refs()[PLAN] == remote_oid(lab, bare)
    assert sorted(title for _, title in titles(lab)) == ["task of other", f"task of {lab.root.name}"]
    assert {number for number, _ in titles(lab)} == {"task_001", "task_002"}


def test_under_sha256(make_lab: Callable[..., Lab]) -> None:
    sealed = make_lab("--object-format=sha256")
    with sealed.entered():
        lab, other, bare = two_clones(sealed)
        add(lab, "here")
        add(other, "there")
        assert share(lab, "push").status == share(other, "push").status == 0
        assert len(titles(other)) == 4
        assert len(remote_oid(lab, bare)) == 64


def test_a_plan_of_many_pages_renumbers_tasks_beyond_a_page(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    document = page(lab)
    first = document["tasks"][0]
    more = [{**first, "id": f"task_{number:03d}", "uid": f"uid{number:08d}"} for number in range(3, 200)]
    commit_to_plan(lab, PAGE, canonical_json.dumps({**document, "tasks": document["tasks"] + more}).decode())
    assert share(lab, "push").status == share(other, "pull").status == 0
    for clone in (lab, other):
        add(clone, f"last of {clone.root.name}")
    add(lab, "on the next page", "--after", "task_200")
    assert share(lab, "push").status == share(other, "push").status == 0
    second = json.loads(other.show(f"{PLAN}:{FOLDER}/plan-0002.json"))["tasks"]
    tasks = {task["title"]: task for task in [*page(other)["tasks"], *second]}
    assert len(page(other)["tasks"]) == 200
    names = sorted(name for name in tasks if name.startswith("last of"))
    assert sorted(tasks[name]["id"] for name in names) in (["task_200", "task_201"], ["task_200", "task_202"])
    task_id = tasks[f"last of {lab.root.name}"]["id"]
    assert tasks["on the next page"]["dependencies"] == [task_id]
    for name in ("plan.json", "plan-0002.json"):
        documents.check("plan", json.loads(other.show(f"{PLAN}:{FOLDER}/{name}")), name)


def test_append_only_texts_and_concurrent_packets_are_kept_from_both_sides(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    commit_to_plan(lab, f"{FOLDER}/MASTER.md", "start\n")
    assert share(lab, "push").status == share(other, "pull").status == 0
    for clone, name in ((lab, "here"), (other, "there")):
        commit_to_plan(clone, f"{FOLDER}/MASTER.md", f"start\n{name}\n")
        commit_to_plan(clone, "planner_packets/0001/packet.json", f'"{name}"\n')
        commit_to_plan(clone, "planner_packets/0001/directive.json", f'"{name}"\n')
        commit_to_plan(clone, f"experiments/records/{name}.json", f'"{name}"\n')
        assert share(clone, "push").status == 0
    assert sorted(other.show(f"{PLAN}:{FOLDER}/MASTER.md").splitlines()) == ["here", "start", "there"]
    paths = other.git("ls-tree", "-r", "--name-only", PLAN, "planner_packets", "experiments").splitlines()
    assert [path for path in paths if path.startswith("exp")] == [
        "experiments/records/here.json",
        "experiments/records/there.json",
    ]
    folders = sorted({path.split("/")[1] for path in paths if path.startswith("planner_packets/")})
    assert folders[0] == "0001"
    assert folders[1].startswith("0001-")
    contents = [
        {other.show(f"{PLAN}:planner_packets/{folder}/{name}.json") for name in ("packet", "directive")}
        for folder in folders
    ]
    assert sorted(contents, key=str) == [{'"here"\n'}, {'"there"\n'}]


def test_a_goal_changed_on_both_sides_is_a_conflict(lab: Lab) -> None:
    lab, other, bare = two_clones(lab)
    for clone in (lab, other):
        commit_to_plan(clone, PAGE, canonical_json.dumps({**page(clone), "goal": str(clone.root)}).decode())
    assert share(lab, "push").status == 0
    before = other.refs()[PLAN]
    for verb in ("pull", "push"):
        ran = share(other, verb, "--json")
        assert (json.loads(ran.out)["code"], "/goal" in ran.err) == ("E_MERGE", True), ran.err
    assert (other.refs()[PLAN], remote_oid(lab, bare)) == (before, lab.refs()[PLAN])


def test_a_project_file_with_a_conflict_is_named(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    for clone, text in ((lab, "a"), (other, "b")):
        commit_to_plan(clone, "src/size.txt", text)
    assert share(lab, "push").status == 0
    ran = share(other, "pull", "--json")
    assert (json.loads(ran.out)["code"], json.loads(ran.out)["details"]) == ("E_MERGE", ["src/size.txt"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("not json", "E_JSON"),
        ("<<<<<<< ours\n{}\n", "E_JSON"),
        ('{"schema": "git-planner/plan@1"}', "E_SCHEMA"),
        ('{"schema": "git-planner/plan@1", "tasks": {}}', "E_SCHEMA"),
        ("[" * 100_000, "E_JSON"),
        ('{"a": "' + "x" * 20_000_000 + '"}', "E_JSON"),
    ],
    ids=["no-json", "markers", "no-plan", "no-list", "deep", "huge"],
)
@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "forked"])
def test_an_invalid_remote_plan_changes_nothing_locally(
    lab: Lab, content: str, code: str, *, ahead: bool
) -> None:
    lab, other, bare = two_clones(lab)
    commit_to_plan(lab, PAGE, content)
    lab.git("push", "-q", "origin", PLAN)
    if ahead:
        add(other, "mine")
    before, theirs = other.refs(), remote_oid(lab, bare)
    for verb in ("pull", "push"):
        ran = share(other, verb, "--json")
        error = json.loads(ran.out)
        assert (error["code"], ran.status) == (code, 1)
        assert error["message"].startswith(
            "the plan on 'origin' is invalid: 'plan/default:.plans/default/plan.json'"
        )
        assert "Traceback" not in ran.err
        assert len(ran.err) < 2000
    assert (other.refs(), remote_oid(lab, bare)) == (before, theirs)


def test_a_checked_out_plan_moves_along_unless_it_is_dirty(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    place = other.worktree("plan", "plan/default")
    add(lab, "news")
    add(other, "own")
    assert share(lab, "push").status == 0
    (place / PAGE).write_text("mine\n")
    before = other.refs()
    ran = share(other, "pull", "--json")
    assert json.loads(ran.out)["code"] == "E_CHECKED_OUT"
    assert (other.refs(), (place / PAGE).read_text()) == (before, "mine\n")
    other.git("checkout", "-q", "--", PAGE, cwd=place)
    assert share(other, "pull").status == 0
    assert other.git("status", "--porcelain", cwd=place) == ""
    assert json.loads((place / PAGE).read_text()) == page(other)
    assert len(titles(other)) == 4


def test_only_requested_branches_are_pushed(lab: Lab) -> None:
    lab, other, bare = two_clones(lab)
    for branch in ("iter/0001-x", "plan/guard-x", "plan/0001-packet", "work", "plan/second"):
        lab.git("branch", branch, "main" if branch != "plan/second" else "plan/default")
    lab.git("tag", "v1")
    lab.git("update-ref", "refs/planner/claims/default/task_001", "main")
    add(lab, "one more")
    assert share(lab, "push").status == 0
    assert lab.git(f"--git-dir={bare}", "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main",
        PLAN,
    ]
    assert share(lab, "push", "--all").status == 0
    heads = lab.git(f"--git-dir={bare}", "for-each-ref", "--format=%(refname)").split()
    assert heads == ["refs/heads/main", PLAN, "refs/heads/plan/second"]
    assert share(other, "pull", "--all").status == 0
    assert other.refs()["refs/heads/plan/second"] == lab.refs()["refs/heads/plan/second"]


def test_work_branches_are_pushed_on_request(lab: Lab) -> None:
    lab, _, _ = two_clones(lab)
    for branch in ("iter/0001-x", "iter/0002-y"):
        lab.git("branch", branch, "main")
    document = page(lab)
    document["tasks"][0]["branch"] = "iter/0001-x"
    commit_to_plan(lab, PAGE, canonical_json.dumps(document).decode())
    pushed = share(lab, "push", "--work", "--json")
    assert sorted(json.loads(pushed.out)["moved"]) == ["refs/heads/iter/0001-x", PLAN], pushed.err
    assert share(lab, "push", "--work", "--json").status == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("pull", "--plan", "nope"), "E_NO_PLAN"),
        (("push", "--plan", "nope"), "E_NO_PLAN"),
        (("pull", "nowhere"), "E_REMOTE"),
        (("push", "nowhere"), "E_REMOTE"),
        (("pull", "--all", "--plan", "x"), "E_USAGE"),
        (("pull", "--upload-pack=touch x"), "E_USAGE"),
        (("pull", "--", "--upload-pack=touch x"), "E_REMOTE"),
    ],
)
def test_missing_plans_and_remotes_are_errors(lab: Lab, argv: tuple[str, ...], code: str) -> None:
    lab, _, _ = two_clones(lab)
    ran = lab.run("git-plan", *argv[:1], "--json", *argv[1:])
    assert json.loads(ran.out)["code"] == code


def test_a_missing_remote_is_an_error(lab: Lab) -> None:
    lab, _, bare = two_clones(lab)
    bare.rename(bare.with_name("elsewhere.git"))
    for verb in ("pull", "push"):
        ran = share(lab, verb, "--json")
        assert (ran.status, json.loads(ran.out)["code"]) == (4, "E_REMOTE")


def test_concurrent_pushes_lose_nothing(lab: Lab) -> None:
    """Three processes in each of two clones add tasks and push them, all at once."""
    lab, other, bare = two_clones(lab)
    code = """
import sys
from git_planner import cli
for number in range(2):
    assert cli.main("git-plan", ["task", "add", f"{sys.argv[1]} {number}"]) == 0
    status = cli.main("git-plan", ["push", "--json"])
    assert status == 0, status
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"{clone.root.name}-{racer}"],
            cwd=clone.path,
            env=clone.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for clone in (lab, other)
        for racer in range(3)
    ]
    results = [(process.communicate()[0], process.returncode) for process in processes]
    assert [output.decode() for output, status in results if status != 0] == []
    assert share(lab, "pull").status == share(other, "pull").status == 0
    assert lab.refs()[PLAN] == other.refs()[PLAN] == remote_oid(lab, bare)
    all_titles = titles(lab)
    assert len(all_titles) == len(dict(all_titles)) == 2 + 12
    names = {
        f"{clone.root.name}-{racer} {number}"
        for clone in (lab, other)
        for racer in range(3)
        for number in (0, 1)
    }
    assert names <= {title for _, title in all_titles}
    lab.fsck()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_pull_that_is_killed_leaves_the_old_or_the_new(lab: Lab, *, after: bool) -> None:
    lab, other, _ = two_clones(lab)
    add(lab, "news")
    add(other, "own")
    assert share(lab, "push").status == 0
    old = other.refs()[PLAN]
    # Once to fetch what is there, once to count.
    for _ in range(2):
        assert other.spawn("git-plan", "pull", **other.crash_after(1000)).status == 0
        other.git("update-ref", PLAN, old)
    calls = len((other.root / "crash" / "1000" / "count").read_text())
    for call in range(calls - (3 if after else 8), calls + 2):
        env = other.crash_after(call, after=after)
        ran = other.spawn("git-plan", "pull", "--json", **env)
        tip = other.refs()[PLAN]
        if tip != old:
            assert len(titles(other)) == 4
            other.git("update-ref", PLAN, old)
        assert (ran.status == 0) == (call > calls)
    assert share(other, "pull").status == 0
    assert len(titles(other)) == 4
    other.fsck()


# -- claims over a remote -----------------------------------------------------------------------------------

CLAIMING = """
import os, sys
from git_planner.gitio import remote
from git_planner.gitio.repository import open_repository
repo = open_repository()
for number in range(int(sys.argv[1])):
    ref = f"refs/planner/claims/default/task_{number:03d}"
    oid = repo.git.line("hash-object", "-w", "--stdin", stdin=os.urandom(20).hex().encode())
    if remote.claim_on(repo, "origin", ref, oid, None):
        print(ref, oid)
"""


def test_a_claim_on_a_remote_has_one_winner(lab: Lab) -> None:
    """Let sixteen processes in two clones race for eight claims: all sixteen push each of them."""
    lab, other, bare = two_clones(lab)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMING, "8"],
            cwd=clone.path,
            env=clone.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for clone in (lab, other)
        for _ in range(8)
    ]
    results = [(*process.communicate(), process.returncode) for process in processes]
    assert [err.decode() for _, err, status in results if status != 0] == []
    claims = [line.split() for out, _, _ in results for line in out.decode().splitlines()]
    refs = f"--git-dir={bare}", "for-each-ref", "--format=%(refname) %(objectname)", "refs/planner/claims"
    assert sorted(claims) == sorted(line.split() for line in lab.git(*refs).splitlines())
    assert len(claims) == 8


def test_a_claim_is_replaced_and_released_only_at_its_known_commit(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    ref = "refs/planner/claims/default/task_001"
    first, second = (lab.git("hash-object", "-w", "--stdin", stdin=content) for content in "ab")
    assert other.git("hash-object", "-w", "--stdin", stdin="b") == second
    assert remote.claim_on(lab.repo, "origin", ref, first, None)
    with other.entered():
        assert not remote.claim_on(other.repo, "origin", ref, second, None)
        assert remote.claim_on(other.repo, "origin", ref, second, first)
    with lab.entered():
        assert not remote.give_back(lab.repo, "origin", ref, first)
        assert remote.listing(lab.repo, "origin", ref) == {ref: second}
        assert remote.give_back(lab.repo, "origin", ref, second)
        assert remote.listing(lab.repo, "origin", ref) == {}
        assert remote.give_back(lab.repo, "origin", ref, second)


def test_a_server_that_refuses_claims_is_an_error(lab: Lab) -> None:
    lab, _, bare = two_clones(lab)
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'no claims here' >&2\nexit 1\n")
    hook.chmod(0o755)
    oid = lab.git("hash-object", "-w", "--stdin", stdin="a")
    with pytest.raises(PlannerError, match="could not be pushed to") as caught:
        remote.claim_on(lab.repo, "origin", "refs/planner/claims/default/task_001", oid, None)
    assert caught.value.code == "E_REMOTE"


# -- setting a remote up ------------------------------------------------------------------------------------


def test_a_remote_is_set_up_once_and_removed_without_trace(lab: Lab) -> None:
    lab, other, _ = two_clones(lab)
    git = lab.path / ".git"
    before = {name: (git / name).read_bytes() for name in ("config", "info/exclude")}
    first = lab.run("git-planner", "remote", "setup", "--json")
    assert first.status == 0, first.err
    setup: dict[str, Any] = json.loads(first.out)
    assert (setup["remote"], setup["driver"], setup["changed"]) == ("origin", True, True)
    config = (git / "config").read_bytes()
    repeated = json.loads(lab.run("git-planner", "remote", "setup", "origin", "--json").out)
    assert repeated == {**setup, "changed": False}
    assert (git / "config").read_bytes() == config
    # The claim of another clone is fetched, and the local one is not changed.
    ref = "refs/planner/claims/default/task_001"
    lab.git("update-ref", ref, "main")
    other.git(
        "push", "-q", "origin", f"origin/main^0:{ref}", "plan/default^:refs/planner/claims/default/task_002"
    )
    lab.git("fetch", "-q")
    refs = lab.refs()
    assert (
        refs[ref]
        == refs["refs/planner/remote/origin/claims/default/task_001"]
        == lab.git("rev-parse", "main")
    )
    assert "refs/planner/claims/default/task_002" not in refs
    assert "refs/planner/remote/origin/claims/default/task_002" in refs
    assert lab.run("git-planner", "remote", "setup", "--remove").out == "remote: removed what was set up\n"
    assert {name: (git / name).read_bytes() for name in before} == before
    assert not (git / "info" / "attributes").exists()
    assert lab.run("git-planner", "remote", "setup", "--remove").out == "remote: nothing was set up\n"


def test_another_remote_can_be_the_default(lab: Lab) -> None:
    lab, _, bare = two_clones(lab)
    lab.git("remote", "rename", "origin", "up")
    assert json.loads(share(lab, "push", "--json").out)["code"] == "E_REMOTE"
    assert json.loads(lab.run("git-planner", "remote", "setup", "gone", "--json").out)["code"] == "E_REMOTE"
    assert lab.run("git-planner", "remote", "setup", "up").status == 0
    add(lab, "news")
    assert share(lab, "push").status == 0
    assert remote_oid(lab, bare) == lab.refs()[PLAN]
    assert lab.run("git-planner", "remote", "setup", "up", "--remove").status == 0
    assert lab.run_git("config", "planner.remote").status == 1


def test_a_single_branch_clone_fetches_plan_branches_too(lab: Lab) -> None:
    lab, _, bare = two_clones(lab)
    narrow = lab.root / "narrow"
    lab.git("clone", "-q", "--single-branch", "--branch", "main", f"file://{bare}", str(narrow))
    assert lab.run("git-planner", "remote", "setup", cwd=narrow).status == 0
    lab.git("fetch", "-q", cwd=narrow)
    assert lab.git("rev-parse", "origin/plan/default", cwd=narrow) == lab.refs()[PLAN]
    assert os.path.isdir(narrow)
