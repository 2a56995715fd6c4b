"""Options: the template, a person's file, a draft by the planner; and what is still to be done about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.discovery.options import draft_options, read_options, take_options, write_template
from git_planner.flows.discovery.research import ResearchOptions, research
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.rules.discovery.options import parse_options
from tests.discovery.scripted_agents import asked, markdown, option, options, scripted, shown, step
from tests.support.lab import Lab
from tests.support.workshop import workshop

FILE = "preplan/PLAN_OPTIONS.md"


def hush(_: str) -> None:
    """Say nothing."""


def test_a_template_is_written_once(lab: Lab) -> None:
    workshop(lab)
    with lab.undisturbed():
        written = write_template(lab.repo, PlanOptions(goal_text="make it small"))
    assert (written.new, len(written.open) > 20) == (True, True)
    text = shown(lab, FILE)
    assert "## Goal\n\nmake it small\n" in text
    assert f"- Base: `main` at `{lab.git('rev-parse', 'main')[:12]}`" in text
    assert "RESEARCH.md" not in text
    take_options(lab.repo, PlanOptions(), markdown())
    tip = lab.refs()["refs/heads/plan/default"]
    again = write_template(lab.repo, PlanOptions())
    assert (again.new, again.open, again.commit) == (False, (), tip)
    assert write_template(lab.repo, PlanOptions(), overwrite=True).open
    assert shown(lab, FILE) == text


def test_research_is_named_when_it_has_findings(lab: Lab) -> None:
    workshop(lab)
    research(lab.repo, ResearchOptions(researcher="offline"), hush)
    write_template(lab.repo, PlanOptions())
    assert "- `research/RESEARCH.md`" in shown(lab, FILE)


def test_a_planner_drafts_from_goal_research_and_context(lab: Lab) -> None:
    cyclic = options(options=[option("A"), option("B", steps=[step(1, dependencies=["s1"])]), option("C")])
    scripted(lab, "planner", json.dumps(cyclic), json.dumps(options()))
    research(lab.repo, ResearchOptions(researcher="offline", goal="make it small"), hush)
    lab.rival("refs/heads/plan/default", ".plans/default/CONTEXT.md", "The context of it all.\n")
    with lab.undisturbed():
        draft = draft_options(lab.repo, PlanOptions(), hush)
    assert draft.open == ()
    assert draft.answer is not None
    assert draft.answer.attempts == 2
    prompt = asked(lab, "planner")
    assert "make it small" in prompt
    assert "Code: research/RESEARCH.md" in prompt
    assert "The context of it all." in prompt
    assert "/options/1/steps/0/dependencies/0: 's1' depends on itself" in asked(lab, "planner", 2)
    text = shown(lab, FILE)
    assert [item["title"] for item in parse_options(text)["options"]] == ["way A", "way B", "way C"]
    assert "Planner-Op: options" in lab.git("log", "-1", "--format=%B", "plan/default")
    assert documents.validate("plan-options", parse_options(text)) == []


def test_the_offline_planner_drafts_too(lab: Lab) -> None:
    workshop(lab)
    draft = draft_options(lab.repo, PlanOptions(planner="offline"), hush)
    assert draft.open == ()
    assert [len(item["steps"]) for item in parse_options(shown(lab, FILE))["options"]] == [1, 2, 3]


def test_a_refused_draft_writes_nothing(lab: Lab) -> None:
    scripted(lab, "planner", "no", "still no")
    with pytest.raises(PlannerError) as caught:
        draft_options(lab.repo, PlanOptions(), hush)
    assert caught.value.code == "E_ANSWER"
    assert "refs/heads/plan/default" not in lab.refs()


def test_options_that_cannot_be_used_say_why() -> None:
    with pytest.raises(PlannerError) as caught:
        read_options(None, "p")
    assert (caught.value.code, "git plan options" in (caught.value.hint or "")) == ("E_MISSING_INPUT", True)
    with pytest.raises(PlannerError) as caught:
        read_options("## Option A\n", "p")
    assert caught.value.code == "E_OPTIONS"
    assert read_options(markdown(), "p")["goal"] == "A smaller number"


def test_commands(lab: Lab, tmp_path: Path) -> None:
    workshop(lab)
    ran = lab.run("git-plan", "options", "--plan", "tiny")
    assert (ran.status, ran.out.splitlines()[-1]) == (0, "next: git plan options --plan tiny --file FILE")
    assert "still to be filled in: line " in ran.out
    file = tmp_path / "o.md"
    file.write_text(markdown())
    ran = lab.run("git-plan", "options", "--plan", "tiny", "--file", str(file))
    assert ran.out.splitlines() == [
        "plan/tiny: options in '.plans/tiny/preplan/PLAN_OPTIONS.md'",
        "next: git plan critique --plan tiny",
    ]
    ran = lab.run("git-plan", "options", "--file", "-", "--json", stdin=markdown())
    assert json.loads(ran.out)["ready"] is True
    ran = lab.run("git-plan", "options", "--draft", "--planner", "offline")
    assert "option B: balanced (2 steps)" in ran.out
    for words, code in (
        (["--file", "x", "--draft"], "E_USAGE"),
        (["--file", "/no/such/file"], "E_MISSING_INPUT"),
        (["--planner", "nobody"], "E_USAGE"),
    ):
        assert f"({code})" in lab.run("git-plan", "options", *words).err
    ran = lab.run("git-plan", "options", "--file", "-", stdin="a\0b")
    assert (ran.status, "NUL" in ran.err) == (1, True)
