"""Results of a plan as a review shows them, from rows of its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from git_planner.errors import PlannerError
from git_planner.flows.records.ledger import read_record
from git_planner.flows.review.shown import shown
from git_planner.gitio.git import read_objects
from git_planner.gitio.repository import Repository
from git_planner.rules.policy.policy import Policy
from git_planner.rules.records import ranking
from git_planner.rules.records.row import RecordRow
from git_planner.rules.review.sections import MAX_ATTEMPTS, PastAttempt, ResultHistory


def read_history(repo: Repository, rows: Sequence[RecordRow], policy: Policy | None) -> ResultHistory:
    """Return the results of a plan; only the records of the last attempts are read.

    Args:
        repo: the repository.
        rows: all rows of the plan, oldest first.
        policy: the policy of the reviewed base, if it is known; its first metric decides.
    """
    attempts = _attempts(rows)
    newest = next((row for row in reversed(rows) if row.valid), None)
    comparable = [row for row in rows if newest is not None and row.instrument == newest.instrument]
    bests = _bests(comparable)
    gains = [abs(row.delta) for row in comparable if row.verdict == "improved" and row.delta is not None]
    metric = policy.metric if policy else None
    direction = newest.direction if newest else "lower"
    return ResultHistory(
        metric=metric.name if metric else shown((newest and newest.metric) or ""),
        unit=metric.unit if metric else shown(newest.unit if newest else ""),
        better=metric.better if metric else direction,
        best=bests[-1].value if bests else None,
        best_name=_name(bests[-1]) if bests else "",
        bests=tuple(row.value for row in bests[-MAX_ATTEMPTS:] if row.value is not None),
        largest_gain=max(gains, default=None),
        since_best=ranking.attempts_since_best(comparable),
        attempts=len(attempts),
        tokens=sum(row.tokens for row in rows),
        seconds=round(sum(row.seconds for row in rows), 3),
        recent=past_attempts(repo, attempts[-MAX_ATTEMPTS:]),
    )


def family_attempts(
    repo: Repository, rows: Sequence[RecordRow], family: str
) -> tuple[tuple[PastAttempt, ...], int]:
    """Return the last attempts of a strategy family, and how many there are."""
    own = [row for row in _attempts(rows) if row.family == family]
    return past_attempts(repo, own[-MAX_ATTEMPTS:]), len(own)


def past_attempts(repo: Repository, rows: Sequence[RecordRow]) -> tuple[PastAttempt, ...]:
    """Return attempts with their hypotheses, which only complete records have."""
    contents = read_objects(repo.git, [row.blob or "0" * 40 for row in rows]) if rows else iter(())
    attempts = []
    for row, content in zip(rows, contents, strict=True):
        hypothesis = ""
        # A record that was removed meanwhile has none to show.
        with suppress(PlannerError):
            hypothesis = shown(read_record(content, row.id).hypothesis) if content else ""
        attempts.append(
            PastAttempt(_name(row), row.verdict, row.reason, row.value, row.delta, hypothesis[:400])
        )
    return tuple(attempts)


def _attempts(rows: Sequence[RecordRow]) -> list[RecordRow]:
    return [row for row in rows if row.kind != "baseline"]


def _bests(rows: Sequence[RecordRow]) -> list[RecordRow]:
    """Return the rows that were the best in turn."""
    bests: list[RecordRow] = []
    for row in rows:
        if not bests or row.verdict == "improved" or row.kind == "baseline":
            top = ranking.pick_best([*bests[-1:], row])
            if top is row:
                bests.append(row)
    return bests


def _name(row: RecordRow) -> str:
    return shown(row.branch or ("baseline" if row.kind == "baseline" else row.commit[:12]))
