"""Read the value of a metric from its command's stdout. Pure.

All matches must have the same value: a candidate that prints a second, better value makes the result
ambiguous. Stderr is read only for instruction counts.
"""

from __future__ import annotations

import json
import math
import re
from difflib import SequenceMatcher
from typing import Any, Literal

from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_MAX_SHOWN = 4
# Bounds of the search for the line that a pattern may have meant.
_MAX_SEARCHED, _MAX_COMPARED, _MAX_LINE = 200_000, 500, 160
_LEAST_LIKE = 0.4
Tool = Literal["perf", "valgrind"]
_COUNTS: dict[Tool, re.Pattern[str]] = {
    "perf": re.compile(r"^(\d{1,18}),[^,\n]*,instructions(?::u)?,", re.MULTILINE),
    "valgrind": re.compile(r"^==\d{1,9}== I[ \t]{1,9}refs:[ \t]{1,30}(\d[\d,]{0,24})[ \t\r]*$", re.MULTILINE),
}
# In a pattern: the secret of a run, which its command reads as the first line of its standard input.
NONCE = "{nonce}"


def is_sealed(metric: Metric) -> bool:
    """Return whether the metric's value counts only beside the secret of its run."""
    return NONCE in (metric.pattern or "")


def replace_nonce(stdout: bytes, nonce: str) -> bytes:
    """Return stdout with the secret replaced by NONCE, and any literal NONCE replaced first."""
    return stdout.replace(NONCE.encode(), b"{forged}").replace(nonce.encode(), NONCE.encode())


def read_metric(metric: Metric, stdout: bytes) -> float | Refusal:
    """Return the metric's value, or the refusal if there is none.

    Args:
        metric: the metric, with a pattern of one group or a JSON pointer.
        stdout: the complete standard output of the command.
    """
    text = stdout.decode("utf-8", "replace")
    if metric.pointer is not None:
        return _by_pointer(metric.name, metric.pointer, text)
    return _by_pattern(metric.name, metric.pattern or "", text)


def read_count(name: str, tool: Tool, stderr: bytes) -> float | Refusal:
    """Return the instruction count of a run.

    valgrind reports every process, and the counts are added, so that a forged line can only increase the sum.
    perf reports all processes in one line; a second line makes the result ambiguous.

    Args:
        name: the metric's name.
        tool: the counting tool.
        stderr: the complete standard error of the command and the tool.
    """
    counts = _COUNTS[tool].findall(stderr.decode("utf-8", "replace"))
    if not counts:
        return Refusal("no_metric", f"'{name}': {tool} counted no instructions")
    if tool == "perf" and len(counts) > 1:
        return Refusal("ambiguous_metric", f"'{name}' was counted {len(counts)} times")
    return float(sum(int(count.replace(",", "")) for count in counts))


def _by_pattern(name: str, pattern: str, text: str) -> float | Refusal:
    texts = [match[1] if match.re.groups else match[0] for match in re.finditer(pattern, text, re.MULTILINE)]
    if not texts:
        shown = f"'{name}' was not printed: nothing matches {pattern[:120]!r}"
        return Refusal("no_metric", f"{shown}{_nearest_line(pattern, text)}")
    values: dict[float, None] = {}
    for written in texts:
        value = _finite_number(written)
        if value is None:
            return Refusal("no_metric", f"'{name}' is {_short_repr(written)}, which is not a finite number")
        values[value] = None
    if len(values) > 1:
        shown = ", ".join(f"{value:.15g}" for value in list(values)[:_MAX_SHOWN])
        return Refusal("ambiguous_metric", f"'{name}' was printed with {len(values)} values: {shown}")
    return next(iter(values))


def _nearest_line(pattern: str, text: str) -> str:
    """Return a clause about the printed line that is most like a pattern, or about the last one."""
    lines = [line.strip()[:_MAX_LINE] for line in text[-_MAX_SEARCHED:].split("\n") if line.strip()]
    if not lines:
        return ", and nothing was printed"
    matcher = SequenceMatcher(autojunk=False)
    # The text of the pattern, a digit for its group: '(?i)CYCLES:\\s*(\\d+)' is 'CYCLES: 0'.
    plain = re.sub(r"\(\?[aiLmsux]+\)|[\^$]", "", pattern)
    plain = re.sub(r"\\s[*+?]?", " ", re.sub(r"\(.*\)", "0", plain)).replace("\\", "")
    matcher.set_seq2(plain.lower()[:_MAX_LINE])
    best, nearest = _LEAST_LIKE, ""
    for line in lines[-_MAX_COMPARED:]:
        matcher.set_seq1(line.lower())
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and matcher.ratio() > best:
            best, nearest = matcher.ratio(), line
    return f"; the nearest line is {nearest!r}" if nearest else f"; the last line is {lines[-1]!r}"


def _by_pointer(name: str, pointer: str, text: str) -> float | Refusal:
    try:
        document = json.loads(text, object_pairs_hook=_object_without_duplicates)
    except _DuplicateKeyError as error:
        return Refusal(
            "ambiguous_metric", f"'{name}': the key {_short_repr(str(error))} appears twice on stdout"
        )
    except (ValueError, RecursionError) as error:
        return Refusal("no_metric", f"'{name}': stdout is not one JSON document ({_short_repr(str(error))})")
    place = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and key in place:
            place = place[key]
        elif isinstance(place, list) and re.fullmatch(r"0|[1-9]\d{0,8}", key) and int(key) < len(place):
            place = place[int(key)]
        else:
            return Refusal("no_metric", f"'{name}': stdout has nothing at '{pointer}'")
    if isinstance(place, bool) or not isinstance(place, int | float):
        return Refusal("no_metric", f"'{name}': '{pointer}' holds no number")
    value = _finite_number(str(place))
    return Refusal("no_metric", f"'{name}': '{pointer}' is not finite") if value is None else value


def _finite_number(written: str | None) -> float | None:
    if written is None or not _NUMBER.fullmatch(written.strip()):
        return None
    # A negative zero is zero: it would be another value in names and documents.
    value = float(written) + 0.0
    return value if math.isfinite(value) else None


class _DuplicateKeyError(Exception):
    pass


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise _DuplicateKeyError(key)
        mapping[key] = value
    return mapping


def _short_repr(text: str | None) -> str:
    return repr((text or "")[:80])
