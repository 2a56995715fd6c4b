"""Reading one number from what a metric's command printed on stdout. Pure.

The number must be the same wherever the output gives it: a candidate that prints a second, better value makes
the reading ambiguous, whichever of the two comes last. Stderr is read only for a count of instructions.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal

from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_MAX_SHOWN = 4
Tool = Literal["perf", "valgrind"]
_COUNTS: dict[Tool, re.Pattern[str]] = {
    "perf": re.compile(r"^(\d+),[^,]*,instructions(?::u)?,", re.MULTILINE),
    "valgrind": re.compile(r"^==\d+== I\s+refs:\s+([\d,]+)\s*$", re.MULTILINE),
}
# In a pattern: a secret of the one run, which its command reads as the first line of its standard input.
NONCE = "{nonce}"


def is_sealed(metric: Metric) -> bool:
    """Whether the metric counts only beside the secret of its run."""
    return NONCE in (metric.pattern or "")


def replace_nonce(stdout: bytes, nonce: str) -> bytes:
    """What a run printed with NONCE for its secret, and with nothing else for NONCE; patterns read that."""
    return stdout.replace(NONCE.encode(), b"{forged}").replace(nonce.encode(), NONCE.encode())


def read_metric(metric: Metric, stdout: bytes) -> float | Refusal:
    """The metric's value, or why there is none.

    Args:
        metric: says where the number stands: a pattern with one group, or a JSON pointer.
        stdout: all that the command wrote to its standard output.
    """
    text = stdout.decode("utf-8", "replace")
    if metric.pointer is not None:
        return _by_pointer(metric.name, metric.pointer, text)
    return _by_pattern(metric.name, metric.pattern or "", text)


def read_count(name: str, tool: Tool, stderr: bytes) -> float | Refusal:
    """How many instructions a run took.

    valgrind tells it of every process, and the sum counts, so that a forged line can only add. perf tells it
    once, for all of them; a second line makes the reading ambiguous.

    Args:
        name: the metric's name.
        tool: what counted.
        stderr: all that the command and the counter wrote to standard error.
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
        return Refusal("no_metric", f"'{name}' was not printed on stdout")
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
    value = float(written)
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
