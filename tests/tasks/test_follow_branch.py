"""Advance on commit: what git does to commits, and what the plan says afterwards. The hooks are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from git_planner.flows.hooks import install
from git_planner.flows.plans.current_plan import current_plan
from git_planner.flows.tasks.claims import Claimant, claim_task
from git_planner.flows.tasks.follow_branch import plan_setting
from git_planner.host.clock import utc_now
from git_planner.host.process_identity import Identity, identity
from git_planner.rules.timestamps import add_seconds
from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop

WORK = "iter/0001-work"


@pytest.fixture
def shop(lab: Lab) -> Iterator[Lab]:
    """A workshop with hooks, a plan of three tasks, and the branch of an iteration checked out."""
    workshop(lab)
    install.install_hooks(lab.repo)
    for number in (1, 2, 3):
        assert lab.run("git-plan", "task", "add", f"do {number}", "--verify", "true").status == 0
    lab.git("switch", "-q", "-c", WORK)
    yield lab
    # Whatever happened: what the hooks made of it is what the whole history makes of it.
    found = synced(lab, "--dry-run")
    assert found["changes"] == []
    lab.fsck()


def task(lab: Lab, number: int = 1) -> dict[str, Any]:
    """A task as it stands in plan.json on the plan's branch."""
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    found: dict[str, Any] = page["tasks"][number - 1]
    return found


def stands(lab: Lab, number: int = 1) -> tuple[str, list[str]]:
    """Its status and commits."""
    one = task(lab, number)
    return one["status"], one["commits"]


def synced(lab: Lab, *argv: str) -> dict[str, Any]:
    ran = lab.run("git-plan", "sync", *argv, "--json")
    assert ran.status == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def head(lab: Lab, name: str = "HEAD") -> str:
    return lab.git("rev-parse", name)


def verified(lab: Lab, number: int = 1, *argv: str) -> None:
    """Have a task done by its evidence."""
    ran = lab.run("git-plan", "task", "verify", f"task_{number:03d}", *argv)
    assert ran.status == 0, ran.err
    assert task(lab, number)["status"] == "done"


def change(lab: Lab, message: str, text: str, cwd: Path | None = None) -> str:
    return lab.commit(message, {"src/size.txt": text}, cwd=cwd)


def refused(lab: Lab, message: str) -> Ran:
    done = lab.run_git("commit", "-q", "--allow-empty", "-m", message)
    assert done.status == 1
    return done


@pytest.mark.parametrize(
    "message",
    [
        "task_001: do it",
        "TASK-001: do it",
        "task-1 : do it",
        "fixup! task_001: do it",
        "do it\n\nPlanner-Task: task_001",
        "do it\n\nwhy\n\nPlanner-Task: TASK-1, task_002\nPlanner-Plan: default",
    ],
)
def test_a_commit_that_names_a_task(shop: Lab, message: str) -> None:
    commit = change(shop, message, "90\n")
    assert stands(shop) == ("agent_done", [commit])
    assert stands(shop, 2) == (("agent_done", [commit]) if "002" in message else ("todo", []))
    second = change(shop, "task_001: and more", "80\n")
    assert stands(shop) == ("agent_done", [commit, second])
    assert task(shop)["attempt"] == 1


@pytest.mark.parametrize(
    "message",
    [
        "work on task_001: do it",
        "do it\n\ntask_001: it is for this",
        "task_001 do it",
        "subtask_001: do it",
        "do it\n\nPlanner-Task: nothing of the kind",
    ],
)
def test_a_commit_that_names_none(shop: Lab, message: str) -> None:
    before = shop.refs()
    change(shop, message, "90\n")
    after = shop.refs()
    del before["refs/heads/" + WORK], after["refs/heads/" + WORK]
    assert after == before


def test_a_commit_to_a_task_that_is_not_there_or_is_closed_is_refused(shop: Lab) -> None:
    assert refused(shop, "task_009: x").err == (
        "error: the plan 'default' has no task 'task_009' (E_UNKNOWN_TASK)\n"
        "hint: see 'git plan task list --plan default'\n"
    )
    assert "task_99999999999" in refused(shop, "task_99999999999: x").err
    assert "E_UNKNOWN_TASK" in refused(shop, "x\n\nPlanner-Task: TASK-77").err
    assert shop.run("git-plan", "task", "cancel", "task_002", "--reason", "no").status == 0
    assert "'task_002' of the plan 'default' is cancelled" in refused(shop, "TASK-2: x").err
    shop.git("commit", "-q", "--allow-empty", "--no-verify", "-m", "task_002: all the same")
    assert stands(shop, 2) == ("cancelled", [])
    shop.git("commit", "-q", "--allow-empty", "-m", "x", "-m", "Planner-Task: TASK-7", "-m", "no trailer")


def test_without_a_plan_nothing_is_refused(lab: Lab) -> None:
    workshop(lab)
    install.install_hooks(lab.repo)
    lab.git("switch", "-q", "-c", WORK)
    done = lab.run_git("commit", "-q", "--allow-empty", "-m", "task_001: x")
    assert (done.status, done.err) == (0, "")


def test_amend(shop: Lab) -> None:
    change(shop, "task_001: do it", "90\n")
    verified(shop)
    shop.git("commit", "-q", "--amend", "-m", "task_001: do it better said")
    assert stands(shop) == ("done", [head(shop)])
    (shop.path / "src/size.txt").write_text("80\n")
    shop.git("commit", "-q", "-a", "--amend", "--no-edit")
    assert stands(shop) == ("agent_done", [head(shop)])
    assert "now have another tree" in task(shop)["reason"]
    # The same tree again is what was verified.
    (shop.path / "src/size.txt").write_text("90\n")
    shop.git("commit", "-q", "-a", "--amend", "--no-edit")
    assert stands(shop) == ("done", [head(shop)])


def test_amend_to_another_task_and_to_none(shop: Lab) -> None:
    change(shop, "task_001: do it", "90\n")
    shop.git("commit", "-q", "--amend", "-m", "task_002: do it")
    assert (stands(shop), stands(shop, 2)) == (("todo", []), ("agent_done", [head(shop)]))
    assert task(shop)["attempt"] == 2
    shop.git("commit", "-q", "--amend", "-m", "do it")
    assert (stands(shop, 2), task(shop, 2)["attempt"]) == (("todo", []), 2)


def test_rebase(shop: Lab) -> None:
    change(shop, "task_001: do it", "90\n")
    shop.commit("in between", {"src/b.txt": "b\n"})
    change(shop, "task_002: do it", "80\n")
    verified(shop, 2)
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("switch", "-q", WORK)
    shop.git("rebase", "-q", "main")
    assert stands(shop) == ("agent_done", [head(shop, "HEAD~2")])
    # Another tree than the one that was verified.
    assert stands(shop, 2) == ("agent_done", [head(shop)])
    shop.git("rebase", "-q", "-f", "main")
    assert stands(shop, 2) == ("agent_done", [head(shop)])


def test_cherry_pick_to_another_branch(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    verified(shop)
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("cherry-pick", first)
    assert stands(shop) == ("done", [first, head(shop)])
    picked = head(shop)
    shop.git("switch", "-q", "-c", "iter/0002-next", "main~2")
    shop.commit("more", {"src/b.txt": "b\n"})
    shop.git("cherry-pick", first)
    assert stands(shop) == ("done", [first, picked, head(shop)])


def test_squash_merge(shop: Lab) -> None:
    change(shop, "task_001: do it", "90\n")
    last = change(shop, "task_001: do more", "80\n")
    verified(shop)
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--squash", WORK)
    shop.git("commit", "-q", "--no-edit")
    assert shop.git("log", "-1", "--format=%s") == "Squashed commit of the following:"
    assert (stands(shop)[0], stands(shop)[1][-2:]) == ("done", [last, head(shop)])
    # The branch goes; what was squashed has the verified tree.
    shop.git("branch", "-q", "-D", WORK)
    assert [each["task"] for each in synced(shop)["changes"]] == ["task_001"]
    assert stands(shop) == ("done", [head(shop)])


def test_a_squash_merge_with_a_subject_of_its_own(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--squash", WORK)
    shop.git("commit", "-q", "-m", "TASK-001: squashed")
    assert stands(shop) == ("agent_done", [first, head(shop)])


def test_merge(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("merge", "-q", "--no-ff", "--no-edit", WORK)
    assert stands(shop) == ("agent_done", [first])
    shop.git("switch", "-q", "-c", "iter/0002-next")
    shop.git("merge", "-q", "--no-ff", "-m", "TASK-002: merged", "main~1")
    assert stands(shop) == ("agent_done", [first])


def test_fast_forward_by_merge_on_an_iteration(shop: Lab) -> None:
    shop.git("switch", "-q", "--detach")
    commit = change(shop, "task_001: made on no branch", "90\n")
    assert stands(shop) == ("todo", [])
    shop.git("switch", "-q", WORK)
    shop.git("merge", "-q", "--ff-only", commit)
    assert stands(shop) == ("agent_done", [commit])


def test_revert_and_revert_of_that(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    verified(shop)
    shop.git("revert", "--no-edit", "HEAD")
    revert = head(shop)
    assert (stands(shop), task(shop)["attempt"]) == (("todo", []), 2)
    assert task(shop)["reason"] == f"{first[:12]} was reverted by {revert[:12]}"
    shop.git("revert", "--no-edit", "HEAD")
    # It is there again, but the evidence was of an earlier attempt.
    assert (stands(shop), task(shop)["attempt"]) == (("agent_done", [first]), 2)


def test_revert_on_the_base_branch(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--squash", WORK)
    shop.git("commit", "-q", "-m", "task_001: squashed")
    squashed = head(shop)
    shop.git("revert", "--no-edit", "HEAD")
    # The branch still has the work, but where it was to go it was taken back.
    assert (stands(shop), task(shop)["attempt"]) == (("todo", [first]), 2)
    assert squashed[:12] in task(shop)["reason"]
    shop.git("switch", "-q", "-c", "iter/0002-again")
    second = change(shop, "task_001: do it again", "70\n")
    assert stands(shop) == ("agent_done", [first, second])


def test_reset_away(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    shop.git("reset", "-q", "--hard", "HEAD~1")
    # No hook of ours is asked; the next commit that names a task makes up for it.
    assert stands(shop) == ("agent_done", [first])
    second = change(shop, "task_002: something else", "80\n")
    assert (stands(shop), stands(shop, 2)) == (("todo", []), ("agent_done", [second]))
    assert task(shop)["reason"] == f"{first[:12]} is no longer on any branch"


def test_two_worktrees_at_once(shop: Lab) -> None:
    for number in (2, 3):
        shop.git("branch", f"iter/000{number}-x")
    places = [shop.path, *(shop.worktree(f"w{number}", f"iter/000{number}-x") for number in (2, 3))]
    loop = 'for n in 1 2 3 4 5; do git commit -q --allow-empty -m "task_00$0: $n" || exit 1; done'
    running = [
        subprocess.Popen(["sh", "-c", loop, str(number)], cwd=place, env=shop.env)
        for number, place in enumerate(places, 1)
    ]
    assert [each.wait() for each in running] == [0, 0, 0]
    for number, place in enumerate(places, 1):
        made = shop.git("rev-list", "--reverse", "main..HEAD", cwd=place).split()
        assert (stands(shop, number)[0], sorted(stands(shop, number)[1])) == ("agent_done", sorted(made))


def test_the_plan_is_checked_out_elsewhere(shop: Lab) -> None:
    place = shop.worktree("plan", "plan/default")
    commit = change(shop, "task_001: do it", "90\n")
    assert stands(shop) == ("agent_done", [commit])
    assert shop.git("status", "--porcelain", cwd=place) == ""
    page = place / ".plans/default/plan.json"
    assert json.loads(page.read_text())["tasks"][0]["status"] == "agent_done"
    # Dirty there: the commit goes through, a line says so, and the next one catches up.
    mine = page.read_text().replace("do 3", "do three")
    page.write_text(mine)
    shop.git("commit", "-q", "--allow-empty", "-m", "task_002: do it")
    second = head(shop)
    done = shop.run_git("commit", "-q", "--allow-empty", "-m", "task_002: more")
    assert (done.status, len(done.err.splitlines())) == (0, 1)
    assert done.err.startswith("warning: the plan does not follow: 'plan/default' is checked out in '")
    assert "'git plan sync' catches up" in done.err
    assert (page.read_text(), stands(shop, 2)) == (mine, ("todo", []))
    shop.git("checkout", "-q", "--", ".", cwd=place)
    third = head(shop)
    shop.git("commit", "-q", "--allow-empty", "-m", "task_003: do it")
    assert stands(shop, 2) == ("agent_done", [second, third])
    assert stands(shop, 3) == ("agent_done", [head(shop)])


def test_on_ordinary_branches(shop: Lab) -> None:
    for branch in ("main", "feature/x"):
        shop.git("switch", "-q", *(() if branch == "main" else ("-c",)), branch)
        number = 1 if branch == "main" else 2
        commit = change(shop, f"task_00{number}: do it", f"{number}\n")
        assert stands(shop, number) == ("agent_done", [commit])
    (shop.path / "src/size.txt").write_text("7\n")
    shop.git("commit", "-q", "-a", "--amend", "--no-edit")
    assert stands(shop, 2) == ("agent_done", [head(shop)])
    shop.git("rebase", "-q", "-f", "HEAD~1")
    assert stands(shop, 2)[1] == [head(shop)]


def test_the_plan_of_an_iteration_and_that_of_a_trailer(shop: Lab) -> None:
    for plan in ("other", "third"):
        assert shop.run("git-plan", "task", "add", "x", "--plan", plan).status == 0
    shop.git("switch", "-q", "main")
    shop.git("switch", "-q", "-c", "iter/0002-other")
    state = json.dumps({"plan": "other", "base": head(shop, "main")})
    # As planning leaves it; the guard would not let it in by hand.
    blob = shop.git("hash-object", "-w", "--stdin", stdin=state)
    shop.git("update-index", "--add", "--cacheinfo", f"100644,{blob},.advisor/state.json")
    shop.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "state")
    shop.git("checkout", "-q", "--", ".")
    found = {}
    for plan in ("other", "third"):
        subject = "task_001: x" + ("\n\nPlanner-Plan: third" if plan == "third" else "")
        tree = shop.git("rev-parse", "HEAD^{tree}")
        commit = shop.git("commit-tree", tree, "-p", "HEAD", "-m", subject)
        shop.git("-c", "core.hooksPath=/dev/null", "update-ref", "HEAD", commit)
        found[plan] = commit
    for plan in ("other", "third", "default"):
        synced(shop, "--plan", plan)
    for plan, commits in (("other", [found["other"]]), ("third", [found["third"]]), ("default", [])):
        page = json.loads(shop.show(f"plan/{plan}:.plans/{plan}/plan.json"))
        assert page["tasks"][0]["commits"] == commits


def test_the_current_plan_is_the_settings_one(shop: Lab) -> None:
    shop.git("switch", "-q", "main")
    for value in (None, "other"):
        if value:
            shop.git("config", "planner.plan", value)
        assert plan_setting(shop.repo) == current_plan(shop.repo, None) == (value or "default")
    shop.git("config", "--unset", "planner.plan")


def test_what_a_living_process_works_on_is_left_to_it(shop: Lab) -> None:
    now = shop.repo.now()
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = Claimant("agent", now, add_seconds(utc_now(), 3600), process=identity(program.pid))
    claim_task(shop.repo, "default", "task_001", who)
    commit = change(shop, "task_001: do it", "90\n")
    assert stands(shop) == ("in_progress", [])
    assert (synced(shop)["changes"], synced(shop)["held"]) == ([], ["task_001"])
    program.communicate(b"\n")
    synced(shop)
    assert stands(shop) == ("agent_done", [commit])
    assert shop.git("for-each-ref", "refs/planner/claims") == ""


def test_what_a_dead_run_left_comes_first(shop: Lab) -> None:
    now, gone = shop.repo.now(), Identity(4_000_000, 1.0, "another boot", "x")
    who = Claimant("agent", now, add_seconds(utc_now(), 3600), process=gone, run="20261128T120000Z-abcdefgh")
    claim_task(shop.repo, "default", "task_001", who)
    commit = change(shop, "task_001: do it", "90\n")
    assert stands(shop) == ("in_progress", [])
    assert [(each["before"], each["after"]) for each in synced(shop)["changes"]] == [("todo", "agent_done")]
    assert (stands(shop), task(shop)["attempt"]) == (("agent_done", [commit]), 2)


def test_a_task_that_was_put_back_is_not_done_by_old_commits(shop: Lab) -> None:
    first = change(shop, "task_001: do it", "90\n")
    assert shop.run("git-plan", "task", "resume", "task_001").status == 0
    assert synced(shop)["changes"] == []
    assert stands(shop) == ("todo", [first])
    second = change(shop, "task_001: do it again", "80\n")
    assert (stands(shop), task(shop)["attempt"]) == (("agent_done", [first, second]), 2)


def test_a_kill_at_any_call_of_git_leaves_the_plan_whole(shop: Lab) -> None:
    gate = "import sys; from git_planner.gate import main; sys.exit(main(sys.argv[1:]))"
    words = ("-c", gate, "moved", "-", f"refs/heads/{WORK}")
    commit = head(shop)
    shop.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "task_001: do it")
    commit = head(shop)
    for call in range(3, 60, 2):
        env = shop.crash_after(call, after=call % 4 == 1)
        ran = shop.run_program(sys.executable, *words, env=env)
        assert stands(shop) in (("todo", []), ("agent_done", [commit]))
        if ran.status == 0:
            break
    assert (ran.status, stands(shop)) == (0, ("agent_done", [commit]))


def test_hostile_messages(shop: Lab) -> None:
    many = "".join(f"Planner-Task: task_00{number % 3 + 1}\n" for number in range(2000))
    large = "task_001: large\n\n" + "x" * 10_000_000
    for message in (large, f"many\n\n{many}", "task_002: \x1b[2J\x07", "task_003:"):
        path = shop.root / "message"
        path.write_bytes(message.encode())
        shop.git("commit", "-q", "--allow-empty", "-F", str(path))
    (shop.root / "message").write_bytes(b"task_001: \xff\xfe\x80 not text")
    shop.git(
        "-c", "i18n.commitEncoding=UTF-8", "commit", "-q", "--allow-empty", "-F", str(shop.root / "message")
    )
    made = shop.git("rev-list", "--reverse", "main..HEAD").split()
    assert stands(shop) == ("agent_done", [made[0], made[1], made[4]])
    assert stands(shop, 2) == ("agent_done", [made[1], made[2]])
    assert stands(shop, 3) == ("agent_done", [made[1], made[3]])
