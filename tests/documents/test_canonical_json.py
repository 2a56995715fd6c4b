"""JSON documents: read more strictly than the json module does, and readable whenever written."""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


def error_message(data: bytes | str, **more: Any) -> str:
    with pytest.raises(PlannerError) as raised:
        canonical_json.loads(data, "x.json", **more)
    assert raised.value.code == "E_JSON"
    return raised.value.message


def typed(value: Any) -> str:
    """Return a value with its types: 1, 1.0 and True are different."""
    return repr(value)


@given(DOCUMENTS)
def test_what_was_written_is_read_back(document: Any) -> None:
    ordered = json.loads(json.dumps(document, sort_keys=True))
    for written in (canonical_json.dumps(document), canonical_json.compact(document)):
        assert typed(canonical_json.loads(written, "x")) == typed(ordered)
        for many in (False, True):
            assert typed(canonical_json.loads_trusted(written, many=many)) == typed(ordered)
    assert canonical_json.dumps_small(document) == canonical_json.dumps(document)


@given(DOCUMENTS)
def test_a_digest_outlives_writing_and_reading(document: Any) -> None:
    again = canonical_json.loads(canonical_json.dumps(document), "x")
    assert canonical_json.digest(again) == canonical_json.digest(document)


@given(st.text(alphabet='{}[]",:\\ud8001e9NaIfty-.0 \n', max_size=40) | st.text(max_size=20))
def test_any_text_is_read_as_json_reads_it_or_refused(text: str) -> None:
    with contextlib.suppress(PlannerError):
        document = canonical_json.loads(text, "x")
        assert typed(document) == typed(json.loads(text.removeprefix("\ufeff")))
        canonical_json.dumps(document)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(PlannerError):
        canonical_json.loads(data, "x")


def test_files_are_sorted_indented_and_end_with_a_newline() -> None:
    written = canonical_json.dumps({"b": [1, (2.0, None)], "a": "é"})
    assert (
        written.decode() == '{\n  "a": "é",\n  "b": [\n    1,\n    [\n      2.0,\n      null\n    ]\n  ]\n}\n'
    )


def test_the_canonical_form_and_its_digest_are_these() -> None:
    document = {"z": 1, "é": [True, 1e16], "😀": -0.0, "a": {"d": "\u2028/"}}
    assert (
        canonical_json.compact(document) == '{"a":{"d":"\u2028/"},"z":1,"é":[true,1e+16],"😀":-0.0}'.encode()
    )
    assert canonical_json.digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON: it ends in the middle (line 1, column 1)"),
        ('{"a": [1, 2', "is not JSON: it ends in the middle (line 1, column 12)"),
        ('{"a": "b', "is not JSON: it ends in the middle (line 1, column 7)"),
        ('{"a": 1,\n}', "is not JSON: there is a comma before the closing bracket (line 2, column 1)"),
        ("[1, ]", "is not JSON: there is a comma before the closing bracket (line 1, column 5)"),
        ("[1 2]", "is not JSON: expecting ',' delimiter (line 1, column 4)"),
        ("{}\n{}", "is not JSON: extra data (line 2, column 1)"),
        ('{"a":\n\x00}', "is not JSON: expecting value (line 2, column 1)"),
        ('"\x00"', "is not JSON: invalid control character at (line 1, column 2)"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "is not accepted: the key 'c' appears twice in one object"),
        ("[NaN]", "is not accepted: NaN is not a JSON number"),
        ("[-Infinity]", "is not accepted: -Infinity is not a JSON number"),
        ("[1e999]", "is not accepted: the number 1e999 is too large"),
        ("[18446744073709551616]", "is not accepted: the number 18446744073709551616 has more than 64 bits"),
        ("-9223372036854775809", "is not accepted: the number -9223372036854775809 has more than 64 bits"),
        ("9" * 5000, f"is not accepted: the number {'9' * 30}… has more than 64 bits"),
        (r'["\ud800"]', "holds a lone surrogate"),
        (r'{"\uDFFF": 1}', "holds a lone surrogate"),
        ("[" * 65 + "]" * 65, "is nested deeper than 64 levels"),
        ("[" * 100_000, "is nested deeper than 64 levels"),
        ('{"a":' * 100_000, "is nested deeper than 64 levels"),
    ],
)
def test_a_text_that_is_refused_says_why_and_where(text: str, message: str) -> None:
    assert error_message(text) == f"'x.json' {message}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"a": 1}'.encode("utf-16"), "is UTF-16; only UTF-8 is read"),
        ('{"a": 1}'.encode("utf-16-be"), "is not JSON: expecting value (line 1, column 1)"),
        (b'{"a": "\xff"}', "is not UTF-8 (byte 7)"),
        (b'{"a": "\xed\xa0\x80"}', "is not UTF-8 (byte 7)"),
        ('{"a": "\ud800"}', "is not UTF-8 (byte 7)"),
        (b" " * (canonical_json.MAX_BYTES + 1), "has 4,194,305 bytes; at most 4,194,304 are read"),
        ("x" * 10_000_000, "has 10,000,000 bytes; at most 4,194,304 are read"),
        ("é" * 2_097_153, "has 4,194,306 bytes; at most 4,194,304 are read"),
    ],
)
def test_bytes_that_are_refused_say_why(data: bytes | str, message: str) -> None:
    assert error_message(data) == f"'x.json' {message}"


def test_what_is_just_allowed_is_read() -> None:
    assert canonical_json.loads("[" * 64 + "1" + "]" * 64, "x") != []
    assert canonical_json.loads('\ufeff{"a": "\\ud83d\\ude00"}', "x") == {"a": "😀"}
    assert canonical_json.loads(b"\xef\xbb\xbf[18446744073709551615, -9223372036854775808]", "x") == [
        2**64 - 1,
        -(2**63),
    ]
    assert error_message("[1, 2]", limit=5) == "'x.json' has 6 bytes; at most 5 are read"


@pytest.mark.parametrize(
    "document",
    [
        float("nan"),
        [None, float("inf")],
        {"a": -float("inf")},
        2**64,
        -(2**63) - 1,
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {1, 2},
        b"bytes",
        datetime.date(2020, 1, 1),
        object(),
        json.loads("[" * 65 + "]" * 65),
        json.loads("[" * 300 + "]" * 300),
    ],
)
def test_what_could_not_be_read_back_is_not_written(document: Any) -> None:
    with pytest.raises(PlannerError) as raised:
        canonical_json.dumps(document)
    assert raised.value.code == "E_JSON"


def test_a_document_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for write in (canonical_json.dumps, canonical_json.compact):
        with pytest.raises(PlannerError):
            write(loop)


@pytest.mark.parametrize("document", [float("nan"), "\ud800", b"bytes", object(), [[float("-inf")]]])
def test_what_has_no_canonical_form_has_no_digest(document: Any) -> None:
    with pytest.raises(PlannerError) as raised:
        canonical_json.digest(document)
    assert raised.value.code == "E_JSON"


def test_a_damaged_document_of_ours_is_an_error_not_a_traceback() -> None:
    with pytest.raises(PlannerError) as raised:
        canonical_json.loads_trusted(b'{"a": ')
    for hostile in (b"[" * 100_000, b"NaN", b'"\\ud800"', b"\xff", b"\xef\xbb\xbf1", b""):
        for many in (False, True):
            with pytest.raises(PlannerError):
                canonical_json.loads_trusted(hostile, many=many)
    assert raised.value.code == "E_JSON"


# Parts of the texts: the whole ones would stay in memory until the last test, and be copied by every fork.
@pytest.mark.parametrize(
    ("start", "middle", "count", "end"),
    [
        ('"', '\\"', 2_000_000, ""),
        ("[", "[],", 1_300_000, "1]"),
        ("", "[", 4_000_000, ""),
        ("", '{"a":', 800_000, ""),
        ("[", '{"a":1},', 450_000, "1]"),
        ('{"a":1,', '"a":1,', 600_000, '"b":1}'),
    ],
    ids=["quotes", "wide", "deep", "deep objects", "objects", "duplicates"],
)
def test_hostile_texts_of_four_megabytes_are_read_in_bounded_time(
    start: str, middle: str, count: int, end: str
) -> None:
    text, began = start + middle * count + end, time.process_time()
    with contextlib.suppress(PlannerError):
        canonical_json.loads(text, "x")
    assert time.process_time() - began < 5


def test_deep_texts_are_refused_on_the_small_stack_of_a_thread() -> None:
    messages: list[str] = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: messages.append(error_message("[" * 100_000)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert messages == ["'x.json' is nested deeper than 64 levels"]
