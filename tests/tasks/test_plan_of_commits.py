"""A commit belongs to the plan that was current when it was made, whichever is the current one later."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner.flows.hooks import install
from tests.support.lab import Lab
from tests.support.workshop import workshop
from tests.tasks.test_follow_branch import commit_change, head, sync


@pytest.fixture
def shop(lab: Lab) -> Lab:
    """Make two plans, each with a first task, on main; 'default' is the current one."""
    workshop(lab)
    for plan in ("default", "other"):
        assert lab.run("git-plan", "task", "add", "do it", "--plan", plan).status == 0
    return lab


def first_task(lab: Lab, plan: str) -> dict[str, Any]:
    page = json.loads(lab.show(f"plan/{plan}:.plans/{plan}/plan.json"))
    document: dict[str, Any] = page["tasks"][0]
    return document


def commits(lab: Lab, *plans: str) -> list[list[str]]:
    for plan in plans:
        sync(lab, "--plan", plan)
    return [first_task(lab, plan)["commits"] for plan in plans]


def use(lab: Lab, plan: str) -> None:
    assert lab.run("git-plan", "use", plan).status == 0


@pytest.mark.parametrize("hooks", [False, True], ids=["without hooks", "with hooks"])
def test_switching_the_plan(shop: Lab, hooks: bool) -> None:
    if hooks:
        install.install_hooks(shop.repo)
    first = commit_change(shop, "task_001: for the first plan", "90\n")
    use(shop, "other")
    assert commits(shop, "default", "other") == [[first], []]
    second = commit_change(shop, "task_001: for the other plan", "80\n")
    use(shop, "default")
    third = commit_change(shop, "task_001: again for the first plan", "70\n")
    assert commits(shop, "default", "other") == [[first, third], [second]]
    assert commits(shop, "other", "default") == [[second], [first, third]]


def test_another_plan_for_one_command(shop: Lab) -> None:
    install.install_hooks(shop.repo)
    first = commit_change(shop, "task_001: for the first plan", "90\n")
    shop.env["GIT_PLANNER_PLAN"] = "other"
    second = commit_change(shop, "task_001: for the other plan", "80\n")
    del shop.env["GIT_PLANNER_PLAN"]
    third = commit_change(shop, "task_001: again for the first plan", "70\n")
    assert [first_task(shop, plan)["commits"] for plan in ("default", "other")] == [[first, third], [second]]
    # A plain setting switches, too.
    shop.git("config", "planner.plan", "other")
    assert commits(shop, "other", "default") == [[second], [first, third]]


def test_a_rewritten_commit_stays_with_its_plan(shop: Lab) -> None:
    shop.git("switch", "-q", "-c", "feature")
    commit_change(shop, "task_001: for the first plan", "90\n")
    use(shop, "other")
    shop.git("switch", "-q", "main")
    shop.commit("the base moves", {"README.md": "new\n"})
    shop.git("rebase", "-q", "main", "feature")
    rebased = head(shop, "feature")
    assert commits(shop, "other", "default") == [[], [rebased]]
    assert first_task(shop, "default")["status"] == "agent_done"


def test_a_branch_merged_under_another_plan(shop: Lab) -> None:
    install.install_hooks(shop.repo)
    shop.git("switch", "-q", "-c", "feature")
    first = commit_change(shop, "task_001: for the first plan", "90\n")
    use(shop, "other")
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--ff-only", "feature")
    assert [first_task(shop, plan)["commits"] for plan in ("default", "other")] == [[first], []]


def test_a_commit_for_a_task_that_only_the_next_plan_has(shop: Lab) -> None:
    commit_change(shop, "task_002: no such task yet", "90\n")
    use(shop, "other")
    assert shop.run("git-plan", "task", "add", "a second one").status == 0
    assert commits(shop, "other") == [[]]
    page = json.loads(shop.show("plan/other:.plans/other/plan.json"))
    assert [task["status"] for task in page["tasks"]] == ["todo", "todo"]


def test_old_commits_stay_with_the_plan_that_has_them(shop: Lab) -> None:
    first = commit_change(shop, "task_001: for both, as older versions counted", "90\n")
    sync(shop)
    document = json.loads(shop.show("plan/other:.plans/other/plan.json"))
    document["tasks"][0] |= {"status": "agent_done", "commits": [first]}
    shop.rival("refs/heads/plan/other", ".plans/other/plan.json", json.dumps(document))
    assert commits(shop, "default", "other") == [[first], [first]]
