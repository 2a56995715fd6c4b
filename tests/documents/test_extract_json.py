"""Extraction of answers pasted from a chat: repaired if only quotes and spaces are odd, else refused."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.errors import PlannerError
from git_planner.rules.documents.extract_json import DIRECTIVE_KEYS, PLANNING_PLAN_KEYS, extract_json

ANSWER: dict[str, Any] = {
    "objective": "Fewer loads",
    "primary_hypothesis": "a \"load\" costs {more} than “two” adds: 'yes'",
    "strategy_family": "family:reduce_loads",
    "strategy_modifiers": [],
    "risk": "Low",
    "expected_effect": -12,
    "change_summary": ["one"],
    "step_plan": ["a, b", "c: d", "e}"],
    "validation": {"commands": ["printf '{\"a\": 1}'"], "pass_criteria": ["less\u00a0cycles"]},
    "next_packet_requests": [],
    "did_web_search": False,
}
WRITTEN = json.dumps(ANSWER, ensure_ascii=False)
# The start of an object in prose is for the tests that are about it.
PROSE = st.text(max_size=60).filter(lambda text: not re.search('{\\W*["“”„‟«»\uff02}]', text + '"'))
PLAIN = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc", "Zs"],
        exclude_characters='"“”„‟«»\uff02\\\u2028\u2029\ufeff\u200b\u2060',
    ),
    min_size=1,
    max_size=10,
)


def refused(data: bytes | str) -> tuple[str, str | None]:
    with pytest.raises(PlannerError) as raised:
        extract_json(data, "the answer")
    assert raised.value.code == "E_JSON"
    return raised.value.message, raised.value.hint


@given(before=PROSE, after=PROSE, indent=st.sampled_from([None, 2]))
def test_the_answer_is_found_in_any_prose(before: str, after: str, indent: int | None) -> None:
    before = before.encode(errors="ignore").decode()
    after = after.encode(errors="ignore").decode()
    text = f"{before}\n{json.dumps(ANSWER, indent=indent, ensure_ascii=False)}\n{after}"
    assert extract_json(text) == ANSWER


@given(
    st.dictionaries(PLAIN, PLAIN | st.integers(-(2**63), 2**63) | st.lists(PLAIN, max_size=3), max_size=5),
    st.data(),
)
def test_typographic_quotes_that_stand_for_json_s_own_are_repaired(
    document: dict[str, Any], data: st.DataObject
) -> None:
    document = {"objective": "x", **document}
    opening = data.draw(st.sampled_from("“„”«"))
    closing = data.draw(st.sampled_from("”“»"))
    parts = json.dumps(document, ensure_ascii=False).split('"')
    text = "".join(part + (opening, closing)[place % 2] for place, part in enumerate(parts[:-1])) + parts[-1]
    assert extract_json(text) == document


@given(st.text(alphabet='{}[]",:“”\u00a0 ab1\\\n', max_size=60))
def test_any_text_is_an_object_or_an_error(text: str) -> None:
    with contextlib.suppress(PlannerError):
        assert isinstance(extract_json(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        WRITTEN,
        f"Sure, here is the {{plan}}:\n\n```json\n{WRITTEN}\n```\n\nShall I go on?",
        f"~~~\n{WRITTEN}\n~~~",
        f"\ufeff  {WRITTEN}  ",
        f"[{WRITTEN}]",
        f'For an object like {{"a": 1}} I would say {{}}:\n{WRITTEN}\nand not {{"objective": "x"}}',
        f'As in {{"a" and so on, as you know.\n{WRITTEN}',
        f"{WRITTEN}\n\nOnce more, the same:\n\n{json.dumps(ANSWER, indent=4)}",
        json.dumps(ANSWER, separators=(",\u202f\u200b", ":\u00a0")),
    ],
    ids=["bare", "fence", "tildes", "mark", "list", "examples", "stray brace", "twice", "odd spaces"],
)
def test_what_chats_put_around_an_answer_does_no_harm(text: str) -> None:
    assert extract_json(text) == ANSWER
    assert extract_json(text.encode()) == ANSWER


def test_quotes_inside_of_a_text_stay_what_they_are() -> None:
    text = '{“objective”: “he said "no", and then “yes”, and \u2018hm\u2019”, "risk": "keep “this”\u00a0so"}'
    assert extract_json(text) == {
        "objective": 'he said "no", and then “yes”, and \u2018hm\u2019',
        "risk": "keep “this”\u00a0so",
    }


def test_of_several_objects_the_one_with_the_expected_keys_is_taken() -> None:
    partial = {key: ANSWER[key] for key in DIRECTIVE_KEYS[:-1]}
    assert extract_json(f'{{"objective": "x"}} {json.dumps(partial)} {{"a": 1}}') == partial
    assert extract_json('{"a": 1}') == {"a": 1}
    assert extract_json('{"mine": 1} {"a": 1}', keys=[["mine"]]) == {"mine": 1}


LAST = "paste the whole answer, to its last '}'"
ALL = "paste the whole answer, from its first '{' to its last '}'"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "'the answer' is empty", ALL),
        (" \n ", "'the answer' is empty", ALL),
        ("I cannot do that.", "'the answer' holds no JSON object: 'I cannot do that.'", ALL),
        ("x" * 70, f"'the answer' holds no JSON object: '{'x' * 59}…'", ALL),
        (
            f"{WRITTEN} {WRITTEN.replace('Low', 'High')}",
            "'the answer' holds 2 different JSON objects that could be the answer",
            "leave only the answer",
        ),
        (
            "Here:\n```json\n" + WRITTEN[:-30],
            "'the answer' ends in the middle of the JSON object that begins in line 3",
            LAST,
        ),
        (
            WRITTEN[:-3].replace('"', "”"),
            "'the answer' ends in the middle of the JSON object that begins in line 1",
            LAST,
        ),
        (
            'Here:\n  {"objective": "x",}',
            "'the answer' is not JSON: there is a comma before the closing bracket (line 2, column 21)",
            None,
        ),
        (
            "{“objective”: “x”,}",
            "'the answer' is not JSON: there is a comma before the closing bracket (line 1, column 19)",
            None,
        ),
        ('{"a": 1}\n{"objective": NaN}', "'the answer' is not accepted: NaN is not a JSON number", None),
        (
            '{"objective": 1, "objective": 2}',
            "'the answer' is not accepted: the key 'objective' appears twice in one object",
            None,
        ),
        (
            '{"objective": "a\nb"}',
            "'the answer' is not JSON: invalid control character at (line 1, column 17)",
            None,
        ),
    ],
)
def test_an_answer_that_is_refused_says_why(text: str, message: str, hint: str | None) -> None:
    assert refused(text) == (message, hint)


def test_a_part_of_a_cut_off_answer_is_never_taken_for_the_whole() -> None:
    for length in range(1, len(WRITTEN)):
        with pytest.raises(PlannerError):
            extract_json(WRITTEN[:length])


def test_other_encodings_and_endless_texts_are_refused() -> None:
    assert refused(WRITTEN.encode("utf-16")) == ("'the answer' is UTF-16; only UTF-8 is read", None)
    assert refused(b'{"a": "\xff"}') == ("'the answer' is not UTF-8 (byte 7)", None)
    assert refused("{" * 10_000_000) == (
        "'the answer' has 10,000,000 bytes; at most 4,194,304 are read",
        None,
    )


# The part of the largest answer that is read: a time that grew with its square would show in a quarter, too.
@pytest.mark.parametrize("part", [0.25, pytest.param(1, marks=pytest.mark.real)])
@pytest.mark.parametrize(
    ("start", "middle", "count"),
    [
        ("", '{"', 2_000_000),
        ("", '{"a":', 800_000),
        ("", "{“", 1_000_000),
        ("", '{"a"} ', 600_000),
        ("", '{"“', 600_000),
        ("", '{"a":1}', 500_000),
        ("", "{", 4_000_000),
        ("{“", "”", 1_300_000),
        ("{", " ", 4_000_000),
    ],
    ids=["open", "deep", "odd", "broken", "mixed", "many", "braces", "quotes", "spaces"],
)
def test_hostile_texts_are_read_in_bounded_time(start: str, middle: str, count: int, part: float) -> None:
    text, began = start + middle * int(count * part), time.process_time()
    with pytest.raises(PlannerError):
        extract_json(text)
    assert time.process_time() - began < 20


def test_the_expected_keys_are_those_of_the_schemas() -> None:
    required = {kind: set(documents.schema(kind)["required"]) for kind in ("directive", "planning-plan")}
    assert required["directive"] == {"schema", *DIRECTIVE_KEYS}
    assert required["planning-plan"] == {"schema", *PLANNING_PLAN_KEYS}
