"""The text of a winner's pull request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.flows.tournament.winner.report import rejection
from git_planner.rules.documents.escape_markdown import MAX_BODY
from git_planner.rules.tournament.variant import Variant
from git_planner.rules.tournament.winner.compose import composition_of_variant
from git_planner.rules.tournament.winner.ship_text import (
    Figure,
    ShipReport,
    VariantRow,
    render_ship_text,
    ship_title,
    winner_readme,
    winner_report,
)

ROWS = (
    VariantRow("v1", "harvested", "passed", "+3/-1 in 1 file", Figure(9.5, 0.5, 0.3, 0.7), "codex gpt-6", ""),
    VariantRow(
        "v2", "harvested", "failed: lint", "+9/-0 in 2 files", None, "codex", "its gates failed: lint"
    ),
    VariantRow("v3", "broken", "-", "-", None, "", "E_PATCH: the patch does not apply"),
)
REPORT = ShipReport(
    run="2026-11-30-faster",
    prompt="# Make it faster\n\nKeep the tests.\n",
    turn=1,
    winner="v1",
    rationale="better than the base and the runner-up",
    commit="c" * 40,
    base="main",
    base_commit="b" * 40,
    metric="time",
    unit="s",
    figure=Figure(9.5, 0.5, 0.3, 0.7),
    base_value=10.0,
    gates=(("guard", "passed"), ("tests", "passed")),
    modules=(),
    left_out={},
    variants=ROWS,
    compose_sha256="d" * 64,
)


def test_the_text_tells_prompt_result_gates_variants_and_how_to_look_again() -> None:
    assert ship_title(REPORT) == "Make it faster"
    assert render_ship_text(REPORT) == (
        "## Prompt\n\n> \\# Make it faster\n>\n> Keep the tests.\n\n"
        "## Result\n\n**v1**: better than the base and the runner-up\n\n"
        "- time: 9.5 s, gain 0.5 [0.3, 0.7] (base: 10)\n"
        f"- Commit `{'c' * 40}` on `main` `bbbbbbbbbbbb`\n\n"
        "## Gates of the winner\n\n- guard: passed\n- tests: passed\n\n"
        "## Variants\n\n| variant | agent | state | gates | size | figure |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| v1 | codex gpt-6 | harvested | passed | +3/-1 in 1 file | 9.5 s, gain 0.5 [0.3, 0.7] |\n"
        "| v2 | codex | harvested | failed: lint | +9/-0 in 2 files | - |\n"
        "| v3 | - | broken | - | - | - |\n\n"
        "## Rejected\n\n- v2: its gates failed: lint\n- v3: E\\_PATCH: the patch does not apply\n\n"
        "## Where this comes from\n\n"
        "- Run: `bo4/2026-11-30-faster/run`; every variant is kept on a branch `bo4/2026-11-30-faster/…`\n"
        f"- Composition: `{'d' * 64}`\n"
        "- State of the run: `git bo4 status 2026-11-30-faster`\n"
        "- Its events: `git bo4 events validate 2026-11-30-faster`\n"
        "- Gates again: `git bo4 gate 2026-11-30-faster`\n"
    )


def test_a_composition_lists_its_modules_and_what_was_left_out() -> None:
    report = replace(
        REPORT, modules=(("diff.engine", "1.0.0", "v2"),), left_out={"v2": ("a`b", *map(str, range(30)))}
    )
    text = render_ship_text(report)
    assert "| diff.engine | 1.0.0 | v2 |" in text
    assert "Not taken from v2, being outside of all modules: `a'b`, `0`," in text
    assert "`18` and 11 more." in text
    assert winner_readme(report).startswith("# Winner of 2026-11-30-faster\n\nThe code is on the branch ")


def test_texts_of_others_cannot_mention_link_or_break_the_table() -> None:
    hostile = "@everyone <img src=x> [x](http://evil) | `code` #1\n| a | b |\n## Heading"
    row = VariantRow(hostile, hostile, hostile, hostile, None, hostile, hostile)
    text = render_ship_text(
        replace(REPORT, prompt=hostile, rationale=hostile, variants=(row,), metric=hostile, base=hostile)
    )
    for line in text.splitlines():
        if not line.startswith("- Commit"):
            assert "@everyone" not in line.replace("\\@", "")
            assert "<img" not in line.replace("\\<", "")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Prompt",
        "## Result",
        "## Gates of the winner",
        "## Variants",
        "## Rejected",
        "## Where this comes from",
    ]


@given(st.text(max_size=60), st.integers(0, 300), st.integers(1, 400))
def test_the_text_is_bounded(word: str, count: int, length: int) -> None:
    row = replace(ROWS[1], why=word * length, agent=word * length)
    report = replace(
        REPORT,
        prompt=word * 3000,
        variants=(row,) * count,
        modules=((word * length, "1", "v1"),) * count,
        left_out={f"v{number}": (word * 9,) * 50 for number in range(min(count, 40))},
    )
    assert len(render_ship_text(report)) <= MAX_BODY
    assert len(ship_title(report)) <= 72


def test_the_report_holds_the_bill_of_materials() -> None:
    document = winner_report(
        composition_of_variant(2), composer="git-bo4 1.0", generated_at="2026-11-30T00:00:00Z", notes=["n"]
    )
    assert document["bill_of_materials"] == [{"id": "tree", "version": "0.1.0", "variant": 2}]
    assert document["context"]["run_id"].startswith("single:v2:")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"screening": {"gain": 500}}, "another variant gains as much with a smaller patch"),
        ({"screening": {"gain": 400}}, "another variant gains more"),
        ({"screening": {"gain": 0}}, "it gains nothing over the base"),
        (
            {"commit": None, "state": "failed", "note": "changed: bench/steps.js"},
            "it has no commit: its state is 'failed', changed: bench/steps.js",
        ),
    ],
)
def test_the_reason_of_a_rejection_says_what_happened(fields: dict[str, Any], why: str) -> None:
    row = {"state": "harvested", "commit": "a" * 40, "gates": {"passed": True}, **fields}
    assert rejection(Variant(1, 2, **row), {"variant": 1, "figures": {"gain": 500}}) == why
