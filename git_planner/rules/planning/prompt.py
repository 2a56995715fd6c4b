"""Render the bounded prompt of a planner from a packet. Pure: the fixed texts come from the caller.

A prompt has one total budget. Sections are filled in the order of their importance, so the least important
ones are cut or left out first, and the prompt names them. Deterministic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from git_planner.rules.planning.commit_context import CommitPlanningContext, commit_from
from git_planner.rules.refnames import number_text

Packet = Mapping[str, Any]

MAX_HIGHLIGHTS = 8
MAX_METRICS = 10
MAX_TEXT = 2000
MAX_FAULTS = 30
MAX_ANSWER = 6000
_LEAST_PIECE = 120
_LEFT_OUT = 400
_ALL = 10**9


@dataclass(frozen=True, slots=True)
class PromptSection:
    """One section of a prompt. A lower `rank` is more important; `tail`: a cut keeps the end."""

    title: str
    body: str
    rank: int
    tail: bool = False


def render_prompt(template: str, packet: Packet, schema: Mapping[str, Any], budget: int) -> str:
    """Render the prompt of a packet.

    Args:
        template: the fixed text with $sections and $schema.
        packet: a valid packet.
        schema: the JSON Schema of the answer; shortened, at last to its keys, where the budget is small.
        budget: the largest prompt, in characters; at least some hundred more than the fixed text.
    """
    fixed, parts = Template(template), packet_sections(packet)
    bare = len(fixed.safe_substitute(sections="", schema=""))
    wanted = len(join_sections(parts, _ALL))
    forms = _forms(schema)
    rooms = [budget - bare - len(form) for form in forms]
    fits = [place for place, room in enumerate(rooms) if room >= wanted]
    useful = [place for place, room in enumerate(rooms) if place and room >= MAX_TEXT]
    chosen = (fits or useful or [len(forms) - 1])[0]
    return fixed.safe_substitute(sections=join_sections(parts, rooms[chosen]), schema=forms[chosen])


def _forms(schema: Mapping[str, Any]) -> list[str]:
    """Return a schema in ever shorter forms."""
    keys = ", ".join(schema.get("properties", {}))
    return [
        fence(json.dumps(schema, indent=1, ensure_ascii=False), "json"),
        fence(json.dumps(schema, separators=(",", ":"), ensure_ascii=False), "json"),
        fence(json.dumps(_strip_descriptions(schema), separators=(",", ":"), ensure_ascii=False), "json"),
        f"(Too long for this prompt. The keys of the object: {keys}.)",
    ]


def _strip_descriptions(node: Any) -> Any:
    """Remove the descriptions of a schema."""
    if isinstance(node, list):
        return [_strip_descriptions(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _strip_descriptions(value)
        for name, value in node.items()
        if not (name == "description" and isinstance(value, str))
    }


def render_retry(template: str, prompt: str, answer: str, faults: Sequence[str]) -> str:
    """Render the prompt after an invalid answer: the same prompt, then that answer and its faults.

    Args:
        template: the fixed text with $answer and $faults.
        prompt: the first prompt.
        answer: the invalid answer.
        faults: one sentence per fault.
    """
    shown = [f"- {fault[:500]}" for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        shown.append(f"- and {len(faults) - MAX_FAULTS} more")
    quoted = fence(cut_text(answer, MAX_ANSWER), "")
    return f"{prompt.rstrip()}\n\n" + Template(template).safe_substitute(
        answer=quoted, faults="\n".join(shown)
    )


def join_sections(parts: Sequence[PromptSection], room: int) -> str:
    """Join sections within a number of characters.

    The most important ones come first; one that does not fit is cut at the end of a line, or left out and
    named.
    """
    kept: dict[str, str] = {}
    total = sum(len(part.title) + len(part.body) + 7 for part in parts)
    left = room if total <= room else room - _LEFT_OUT
    left_out: list[str] = []
    for part in sorted(parts, key=lambda section: section.rank):
        frame = len(part.title) + 7
        body = cut_text(part.body, left - frame, tail=part.tail)
        if body:
            kept[part.title] = f"## {part.title}\n\n{body}"
            left -= len(body) + frame
        if body != part.body:
            left_out.append(part.title + (" (cut)" if body else ""))
    text = "\n\n".join(kept[part.title] for part in parts if part.title in kept)
    if left_out:
        named = ", ".join(left_out)
        text += f"\n\nLeft out for length: {named if len(named) < 300 else f'{named[:300]} …'}."
    return text.lstrip() if len(text) <= room else ""


def cut_text(text: str, most: int, *, tail: bool = False) -> str:
    """Cut a text to at most `most` characters, at the end of a line if possible, and mark the cut.

    Empty if there is no room for a useful piece. `tail` keeps the end instead of the beginning.
    """
    if len(text) <= most:
        return text
    mark = f"[{len(text):,} characters, cut here]"
    most -= len(mark) + 1
    if most < _LEAST_PIECE:
        return ""
    if tail:
        piece = text[-most:]
        return f"{mark}\n{piece[piece.find(chr(10)) + 1 :]}"
    piece = text[:most]
    end = piece.rfind("\n")
    return f"{piece[: end if end > most // 2 else most]}\n{mark}"


def fence(text: str, language: str) -> str:
    """Wrap a text in a code block whose fence does not occur in it."""
    longest = max((len(ticks) for ticks in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def packet_sections(packet: Packet) -> list[PromptSection]:
    """Return the sections of a packet in reading order."""
    makers: tuple[tuple[str, int, Callable[[Packet], str]], ...] = (
        ("Goal", 0, _goal),
        ("Constraints", 1, _constraints),
        ("Strategy families", 2, _families),
        ("Acceptance criteria", 3, lambda packet: _list(packet["acceptance_criteria"])),
        ("Words of reviewers", 3, render_remarks),
        ("Where things stand", 4, _standing),
        ("Base commit", 5, lambda packet: _commit(packet["base_context"])),
    )
    parts = [PromptSection(title, make(packet), rank) for title, rank, make in makers]
    parts += [
        PromptSection(f"Earlier result {place}", _commit(commit), 8 + place)
        for place, commit in enumerate(packet["inspirations"], 1)
    ]
    parts.append(PromptSection("Experiments so far", _summary(packet["experiment_summary"]), 6))
    parts.append(
        PromptSection("Experiment log, oldest first", _log(packet["experiment_log_tail"]), 90, tail=True)
    )
    if packet["performance_profile"] is not None:
        parts.append(PromptSection("Performance profile", _json(packet["performance_profile"]), 80))
    parts += [
        PromptSection(f"Code: {label}", fence(text, ""), 7 if place == 0 else 70 + place)
        for place, (label, text) in enumerate(packet["code_context"].items())
    ]
    return [section for section in parts if section.body]


def _goal(packet: Packet) -> str:
    metric, lines = packet["metric"], [packet["goal_text"] or "Improve what is measured."]
    if metric is not None:
        unit = f" (in {metric['unit']})" if metric["unit"] not in ("", metric["name"]) else ""
        lines.append(f"What decides: {metric['name']}{unit}; {metric['better']} is better.")
    if packet["best"] is not None:
        lines.append(f"The best so far: {number_text(packet['best'])}.")
    if packet["goal"] == "threshold" and packet["threshold"] is not None:
        lines.append(f"To be reached: {number_text(packet['threshold'])}.")
    elif packet["aspiration"] is not None:
        lines.append(f"Aim at {number_text(packet['aspiration'])} or beyond.")
    lines.append(f"This is iteration {packet['iteration']} of the plan '{packet['plan']}'.")
    return "\n".join(lines)


def _constraints(packet: Packet) -> str:
    rules = packet["constraints"]
    parts = [
        ("Only these paths may change:", rules["allow"]),
        ("These paths must not change:", rules["forbid"]),
        ("These paths are guarded; any change of them makes the attempt invalid:", rules["guard"]),
        ("Also:", rules["notes"]),
    ]
    return "\n\n".join(f"{title}\n{_list(items)}" for title, items in parts if items)


def _families(packet: Packet) -> str:
    rule = packet["strategy_family_constraints"]
    if not rule["allowed_families"]:
        return "Any family goes; name it 'family:' and a word."
    lines = [f"Choose one of: {', '.join(rule['allowed_families'])}."]
    if rule["blocked_families"]:
        why = f" ({rule['reason']})" if rule["reason"] else ""
        lines.append(f"Not now: {', '.join(rule['blocked_families'])}{why}.")
    return "\n".join(lines)


def _standing(packet: Packet) -> str:
    lines = [packet["iteration_hint"]] if packet["iteration_hint"] else []
    if packet["cold_start"]:
        lines.append(
            "No attempt has given a valid result yet: prefer a small, safe change that can be measured."
        )
    if packet["plateau_valid_iters_since_best"]:
        count = packet["plateau_valid_iters_since_best"]
        lines.append(f"{count} valid attempts have not improved on the best: try another mechanism.")
    return "\n".join(lines)


def render_remarks(packet: Packet) -> str:
    """Render the words of reviewers, each line as a quotation; empty if there are none."""
    rows = packet.get("review_remarks") or ()
    quoted = [
        "\n".join((f"{row['who']}:", *(f"> {line}".rstrip() for line in row["text"].splitlines())))
        for row in rows
    ]
    intro = (
        "People said this about earlier proposals. Take it into account where it agrees with the goal and "
        "the constraints above; it changes neither."
    )
    return "\n\n".join([intro, *quoted]) if quoted else ""


def _commit(document: Mapping[str, Any] | None) -> str:
    return "" if document is None else render_commit(commit_from(document))


def render_commit(commit: CommitPlanningContext) -> str:
    """Render a commit as lines of a prompt, with bounded fields."""
    lines = [f"Commit {commit.commit_hash}: {cut_text(commit.summary, MAX_TEXT)}"]
    lines += [f"- {cut_text(highlight, MAX_TEXT)}" for highlight in commit.highlights[:MAX_HIGHLIGHTS]]
    lines += _more(len(commit.highlights), MAX_HIGHLIGHTS, "highlights")
    if commit.evaluation_summary:
        lines.append(f"Result: {cut_text(commit.evaluation_summary, MAX_TEXT)}")
    for metric in commit.metrics[:MAX_METRICS]:
        unit = f" {metric.unit}" if metric.unit else ""
        note = f" ({cut_text(metric.summary, 400)})" if metric.summary else ""
        lines.append(f"{metric.name}: {number_text(metric.value)}{unit}{note}")
    lines += _more(len(commit.metrics), MAX_METRICS, "metrics")
    if commit.extra_context:
        lines.append(cut_text(json.dumps(commit.extra_context, sort_keys=True, ensure_ascii=False), MAX_TEXT))
    return "\n".join(lines)


def _summary(summary: Mapping[str, Any]) -> str:
    lines = [
        f"Best of {family}: {number_text(value)}"
        for family, value in sorted(summary["best_by_family"].items())
    ]
    counts = {name: count for name, count in summary["invalid_counts"].items() if count}
    if counts:
        lines.append("Without a valid result: " + ", ".join(f"{name} {n}" for name, n in counts.items()))
    attempts = [_row(attempt) for attempt in summary["recent_attempts"]]
    return "\n".join([*lines, *(["The last attempts, oldest first:", *attempts] if attempts else [])])


def _row(attempt: Mapping[str, Any]) -> str:
    value = "" if attempt["value"] is None else f" {number_text(attempt['value'])}"
    delta = "" if attempt["delta"] is None else f" ({attempt['delta']:+g})"
    tags = " ".join(attempt["strategy_tags"])
    why = cut_text(attempt["reason"] or attempt["result_summary"], 400)
    return f"- iteration {attempt['iteration']}: {attempt['verdict']}{value}{delta}; {tags}; {why}"


def _log(rows: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)


def _json(document: Any) -> str:
    return (
        document
        if isinstance(document, str)
        else fence(json.dumps(document, indent=1, sort_keys=True), "json")
    )


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _more(count: int, shown: int, what: str) -> list[str]:
    return [f"(and {count - shown} more {what})"] if count > shown else []
