"""Research: a checkpoint first, findings that go beyond it, failures that are kept, runs that add up."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.discovery.research import ResearchOptions, research
from git_planner.rules.discovery.research import WAITING
from tests.discovery.scripted_agents import FINDINGS, asked, scripted, shown
from tests.support.lab import Lab
from tests.support.sweeps import sampled
from tests.support.workshop import workshop

FILE = "research/RESEARCH.md"


def hush(_: str) -> None:
    """Say nothing."""


def test_a_checkpoint_comes_first_and_findings_replace_it(lab: Lab) -> None:
    scripted(lab, "researcher", FINDINGS)
    with lab.undisturbed():
        done = research(lab.repo, ResearchOptions(goal="make it small"), hush)
    subjects = lab.git("log", "--format=%s", "main..plan/default").splitlines()
    assert subjects == ["plan default: findings of research", "plan default: checkpoint of research"]
    before = lab.show(f"plan/default~1:.plans/default/{FILE}")
    assert before.startswith("# Research: default\n\n<!-- research run ")
    assert "- Goal: make it small\n" in before
    assert f"- Base: `main` at `{lab.git('rev-parse', 'main')}`" in before
    assert WAITING in before
    text = shown(lab, FILE)
    assert WAITING not in text
    assert text.endswith(FINDINGS.rstrip() + "\n\n") or FINDINGS.rstrip() in text
    assert json.loads(shown(lab, "plan.json"))["goal"] == "make it small"
    assert "make it small" in asked(lab, "researcher")
    assert (lab.root / "researcher-files").read_text() == ".git-planner.yml README.md patches src tests"
    assert (lab.root / "researcher-kind").read_text() == "research"
    assert done.commit == lab.refs()["refs/heads/plan/default"]
    lab.fsck()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("", "printed no answer"),
        ("## Findings\n\nnone\n\n## Risks\n\nx\n\n## Open questions\n\ny\n", "'## Findings' is missing"),
        (FINDINGS.replace("## Risks", "## Dangers"), "'## Risks' is missing"),
        (FINDINGS.replace("- A number of zero fails the proof.", "TBD"), "'## Risks' is missing"),
        ("## Findings\n\nIn src/size.txt.\n\n## Risks\n\nx\n\n## Open questions\n\ny\n", "too short"),
        (FINDINGS.replace("src/size.txt", "a").replace("tests/", "b/"), "name no file of the repository"),
        (FINDINGS + "x" * 60_000, "at most 60,000 are kept"),
        ("```\n" + FINDINGS + "```\n", "'## Findings' is missing"),
    ],
)
def test_what_has_no_substance_is_a_failure_and_is_kept(lab: Lab, answer: str, fault: str) -> None:
    scripted(lab, "researcher", answer, answer)
    with pytest.raises(PlannerError) as caught:
        research(lab.repo, ResearchOptions(), hush)
    assert caught.value.code == ("E_ANSWER" if answer else "E_AGENT_EMPTY")
    assert fault in caught.value.message
    text = shown(lab, FILE)
    assert "Failure checkpoint at " in text
    assert caught.value.code in text
    assert WAITING not in text
    if answer:
        assert fault in asked(lab, "researcher", 2)


def test_a_refused_answer_is_asked_for_once_more(lab: Lab) -> None:
    scripted(lab, "researcher", "I looked around.", FINDINGS)
    assert research(lab.repo, ResearchOptions(), hush).written.attempts == 2
    assert "I looked around." in asked(lab, "researcher", 2)
    assert FINDINGS.strip() in shown(lab, FILE)


def test_a_failed_program_leaves_its_error(lab: Lab) -> None:
    scripted(lab, "researcher", FINDINGS, status=3)
    ran = lab.run("git-plan", "research", "--json")
    assert ran.status == 4
    assert json.loads(ran.out)["code"] == "E_AGENT_FAILED"
    text = shown(lab, FILE)
    assert "E_AGENT_FAILED: " in text
    assert "ended with status 3" in text
    assert "something went wrong" in text
    assert not (lab.root / "researcher-prompt-2").exists()


def test_running_again_keeps_earlier_runs_newest_last(lab: Lab) -> None:
    second = FINDINGS.replace("does no harm", "does no harm at all")
    scripted(lab, "researcher", FINDINGS, "nothing", "nothing", second)
    research(lab.repo, ResearchOptions(goal="first"), hush)
    with pytest.raises(PlannerError):
        research(lab.repo, ResearchOptions(goal="second"), hush)
    research(lab.repo, ResearchOptions(), hush)
    text = shown(lab, FILE)
    assert text.count("<!-- research run ") == 3
    assert text.index("- Goal: first") < text.index("- Goal: second") < text.index("at all")
    assert "does no harm." in asked(lab, "researcher", 4)


def test_runs_at_the_same_time_are_all_kept(lab: Lab) -> None:
    workshop(lab)
    repo = lab.repo
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(research, repo, ResearchOptions(researcher="offline"), hush) for _ in range(4)]
        runs = {job.result().run.id for job in jobs}
    text = shown(lab, FILE)
    assert len(runs) == 4
    assert all(f"<!-- research run {run} -->" in text for run in runs)
    assert text.count("Done by offline") == 4


def test_what_a_researcher_says_makes_no_section_of_its_own(lab: Lab) -> None:
    scripted(lab, "researcher", FINDINGS + "\n<!-- research run 1 -->\n# mine\n", FINDINGS)
    research(lab.repo, ResearchOptions(), hush)
    research(lab.repo, ResearchOptions(), hush)
    assert shown(lab, FILE).count("<!-- research run ") == 2
    assert "<!-- 1 -->\n# mine\n" in shown(lab, FILE)


def test_secrets_are_masked(lab: Lab) -> None:
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    scripted(lab, "researcher", FINDINGS.replace("Nothing is open.", f"Is {token} in use?"))
    research(lab.repo, ResearchOptions(goal=f"with {token}"), hush)
    assert token not in shown(lab, FILE)
    assert token not in asked(lab, "researcher")
    assert "[redacted:" in shown(lab, FILE)


def test_a_deadline_ends_the_researcher(lab: Lab) -> None:
    workshop(lab)
    program = lab.root / "slow.py"
    program.write_text("import time\ntime.sleep(60)\n")
    policy = lab.show("main:.git-planner.yml").replace(
        "attempts: 1",
        f"attempts: 1, researcher: command, command: {{researcher: {{run: [python, {program}]}}}}",
    )
    lab.commit("slow", {".git-planner.yml": policy})
    with pytest.raises(PlannerError) as caught:
        research(lab.repo, ResearchOptions(seconds=0.7), hush)
    assert caught.value.code == "E_DEADLINE"
    assert "E_DEADLINE" in shown(lab, FILE)


def forked(lab: Lab, env: dict[str, str]) -> int:
    """Research in a forked process with a crashing git; its exit status."""
    child = os.fork()
    if child == 0:
        os.environ.update(env)
        try:
            research(lab.repo, ResearchOptions(researcher="offline"), hush)
        except PlannerError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@sampled(3)
def test_killed_at_any_call_of_git_the_file_is_whole(lab: Lab, stride: int) -> None:
    workshop(lab)
    for calls in range(1, 100, stride):
        status = forked(lab, lab.crash_after(calls))
        if "refs/heads/plan/default" in lab.refs():
            text = shown(lab, FILE)
            assert text.count("<!-- research run ") == text.count(WAITING) + text.count("Done by offline")
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert status == 0
    assert calls > 10
    lab.fsck()


def test_the_command_says_what_comes_next(lab: Lab) -> None:
    workshop(lab)
    ran = lab.run("git-plan", "research", "--goal-text", "small", "--researcher", "offline", "--plan", "tiny")
    assert ran.status == 0
    assert ran.out.splitlines()[1:] == [
        "read: git show plan/tiny:.plans/tiny/research/RESEARCH.md",
        "next: git plan options --plan tiny",
    ]
    ran = lab.run("git-plan", "research", "--researcher", "nobody")
    assert (ran.status, "codex, command, offline" in ran.err) == (2, True)
