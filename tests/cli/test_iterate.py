"""`git iterate` as a person runs it: what it prints, its exit statuses, and JSON that is one document."""

from __future__ import annotations

import json

import pytest

from tests.support.lab import Lab
from tests.support.small_campaign import agent, campaign


def test_one_iteration_is_told_in_a_few_lines(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "echo 90 >value")
    ran = lab.run("git-iterate", "--slug", "lower")
    assert (ran.status, ran.out.splitlines()) == (
        0,
        [
            "iter/0001-lower: improved. cost 90 points (-10 against 100)",
            "new best, tagged best/90-lower-i1",
            f"worktree: {lab.root}/repo.iter/0001-lower",
        ],
    )
    assert lab.run("git-iterate", "list").out.splitlines() == [
        "no.  slug   plan     phase     verdict   value  worktree",
        f"1    lower  default  recorded  improved  90     {lab.root}/repo.iter/0001-lower",
    ]
    assert (
        lab.run("git-iterate", "why", "iter/best")
        .out.splitlines()[0]
        .endswith("iteration 1 (the commit's own trailers name the iteration)")
    )
    assert lab.run("git-iterate", "show", "1").status == 0
    assert lab.run("git-iterate", "resume").out == "there is no unfinished iteration\n"
    assert lab.run("git-iterate", "best", "ensure").out.endswith(": unchanged\n")
    assert lab.run("git-iterate", "best", "tag").out.endswith(": exists already\n")
    assert lab.run("git-iterate", "publish").out.startswith("pr/0001-lower ")
    assert lab.run("git-iterate", "prune").out.splitlines()[-1].endswith(" is free again")
    assert "0 B" not in lab.run("git-iterate", "prune").out


def test_the_text_of_a_publication_has_a_place_before_there_is_a_branch(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "echo 90 >value")
    lab.run("git-iterate", "--slug", "lower")
    for place in ("", "no/such/folder", "README.md/x"):
        ran = lab.run("git-iterate", "publish", "--body", place)
        assert (ran.status, "(E_USAGE)" in ran.err) == (2, True), ran.err
    assert "refs/heads/pr/0001-lower" not in lab.refs()
    (lab.root / "link").symlink_to("text.md")
    assert lab.run("git-iterate", "publish", "--body", str(lab.root / "link")).status == 0
    assert (lab.root / "link").is_symlink()
    assert "Instrument" in (lab.root / "text.md").read_text()
    assert "Instrument" in lab.spawn("git-iterate", "publish", "--body", "/dev/stdout").out


def test_a_refused_attempt_ends_with_status_1(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "echo 1 >tests/test_it")
    ran = lab.run("git-iterate")
    assert ran.status == 1
    assert ran.out.splitlines()[1] == "uncommitted changes are kept as refs/planner/refused/0001"


def test_a_failed_agent_could_not_be_measured(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "exit 1")
    ran = lab.run("git-iterate", "--json")
    document = json.loads(ran.out)
    assert document["record"]["reason"] == "implementer_failed"
    assert ran.status == {"invalid": 1, "unmeasured": 4}[document["record"]["verdict"]]


@pytest.mark.parametrize(
    "argv",
    [
        ("list",),
        ("show", "1"),
        ("why", "main"),
        ("prune", "--dry-run"),
        ("resume",),
        ("best", "ensure"),
        ("best", "tag"),
        ("publish",),
        ("--loop", "--max-attempts", "1"),
    ],
    ids=" ".join,
)
def test_json_is_one_document(lab: Lab, argv: tuple[str, ...]) -> None:
    campaign(lab)
    agent(lab, "echo 90 >value")
    assert lab.run("git-iterate").status == 0
    agent(lab, "echo 80 >value")
    ran = lab.run("git-iterate", *argv, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["schema"].startswith("git-planner/")


@pytest.mark.parametrize(
    ("argv", "status", "code"),
    [
        (("--max-attempts", "3"), 2, "E_USAGE"),
        (("--planner", "none"), 2, "E_USAGE"),
        (("--goal", "threshold"), 2, "E_USAGE"),
        (("--from", "nowhere"), 2, "E_UNKNOWN_REF"),
        (("--plan", "../x"), 2, "E_NAME"),
        (("--loop", "--planner", "manual"), 2, "E_USAGE"),
        (("resume", "9"), 2, "E_UNKNOWN_REF"),
        (("show", "9"), 2, "E_UNKNOWN_REF"),
        (("why", "nothing"), 2, "E_UNKNOWN_REF"),
        (("publish",), 1, "E_NO_RECORD"),
        (("best", "tag"), 1, "E_NO_RECORD"),
        (("best", "push"), 4, "E_REMOTE"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_are_a_document_and_a_status(lab: Lab, argv: tuple[str, ...], status: int, code: str) -> None:
    campaign(lab)
    before = {ref for ref in lab.refs() if not ref.startswith("refs/planner/numbers/")}
    ran = lab.run("git-iterate", *argv, "--json")
    document = json.loads(ran.out)
    assert (ran.status, document["code"], document["exit"]) == (status, code, status)
    assert {ref for ref in lab.refs() if not ref.startswith("refs/planner/numbers/")} == before


def test_a_repository_without_a_commit_or_a_policy_says_what_to_do(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran = lab.run("git-iterate")
    assert (ran.status, "E_NO_POLICY" in ran.err) == (2, True)
    empty = Lab(tmp_path_factory.mktemp("empty"), first=False)
    ran = empty.run("git-iterate")
    assert (ran.status, "E_UNBORN" in ran.err) == (2, True)


def test_two_loops_with_different_plans_at_once(lab: Lab) -> None:
    campaign(lab)
    agent(lab, "sleep 0.1; echo $(($(cat value) - 3)) >value")
    loops = [
        lab.start("git-iterate", "--plan", plan, "--loop", "--max-attempts", "3", "--json")
        for plan in ("one", "two")
    ]
    ended = [(loop.communicate(timeout=60), loop.returncode) for loop in loops]
    assert [status for _, status in ended] == [0, 0], ended
    documents = [json.loads(out) for (out, _), _ in ended]
    assert [document["best_after"] for document in documents] == [91.0, 91.0]
    numbers = [turn["iteration"] for document in documents for turn in document["attempts"]]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert lab.show("iter/best-one:value") == lab.show("iter/best-two:value") == "91\n"
    lab.fsck()


def test_a_pasted_answer_is_carried_out(lab: Lab) -> None:
    campaign(lab)
    packed = lab.run("git-plan", "manual", "pack", "--slug", "mine", "--json")
    assert packed.status == 0, packed.err
    directive = {
        "objective": "Lower it",
        "primary_hypothesis": "It helps",
        "strategy_modifiers": [],
        "risk": "Low",
        "expected_effect": -5,
        "change_summary": ["one"],
        "step_plan": ["a", "b", "c"],
        "validation": {"commands": ["x"], "pass_criteria": ["y"]},
        "next_packet_requests": [],
        "did_web_search": False,
    }
    branch = next(ref for ref in lab.refs() if ref.startswith("refs/heads/plan/0"))
    families = json.loads(lab.show(f"{branch}:planner_packets/packet.json"))["strategy_family_constraints"]
    directive["strategy_family"] = next(iter(families["allowed_families"]), "family:other")
    lab.rival(branch, "planner_packets/directive.json", json.dumps(directive))
    agent(lab, "echo 90 >value")
    ran = lab.run("git-iterate", "--planner", "manual", "--from", branch.removeprefix("refs/heads/"))
    assert ran.status == 0, ran.err
    assert ran.out.startswith("iter/0001-mine: improved.")
