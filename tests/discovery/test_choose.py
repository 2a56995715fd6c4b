"""Choosing an option: what is recorded, which tasks come of it, and what choosing again does."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.discovery.choose import choose
from git_planner.flows.discovery.critique import CritiqueOptions, critique
from git_planner.flows.discovery.options import take_options, write_template
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.flows.plans.plan_document import read_plan
from tests.discovery.scripted_agents import markdown, option, review, scripted, shown
from tests.support.lab import Lab
from tests.support.sweeps import sampled
from tests.support.workshop import workshop

PLAN = "refs/heads/plan/default"


def hush(_: str) -> None:
    """Say nothing."""


def tasks(lab: Lab) -> list[tuple[str, str, str]]:
    """The plan's tasks: id, step, status."""
    plan = read_plan(lab.repo, "default")
    assert plan is not None
    return [(task["id"], task["step"], task["status"]) for task in plan["tasks"]]


def ready(lab: Lab) -> Lab:
    """A workshop with options."""
    workshop(lab)
    take_options(lab.repo, PlanOptions(), markdown())
    return lab


def test_a_choice_is_recorded_and_compiled_in_one_commit(lab: Lab) -> None:
    scripted(lab, "critic", review())
    take_options(lab.repo, PlanOptions(), markdown())
    critique(lab.repo, CritiqueOptions(), hush)
    before = lab.refs()[PLAN]
    with lab.undisturbed():
        done = choose(lab.repo, None, "B")
    assert lab.git("rev-parse", f"{done.commit}~1") == before
    choice = json.loads(shown(lab, "preplan/CHOICE.json"))
    assert {key: choice[key] for key in ("number", "option", "title", "by")} == {
        "number": 1,
        "option": "B",
        "title": "way B",
        "by": "C O Mitter <committer@example.com>",
    }
    assert [(item["path"], item["current"]) for item in choice["reviews"]] == [
        ("preplan/COMMAND_PLAN_REVIEW.md", True)
    ]
    plan = read_plan(lab.repo, "default")
    assert plan is not None
    assert [(task["id"], task["title"], task["dependencies"], task["verify"]) for task in plan["tasks"]] == [
        ("task_001", "Shrink it once more, 1", [], [["python", "tests/size.py"]]),
        ("task_002", "Shrink it once more, 2", ["task_001"], [["python", "tests/size.py"]]),
    ]
    assert plan["tasks"][0]["write_scope"] == ["src/size.txt"]
    assert plan["tasks"][0]["acceptance"] == ["`python tests/size.py`", "It is smaller."]
    lab.fsck()


def test_the_same_choice_again_changes_nothing(lab: Lab) -> None:
    first = choose(ready(lab).repo, None, "B")
    lab.git("commit", "-q", "--allow-empty", "-m", "later")
    again = choose(lab.repo, None, "B")
    assert (again.commit, again.changed, first.changed) == (first.commit, False, True)
    take_options(lab.repo, PlanOptions(), markdown().replace("None worth a name", "Hardly any"))
    assert choose(lab.repo, None, "B").changed is False
    take_options(lab.repo, PlanOptions(), markdown().replace("once more, 2", "twice"))
    assert choose(lab.repo, None, "B").changed is True


def test_another_choice_cancels_what_nobody_began(lab: Lab) -> None:
    choose(ready(lab).repo, None, "B")
    assert lab.run("git-plan", "task", "claim", "task_001").status == 0
    choose(lab.repo, None, "A")
    assert tasks(lab) == [
        ("task_001", "b1", "in_progress"),
        ("task_002", "b2", "cancelled"),
        ("task_003", "a1", "todo"),
    ]
    assert json.loads(shown(lab, "preplan/CHOICE.json"))["number"] == 2
    choose(lab.repo, None, "B")
    assert [task[1:] for task in tasks(lab)] == [
        ("b1", "in_progress"),
        ("b2", "cancelled"),
        ("a1", "cancelled"),
        ("b1", "todo"),
        ("b2", "todo"),
    ]
    plan = read_plan(lab.repo, "default")
    assert plan is not None
    assert len({task["uid"] for task in plan["tasks"]}) == 5


def test_two_clones_that_choose_the_same_make_the_same_tasks(lab: Lab) -> None:
    other = ready(lab).clone("other")
    other.git("branch", "plan/default", "origin/plan/default")
    choose(lab.repo, None, "C")
    with other.entered():
        choose(other.repo, None, "C")
        theirs = read_plan(other.repo, "default")
    ours = read_plan(lab.repo, "default")
    assert ours is not None
    assert theirs is not None
    assert [task["uid"] for task in ours["tasks"]] == [task["uid"] for task in theirs["tasks"]]


def test_an_outdated_review_is_told(lab: Lab) -> None:
    scripted(lab, "critic", review())
    take_options(lab.repo, PlanOptions(), markdown())
    critique(lab.repo, CritiqueOptions(), hush)
    take_options(lab.repo, PlanOptions(), markdown() + "\n## Notes\n\nChanged since.\n")
    ran = lab.run("git-plan", "choose", "a")
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "plan/default: option A is chosen: way A",
        "task_001  todo          Shrink it once more, 1",
    ]
    assert "'preplan/COMMAND_PLAN_REVIEW.md' is about earlier options" in ran.err


@pytest.mark.parametrize("letter", ["D", "", "b", "AB"])
def test_other_letters(lab: Lab, letter: str) -> None:
    with pytest.raises(PlannerError) as caught:
        choose(ready(lab).repo, None, letter)
    assert caught.value.code == "E_USAGE"


def test_only_what_is_chosen_has_to_be_right(lab: Lab) -> None:
    workshop(lab)
    with pytest.raises(PlannerError) as caught:
        choose(lab.repo, None, "A")
    assert caught.value.code == "E_MISSING_INPUT"
    write_template(lab.repo, PlanOptions())
    with pytest.raises(PlannerError) as caught:
        choose(lab.repo, None, "A")
    assert (caught.value.code, len(caught.value.details)) == ("E_OPTIONS", 10)
    half = markdown(options=[option("A"), option("B", title="<fill: a title>"), option("C", risks=[])])
    take_options(lab.repo, PlanOptions(), half)
    for letter in "BC":
        with pytest.raises(PlannerError) as caught:
            choose(lab.repo, None, letter)
        assert caught.value.code == "E_OPTIONS"
    assert choose(lab.repo, None, "A").changed


def test_choices_at_the_same_time_end_in_one(lab: Lab) -> None:
    repo = ready(lab).repo
    with ThreadPoolExecutor(6) as pool:
        for job in [pool.submit(choose, repo, None, "ABC"[place % 3]) for place in range(6)]:
            job.result()
    choice: dict[str, Any] = json.loads(shown(lab, "preplan/CHOICE.json"))
    open_tasks = [step for _, step, status in tasks(lab) if status == "todo"]
    assert open_tasks == [item["id"] for item in choice["steps"]]
    assert len(open_tasks) == "ABC".index(choice["option"]) + 1
    lab.fsck()


@sampled(3)
def test_killed_at_any_call_of_git_it_is_chosen_or_it_is_not(lab: Lab, stride: int) -> None:
    tip = ready(lab).refs()[PLAN]
    for calls in range(1, 60, stride):
        child = os.fork()
        if child == 0:
            os.environ.update(lab.crash_after(calls, after=calls % 2 == 0))
            choose(lab.repo, None, "C")
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if lab.refs()[PLAN] != tip:
            assert [task[1] for task in tasks(lab)] == ["c1", "c2", "c3"]
            assert json.loads(shown(lab, "preplan/CHOICE.json"))["number"] == 1
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert status == 0
    assert calls > 5
    lab.fsck()


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", "E_JSON"), ("{}", "E_SCHEMA"), ('{"schema": "git-planner/choice@1"}', "E_SCHEMA")],
)
def test_a_choice_that_somebody_else_wrote(lab: Lab, text: str, code: str) -> None:
    ready(lab)
    lab.rival(PLAN, ".plans/default/preplan/CHOICE.json", text)
    tip = lab.refs()[PLAN]
    with pytest.raises(PlannerError) as caught:
        choose(lab.repo, None, "A")
    assert (caught.value.code, lab.refs()[PLAN]) == (code, tip)


def test_options_that_are_no_text_or_too_much(lab: Lab) -> None:
    ready(lab)
    file = ".plans/default/preplan/PLAN_OPTIONS.md"
    for text, code in (
        ("a\0b", "E_MISSING_INPUT"),
        ("- " * 60_000, "E_TOO_LARGE"),
        ("- " * 40_000, "E_OPTIONS"),
    ):
        lab.rival(PLAN, file, text)
        with pytest.raises(PlannerError) as caught:
            choose(lab.repo, None, "A")
        assert caught.value.code == code
    with pytest.raises(PlannerError) as caught:
        take_options(lab.repo, PlanOptions(), "- " * 60_000)
    assert caught.value.code == "E_TOO_LARGE"
