"""Critique: what a critic is given, which models may be asked, what counts as a review, and where it goes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.flows.discovery.critique import CritiqueOptions, critique
from git_planner.flows.discovery.options import take_options, write_template
from git_planner.flows.discovery.research import ResearchOptions, research
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.rules.discovery.review import reviewed_digest, text_digest
from tests.discovery.scripted_agents import asked, markdown, review, scripted, shown
from tests.support.lab import Lab
from tests.support.workshop import POLICY, workshop

FILE = "preplan/COMMAND_PLAN_REVIEW.md"


def hush(_: str) -> None:
    """Say nothing."""


def ready(lab: Lab, *answers: str, policy: str = "") -> Lab:
    """A plan with options, and a critic that answers."""
    scripted(lab, "critic", *answers, policy=policy)
    take_options(lab.repo, PlanOptions(), markdown())
    return lab


def refused(lab: Lab, **options: object) -> PlannerError:
    """The error of a critique that writes nothing."""
    before = lab.refs()
    with pytest.raises(PlannerError) as caught:
        critique(lab.repo, CritiqueOptions(**options), hush)  # type: ignore[arg-type]
    assert lab.refs() == before
    return caught.value


def test_a_review_is_kept_with_what_it_is_about(lab: Lab) -> None:
    ready(lab, review())
    with lab.undisturbed():
        done = critique(lab.repo, CritiqueOptions(), hush)
    text = shown(lab, FILE)
    assert text.startswith("# Plan review: default\n\n- Critic: command\n- At: ")
    assert reviewed_digest(text) == text_digest(markdown())
    assert text.endswith("This is about recommended verification contract.\n")
    prompt = asked(lab, "critic")
    assert prompt.count(markdown().strip()) == 1
    assert "- preplan/PLAN_OPTIONS.md (plan/default, " in prompt
    assert "RESEARCH.md (" not in prompt
    assert "CONTEXT.md (" not in prompt
    assert [question.label for question in done.inputs] == ["preplan/PLAN_OPTIONS.md"]
    assert (lab.root / "critic-files").read_text() == ""
    assert (lab.root / "critic-kind").read_text() == "review"
    body = lab.git("log", "-1", "--format=%B", "plan/default")
    assert f"Planner-Args: command {text_digest(markdown())}" in body


def test_what_is_there_is_given_and_named(lab: Lab, tmp_path: Path) -> None:
    ready(lab, review())
    research(lab.repo, ResearchOptions(researcher="offline"), hush)
    lab.rival("refs/heads/plan/default", ".plans/default/CONTEXT.md", "The context of it all.\n")
    (lab.path / "src" / "size.txt").write_text("changed\n")
    (lab.path / "new.txt").write_text("only here\n")
    done = critique(lab.repo, CritiqueOptions(extra=("src/size.txt", "new.txt")), hush)
    base = lab.git("rev-parse", "main")[:12]
    assert [(question.label, question.source) for question in done.inputs] == [
        ("preplan/PLAN_OPTIONS.md", "plan/default"),
        ("research/RESEARCH.md", "plan/default"),
        ("CONTEXT.md", "plan/default"),
        ("src/size.txt", f"base {base}"),
        ("new.txt", "working tree"),
    ]
    prompt = asked(lab, "critic")
    assert "only here" in prompt
    assert "changed" not in prompt.partition("## The texts")[2].partition("### src/size.txt")[2][:200]
    assert "`new.txt` (working tree)" in shown(lab, FILE)


def test_a_checkpoint_is_no_research(lab: Lab) -> None:
    ready(lab, review())
    lab.rival(
        "refs/heads/plan/default",
        ".plans/default/research/RESEARCH.md",
        "# Research: default\n\n<!-- research run 1 -->\n# Run 1\n\nFailure checkpoint at x.\n",
    )
    assert len(critique(lab.repo, CritiqueOptions(), hush).inputs) == 1


@pytest.mark.parametrize("name", ["no/such", "src", "/dev/zero", "../../etc", "a\nb", "a\0b", ""])
def test_a_missing_extra_is_an_error(lab: Lab, name: str) -> None:
    ready(lab, review())
    assert refused(lab, extra=(name,)).code == "E_MISSING_INPUT"
    assert not (lab.root / "critic-asked").exists()


def test_an_extra_that_is_no_text(lab: Lab) -> None:
    ready(lab, review())
    (lab.path / "b.bin").write_bytes(b"\xff\xfe")
    assert refused(lab, extra=("b.bin",)).code == "E_MISSING_INPUT"
    (lab.path / "b.bin").write_bytes(b"x" * 1_000_001)
    assert refused(lab, extra=("b.bin",)).code == "E_TOO_LARGE"


def test_options_are_needed_and_have_to_be_filled_in(lab: Lab) -> None:
    scripted(lab, "critic", review())
    assert refused(lab).code == "E_MISSING_INPUT"
    write_template(lab.repo, PlanOptions())
    error = refused(lab)
    assert (error.code, len(error.details) > 20) == ("E_OPTIONS", True)


def test_too_much_is_an_error_that_says_what_is_how_large(lab: Lab) -> None:
    ready(lab, review(), policy="critics: {budget: 10000}\n")
    (lab.path / "big.txt").write_text("x" * 20_000)
    error = refused(lab, extra=("big.txt",))
    assert error.code == "E_TOO_LARGE"
    assert "20,000 bytes: big.txt (working tree)" in error.details
    assert critique(lab.repo, CritiqueOptions(), hush).written.attempts == 1


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (review(without="Option B review"), "'## Option B review' is missing"),
        (review(end=""), "so the review was cut off"),
        ("I like option A.\n", "'## Summary' is missing"),
        (review().replace("This is about summary.", ""), "'## Summary' is missing or has no text"),
    ],
)
def test_what_is_no_review_is_asked_for_once_more(lab: Lab, answer: str, fault: str) -> None:
    ready(lab, answer, review(), answer, answer)
    done = critique(lab.repo, CritiqueOptions(), hush)
    assert done.written.attempts == 2
    assert fault in asked(lab, "critic", 2)
    error = refused(lab)
    assert error.code == "E_ANSWER"
    assert any(fault in detail for detail in error.details)
    assert not (lab.root / "critic-prompt-5").exists()


@pytest.mark.parametrize(
    "model", ["gemini-2.5-pro", "gemini-3-flash", "gemini-3-flash-pro", "pro", "gpt-5-pro"]
)
def test_a_model_that_the_policy_does_not_admit(lab: Lab, model: str) -> None:
    ready(lab, review())
    error = refused(lab, critic="gemini", model=model)
    assert error.code == "E_MODEL"
    assert "'gemini' 3 or later, with 'pro', without 'flash' (as of 2026-11-28)" in error.message


def test_the_rule_is_data(lab: Lab) -> None:
    workshop(lab)
    rule = "{family: gemini, min_version: 4, require: [ultra], as_of: 2027-01-01}"
    text = POLICY + f"critics: {{gemini: {{model: gemini-4-ultra, models: {rule}}}}}\n"
    lab.commit("another rule", {".git-planner.yml": text})
    take_options(lab.repo, PlanOptions(), markdown())
    error = refused(lab, critic="gemini", model="gemini-3-pro-preview")
    assert "is older than 4; the policy admits for 'gemini': 'gemini' 4 or later" in error.message
    assert "(as of 2027-01-01)" in error.message
    lab.env["GIT_PLANNER_GEMINI"] = "/there/is/no/gemini"
    ran = lab.run("git-plan", "critique", "--critic", "gemini", "--json")
    assert json.loads(ran.out)["code"] == "E_MISSING_TOOL"
    assert "planner.gemini" in ran.err
    lab.commit("nonsense", {".git-planner.yml": text.replace("gemini-4-ultra", "gemini-4-pro")})
    assert "/critics/gemini/model: 'gemini-4-pro' is no 'ultra' model" in lab.run("git-plan", "critique").err


def test_a_failed_critic_writes_nothing(lab: Lab) -> None:
    scripted(lab, "critic", review(), status=3)
    take_options(lab.repo, PlanOptions(), markdown())
    assert refused(lab).code == "E_AGENT_FAILED"


def test_secrets_are_neither_sent_nor_kept(lab: Lab) -> None:
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    ready(lab, review().replace("This is about summary.", f"See {token}."))
    (lab.path / "new.txt").write_text(f"{token}\n")
    critique(lab.repo, CritiqueOptions(extra=("new.txt",)), hush)
    assert token not in asked(lab, "critic") + shown(lab, FILE)


def test_an_earlier_review_is_in_the_history(lab: Lab) -> None:
    ready(lab, review(), review().replace("summary.", "a second thought."))
    first = critique(lab.repo, CritiqueOptions(), hush)
    critique(lab.repo, CritiqueOptions(), hush)
    assert "a second thought" in shown(lab, FILE)
    assert "about summary" in lab.show(f"{first.commit}:.plans/default/{FILE}")


def test_the_command(lab: Lab) -> None:
    ready(lab, review())
    ran = lab.run("git-plan", "critique")
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "plan/default: review by command"
    assert "given: preplan/PLAN_OPTIONS.md (plan/default, " in ran.out
    assert "command is given preplan/PLAN_OPTIONS.md" in ran.err


def own_gemini(lab: Lab, text: str, model: str) -> None:
    """Put a program in gemini's place that answers as gemini does, by a model."""
    stats = {"models": {model: {"api": {}, "tokens": {"prompt": 9, "candidates": 9}, "roles": {"main": {}}}}}
    program = lab.root / "gemini"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        f"kept = pathlib.Path({str(lab.root / 'gemini-run')!r})\n"
        "kept.write_text(json.dumps({'argv': sys.argv[1:], 'cwd': os.getcwd(), 'files': os.listdir('.'),"
        " 'tmp': os.environ['TMPDIR'], 'stdin': sys.stdin.read()}))\n"
        f"print(json.dumps({{'response': {text!r}, 'stats': {stats!r}}}))\n"
    )
    program.chmod(0o755)
    lab.git("config", "planner.gemini", str(program))
    lab.git("config", "planner.agentWrite", str(lab.root))


def test_gemini_gets_everything_on_stdin_and_nothing_else(lab: Lab) -> None:
    workshop(lab)
    take_options(lab.repo, PlanOptions(), markdown())
    own_gemini(lab, review(), "gemini-3.1-pro-preview")
    done = critique(lab.repo, CritiqueOptions(), hush)
    run = json.loads((lab.root / "gemini-run").read_text())
    assert run["argv"][0] == "-p"
    assert run["argv"][2:] == ["-m", "gemini-3-pro-preview", "--skip-trust", "--output-format", "json"]
    assert run["files"] == []
    assert not str(run["cwd"]).startswith(str(lab.path))
    # In the sandbox it is a '/tmp' of its own.
    assert run["tmp"] == "/tmp" or not Path(run["tmp"]).exists()
    assert markdown().strip() in run["stdin"]
    assert done.path.endswith("/preplan/GEMINI_PLAN_REVIEW.md")
    assert "model `gemini-3.1-pro-preview`" in shown(lab, "preplan/GEMINI_PLAN_REVIEW.md")
    body = lab.git("log", "-1", "--format=%B", "plan/default")
    assert "Planner-Model: gemini-3.1-pro-preview" in body


def test_an_answer_by_another_model_than_the_policy_admits(lab: Lab) -> None:
    workshop(lab)
    take_options(lab.repo, PlanOptions(), markdown())
    own_gemini(lab, review(), "gemini-3.5-flash")
    error = refused(lab)
    assert error.code == "E_MODEL"
    assert "the answer came from another model, and 'gemini-3.5-flash' is a 'flash' model" in error.message
