"""Properties of the event stream: whatever is appended is valid, and whatever is damaged is found."""

from __future__ import annotations

import json
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from git_planner import documents
from git_planner.rules.tournament import event, event_summary
from git_planner.rules.tournament.event import EventContext, EventDraft

TEXTS = st.text(max_size=40) | st.text(max_size=5).map(lambda text: text * 1000)
NUMBERS = st.integers(0, 10**6)
DETAILS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("message", "error", "test", "status", "gate"), TEXTS | NUMBERS | st.none()),
        **dict.fromkeys(("dur_ms", "passed"), NUMBERS),
        "variant": st.integers(1, 64),
        "diagnostics": st.lists(TEXTS | NUMBERS, max_size=60),
    },
)
DRAFTS = st.builds(
    EventDraft,
    st.sampled_from(sorted(event.EVENTS)),
    st.none() | st.sampled_from(["E_TEST", "WATCH_HEARTBEAT"]),
    DETAILS,
    st.just("2026-11-30T19:00:00Z"),
)
check = partial(documents.validate, "event")


@given(st.lists(st.lists(DRAFTS, max_size=4), min_size=1, max_size=4))
def test_what_is_appended_is_valid_in_any_portions(portions: list[list[EventDraft]]) -> None:
    stream = b""
    for drafts in portions:
        before, stream = stream, event.append(stream, drafts, EventContext("demo"))
        assert stream.startswith(before)
    assert stream == event.append(
        b"", [draft for drafts in portions for draft in drafts], EventContext("demo")
    )
    if stream:
        assert event.validate(stream, check, strict=True) == []
    assert event.view(stream, lambda _: True) == stream
    kinds = (event.is_of_watch, lambda line: not event.is_of_watch(line))
    for keep in kinds:
        assert event.validate(event.view(stream, keep), check) == []


@given(st.lists(DRAFTS, min_size=3, max_size=6), st.data())
def test_a_change_of_any_byte_but_of_the_last_line_is_found(
    drafts: list[EventDraft], data: st.DataObject
) -> None:
    stream = event.append(b"", drafts, EventContext("demo"))
    end = stream[:-1].rfind(b"\n")
    place = data.draw(st.integers(0, end))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != stream[place]))
    damaged = stream[:place] + bytes([byte]) + stream[place + 1 :]
    assert event.validate(damaged, check, strict=True)
    event_summary.replay(damaged)
    json.dumps(event_summary.summary(damaged))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_answered(data: bytes) -> None:
    for stream in (data, b'{"schema":"git-planner/event@1",' + data + b"\n"):
        assert event.validate(stream, check, strict=True)
        event_summary.replay(stream)
        json.dumps(event_summary.summary(stream))
