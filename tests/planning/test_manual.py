"""Planning by hand: packets on branches, pasted answers good and bad, and a base that moves meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.flows.planning import manual
from git_planner.flows.planning.ask_planner import make_iteration
from git_planner.flows.planning.campaign import PlanOptions
from git_planner.flows.plans.list_plans import packet_branches
from git_planner.rules.documents import canonical_json
from git_planner.rules.planning.manual_prompt import estimate_tokens, render_correction
from tests.support.lab import Lab
from tests.support.workshop import directive, workshop

HAND = PlanOptions(slug="by-hand")
ANSWER = json.dumps(directive(), indent=2)


def hush(_: str) -> None:
    """Say nothing."""


def read(lab: Lab, name: str) -> Any:
    return json.loads(lab.show(name))


def packed(lab: Lab) -> Lab:
    """A workshop with one packet that waits."""
    manual.make_packet_branch(workshop(lab).repo, HAND, hush)
    return lab


def test_a_packet_is_four_files_on_a_branch(lab: Lab) -> None:
    base = workshop(lab).git("rev-parse", "HEAD")
    lab.git("remote", "add", "origin", "https://ada:secret@github.com/ada/engine.git")
    with lab.undisturbed():
        packet_branch = manual.make_packet_branch(lab.repo, HAND, hush)
    assert packet_branch.branch == "plan/0001-by-hand"
    assert lab.git("diff", "--name-status", base, packet_branch.branch).splitlines() == [
        "A\tplanner_packets/directive.json",
        "A\tplanner_packets/directive_schema.json",
        "A\tplanner_packets/packet.json",
        "A\tplanner_packets/prompt.md",
    ]
    assert read(lab, f"{packet_branch.branch}:{manual.DIRECTIVE}") == {}
    packet = read(lab, f"{packet_branch.branch}:{manual.PACKET}")
    assert (packet["base"], packet["branch"], packet["iteration"]) == (base, packet_branch.branch, 1)
    assert packet["repo"]["origin_url"] == "https://github.com/ada/engine.git"
    schema = read(lab, f"{packet_branch.branch}:{manual.SCHEMA}")
    assert schema == documents.schema("directive", families=["shrink", "reuse"])
    prompt = lab.show(f"{packet_branch.branch}:{manual.PROMPT}")
    assert prompt == packet_branch.prompt
    assert prompt.startswith(
        f"<!-- about {estimate_tokens(prompt.partition('-->')[2].lstrip()):,} tokens -->\n\n# Plan"
    )
    for part in (
        f"- permalink: https://github.com/ada/engine/tree/{base}\n",
        "## Hard rules\n\n- Never change a guarded path: 'tests/**', '.git-planner.yml'.",
        "- Change nothing outside: 'src/**'.\n",
        "## Strategy families\n\n- Choose one of: 'family:shrink', 'family:reuse'.\n",
        "## Novelty check\n\n- Nothing has been tried yet.\n",
        "- Answer with one JSON object and nothing else",
        '"title": "Directive"',
        '"schema": "git-planner/packet@1"',
    ):
        assert part in prompt
    assert "secret" not in prompt
    assert set(lab.refs()) == {
        "refs/heads/main",
        "refs/heads/plan/0001-by-hand",
        "refs/planner/numbers/plan/0001",
    }


def test_the_answer_on_the_branch_becomes_an_iteration(lab: Lab) -> None:
    packed(lab)
    tree = lab.worktree("paste", "plan/0001-by-hand")
    lab.commit("pasted", {manual.DIRECTIVE: f"Here you are:\n```json\n{ANSWER}\n```\n"}, cwd=tree)
    with lab.undisturbed(allow=["paste"]):
        planned = manual.apply_answer(lab.repo, None, hush)
    assert planned.state.branch == "iter/0001-by-hand"
    assert canonical_json.digest(directive()) == planned.state.directive_digest
    assert dict(planned.state.planner) == {
        "name": "manual",
        "model": None,
        "attempts": 1,
        "seconds": 0.0,
        "usage": {"input": 0, "output": 0},
    }
    packet = read(lab, "plan/default:planner_packets/0001/packet.json")
    assert canonical_json.digest(packet) == planned.state.packet
    assert (packet["branch"], packet["iteration"]) == ("iter/0001-by-hand", 1)
    assert lab.show(f"plan/0001-by-hand:{manual.DIRECTIVE}").encode() == canonical_json.dumps(directive())
    assert (tree / manual.DIRECTIVE).read_bytes() == canonical_json.dumps(directive())
    assert lab.git("status", "--porcelain", cwd=tree) == ""
    trailers = lab.git("log", "-1", "--format=%(trailers:only)", "plan/0001-by-hand")
    assert trailers.startswith("Planner-Op: manual-apply\nPlanner-Args: iter/0001-by-hand ")
    lab.fsck()


def test_it_is_made_as_other_planners_iterations_are(lab: Lab) -> None:
    packed(lab)
    by_hand = manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    offline = make_iteration(lab.repo, PlanOptions(), hush)
    for item in (by_hand, offline):
        number = f"{item.state.iteration:04d}"
        assert lab.refs()[item.ref] == lab.refs()[f"refs/planner/iterations/{number}"] == item.commit
        assert lab.git("diff", "--name-only", item.state.base, item.commit) == ".advisor/state.json"
        assert lab.show(f"plan/default:planner_packets/{number}/directive.json")


RULED = {
    "strategy_family_constraints": {
        "allowed_families": ["family:shrink", "family:reuse"],
        "blocked_families": [],
    }
}
TYPOGRAPHIC = ANSWER.replace('"', "\u201d")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        f"```json\n{ANSWER}\n```",
        f"Sure! Here is the plan.\n\n```\n{ANSWER}\n```\n\nShall I go on?",
        "\ufeff" + ANSWER,
        TYPOGRAPHIC,
        ANSWER.replace("\n", "\r\n"),
        json.dumps(directive(schema=None)),
    ],
    ids=["bare", "fenced", "prose", "bom", "typographic", "crlf", "no-schema"],
)
def test_answers_as_chats_give_them(text: str) -> None:
    assert manual.read_answer(text.encode(), "-", RULED) == directive()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("I cannot do that.", "holds no JSON object"),
        (ANSWER[: len(ANSWER) // 2], "ends in the middle"),
        (ANSWER + " " * 10_000_000, "bytes"),
        (ANSWER.replace('"risk"', '"risk": "Low", "risk"', 1), "appears twice"),
        (ANSWER.replace("-10", "NaN"), "NaN is not a JSON number"),
        (ANSWER.replace("-10", "true"), "/expected_effect"),
        (json.dumps(directive(step_plan=["one", "  ", "three"])), "/step_plan/1"),
        (json.dumps(directive(strategy_family="family:magic")), "/strategy_family"),
        (json.dumps(directive(extra=1)), "/extra"),
        (json.dumps(directive(objective="a\u0000b")), "/objective"),
        ("[" * 100_000, ""),
        (ANSWER + "\n" + json.dumps(directive(objective="another")), "could be the answer"),
        (b"\xff\xfe" + ANSWER.encode("utf-16-le"), "UTF-8"),
    ],
    ids=[
        "prose",
        "truncated",
        "10MB",
        "duplicate",
        "nan",
        "true",
        "blank-step",
        "family",
        "extra",
        "control",
        "deep",
        "two",
        "utf16",
    ],
)
def test_answers_that_cannot_be_used(text: str | bytes, fault: str) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(manual.AnswerRefused) as caught:
        manual.read_answer(raw, "the answer", RULED)
    assert (caught.value.code, caught.value.exit) == ("E_ANSWER", 1)
    assert fault in " ".join(caught.value.details)
    assert caught.value.reply == render_correction(caught.value.details)
    assert len(caught.value.reply) < 20_000


def test_the_reply_names_every_fault_and_nothing_is_written(lab: Lab) -> None:
    before = packed(lab).refs()
    broken = directive(risk="Huge", change_summary=[], did_web_search="no")
    with lab.undisturbed(), pytest.raises(manual.AnswerRefused) as caught:
        manual.apply_answer(lab.repo, None, hush, pasted=("x", json.dumps(broken).encode()))
    assert lab.refs() == before
    text = caught.value.reply
    assert text.startswith("Your last answer is invalid:\n\n1. /")
    assert [f"{number}. {fault}" in text for number, fault in enumerate(caught.value.details, 1)] == [
        True
    ] * 3
    assert text.endswith("Keep everything that was not named.\n")


def test_a_reply_to_very_many_faults_is_bounded() -> None:
    text = render_correction([f"/x/{number}: is wrong" for number in range(1000)])
    assert "40. /x/39: is wrong\n… and 960 more.\n" in text


def test_nothing_was_pasted_yet(lab: Lab) -> None:
    packed(lab)
    with pytest.raises(PlannerError) as caught:
        manual.apply_answer(lab.repo, None, hush)
    assert caught.value.code == "E_ANSWER"
    assert "planner_packets/directive.json" in (caught.value.hint or "")


def test_a_base_that_moved_is_refused_unless_told_otherwise(lab: Lab) -> None:
    packed(lab)
    old = lab.git("rev-parse", "main")
    new = lab.commit("meanwhile", {"src/size.txt": "95\n"})
    before = lab.refs()
    with pytest.raises(PlannerError) as caught:
        manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert (caught.value.code, caught.value.exit, lab.refs()) == ("E_STALE_BASE", 3, before)
    assert old[:12] in caught.value.message
    assert new[:12] in caught.value.message
    planned = manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()), allow_stale_base=True)
    assert (planned.state.base, planned.state.base_ref) == (new, "main")


def test_a_first_best_makes_packets_from_the_base_stale(lab: Lab) -> None:
    packed(lab)
    best = lab.git("commit-tree", "main^{tree}", "-p", "main", "-m", "better")
    lab.git("update-ref", "refs/heads/iter/best", best)
    with pytest.raises(PlannerError) as caught:
        manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert caught.value.code == "E_STALE_BASE"
    planned = manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()), allow_stale_base=True)
    assert (planned.state.base, planned.state.base_ref) == (best, "iter/best")


def test_a_base_that_was_chosen_beside_a_best_stays(lab: Lab) -> None:
    main = workshop(lab).git("rev-parse", "HEAD")
    best = lab.git("commit-tree", "main^{tree}", "-p", "main", "-m", "better")
    lab.git("update-ref", "refs/heads/iter/best", best)
    manual.make_packet_branch(lab.repo, PlanOptions(from_ref="main"), hush)
    planned = manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert (planned.state.base, planned.state.base_ref) == (main, "heads/main")
    lab.commit("meanwhile", {"src/size.txt": "95\n"})
    with pytest.raises(PlannerError) as caught:
        manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert caught.value.code == "E_STALE_BASE"


def test_a_packet_from_a_commit_is_never_stale(lab: Lab) -> None:
    first = workshop(lab).git("rev-parse", "HEAD")
    manual.make_packet_branch(lab.repo, PlanOptions(from_ref=first), hush)
    lab.commit("meanwhile", {"src/size.txt": "95\n"})
    planned = manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert planned.state.base == first


def test_a_blocked_family_is_refused_though_the_policy_has_it(lab: Lab) -> None:
    packed(lab)
    packet = read(lab, f"plan/0001-by-hand:{manual.PACKET}")
    packet["strategy_family_constraints"] |= {
        "allowed_families": ["family:reuse"],
        "blocked_families": ["family:shrink"],
        "current_family": "family:shrink",
        "reason": "twice in a row",
    }
    lab.rival("refs/heads/plan/0001-by-hand", manual.PACKET, canonical_json.dumps(packet).decode())
    with pytest.raises(manual.AnswerRefused) as caught:
        manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert caught.value.details[0].startswith("/strategy_family")


def test_packets_of_the_older_runner_and_broken_ones(lab: Lab) -> None:
    packed(lab)
    for content, words in (
        ('{"iteration_id": 5, "base_sha": "x"}', "older loop runner"),
        ('{"schema": "git-planner/packet@1"}', "is not a valid packet"),
        ("{", "is not JSON"),
    ):
        lab.rival("refs/heads/plan/0001-by-hand", manual.PACKET, content)
        with pytest.raises(PlannerError) as caught:
            manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
        assert words in caught.value.message


def test_which_packet_is_meant(lab: Lab) -> None:
    packed(lab)
    manual.make_packet_branch(lab.repo, PlanOptions(slug="second"), hush)
    assert packet_branches(lab.repo) == ["plan/0002-second", "plan/0001-by-hand"]
    assert manual.find_packet(lab.repo, None).branch == "plan/0002-second"
    assert manual.find_packet(lab.repo, "plan/0001-by-hand").branch == "plan/0001-by-hand"
    lab.git("checkout", "-q", "plan/0001-by-hand")
    assert manual.find_packet(lab.repo, None).branch == "plan/0001-by-hand"
    for name in ("plan/0009-gone", "main", "HEAD~1"):
        with pytest.raises(PlannerError) as caught:
            manual.find_packet(lab.repo, name)
        assert caught.value.code == "E_UNKNOWN_REF"


def test_a_packet_that_is_only_on_the_remote(lab: Lab) -> None:
    other = packed(lab).clone("clone")
    with other.entered():
        planned = manual.apply_answer(other.repo, "plan/0001-by-hand", hush, pasted=("x", ANSWER.encode()))
    assert planned.state.slug == "by-hand"
    assert "refs/heads/plan/0001-by-hand" not in other.refs()


def test_a_paste_that_was_not_committed_is_not_overwritten(lab: Lab) -> None:
    packed(lab)
    tree = lab.worktree("paste", "plan/0001-by-hand")
    (tree / manual.DIRECTIVE).write_text("not committed")
    before = lab.refs()
    with lab.undisturbed(), pytest.raises(PlannerError) as caught:
        manual.apply_answer(lab.repo, None, hush, pasted=("x", ANSWER.encode()))
    assert caught.value.code == "E_CHECKED_OUT"
    assert {ref for ref in lab.refs() if ref not in before} == {"refs/planner/numbers/iter/0001"}


def test_numbers_of_packets_are_their_own(lab: Lab) -> None:
    workshop(lab)
    lab.git("update-ref", "refs/remotes/origin/plan/0007-theirs", "HEAD")
    assert manual.make_packet_branch(lab.repo, HAND, hush).branch == "plan/0008-by-hand"
    assert make_iteration(lab.repo, PlanOptions(), hush).state.iteration == 1
