"""Options as Markdown: what is rendered reads back the same, what people write is understood."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.flows.discovery.options import find_problems
from git_planner.resources import resource_folder
from git_planner.rules.discovery import options as rules
from tests.discovery import scripted_agents
from tests.support import samples

LINES = samples.TEXTS.map(lambda text: " ".join(text.split())).filter(bool)


@st.composite
def steps(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Steps of an option; each may depend on those before it."""
    drawn: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 4))):
        step: dict[str, Any] = {
            "id": f"s{number}",
            "title": draw(LINES),
            "intent": draw(LINES),
            "actions": draw(st.lists(LINES, min_size=1, max_size=3)),
            "validation": draw(st.lists(LINES, min_size=1, max_size=3)),
        }
        if draw(st.booleans()):
            step["files"] = draw(st.lists(samples.PATHS, min_size=1, max_size=3))
            step["risks"] = draw(st.lists(LINES, min_size=1, max_size=2))
        if drawn and draw(st.booleans()):
            step["dependencies"] = [draw(st.sampled_from(drawn))["id"]]
        drawn.append(step)
    return drawn


@st.composite
def three(draw: st.DrawFn) -> dict[str, Any]:
    """A document of options."""
    options = [
        {
            "name": name,
            "title": draw(LINES),
            "summary": draw(LINES),
            "scope": draw(st.lists(LINES, min_size=1, max_size=3)),
            "steps": draw(steps()),
            "verification": draw(st.lists(LINES, min_size=1, max_size=3)),
            "risks": draw(st.lists(LINES, min_size=1, max_size=3)),
            "effort": draw(LINES),
        }
        for name in "ABC"
    ]
    return {"schema": rules.SCHEMA, "goal": draw(LINES), "options": options}


def numbered(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the ids that steps have by their place."""
    options = []
    for option in document["options"]:
        ids = {step["id"]: f"{option['name'].lower()}{at}" for at, step in enumerate(option["steps"], 1)}
        own = []
        for step in option["steps"]:
            renamed = {**step, "id": ids[step["id"]]}
            if step.get("dependencies"):
                renamed["dependencies"] = [ids[dependency] for dependency in step["dependencies"]]
            own.append({key: value for key, value in renamed.items() if value != []})
        options.append({**option, "steps": own})
    return {**document, "options": options}


@given(three())
def test_what_is_rendered_reads_back(document: dict[str, Any]) -> None:
    assert rules.parse_options(rules.render_options(document, plan="p", inputs=["x"])) == numbered(document)


@pytest.mark.parametrize(
    "text",
    [
        *("- x", "# x", "1. x", "1) x", "> x", "```", "~~~", "    x", "***", "[a]: b", "<!-- x -->", "<b>"),
        *("Title: x", "Do: x", "Summary: x", "Item: x", "| a |", "=", "---", "\\x", "&amp;", "`", "+ x"),
        *("[x] done", "[ ] open", "x #", "#", "x ##", "x\\"),
    ],
)
def test_texts_that_mean_something_in_markdown(text: str) -> None:
    line = " ".join(text.split())
    option = scripted_agents.option(
        "A", title=text, summary=text, scope=[text], effort=text, risks=[text, text]
    )
    option["steps"] = [
        scripted_agents.step(1, title=text, intent=text, actions=[text, text], validation=[text])
    ]
    document = scripted_agents.options(
        options=[option, scripted_agents.option("B"), scripted_agents.option("C")]
    )
    read = rules.find_option(rules.parse_options(rules.render_options(document, plan="p", inputs=[])), "A")
    assert read is not None
    assert [read[key] for key in ("title", "summary", "scope", "effort", "risks")] == [
        line,
        line,
        [line],
        line,
        [line, line],
    ]
    assert read["steps"][0] | {"id": "s1"} == {
        key: value
        for key, value in scripted_agents.step(
            1, title=line, intent=line, actions=[line, line], validation=[line]
        ).items()
        if value != []
    }


BY_HAND = """\
Our options
===========

## Goal

A smaller number,
as small as it gets.

## Option B — the balanced one

It goes *half* the way.

### Scope
* the number

### Steps

3. Halve it
   It is too large.

   - halve the number
   - Files: `src/size.txt`, `src/other.txt`
4. Say so
   * Why: people want to know
   * After: step 3
   * Files: docs/a.md, docs/b.md
   * Check: `python tests/size.py`

### Verification

- `python -m pytest -q "tests/a b.py"`

### Risks

It may be
too small.

### Effort

Two hours.

## Notes

### Steps

1. not a step of any option
"""


def test_what_people_write_is_understood() -> None:
    document = rules.parse_options(BY_HAND)
    assert document["goal"] == "A smaller number, as small as it gets."
    (option,) = document["options"]
    assert option == {
        "name": "B",
        "title": "the balanced one",
        "summary": "It goes *half* the way.",
        "scope": ["the number"],
        "steps": [
            {
                "id": "b1",
                "title": "Halve it It is too large.",
                "intent": "Halve it It is too large.",
                "actions": ["halve the number"],
                "files": ["src/size.txt", "src/other.txt"],
                "validation": ['`python -m pytest -q "tests/a b.py"`'],
            },
            {
                "id": "b2",
                "title": "Say so",
                "intent": "people want to know",
                "dependencies": ["b1"],
                "files": ["docs/a.md", "docs/b.md"],
                "validation": ["`python tests/size.py`"],
                "actions": ["Say so"],
            },
        ],
        "verification": ['`python -m pytest -q "tests/a b.py"`'],
        "risks": ["It may be too small."],
        "effort": "Two hours.",
    }
    assert find_problems(BY_HAND, document, "B") == []
    assert find_problems(BY_HAND, document, "A") == ["there is no option A"]
    assert find_problems(BY_HAND, document) == ["/options: has 1 items; at least 3 are needed"]
    assert rules.parse_verify_command(option["steps"][0]["validation"][0]) == (
        "python",
        "-m",
        "pytest",
        "-q",
        "tests/a b.py",
    )


def test_the_untouched_template_is_nothing_to_work_with() -> None:
    fixed = (resource_folder("templates") / "preplan" / "PLAN_OPTIONS.md").read_text()
    text = rules.render_template(fixed, plan="p", goal="a\ngoal", inputs=["one", "two"])
    problems = find_problems(text, rules.parse_options(text))
    assert len(problems) > 20
    assert all(item.startswith("still to be filled in: line ") for item in problems)
    filled = text
    for line in problems:
        filled = filled.replace(line.partition(": ")[2].partition(": ")[2], "python x.py")
    assert find_problems(filled, rules.parse_options(filled)) == []
    assert documents.validate("plan-options", rules.parse_options(filled)) == []
    assert rules.parse_options(filled)["goal"] == "a goal"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"steps": [scripted_agents.step(1, dependencies=["s1"])]},
            "option B, step 1, dependencies: 'b1' depends on itself",
        ),
        ({"steps": []}, "option B: has 0 items; at least 1 are needed"),
        (
            {"steps": [scripted_agents.step(1, files=["../x"])]},
            "option B, step 1, files: '../x' is not accepted here",
        ),
        (
            {"steps": [scripted_agents.step(1, validation=["`make && x`"])]},
            "option B, step 1, validation: command: 'make && x' uses shell syntax",
        ),
        ({"steps": [scripted_agents.step(1, title="TBD")]}, "still to be filled in: "),
        ({"summary": "x" * 3000}, "option B, summary: has 3,000 characters; at most 2,000 are allowed"),
        ({"risks": []}, "option B, risks: has 0 items; at least 1 are needed"),
    ],
)
def test_faults_are_told_in_the_readers_words(changes: dict[str, Any], fault: str) -> None:
    three = [scripted_agents.option("A"), scripted_agents.option("B", **changes), scripted_agents.option("C")]
    text = scripted_agents.markdown(options=three)
    for only in (None, "B"):
        problems = find_problems(text, rules.parse_options(text), only)
        assert any(fault in item for item in problems), problems
    assert find_problems(text, rules.parse_options(text), "A") == []


def test_an_option_that_is_there_twice(lab: Any) -> None:
    text = scripted_agents.markdown(
        options=[scripted_agents.option("A"), scripted_agents.option("A"), scripted_agents.option("C")]
    )
    assert find_problems(text, rules.parse_options(text)) == [
        "/options: are A, A, C; there must be one each of A, B, C"
    ]


def test_a_dependency_on_no_step() -> None:
    text = scripted_agents.markdown().replace("After: 1", "After: 7")
    assert "option B, step 2, dependencies: 'b7' is the id of no step" in find_problems(
        text, rules.parse_options(text)
    )


def test_steps_are_those_of_a_planning_plan() -> None:
    own, theirs = documents.schema("plan-options")["$defs"], documents.schema("planning-plan")["$defs"]
    assert own["step"] == theirs["step"] == documents.schema("choice")["$defs"]["step"]
