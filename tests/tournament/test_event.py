"""The event stream: chained lines, validated with their numbers, read in spite of damage."""

from __future__ import annotations

import hashlib
import json
from functools import partial

import pytest

from git_planner import documents, redact
from git_planner.errors import PlannerError
from git_planner.rules.tournament import event, event_summary
from git_planner.rules.tournament.event import EventContext, EventDraft
from tests.foundation.fake_keys import LETTERS, drawn

AT = "2026-11-30T19:00:0{}Z"
CONTEXT = EventContext("demo", version="0.1.0")
SHA = "ab" * 32
DRAFTS = (
    EventDraft("GATES_START", detail={"gate_set": "conceptual", "variant": 1, "turn": 1}, at=AT.format(0)),
    EventDraft("TEST_FAIL", "E_TEST", {"test": "tests", "dur_ms": 1500, "message": "1 failed"}, AT.format(2)),
    EventDraft(
        "GATES_SUMMARY",
        detail={"variant": 1, "phases": [{"name": "tests", "dur_ms": 1500, "status": "fail"}]},
        at=AT.format(3),
    ),
    EventDraft("GATES_FAIL", "E_GATE", {"variant": 1, "refers_to": 1}, AT.format(3)),
)
STREAM = event.append(b"", DRAFTS, CONTEXT)
LINES = STREAM.splitlines(keepends=True)
check = partial(documents.validate, "event")


def problems(stream: bytes, *, strict: bool = True) -> list[str]:
    """Return the problems of a stream as text."""
    return [str(problem) for problem in event.validate(stream, check, strict=strict)]


def changed(line: bytes, **values: object) -> bytes:
    """Return a line with other values."""
    return json.dumps(json.loads(line) | values, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def test_lines_are_numbered_and_chained() -> None:
    events = [json.loads(line) for line in LINES]
    assert [line["seq"] for line in events] == [1, 2, 3, 4]
    digests = [hashlib.sha256(line[:-1]).hexdigest() for line in LINES]
    assert [line["prev"] for line in events] == ["0" * 64, *digests[:-1]]
    assert events[1] == {
        "schema": "git-planner/event@1",
        "event": "TEST_FAIL",
        "ts": "2026-11-30T19:00:02Z",
        "seq": 2,
        "prev": digests[0],
        "source": {"cli": "git-bo4", "version": "0.1.0"},
        "context": {"run_id": "demo", "mode": "conceptual", "compose_sha256": "0" * 64},
        "detail": {"test": "tests", "dur_ms": 1500, "message": "1 failed", "code": "E_TEST"},
    }
    assert problems(STREAM) == []
    assert event.append(STREAM, (), CONTEXT) == STREAM


def test_names_and_details_are_those_of_the_schema() -> None:
    properties = documents.schema("event")["properties"]
    assert set(properties["event"]["enum"]) == event.EVENTS
    assert set(properties["detail"]["properties"]) == event.DETAIL_KEYS


@pytest.mark.parametrize("name", sorted(event.EVENTS))
def test_every_name_is_written_and_accepted(name: str) -> None:
    assert problems(event.append(b"", [EventDraft(name, at=AT.format(1))], CONTEXT)) == []


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (LINES[0] + LINES[2] + LINES[3], ["line 2: has the number 3; 2 is expected"]),
        (LINES[0] + LINES[1] + LINES[1], ["line 3: has the number 2 after 2"]),
        (
            LINES[0] + changed(LINES[1], ts=AT.format(9)) + LINES[2],
            ["line 3: 'prev' is not the digest of the line before: one of them was rewritten"],
        ),
        (STREAM[:-7], [f"line 4: the line is unfinished: it has {len(LINES[3]) - 7} bytes and no end"]),
        (LINES[0] + b"\n", ["line 2: is not JSON: it ends in the middle (line 1, column 1)"]),
        (b"", ["line 1: the stream is empty"]),
        (
            changed(LINES[0], seq=float("nan")),
            ["line 1: is not accepted: NaN is not a JSON number"],
        ),
        (b"[" * 5000 + b"\n", ["line 1: is nested deeper than 64 levels"]),
        (b'"' + b"x" * 1_000_000 + b'"\n', ["line 1: has 1,000,002 bytes; at most 65,536 are read"]),
        (
            LINES[0].replace(b"conceptual", b"concep\x1btual"),
            ["line 1: is not JSON: invalid control character at (line 1, column 111)"],
        ),
    ],
    ids=["gap", "twice", "rewritten", "torn", "blank", "empty", "nan", "deep", "long", "control"],
)
def test_damage_is_told_with_its_line(stream: bytes, expected: list[str]) -> None:
    assert problems(stream) == expected
    assert isinstance(event_summary.replay(stream), str)
    assert isinstance(event_summary.summary(stream)["events"], int)


@pytest.mark.parametrize(
    "values",
    [
        {"event": "PARTY"},
        {"seq": 0},
        {"seq": True},
        {"detail": []},
        {"detail": {"surprise": 1}},
        {"detail": {"message": 5}},
        {"context": "demo"},
        {"context": {"run_id": [], "mode": "conceptual", "compose_sha256": "0" * 64}},
        {"ts": "yesterday"},
        {"ts": 5},
        {"prev": "no"},
        {"more": 1},
        {"detail": {"refers_to": 1}},
        {"detail": {"dur_ms": -1}},
    ],
)
def test_a_line_that_is_no_event_is_a_problem(values: dict[str, object]) -> None:
    stream = changed(LINES[0], **values)
    assert problems(stream)[0].startswith("line 1: ")
    event_summary.replay(stream)
    event_summary.summary(stream)


def test_a_problem_does_not_hide_those_behind_it() -> None:
    stream = b"{}\n" * 60
    assert len(problems(stream)) == event.MAX_PROBLEMS + 1
    # One bad line in the middle is one problem.
    bad = LINES[0] + b"oops\n"
    following = event.append(b"", [EventDraft("GATES_PASS", at=AT.format(4))], CONTEXT)
    digest = hashlib.sha256(b"oops").hexdigest()
    assert [line[:7] for line in problems(bad + changed(following, seq=3, prev=digest))] == ["line 2:"]


def test_one_stream_is_of_one_tournament() -> None:
    with pytest.raises(PlannerError, match="the stream belongs to 'demo', not to 'other'"):
        event.append(STREAM, DRAFTS, EventContext("other"))
    other = event.append(b"", DRAFTS[:1], EventContext("other"))
    digest = hashlib.sha256(LINES[3][:-1]).hexdigest()
    stream = STREAM + changed(other, seq=5, prev=digest)
    assert problems(stream) == ["line 5: belongs to 'other', the lines before to 'demo'"]


def test_a_composition_changes_the_digest_only_where_it_is_made() -> None:
    pick = EventDraft("META_PICK", detail={"module": "cache", "gain": 2.92}, at=AT.format(5))
    composed = EventContext("demo", "compose", SHA)
    stream = event.append(STREAM, [DRAFTS[0]], EventContext("demo", compose_sha256=SHA))
    assert json.loads(stream.splitlines()[-1])["context"]["compose_sha256"] == "0" * 64
    stream = event.append(event.append(stream, [pick], composed), DRAFTS, CONTEXT)
    assert [line["context"]["compose_sha256"][:2] for line in event.read(stream)] == ["00"] * 5 + ["ab"] * 5
    assert problems(stream) == []
    lines = stream.splitlines(keepends=True)
    context = {"run_id": "demo", "mode": "shipping", "compose_sha256": "cd" * 32}
    assert problems(b"".join(lines[:-1]) + changed(lines[-1], context=context)) == [
        "line 10: changes 'compose_sha256', which only an event of a composition may"
    ]


@pytest.mark.parametrize("cut", range(1, len(LINES[3]) + 1, 23))
def test_a_torn_line_is_cut_off_and_told(cut: int) -> None:
    torn = STREAM[:-cut]
    stream = event.append(torn, [EventDraft("GATES_PASS", at=AT.format(6))], CONTEXT)
    assert problems(stream) == []
    assert stream.startswith(b"".join(LINES[:3]))
    names = [(line["event"], line.get("detail", {}).get("message")) for line in event.read(stream)[3:]]
    rest = len(LINES[3]) - cut
    warning = ("GATES_WARN", f"{rest} bytes of an unfinished line were cut off after event 3")
    assert names == [*([warning] if rest else []), ("GATES_PASS", None)]


def test_nothing_follows_a_line_that_is_no_event() -> None:
    with pytest.raises(PlannerError, match="the last line of the stream is not an event"):
        event.append(STREAM + b"{}\n", DRAFTS, CONTEXT)
    for draft in (EventDraft("PARTY", at=AT.format(1)), EventDraft("GATES_PASS", detail={"x": 1})):
        with pytest.raises(PlannerError, match=r"is not (the name of an event|a detail of events)"):
            event.append(b"", [draft], CONTEXT)


def test_texts_are_cut_masked_and_always_texts() -> None:
    key = "ghp_" + drawn(LETTERS, 36)
    detail = {
        "message": {"why": ["not", "text"]},
        "error": "x" * 5000,
        "reason": f"key {key} used",
        "status": "half \udcff",
        "diagnostics": [5, "y" * 900] * 40,
        "test": None,
    }
    stream = event.append(
        b"", [EventDraft("GATES_WARN", detail=detail, at=AT.format(1))], CONTEXT, mask=redact.mask_text
    )
    assert problems(stream) == []
    assert redact.mask_bytes(stream) == stream
    written = event.read(stream)[0]["detail"]
    assert written["message"] == '{"why":["not","text"]}'
    assert (len(written["error"]), len(written["diagnostics"])) == (2000, 50)
    assert key not in written["reason"]
    assert written["status"] == "half \\udcff"


def test_a_view_holds_some_lines_unchanged() -> None:
    watch = EventDraft("GATES_WARN", "WATCH_HEARTBEAT", {"status": "pending"}, AT.format(4))
    stream = event.append(event.append(STREAM, [watch], CONTEXT), DRAFTS, CONTEXT)
    kept = event.view(stream, event.is_of_watch)
    assert kept == stream.splitlines(keepends=True)[4]
    gates = event.view(stream, event.is_of_gates)
    assert problems(gates, strict=False) == problems(kept, strict=False) == []
    assert problems(kept) == [
        "line 1: has the number 5; 1 is expected",
    ]


def test_summary_and_timeline() -> None:
    watch = EventDraft("GATES_FAIL", "WATCH_TIMEOUT", {"status": "pending\x1b[2J"}, AT.format(4))
    stream = event.append(STREAM, [watch], CONTEXT) + b'{"sch'
    document = event_summary.summary(stream)
    assert document == {
        "run": "demo",
        "events": 5,
        "compose_sha256": "0" * 64,
        "unfinished": True,
        "watch": {"code": "WATCH_TIMEOUT", "status": "pending\x1b[2J"},
        "gate_durations": [{"gate": "tests", "verdict": "fail", "dur_ms": 1500.0, "variant": 1}],
        "fail_codes": [{"code": "E_TEST", "count": 1}, {"code": "E_GATE", "count": 1}],
        "slow_tests": [{"test": "tests", "dur_ms": 1500.0}],
        "modules": [],
    }
    assert "\x1b" not in "\n".join(event_summary.summary_lines(document))
    assert event_summary.replay(stream) == (
        "      +0.0 s #1 GATES_START v1\n"
        "      +2.0 s #2 TEST_FAIL E_TEST tests 1.5 s 1 failed\n"
        "      +3.0 s #3 GATES_SUMMARY v1\n"
        "      +3.0 s #4 GATES_FAIL E_GATE v1 (about #1)\n"
        "      +4.0 s #5 GATES_FAIL WATCH_TIMEOUT pending\\x1b[2J\n"
        "the last line is unfinished: 5 bytes\n"
    )
