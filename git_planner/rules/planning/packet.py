"""History for a planner's packet: the family rule, a summary of the attempts, an aspiration and a hint.

Pure. Everything here is computed from a plan's records, oldest first, and the policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from git_planner.rules.planning.directive import FAMILY_PREFIX
from git_planner.rules.policy.policy import Families, Metric
from git_planner.rules.records import ranking
from git_planner.rules.records.record import Record
from git_planner.rules.records.row import REASONS
from git_planner.rules.refnames import number_text

LOG_TAIL = 20
RECENT_ATTEMPTS = 8
RECENT_STRATEGIES = 15
INSPIRATIONS = 3
UNKNOWN_FAMILY = "unknown"


@dataclass(frozen=True, slots=True)
class FamilyRule:
    """The strategy families that the next directive may use, all with their 'family:' prefix.

    `streak` is how many of the last attempts were of `current`; `limit` is how many are allowed now.
    `allowed` is empty only if the policy names no families; then any family is allowed.
    """

    allowed: tuple[str, ...]
    blocked: tuple[str, ...]
    current: str | None
    streak: int
    gained: bool
    limit: int
    policy: Families
    reason: str | None

    def document(self) -> dict[str, Any]:
        """Return the rule as a packet's JSON document."""
        return {
            "allowed_families": list(self.allowed),
            "blocked_families": list(self.blocked),
            "current_family": self.current,
            "current_family_streak_len": self.streak,
            "last_attempt_meaningful_win": self.gained,
            "max_consecutive": self.limit,
            "policy": {
                "max_consecutive_default": self.policy.streak,
                "max_consecutive_bonus": self.policy.bonus_streak,
                "bonus_min_improvement": self.policy.bonus_gain,
            },
            "reason": self.reason,
        }


def attempts(ledger: Sequence[Record]) -> list[Record]:
    """Return the records that are attempts: all but baselines."""
    return [record for record in ledger if record.kind != "baseline"]


def comparable_records(ledger: Sequence[Record]) -> list[Record]:
    """Return the records of the newest valid record's instrument, with which the next one is comparable."""
    newest = next((record for record in reversed(ledger) if record.valid), None)
    return [record for record in ledger if newest is not None and record.instrument == newest.instrument]


def family_rule(ledger: Sequence[Record], families: Families) -> FamilyRule:
    """Compute the family rule from the streak at the end of the ledger.

    A family is blocked when the last `streak` attempts (valid or not) were of it. When the last of them is
    valid and at least `bonus_gain` better than the best earlier valid one of that streak, `bonus_streak` are
    allowed. A policy's only family is never blocked.

    Args:
        ledger: the plan's records, oldest first.
        families: the policy's families and limits.
    """
    known = tuple(FAMILY_PREFIX + name for name in families.names)
    current, run = _streak(attempts(ledger), known)
    gained = _gained(run, families.bonus_gain)
    limit = max(families.streak, families.bonus_streak) if gained else families.streak
    blocked = (current,) if current is not None and len(run) >= limit and len(known) > 1 else ()
    reason = (
        f"the last {len(run)} attempts were of '{current}'; at most {limit} in a row" if blocked else None
    )
    allowed = tuple(name for name in known if name not in blocked)
    return FamilyRule(allowed, blocked, current, len(run), gained, limit, families, reason)


def _streak(rows: Sequence[Record], known: tuple[str, ...]) -> tuple[str | None, list[Record]]:
    run: list[Record] = []
    for row in reversed(rows):
        family = family_of(row)
        if family not in known or (run and family != family_of(run[0])):
            break
        run.append(row)
    run.reverse()
    return (family_of(run[0]) if run else None), run


def _gained(run: Sequence[Record], least: float) -> bool:
    if not run or not run[-1].valid or run[-1].value is None:
        return False
    last = run[-1]
    best = _extreme([record for record in run[:-1] if record.instrument == last.instrument])
    if best is None:
        return False
    gain = best - run[-1].value if last.metrics[0].better == "lower" else run[-1].value - best
    return gain >= least


def _extreme(rows: Sequence[Record]) -> float | None:
    """Return the best value of comparable valid records, regardless of their verdicts."""
    valid = [record for record in rows if record.valid and record.value is not None]
    if not valid:
        return None
    pick = min if valid[0].metrics[0].better == "lower" else max
    return pick(record.value for record in valid if record.value is not None)


def family_of(record: Record) -> str:
    """Return the family of a record with its prefix, or 'unknown'."""
    first = record.strategy[0] if record.strategy else ""
    return first if first.startswith(FAMILY_PREFIX) else UNKNOWN_FAMILY


def reason_text(record: Record) -> str | None:
    """Return why a record is not valid; None if it is."""
    if record.valid:
        return None
    if record.reason is None:
        return f"{record.verdict} (unknown reason)"
    return REASONS.get(record.reason, record.reason)


def summarize_attempt(record: Record) -> dict[str, Any]:
    """Return an attempt as planners see it, without samples and environment."""
    return {
        "record": record.id,
        "iteration": record.iteration,
        "branch": record.branch,
        "commit": record.commit,
        "valid": record.valid,
        "verdict": record.verdict,
        "value": record.value,
        "delta": record.delta,
        "strategy_tags": list(record.strategy),
        "result_summary": record.summary,
        "reason": reason_text(record),
    }


def log_row(record: Record) -> dict[str, Any]:
    """Return a row of the packet's log tail: an attempt with its hypothesis and changed files."""
    return {
        **summarize_attempt(record),
        "created_at": record.created_at,
        "hypothesis": record.hypothesis,
        "change_summary": list(record.change_summary),
        "files": list(record.files[:50]),
        "violations": list(record.violations[:20]),
        "notes": list(record.notes[:10]),
        "threshold_met": record.threshold_met,
    }


def log_tail(ledger: Sequence[Record], length: int = LOG_TAIL) -> list[dict[str, Any]]:
    """Return the last rows of the ledger, oldest first; none for `length` 0."""
    return [log_row(record) for record in ledger[max(len(ledger) - length, 0) :]] if length > 0 else []


def experiment_summary(ledger: Sequence[Record]) -> dict[str, Any]:
    """Return the best value, best by family, last attempts, recent strategies and counts of invalid attempts.

    Values are taken from comparable records only (one instrument); counts and attempts from all of them.
    """
    rows = attempts(ledger)
    top = ranking.pick_best(comparable_records(ledger))
    valid = [record for record in rows if record.valid]
    tagged = [record for record in rows if record.strategy]
    return {
        "best_value": top.value if top else None,
        "best_by_family": _best_by_family(comparable_records(rows)),
        "last_attempt": summarize_attempt(rows[-1]) if rows else None,
        "last_valid_attempt": summarize_attempt(valid[-1]) if valid else None,
        "recent_attempts": [summarize_attempt(record) for record in rows[-RECENT_ATTEMPTS:]],
        "recent_strategy_combos": [_combo(record) for record in tagged[-RECENT_STRATEGIES:]],
        "invalid_counts": invalid_counts(rows),
    }


def _best_by_family(rows: Sequence[Record]) -> dict[str, float]:
    best: dict[str, float] = {}
    for family in dict.fromkeys(family_of(record) for record in rows):
        top = _extreme([record for record in rows if family_of(record) == family])
        if top is not None:
            best[family] = top
    return best


def _combo(record: Record) -> dict[str, Any]:
    return {
        "iteration": record.iteration,
        "strategy_tags": list(record.strategy),
        "valid": record.valid,
        "value": record.value,
        "reason": reason_text(record),
    }


def invalid_counts(rows: Sequence[Record]) -> dict[str, int]:
    """Count the attempts without a valid result, in total and by reason code."""
    failed = [record for record in rows if not record.valid]
    by_reason: dict[str, int] = {}
    for record in failed:
        code = record.reason or UNKNOWN_FAMILY
        by_reason[code] = by_reason.get(code, 0) + 1
    return {"total": len(failed), **dict(sorted(by_reason.items()))}


def compute_aspiration(best: float | None, metric: Metric | None, goal: str) -> float | None:
    """Return the target of the next attempt: one better than an integer best, for the goal 'best' only."""
    if goal != "best" or metric is None or best is None or not float(best).is_integer():
        return None
    return best - 1 if metric.better == "lower" else best + 1


def is_cold_start(ledger: Sequence[Record]) -> bool:
    """Return whether there is no valid attempt yet."""
    return not any(record.valid for record in attempts(ledger))


def pick_inspirations(ledger: Sequence[Record], most: int = INSPIRATIONS) -> list[Record]:
    """Return the best and the most recent valid attempts, at most `most` of either, without duplicates."""
    rows = comparable_records(attempts(ledger))
    valid = [record for record in rows if record.valid and record.value is not None and record.commit]
    if not valid:
        return []
    sign = 1 if valid[0].metrics[0].better == "lower" else -1
    ranked = sorted(valid, key=lambda record: sign * (record.value or 0.0))
    chosen = {record.id: record for record in (*ranked[:most], *reversed(valid[-most:]))}
    return list(chosen.values())


def commit_context(commit: str, summary: str, record: Record | None) -> dict[str, Any]:
    """Return a commit as planners see it: its summary, and its measurements if there is a record.

    Args:
        commit: the commit's id.
        summary: the commit's subject or another description.
        record: the record of the commit.
    """
    highlights = [*record.change_summary] if record else []
    extra: dict[str, Any] = (
        {"strategy_tags": list(record.strategy), "iteration": record.iteration} if record else {}
    )
    if record and record.hypothesis:
        extra["hypothesis"] = record.hypothesis
    return {
        "commit": commit,
        "summary": summary,
        "highlights": highlights[:50],
        "evaluation_summary": record.summary if record else None,
        "metrics": [
            {
                "name": metric.name,
                "value": metric.median,
                "unit": metric.unit,
                "better": metric.better,
                "summary": f"median of {len(metric.samples)}" if len(metric.samples) > 1 else None,
            }
            for metric in (record.metrics if record else ())
        ],
        "extra_context": extra,
    }


def iteration_hint(ledger: Sequence[Record], unit: str) -> str | None:
    """Summarize the state of the campaign in one or two sentences; None before the first attempt."""
    rows = attempts(ledger)
    if not rows:
        return None
    top, since = (
        ranking.pick_best(comparable_records(ledger)),
        ranking.attempts_since_best(comparable_records(ledger)),
    )
    stand = (
        f"The best is {number_text(top.value)} {unit}".rstrip()
        if top and top.value is not None
        else "No best yet"
    )
    parts = [f"{len(rows)} attempt(s) so far. {stand}."]
    if since:
        parts.append(f"{since} valid attempt(s) since the last improvement.")
    failed = _trailing_failures(rows)
    if failed:
        reasons = "; ".join(dict.fromkeys(reason_text(record) or "" for record in failed))
        parts.append(f"The last {len(failed)} attempt(s) gave no valid result: {reasons}.")
    return " ".join(parts)


def _trailing_failures(rows: Sequence[Record]) -> list[Record]:
    failed: list[Record] = []
    for row in reversed(rows):
        if row.valid:
            break
        failed.append(row)
    return failed


def web_url(origin: str | None) -> str | None:
    """Return a repository's web address from an https, git@ or ssh remote URL; None for other URLs."""
    if origin is None:
        return None
    scheme, separator, rest = origin.partition("://")
    if separator:
        host, _, path = rest.partition("/")
    else:
        host, _, path = origin.partition(":")
        if "@" not in host or "/" in host:
            return None
    if separator and scheme not in ("https", "http", "ssh"):
        return None
    host = host.rpartition("@")[2]
    if scheme not in ("https", "http"):
        host = host.partition(":")[0]
    path = path.strip("/").removesuffix(".git")
    return f"{'http' if scheme == 'http' else 'https'}://{host}/{path}" if host and path else None


def strip_credentials(origin: str) -> str:
    """Remove the user name and password from an http or https remote URL."""
    scheme, separator, rest = origin.partition("://")
    if not separator or scheme not in ("https", "http"):
        return origin
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
