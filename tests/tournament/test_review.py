"""The optional reviewer: blind, in two orders, bounded, and never stronger than gates and measurements."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from git_planner import documents
from git_planner.flows.tournament.run_store import RunChange, RunStore
from git_planner.rules.tournament.winner import review as rules
from tests.support.lab import Lab
from tests.tournament.tournament_lab import gated_run
from tests.tournament.two_modules import command, view

POLICY = """\
schema: git-planner/policy@1
base: main
guard: ["tests/**"]
correctness: {{run: [sh, tests/check.sh, "{{proof}}"], timeout: 20}}
agents: {{sandbox: off, critic: command, attempts: 2, command: {{critic: {{run: {run}, timeout: 20}}}}}}
"""
CHECK = "echo \"<testsuite><testcase name='it' classname='t'/></testsuite>\" >\"$1\"\n"
# Scores a change by the number in its file, whatever its label; its second answer may be another.
CRITIC = """\
import json, pathlib, re, sys
root = pathlib.Path(sys.argv[1])
faults = json.loads((root / 'faults').read_text())
asked = len(list(root.glob('asked-*')))
text = sys.stdin.read()
(root / f'asked-{asked}').write_text(text)
if asked < len(faults):
    print(faults[asked])
    sys.exit()
rows = re.findall(r'### ([A-Z])\\n.*?\\+quality (\\d+)', text, re.DOTALL)
names = ('architecture_clarity', 'checklist_coverage', 'novelty', 'coherence')
print('Here is it:\\n```json')
reviews = [{'label': label, **dict.fromkeys(names, int(score))} for label, score in rows]
print(json.dumps({'reviews': reviews}))
print('```')
"""


def critic(lab: Lab, *faults: str) -> None:
    """Commit a policy whose critic first prints the faulty answers, and then scores what it reads."""
    program = lab.root / "critic.py"
    program.write_text(CRITIC)
    (lab.root / "faults").write_text(json.dumps(faults))
    run = json.dumps([sys.executable, "-I", "-S", str(program), str(lab.root)])
    policy = POLICY.format(run=run)
    lab.commit("campaign", {".git-planner.yml": policy, "tests/check.sh": CHECK, "src/a": "\n"})


def run(lab: Lab) -> None:
    """Create a run of two variants that passed and one that did not."""
    gated_run(lab, {1: {"src/a": "quality 40\n"}, 2: {"src/a": "quality 80\nCo-authored-by: codex\n"}})


def asked(lab: Lab) -> list[str]:
    """Return the prompts that the critic read."""
    return [path.read_text() for path in sorted(lab.root.glob("asked-*"))]


def test_the_reviewer_scores_twice_under_other_labels_and_knows_no_names(lab: Lab) -> None:
    critic(lab)
    run(lab)
    done = command(lab, "review")
    assert {name: score["overall"] for name, score in done["scores"].items()} == {"v1": 40.0, "v2": 80.0}
    first, second = asked(lab)
    shown = [re.findall(r"### ([A-Z])\n.*?\+quality (\d+)", text, re.DOTALL) for text in (first, second)]
    assert [letter for letter, _ in shown[0]] == [letter for letter, _ in shown[1]] == ["A", "B"]
    assert [score for _, score in shown[0]] == [score for _, score in reversed(shown[1])]
    assert "codex" not in first
    assert "make it faster" in first
    assert done["agreed_best"] == 2
    assert (view(lab).variant(2).score or {})["reviewer"] == "command"
    assert command(lab, "review")["scores"] == done["scores"]
    assert len(asked(lab)) == 2


def test_without_a_metric_the_agreed_best_is_chosen_and_else_nobody(lab: Lab) -> None:
    critic(lab)
    run(lab)
    lab.run("git-bo4", "judge", "speed")
    assert command(lab, "meta", expect=1)["composition"] is None
    command(lab, "review")
    chosen = command(lab, "meta")
    assert chosen["composition"]["modules"][0]["variant"] == 2
    assert chosen["rationale"].startswith("v2 has the highest score of the review")


@pytest.mark.parametrize(
    "fault",
    [
        "no JSON at all",
        '{"reviews": []}',
        '{"reviews": [{"label": "Z"}]}',
        json.dumps({"reviews": [{"label": "A", **dict.fromkeys(rules.RUBRIC, 50)}] * 2}),
        json.dumps({"reviews": [{"label": "A", **dict.fromkeys(rules.RUBRIC, 1e9)}]}),
        "x" * 200_000,
    ],
)
def test_a_hostile_answer_is_asked_again_and_changes_nothing(lab: Lab, fault: str) -> None:
    critic(lab, fault)
    run(lab)
    assert command(lab, "review")["scores"]["v2"]["overall"] == 80.0
    assert len(asked(lab)) == 3


def test_an_answer_that_stays_wrong_is_an_error(lab: Lab) -> None:
    critic(lab, *["no"] * 9)
    run(lab)
    before = lab.refs()
    assert lab.run("git-bo4", "review", "speed").status == 1
    assert lab.refs() == before


def test_what_is_in_the_way_is_told_before_anybody_is_asked(lab: Lab) -> None:
    """Each refusal comes before those of the next rows, whose faults are there, too."""
    critic(lab)

    def refused(status: int) -> str:
        return str(command(lab, "review", "--critic", "gemini", "--model", "none", expect=status)["code"])

    assert refused(2) == "E_UNKNOWN_RUN"
    assert lab.run("git-bo4", "new", "--prompt", "make it faster", "--run", "speed").status == 0
    assert refused(3) == "E_STAGE"
    gated_run(lab, {1: {"src/a": "1\n"}}, gates={"passed": False})
    assert refused(1) == "E_NO_VARIANT"
    row = view(lab).variant(1)
    rows = [replace(row, number=number, gates={"passed": True}) for number in range(1, 28)]
    RunStore(lab.repo, "speed").change(lambda now: RunChange(now.run, rows), "test")
    assert refused(2) == "E_TOO_LARGE"
    few = [replace(row, state="broken", commit=None) for row in rows[2:]]
    RunStore(lab.repo, "speed").change(lambda now: RunChange(now.run, few), "test")
    assert refused(3) == "E_MODEL"
    assert asked(lab) == []


def test_a_diff_is_blind() -> None:
    diff = "+code of GPT-6\n+Signed-off-by: A <a@b>\n+# Co-Authored-By: x\n+gpt-60 codexes\n+by codex.\n"
    assert rules.blind(diff, ["gpt-6", "codex", "x"]) == (
        "+code of [name]\n+[removed]\n+[removed]\n+gpt-60 codexes\n+by [name].\n"
    )


def test_orders_are_opposite_stable_and_unlike_the_numbers() -> None:
    first, second = rules.review_orders([1, 2, 3, 4], "seed")
    assert list(first.values()) == list(second.values())[::-1]
    assert rules.review_orders([4, 3, 2, 1], "seed") == (first, second)
    others = {tuple(rules.review_orders([1, 2, 3, 4], f"seed {n}")[0].values()) for n in range(30)}
    assert len(others) > 10


def answer(**scores: int) -> dict[str, Any]:
    document = {
        "reviews": [{"label": label, **dict.fromkeys(rules.RUBRIC, score)} for label, score in scores.items()]
    }
    assert documents.validate("variant-review", document) == []
    return document


def test_orders_that_disagree_are_told_and_agree_on_nobody() -> None:
    orders = rules.review_orders([1, 2], "s")
    # The first of each order is preferred, whoever it is.
    scores = rules.merge_reviews((answer(A=90, B=50), answer(A=90, B=50)), orders)
    documents_ = {number: score.document() for number, score in scores.items()}
    assert {score["overall"] for score in documents_.values()} == {70.0}
    assert [score["agrees"] for score in documents_.values()] == [False, False]
    assert rules.agreed_best(documents_) is None
    same = rules.merge_reviews((answer(A=90, B=50), answer(A=50, B=90)), orders)
    best = rules.agreed_best({number: score.document() for number, score in same.items()})
    assert best == orders[0]["A"]


def test_the_weights_are_those_of_the_rubric() -> None:
    row = {"architecture_clarity": 100, "checklist_coverage": 50, "novelty": 25, "coherence": 10}
    assert rules.overall_score(row) == pytest.approx(40 + 15 + 5 + 1)
