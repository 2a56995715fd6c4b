"""The older loop runner's log: rows of `experiments/log.jsonl` read as records, and records as such rows.

Pure. A row becomes the same record, under the same id, whoever imports it and however often.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import MeasuredMetric, Record, Verdict
from git_planner.rules.refnames import ALPHABET, parse_iteration

_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REASON_ORDER = ("guard", "scope", "incorrect", "no_proof")


def record_from_row(line: bytes | str, where: str, plan: str) -> Record:
    """Read one line of an old log.

    Args:
        line: the row's JSON.
        where: what to call it in an error, such as 'log.jsonl:12'.
        plan: the plan it is imported into.

    Raises:
        PlannerError: E_JSON when the line is no such row.
    """
    row = canonical_json.loads(line, where)
    if not isinstance(row, dict):
        raise PlannerError("E_JSON", f"'{where}' is not an object")
    stamp = row.get("timestamp_utc")
    if not isinstance(stamp, str) or not _STAMP.fullmatch(stamp):
        raise PlannerError("E_JSON", f"'{where}' has no 'timestamp_utc' such as '2026-11-21T00:02:16Z'")
    cycles = _number(row, "cycles", where)
    if not isinstance(row.get("valid"), bool):
        raise PlannerError("E_JSON", f"'{where}' has no 'valid' that is true or false")
    branch = _text(row, "branch") or None
    iteration = parse_iteration(branch or "")
    verdict, reason = _verdict(row, cycles)
    return Record(
        id=_id(stamp, row),
        plan=plan,
        kind="imported",
        verdict=verdict,
        reason=reason,
        commit=_oid(row, "head_sha"),
        tree="",
        patch_id=None,
        base=_oid(row, "base_sha"),
        branch=branch,
        iteration=_iteration_number(row),
        slug=iteration.slug if iteration else None,
        instrument=None,
        environment_digest=None,
        metrics=()
        if cycles is None
        else (MeasuredMetric("cycles", "cycles", "lower", (cycles,), cycles, 0.0),),
        best_before=_number(row, "best_before", where),
        delta=_number(row, "delta_vs_best", where),
        threshold_met=row.get("threshold_met") is True,
        strategy=_texts(row, "strategy_tags")[:4],
        hypothesis=_text(row, "hypothesis"),
        change_summary=_texts(row, "change_summary")[:100],
        files=_texts(row, "files_changed"),
        violations=(
            *(f"forbidden: {path}" for path in _texts(row, "scope_forbidden_files")),
            *(f"not allowed: {path}" for path in _texts(row, "scope_disallowed_files")),
        ),
        summary=_text(row, "result_summary"),
        notes=(_text(row, "notes"),) if _text(row, "notes") else (),
        agents={"base_branch": _text(row, "base_branch")},
        created_at=stamp,
    )


def row_from_record(record: Record) -> dict[str, Any]:
    """A record as a row of the older log, with all its fields."""
    checked = record.valid or record.reason not in ("guard", "scope")
    row: dict[str, Any] = {
        "iteration_id": record.iteration,
        "timestamp_utc": record.created_at,
        "branch": record.branch,
        "base_branch": record.agents.get("base_branch", "")
        if record.kind == "imported"
        else "iter/best" + ("" if record.plan == "default" else f"-{record.plan}"),
        "base_sha": record.base,
        "head_sha": record.commit or "(unknown)",
        "files_changed": list(record.files),
        "scope_disallowed_files": _paths(record, "not allowed: "),
        "scope_forbidden_files": _paths(record, "forbidden: "),
        "scope_ok": record.reason != "scope",
        "tests_diff_empty": record.reason != "guard",
        "valid": record.valid,
        "new_best": record.verdict == "improved",
        "threshold_met": record.threshold_met,
        "correctness_pass": record.reason != "incorrect" if checked and record.reason != "no_proof" else None,
        "cycles": _whole(record.value),
        "best_before": _whole(record.best_before),
        "delta_vs_best": _whole(record.delta),
        "strategy_tags": list(record.strategy),
        "hypothesis": record.hypothesis,
        "change_summary": list(record.change_summary),
        "result_summary": record.summary,
        "merged_to_main": False,
    }
    if record.notes:
        row["notes"] = " | ".join(record.notes)
    return row


def _verdict(row: Mapping[str, Any], cycles: float | None) -> tuple[Verdict, str | None]:
    if row["valid"]:
        if cycles is None:
            return "invalid", "no_metric"
        delta = row.get("delta_vs_best")
        if row.get("new_best") is True:
            return "improved", None
        return ("worse" if isinstance(delta, int | float) and delta > 0 else "within_noise"), None
    wrong = {
        "guard": row.get("tests_diff_empty") is False,
        "scope": row.get("scope_ok") is False,
        "incorrect": row.get("correctness_pass") is False,
        "no_proof": True,
    }
    return "invalid", next(reason for reason in _REASON_ORDER if wrong[reason])


def _id(stamp: str, row: Mapping[str, Any]) -> str:
    bits = hashlib.sha256(canonical_json.compact(row)).digest()
    letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in bits[:12])
    return stamp.replace("-", "").replace(":", "") + "-" + letters


def _iteration_number(row: Mapping[str, Any]) -> int | None:
    value = row.get("iteration_id")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _oid(row: Mapping[str, Any], key: str) -> str:
    return _text(row, key) if _OID.fullmatch(_text(row, key)) else ""


def _number(row: Mapping[str, Any], key: str, where: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlannerError("E_JSON", f"'{where}' has no number at '{key}'")
    return float(value)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _paths(record: Record, mark: str) -> list[str]:
    return [violation.removeprefix(mark) for violation in record.violations if violation.startswith(mark)]


def _whole(value: float | None) -> float | int | None:
    return int(value) if value is not None and float(value).is_integer() else value
