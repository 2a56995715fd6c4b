"""Summaries of an event stream: durations, failures and slow tests, and the timeline as text. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from git_planner.rules.printable import printable_line
from git_planner.rules.tournament import event as events_rule

TOP = 5


def summary(stream: bytes, *, top: int = TOP) -> dict[str, Any]:
    """Return the summary of a stream as a JSON document.

    Args:
        stream: the bytes of the stream.
        top: number of slow tests and of codes to list.

    Returns:
        `run`, `events`, `compose_sha256`, `unfinished` (the last line has no end), `watch` (the last word of
        the watched service), `gate_durations`, `fail_codes`, `slow_tests` and `modules`.
    """
    events = events_rule.read(stream)
    gates = [event for event in events if not events_rule.is_of_watch(event)]
    watched = [_detail(event) for event in events if events_rule.is_of_watch(event)]
    context = events[-1]["context"] if events else {}
    codes = Counter(
        str(_detail(event).get("code", "UNKNOWN")) for event in gates if _name(event).endswith("_FAIL")
    )
    return {
        "run": context.get("run_id"),
        "events": len(events),
        "compose_sha256": context.get("compose_sha256"),
        "unfinished": bool(events_rule.split_torn(stream)[1]),
        "watch": {"code": watched[-1].get("code"), "status": watched[-1].get("status")} if watched else None,
        "gate_durations": list(_gate_durations(gates)),
        "fail_codes": [{"code": code, "count": count} for code, count in codes.most_common(top)],
        "slow_tests": _slow_tests(gates, top),
        "modules": sorted({str(_detail(event)["module"]) for event in gates if "module" in _detail(event)}),
    }


def summary_lines(document: Mapping[str, Any]) -> list[str]:
    """Return a summary as lines for people."""
    watch = document["watch"]
    lines = [
        f"run      {document['run'] or '-'}",
        f"events   {document['events']}{' and an unfinished line' if document['unfinished'] else ''}",
        f"compose  {(document['compose_sha256'] or '-')[:12]}",
        f"watch    {watch['code']} {watch['status'] or ''}".rstrip() if watch else "watch    -",
    ]
    for gate in document["gate_durations"]:
        place = _place(gate)
        lines.append(
            f"gate     {gate['gate']} {gate['verdict']} {gate['dur_ms'] / 1000:.1f} s {place}".rstrip()
        )
    lines += [f"failed   {code['code']} {code['count']} times" for code in document["fail_codes"]]
    lines += [f"slow     {test['dur_ms'] / 1000:.1f} s {test['test']}" for test in document["slow_tests"]]
    lines += [f"module   {module}" for module in document["modules"]]
    return [printable_line(line) for line in lines]


def replay(stream: bytes) -> str:
    """Return the timeline of a stream as text, one line per event."""
    events = events_rule.read(stream)
    start = _time(events[0]) if events else None
    lines = []
    for event in events:
        detail, now = _detail(event), _time(event)
        passed = (now - start).total_seconds() if now and start else 0.0
        words = [
            f"{passed:+10.1f} s",
            f"#{event['seq']}",
            _name(event),
            *([str(detail["code"])] if "code" in detail else []),
            *([_place(detail)] if _place(detail) else []),
            *(str(detail[key]) for key in ("gate", "module", "test", "status", "verdict") if key in detail),
            *([f"{_number(detail['dur_ms']) / 1000:.1f} s"] if "dur_ms" in detail else []),
            *([f"(about #{detail['refers_to']})"] if "refers_to" in detail else []),
            *([str(detail[key]) for key in ("message", "error", "reason") if key in detail][:1]),
        ]
        lines.append(printable_line(" ".join(words)))
    _, torn = events_rule.split_torn(stream)
    if torn:
        lines.append(f"the last line is unfinished: {len(torn)} bytes")
    return "".join(f"{line}\n" for line in lines)


def _gate_durations(events: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the gates that ended, from the phases of the summaries."""
    for event in events:
        detail = _detail(event)
        phases = detail.get("phases")
        if _name(event) != "GATES_SUMMARY" or not isinstance(phases, list):
            continue
        for phase in phases:
            if isinstance(phase, dict):
                yield {
                    "gate": str(phase.get("name")),
                    "verdict": str(phase.get("status")),
                    "dur_ms": _number(phase.get("dur_ms")),
                    **{key: detail[key] for key in ("turn", "variant") if key in detail},
                }


def _slow_tests(events: Sequence[Mapping[str, Any]], top: int) -> list[dict[str, Any]]:
    tests = sorted(
        (-_number(_detail(event)["dur_ms"]), str(_detail(event)["test"]))
        for event in events
        if {"test", "dur_ms"} <= _detail(event).keys()
    )
    return [{"test": test, "dur_ms": -duration} for duration, test in tests[:top]]


def _place(detail: Mapping[str, Any]) -> str:
    variant, turn = detail.get("variant"), detail.get("turn", 1)
    if variant is None:
        return ""
    return f"v{variant}" if turn == 1 else f"turn{turn}/v{variant}"


def _name(event: Mapping[str, Any]) -> str:
    return str(event.get("event"))


def _detail(event: Mapping[str, Any]) -> Mapping[str, Any]:
    detail = event.get("detail", {})
    return detail if isinstance(detail, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _time(event: Mapping[str, Any]) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(event.get("ts")))
    except ValueError:
        return None
    return time if time.tzinfo else None
