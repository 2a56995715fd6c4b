"""Advance the plan on commit: rewrites of commits by git, followed by the installed hooks."""

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
from git_planner.flows.tasks.follow_branch import configured_plan
from git_planner.host.clock import utc_now
from git_planner.host.process_identity import ProcessIdentity, identity
from git_planner.rules.timestamps import add_seconds
from tests.support.lab import Lab, Ran
from tests.support.workshop import workshop

WORK = "iter/0001-work"


@pytest.fixture
def shop(lab: Lab) -> Iterator[Lab]:
    """Make a workshop with hooks, a plan of three tasks, and the branch of an iteration checked out."""
    yield lab.prepare("workshop with hooks, tasks and a branch", make_shop)
    # After every test, the hooks must have produced the same plan as a full sync.
    result = sync(lab, "--dry-run")
    assert result["changes"] == []
    lab.fsck()


def make_shop(lab: Lab) -> None:
    workshop(lab)
    install.install_hooks(lab.repo)
    for number in (1, 2, 3):
        assert lab.run("git-plan", "task", "add", f"do {number}", "--verify", "true").status == 0
    lab.git("switch", "-q", "-c", WORK)


def task(lab: Lab, number: int = 1) -> dict[str, Any]:
    """Read a task from plan.json on the plan branch."""
    page = json.loads(lab.show("plan/default:.plans/default/plan.json"))
    document: dict[str, Any] = page["tasks"][number - 1]
    return document


def status_and_commits(lab: Lab, number: int = 1) -> tuple[str, list[str]]:
    """Return the status and the commits of a task."""
    document = task(lab, number)
    return document["status"], document["commits"]


def sync(lab: Lab, *argv: str) -> dict[str, Any]:
    ran = lab.run("git-plan", "sync", *argv, "--json")
    assert ran.status == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def head(lab: Lab, name: str = "HEAD") -> str:
    return lab.git("rev-parse", name)


def verify_task(lab: Lab, number: int = 1, *argv: str) -> None:
    """Verify a task and check that it is done."""
    ran = lab.run("git-plan", "task", "verify", f"task_{number:03d}", *argv)
    assert ran.status == 0, ran.err
    assert task(lab, number)["status"] == "done"


def commit_change(lab: Lab, message: str, text: str, cwd: Path | None = None) -> str:
    return lab.commit(message, {"src/size.txt": text}, cwd=cwd)


def commit_refused(lab: Lab, message: str) -> Ran:
    result = lab.run_git("commit", "-q", "--allow-empty", "-m", message)
    assert result.status == 1
    return result


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
    commit = commit_change(shop, message, "90\n")
    assert status_and_commits(shop) == ("agent_done", [commit])
    assert status_and_commits(shop, 2) == (("agent_done", [commit]) if "002" in message else ("todo", []))
    second = commit_change(shop, "task_001: and more", "80\n")
    assert status_and_commits(shop) == ("agent_done", [commit, second])
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
def test_a_commit_that_names_no_task(shop: Lab, message: str) -> None:
    before = shop.refs()
    commit_change(shop, message, "90\n")
    after = shop.refs()
    del before["refs/heads/" + WORK], after["refs/heads/" + WORK]
    assert after == before


def test_a_commit_for_a_missing_or_closed_task_is_refused(shop: Lab) -> None:
    assert commit_refused(shop, "task_009: x").err == (
        "error: the plan 'default' has no task 'task_009' (E_UNKNOWN_TASK)\n"
        "hint: see 'git plan task list --plan default'\n"
    )
    assert "task_99999999999" in commit_refused(shop, "task_99999999999: x").err
    assert "E_UNKNOWN_TASK" in commit_refused(shop, "x\n\nPlanner-Task: TASK-77").err
    assert shop.run("git-plan", "task", "cancel", "task_002", "--reason", "no").status == 0
    assert "'task_002' of the plan 'default', which is cancelled" in commit_refused(shop, "TASK-2: x").err
    shop.git("commit", "-q", "--allow-empty", "--no-verify", "-m", "task_002: all the same")
    assert status_and_commits(shop, 2) == ("cancelled", [])
    shop.git("commit", "-q", "--allow-empty", "-m", "x", "-m", "Planner-Task: TASK-7", "-m", "no trailer")


def test_without_a_plan_nothing_is_refused(lab: Lab) -> None:
    workshop(lab)
    install.install_hooks(lab.repo)
    lab.git("switch", "-q", "-c", WORK)
    result = lab.run_git("commit", "-q", "--allow-empty", "-m", "task_001: x")
    assert (result.status, result.err) == (0, "")


def test_amend(shop: Lab) -> None:
    commit_change(shop, "task_001: do it", "90\n")
    verify_task(shop)
    shop.git("commit", "-q", "--amend", "-m", "task_001: do it better said")
    assert status_and_commits(shop) == ("done", [head(shop)])
    (shop.path / "src/size.txt").write_text("80\n")
    shop.git("commit", "-q", "-a", "--amend", "--no-edit")
    assert status_and_commits(shop) == ("agent_done", [head(shop)])
    assert "now have another tree" in task(shop)["reason"]
    # The verified tree is back.
    (shop.path / "src/size.txt").write_text("90\n")
    shop.git("commit", "-q", "-a", "--amend", "--no-edit")
    assert status_and_commits(shop) == ("done", [head(shop)])


def test_amend_to_another_task_and_to_none(shop: Lab) -> None:
    commit_change(shop, "task_001: do it", "90\n")
    shop.git("commit", "-q", "--amend", "-m", "task_002: do it")
    assert (status_and_commits(shop), status_and_commits(shop, 2)) == (
        ("todo", []),
        ("agent_done", [head(shop)]),
    )
    assert task(shop)["attempt"] == 2
    shop.git("commit", "-q", "--amend", "-m", "do it")
    assert (status_and_commits(shop, 2), task(shop, 2)["attempt"]) == (("todo", []), 2)


def test_rebase(shop: Lab) -> None:
    commit_change(shop, "task_001: do it", "90\n")
    shop.commit("in between", {"src/b.txt": "b\n"})
    commit_change(shop, "task_002: do it", "80\n")
    verify_task(shop, 2)
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("switch", "-q", WORK)
    shop.git("rebase", "-q", "main")
    assert status_and_commits(shop) == ("agent_done", [head(shop, "HEAD~2")])
    # The tree is not the verified one.
    assert status_and_commits(shop, 2) == ("agent_done", [head(shop)])
    shop.git("rebase", "-q", "-f", "main")
    assert status_and_commits(shop, 2) == ("agent_done", [head(shop)])


def test_cherry_pick_to_another_branch(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    verify_task(shop)
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("cherry-pick", first)
    assert status_and_commits(shop) == ("done", [first, head(shop)])
    picked = head(shop)
    shop.git("switch", "-q", "-c", "iter/0002-next", "main~2")
    shop.commit("more", {"src/b.txt": "b\n"})
    shop.git("cherry-pick", first)
    assert status_and_commits(shop) == ("done", [first, picked, head(shop)])


def test_squash_merge(shop: Lab) -> None:
    commit_change(shop, "task_001: do it", "90\n")
    last = commit_change(shop, "task_001: do more", "80\n")
    verify_task(shop)
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--squash", WORK)
    shop.git("commit", "-q", "--no-edit")
    assert shop.git("log", "-1", "--format=%s") == "Squashed commit of the following:"
    assert (status_and_commits(shop)[0], status_and_commits(shop)[1][-2:]) == ("done", [last, head(shop)])
    # Without the branch, the squashed commit still has the verified tree.
    shop.git("branch", "-q", "-D", WORK)
    assert [change["task"] for change in sync(shop)["changes"]] == ["task_001"]
    assert status_and_commits(shop) == ("done", [head(shop)])


def test_a_squash_merge_with_a_subject_of_its_own(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--squash", WORK)
    shop.git("commit", "-q", "-m", "TASK-001: squashed")
    assert status_and_commits(shop) == ("agent_done", [first, head(shop)])


def test_merge(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("merge", "-q", "--no-ff", "--no-edit", WORK)
    assert status_and_commits(shop) == ("agent_done", [first])
    shop.git("switch", "-q", "-c", "iter/0002-next")
    shop.git("merge", "-q", "--no-ff", "-m", "TASK-002: merged", "main~1")
    assert status_and_commits(shop) == ("agent_done", [first])


def test_fast_forward_by_merge_on_an_iteration(shop: Lab) -> None:
    shop.git("switch", "-q", "--detach")
    commit = commit_change(shop, "task_001: made on no branch", "90\n")
    assert status_and_commits(shop) == ("todo", [])
    shop.git("switch", "-q", WORK)
    shop.git("merge", "-q", "--ff-only", commit)
    assert status_and_commits(shop) == ("agent_done", [commit])


def test_revert_and_revert_of_that(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    verify_task(shop)
    shop.git("revert", "--no-edit", "HEAD")
    revert = head(shop)
    assert (status_and_commits(shop), task(shop)["attempt"]) == (("todo", []), 2)
    assert task(shop)["reason"] == f"{first[:12]} was reverted by {revert[:12]}"
    shop.git("revert", "--no-edit", "HEAD")
    # The work is back, but its evidence is of an earlier attempt.
    assert (status_and_commits(shop), task(shop)["attempt"]) == (("agent_done", [first]), 2)


def test_revert_on_the_base_branch(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--squash", WORK)
    shop.git("commit", "-q", "-m", "task_001: squashed")
    squashed = head(shop)
    shop.git("revert", "--no-edit", "HEAD")
    # The branch still has the work, but on the base branch it was reverted.
    assert (status_and_commits(shop), task(shop)["attempt"]) == (("todo", [first]), 2)
    assert squashed[:12] in task(shop)["reason"]
    shop.git("switch", "-q", "-c", "iter/0002-again")
    second = commit_change(shop, "task_001: do it again", "70\n")
    assert status_and_commits(shop) == ("agent_done", [first, second])


def test_reset_away(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    shop.git("reset", "-q", "--hard", "HEAD~1")
    # git runs no hook for a reset; the next commit that names a task catches up.
    assert status_and_commits(shop) == ("agent_done", [first])
    second = commit_change(shop, "task_002: something else", "80\n")
    assert (status_and_commits(shop), status_and_commits(shop, 2)) == (("todo", []), ("agent_done", [second]))
    assert task(shop)["reason"] == f"{first[:12]} is no longer on any branch"


def test_two_worktrees_at_once(shop: Lab) -> None:
    for number in (2, 3):
        shop.git("branch", f"iter/000{number}-x")
    places = [shop.path, *(shop.worktree(f"w{number}", f"iter/000{number}-x") for number in (2, 3))]
    loop = 'for n in 1 2 3 4 5; do git commit -q --allow-empty -m "task_00$0: $n" || exit 1; done'
    processes = [
        subprocess.Popen(["sh", "-c", loop, str(number)], cwd=place, env=shop.env)
        for number, place in enumerate(places, 1)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    for number, place in enumerate(places, 1):
        commits = shop.git("rev-list", "--reverse", "main..HEAD", cwd=place).split()
        assert (status_and_commits(shop, number)[0], sorted(status_and_commits(shop, number)[1])) == (
            "agent_done",
            sorted(commits),
        )


def test_the_plan_is_checked_out_elsewhere(shop: Lab) -> None:
    checkout = shop.worktree("plan", "plan/default")
    commit = commit_change(shop, "task_001: do it", "90\n")
    assert status_and_commits(shop) == ("agent_done", [commit])
    assert shop.git("status", "--porcelain", cwd=checkout) == ""
    page = checkout / ".plans/default/plan.json"
    assert json.loads(page.read_text())["tasks"][0]["status"] == "agent_done"
    # With local changes there, the commit succeeds with a warning, and the next one catches up.
    edited = page.read_text().replace("do 3", "do three")
    page.write_text(edited)
    shop.git("commit", "-q", "--allow-empty", "-m", "task_002: do it")
    second = head(shop)
    result = shop.run_git("commit", "-q", "--allow-empty", "-m", "task_002: more")
    assert (result.status, len(result.err.splitlines())) == (0, 1)
    assert result.err.startswith("warning: plan not updated: 'plan/default' is checked out in '")
    assert "run 'git plan sync'" in result.err
    assert (page.read_text(), status_and_commits(shop, 2)) == (edited, ("todo", []))
    shop.git("checkout", "-q", "--", ".", cwd=checkout)
    third = head(shop)
    shop.git("commit", "-q", "--allow-empty", "-m", "task_003: do it")
    assert status_and_commits(shop, 2) == ("agent_done", [second, third])
    assert status_and_commits(shop, 3) == ("agent_done", [head(shop)])


def test_on_ordinary_branches(shop: Lab) -> None:
    for branch in ("main", "feature/x"):
        shop.git("switch", "-q", *(() if branch == "main" else ("-c",)), branch)
        number = 1 if branch == "main" else 2
        commit = commit_change(shop, f"task_00{number}: do it", f"{number}\n")
        assert status_and_commits(shop, number) == ("agent_done", [commit])
    (shop.path / "src/size.txt").write_text("7\n")
    shop.git("commit", "-q", "-a", "--amend", "--no-edit")
    assert status_and_commits(shop, 2) == ("agent_done", [head(shop)])
    shop.git("rebase", "-q", "-f", "HEAD~1")
    assert status_and_commits(shop, 2)[1] == [head(shop)]


def test_the_plan_of_an_iteration_and_that_of_a_trailer(shop: Lab) -> None:
    for plan in ("other", "third"):
        assert shop.run("git-plan", "task", "add", "x", "--plan", plan).status == 0
    shop.git("switch", "-q", "main")
    shop.git("switch", "-q", "-c", "iter/0002-other")
    state = json.dumps({"plan": "other", "base": head(shop, "main")})
    # As planning writes it; the guard would refuse it in a commit by hand.
    blob = shop.git("hash-object", "-w", "--stdin", stdin=state)
    shop.git("update-index", "--add", "--cacheinfo", f"100644,{blob},.advisor/state.json")
    shop.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "state")
    shop.git("checkout", "-q", "--", ".")
    commit_of_plan = {}
    for plan in ("other", "third"):
        subject = "task_001: x" + ("\n\nPlanner-Plan: third" if plan == "third" else "")
        tree = shop.git("rev-parse", "HEAD^{tree}")
        commit = shop.git("commit-tree", tree, "-p", "HEAD", "-m", subject)
        shop.git("-c", "core.hooksPath=/dev/null", "update-ref", "HEAD", commit)
        commit_of_plan[plan] = commit
    for plan in ("other", "third", "default"):
        sync(shop, "--plan", plan)
    for plan, commits in (
        ("other", [commit_of_plan["other"]]),
        ("third", [commit_of_plan["third"]]),
        ("default", []),
    ):
        page = json.loads(shop.show(f"plan/{plan}:.plans/{plan}/plan.json"))
        assert page["tasks"][0]["commits"] == commits


def test_the_configured_plan_is_the_current_plan(shop: Lab) -> None:
    shop.git("switch", "-q", "main")
    for value in (None, "other"):
        if value:
            shop.git("config", "planner.plan", value)
        assert configured_plan(shop.repo) == current_plan(shop.repo, None) == (value or "default")
    shop.git("config", "--unset", "planner.plan")


def test_a_task_claimed_by_a_live_process_is_not_advanced(shop: Lab) -> None:
    now = shop.repo.now()
    program = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claimant = Claimant("agent", now, add_seconds(utc_now(), 3600), process=identity(program.pid))
    claim_task(shop.repo, "default", "task_001", claimant)
    commit = commit_change(shop, "task_001: do it", "90\n")
    assert status_and_commits(shop) == ("in_progress", [])
    assert (sync(shop)["changes"], sync(shop)["held"]) == ([], ["task_001"])
    program.communicate(b"\n")
    sync(shop)
    assert status_and_commits(shop) == ("agent_done", [commit])
    assert shop.git("for-each-ref", "refs/planner/claims") == ""


def test_a_dead_run_is_recovered_first(shop: Lab) -> None:
    now, dead_process = shop.repo.now(), ProcessIdentity(4_000_000, 1.0, "another boot", "x")
    claimant = Claimant(
        "agent", now, add_seconds(utc_now(), 3600), process=dead_process, run="20261128T120000Z-abcdefgh"
    )
    claim_task(shop.repo, "default", "task_001", claimant)
    commit = commit_change(shop, "task_001: do it", "90\n")
    assert status_and_commits(shop) == ("in_progress", [])
    assert [(change["before"], change["after"]) for change in sync(shop)["changes"]] == [
        ("todo", "agent_done")
    ]
    assert (status_and_commits(shop), task(shop)["attempt"]) == (("agent_done", [commit]), 2)


def test_old_commits_do_not_finish_a_task_that_was_put_back(shop: Lab) -> None:
    first = commit_change(shop, "task_001: do it", "90\n")
    assert shop.run("git-plan", "task", "resume", "task_001").status == 0
    assert sync(shop)["changes"] == []
    assert status_and_commits(shop) == ("todo", [first])
    second = commit_change(shop, "task_001: do it again", "80\n")
    assert (status_and_commits(shop), task(shop)["attempt"]) == (("agent_done", [first, second]), 2)


def test_a_kill_at_any_call_of_git_keeps_the_plan_valid(shop: Lab) -> None:
    gate = "import sys; from git_planner.gate import main; sys.exit(main(sys.argv[1:]))"
    arguments = ("-c", gate, "moved", "-", f"refs/heads/{WORK}")
    commit = head(shop)
    shop.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "task_001: do it")
    commit = head(shop)
    for call in range(3, 60, 2):
        env = shop.crash_after(call, after=call % 4 == 1)
        ran = shop.run_program(sys.executable, *arguments, env=env)
        assert status_and_commits(shop) in (("todo", []), ("agent_done", [commit]))
        if ran.status == 0:
            break
    assert (ran.status, status_and_commits(shop)) == (0, ("agent_done", [commit]))


def test_hostile_messages(shop: Lab) -> None:
    many = "".join(f"Planner-Task: task_00{number % 3 + 1}\n" for number in range(2000))
    # The hook's shell reads a line byte by byte: ten times as much takes ten seconds.
    large = "task_001: large\n\n" + "x" * 1_000_000
    for message in (large, f"many\n\n{many}", "task_002: \x1b[2J\x07", "task_003:"):
        path = shop.root / "message"
        path.write_bytes(message.encode())
        shop.git("commit", "-q", "--allow-empty", "-F", str(path))
    (shop.root / "message").write_bytes(b"task_001: \xff\xfe\x80 not text")
    shop.git(
        "-c", "i18n.commitEncoding=UTF-8", "commit", "-q", "--allow-empty", "-F", str(shop.root / "message")
    )
    commits = shop.git("rev-list", "--reverse", "main..HEAD").split()
    assert status_and_commits(shop) == ("agent_done", [commits[0], commits[1], commits[4]])
    assert status_and_commits(shop, 2) == ("agent_done", [commits[1], commits[2]])
    assert status_and_commits(shop, 3) == ("agent_done", [commits[1], commits[3]])
