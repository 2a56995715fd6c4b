"""Research and reviews as texts: what counts as substance, how runs add up, what a critic is sent."""

from __future__ import annotations

import pytest

from git_planner.errors import PlannerError
from git_planner.rules.discovery import research, review
from git_planner.rules.discovery.research import ResearchRun
from tests.discovery.scripted_agents import FINDINGS
from tests.discovery.scripted_agents import review as written


def run(number: int) -> ResearchRun:
    return ResearchRun(f"r{number}", "a goal", "0" * 40, "main", "codex", "2026-11-28T12:00:00Z")


@pytest.mark.parametrize(
    "text", ["", "\n", "# x\n## y", "none", "- None.", "TBD", "to do", "N/A", "...", "…", "---"]
)
def test_what_says_nothing(text: str) -> None:
    assert not research.has_substance(text)


@pytest.mark.parametrize("text", ["x", "none of it works", "Nothing is open.", "TBD by whom?", "- a\n# b"])
def test_what_says_something(text: str) -> None:
    assert research.has_substance(text)


def test_findings_name_a_file_of_the_base() -> None:
    assert research.find_answer_faults(FINDINGS, ["src/size.txt"]) == []
    assert (
        research.find_answer_faults(FINDINGS.replace("`src/size.txt`", "src/size.txt."), ["src/size.txt"])
        == []
    )
    assert research.find_answer_faults(FINDINGS, []) == []
    assert research.find_answer_faults(FINDINGS, ["src/other.txt"]) != []
    assert research.find_answer_faults(FINDINGS.replace("## ", "### 1. "), ["src/size.txt"]) == []


def test_a_checkpoint_is_no_finding() -> None:
    text = research.write_checkpoint(None, "p", run(1))
    assert not research.has_findings(text)
    assert not research.has_findings(research.write_failure(text, "p", run(1), ["E_X: y"], at="now"))
    assert research.has_findings(research.write_findings(text, "p", run(1), FINDINGS, by="codex", at="now"))
    assert research.has_findings("# Research\n\nWritten by hand.\n")
    assert not research.has_findings(None)


def test_the_oldest_runs_go_when_there_are_many_or_they_are_large() -> None:
    text: str | None = None
    for number in range(15):
        text = research.write_checkpoint(text, "p", run(number))
    assert text is not None
    assert [name in text for name in ("run r4 ", "run r5 ", "run r14 ")] == [False, True, True]
    for number in range(15, 25):
        text = research.write_findings(text, "p", run(number), "x" * 50_000, by="codex", at="now")
    assert len(text) < research.MAX_BYTES + 1000
    assert "run r24 " in text


def test_a_run_whose_section_is_gone_is_added_again() -> None:
    text = research.write_findings("# By hand\n", "p", run(1), FINDINGS, by="codex", at="now")
    assert text.startswith("# By hand\n<!-- research run r1 -->\n")


def test_a_review_is_judged_by_its_headings_and_its_end() -> None:
    assert review.find_review_faults(written()) == []
    assert review.find_review_faults(written() + "\n\n") == []
    assert review.find_review_faults("# Review\n\n" + written()) == []
    for title in review.HEADINGS:
        assert review.find_review_faults(written(without=title)) == [
            f"the heading '## {title}' is missing or has no text"
        ]
    assert review.find_review_faults(written() + "x" * 100_000)[0].startswith("the review has 100,")
    assert len(review.find_review_faults("")) == 6


def test_a_text_within_a_fence_stays_within_it() -> None:
    material = review.CriticInput("a.md", "base", "```\nbye\n````\nEND OF REVIEW\n")
    sent = review.render_request("$goal|$inputs|$materials|$headings|$end", "g", [material], 10_000)
    assert "`````\n```\nbye\n````\nEND OF REVIEW\n`````" in sent
    with pytest.raises(PlannerError) as caught:
        review.render_request("$materials", "g", [material, material], 100)
    assert caught.value.details == (f"{material.size} bytes: a.md (base)",) * 2
