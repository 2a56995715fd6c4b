"""The log of the older loop runner: convert rows of `experiments/log.jsonl` to records and back. Pure.

Importing a row is deterministic: it always yields the same record under the same id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from git_planner.errors import PlannerError
from git_planner.rules.documents import canonical_json
from git_planner.rules.records.record import MeasuredMetric, Record
from git_planner.rules.records.row import Verdict
from git_planner.rules.refnames import ALPHABET, best_ref, parse_iteration, short_name

_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REASON_ORDER = ("guard", "scope", "incorrect", "no_proof")


def record_from_row(line: bytes | str, where: str, plan: str) -> Record:
    """Parse one line of an old log.

    Args:
        line: the row's JSON.
        where: the name of the line in errors, such as 'log.jsonl:12'.
        plan: the plan to import into.

    Raises:
        PlannerError: E_JSON if the line is not a valid row.
    """
    row = canonical_json.loads(line, where)
    if not isinstance(row, dict):
        raise PlannerError("E_JSON", f"'{where}' is not an object")
    stamp = row.get("timestamp_utc")
    if not isinstance(stamp, str) or not _STAMP.fullmatch(stamp):
        raise PlannerError("E_JSON", f"'{where}' has no 'timestamp_utc' such as '2026-11-21T00:02:16Z'")
    cycles = _number_field(row, "cycles", where)
    if not isinstance(row.get("valid"), bool):
        raise PlannerError("E_JSON", f"'{where}' has no 'valid' that is true or false")
    branch = _text_field(row, "branch") or None
    iteration = parse_iteration(branch or "")
    verdict, reason = _verdict(row, cycles)
    return Record(
        id=_record_id(stamp, row),
        plan=plan,
        kind="imported",
        verdict=verdict,
        reason=reason,
        commit=_oid_field(row, "head_sha"),
        tree="",
        patch_id=None,
        base=_oid_field(row, "base_sha"),
        branch=branch,
        iteration=_iteration_number_field(row),
        slug=iteration.slug if iteration else None,
        instrument=None,
        environment_digest=None,
        metrics=()
        if cycles is None
        else (MeasuredMetric("cycles", "cycles", "lower", (cycles,), cycles, 0.0),),
        best_before=_number_field(row, "best_before", where),
        delta=_number_field(row, "delta_vs_best", where),
        threshold_met=row.get("threshold_met") is True,
        strategy=_text_fields(row, "strategy_tags")[:4],
        hypothesis=_text_field(row, "hypothesis"),
        change_summary=_text_fields(row, "change_summary")[:100],
        files=_text_fields(row, "files_changed"),
        violations=(
            *(f"forbidden: {path}" for path in _text_fields(row, "scope_forbidden_files")),
            *(f"not allowed: {path}" for path in _text_fields(row, "scope_disallowed_files")),
        ),
        summary=_text_field(row, "result_summary"),
        notes=(_text_field(row, "notes"),) if _text_field(row, "notes") else (),
        agents={"base_branch": _text_field(row, "base_branch")},
        created_at=stamp,
    )


def row_from_record(record: Record) -> dict[str, Any]:
    """Convert a record to a row of the older log."""
    checked = record.valid or record.reason not in ("guard", "scope")
    row: dict[str, Any] = {
        "iteration_id": record.iteration,
        "timestamp_utc": record.created_at,
        "branch": record.branch,
        "base_branch": record.agents.get("base_branch", "")
        if record.kind == "imported"
        else short_name(best_ref(record.plan)),
        "base_sha": record.base,
        "head_sha": record.commit or "(unknown)",
        "files_changed": list(record.files),
        "scope_disallowed_files": _violation_paths(record, "not allowed: "),
        "scope_forbidden_files": _violation_paths(record, "forbidden: "),
        "scope_ok": record.reason != "scope",
        "tests_diff_empty": record.reason != "guard",
        "valid": record.valid,
        "new_best": record.verdict == "improved",
        "threshold_met": record.threshold_met,
        "correctness_pass": record.reason != "incorrect" if checked and record.reason != "no_proof" else None,
        "cycles": _as_int(record.value),
        "best_before": _as_int(record.best_before),
        "delta_vs_best": _as_int(record.delta),
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
    failures = {
        "guard": row.get("tests_diff_empty") is False,
        "scope": row.get("scope_ok") is False,
        "incorrect": row.get("correctness_pass") is False,
        "no_proof": True,
    }
    return "invalid", next(reason for reason in _REASON_ORDER if failures[reason])


def _record_id(stamp: str, row: Mapping[str, Any]) -> str:
    bits = hashlib.sha256(canonical_json.compact(row)).digest()
    letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in bits[:12])
    return stamp.replace("-", "").replace(":", "") + "-" + letters


def _iteration_number_field(row: Mapping[str, Any]) -> int | None:
    value = row.get("iteration_id")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _oid_field(row: Mapping[str, Any], key: str) -> str:
    return _text_field(row, key) if _OID.fullmatch(_text_field(row, key)) else ""


def _number_field(row: Mapping[str, Any], key: str, where: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PlannerError("E_JSON", f"'{where}' has no number at '{key}'")
    return float(value)


def _text_field(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _text_fields(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _violation_paths(record: Record, mark: str) -> list[str]:
    return [violation.removeprefix(mark) for violation in record.violations if violation.startswith(mark)]


def _as_int(value: float | None) -> float | int | None:
    return int(value) if value is not None and float(value).is_integer() else value
