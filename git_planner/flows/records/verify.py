"""`git record verify`: measure a recorded commit once more, keep nothing, say whether the record holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from git_planner.errors import DEADLINE, DONE, NO, UNREACHED, PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring import run_benchmark
from git_planner.flows.measuring.candidate_tree import Candidate, build_candidate
from git_planner.flows.measuring.paired_runs import Rival, restore_tree
from git_planner.flows.measuring.run_benchmark import BenchmarkResult
from git_planner.flows.records.ledger import LedgerReader, find_record, read_baseline_proof
from git_planner.gitio.repository import Repository
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.comparison import comparison_verdict, describe_comparison
from git_planner.rules.records.record import REASONS, MeasuredMetric, Record
from git_planner.rules.refnames import number_text, random_token
from git_planner.rules.stats import paired_design

# Attempts with these reasons were never put to the instrument.
_NEVER_MEASURED = ("commit_refused", "no_change", "implementer_failed")


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Whether a record holds; None when it could not be measured now. `why` is one sentence."""

    record: Record
    holds: bool | None
    why: str
    metrics: tuple[MeasuredMetric, ...]
    timed_out: bool = False

    @property
    def exit(self) -> int:
        """0 it holds, 1 it does not, 4 or 124 it could not be measured."""
        if self.holds is None:
            return DEADLINE if self.timed_out else UNREACHED
        return DONE if self.holds else NO

    def document(self) -> dict[str, Any]:
        """The answer as a JSON document."""
        return {
            "schema": "git-planner/verification@1",
            "record": self.record.document(),
            "holds": self.holds,
            "why": self.why,
            "metrics": [
                {"name": metric.name, "samples": list(metric.samples), "median": metric.median}
                for metric in self.metrics
            ],
        }


def verify_record(
    repo: Repository, ref: str, *, plan: str | None, tell: Callable[[str], None]
) -> VerifyResult:
    """Measure a recorded commit once more.

    Args:
        repo: the repository.
        ref: any name of the commit.
        plan: the plan; the iteration's own, or the current one, when None.
        tell: progress.

    Raises:
        PlannerError: E_NO_RECORD when nothing was recorded of it, and what finding and exporting it raises.
    """
    subject = trusted_base.find_subject(repo, ref, plan)
    candidate = build_candidate(repo, subject)
    rows = LedgerReader(repo).of(subject.plan)
    hits = [
        row
        for row in rows
        if row.commit == subject.commit
        and row.instrument == candidate.instrument
        and row.reason not in _NEVER_MEASURED
    ]
    if not hits:
        raise PlannerError(
            "E_NO_RECORD",
            f"plan '{subject.plan}' has no measurement of '{ref}' by the instrument of its base",
            hint=f"make one with 'git record {ref}'",
        )
    record = find_record(repo, subject.plan, hits[-1].id)
    if candidate.refusal is not None:
        holds = record.reason == candidate.refusal.reason
        return VerifyResult(record, holds, f"refused again: {candidate.refusal.sentence}", ())
    before = None
    if record.kind != "baseline":
        before = read_baseline_proof(repo, subject.plan, rows, candidate.instrument)
    logs = repo.private("records", f"verify-{random_token()}")
    try:
        outcome = run_benchmark.measure(
            repo,
            subject.policy,
            candidate.tree,
            before=before,
            logs=logs,
            tell=tell,
            rival=_rival(repo, subject, record),
        )
    finally:
        shutil.rmtree(logs, ignore_errors=True)
    return _judged(record, candidate, outcome)


def _rival(repo: Repository, subject: Subject, record: Record) -> Rival | None:
    """What a noisy candidate was compared with. Nothing will be kept, so no number is taken for it."""
    metric = subject.policy.metric
    if record.comparison is None or metric is None:
        return None
    old = find_record(repo, record.plan, record.comparison.rival)
    plan = paired_design.plan_comparison(metric.pairs, record.comparison.number)
    return Rival(old.id, restore_tree(repo, subject, old.tree, old.commit), plan)


def _judged(record: Record, candidate: Candidate, outcome: BenchmarkResult) -> VerifyResult:
    refusal = outcome.refusal
    if refusal is not None:
        return _refused(record, refusal)
    tests = outcome.proof.tests.ids if outcome.proof else None
    broken = None
    if record.tree != candidate.tree:
        broken = "another tree was measured then"
    elif not record.valid:
        broken = f"it is valid now, and was not then ({record.reason})"
    elif tests != (record.tests.ids if record.tests else None):
        broken = "other tests ran, or with other outcomes"
    if broken is not None:
        return VerifyResult(record, False, broken, outcome.metrics)
    if not record.metrics or not outcome.metrics:
        return VerifyResult(record, True, "the tests passed again", outcome.metrics)
    return _compared(candidate.subject.policy.metric, record, outcome)


def _refused(record: Record, refusal: Refusal) -> VerifyResult:
    if refusal.verdict == "unmeasured" and record.verdict != "unmeasured":
        return VerifyResult(record, None, refusal.sentence, (), refusal.reason == "timeout")
    words = f"{REASONS[refusal.reason]}: {refusal.sentence}"
    return VerifyResult(record, refusal.reason == record.reason, words, ())


def _compared(metric: Metric | None, record: Record, outcome: BenchmarkResult) -> VerifyResult:
    then, now = record.metrics[0], outcome.metrics[0]
    if metric is not None and outcome.comparison is not None:
        again = comparison_verdict(outcome.comparison, metric)
        # What was no gain must be none; whether it is worse or within the noise may be a matter of luck.
        holds = (again == "improved") == (record.verdict == "improved")
        told = f"{again} now, {record.verdict} then: {describe_comparison(outcome.comparison, metric)}"
        return VerifyResult(record, holds, told, outcome.metrics)
    if metric is not None and metric.kind == "noisy":
        told = f"{now.name} is {number_text(now.median)} now and was {number_text(then.median)} then"
        return VerifyResult(record, True, f"{told}, which proves nothing", outcome.metrics)
    holds = now.median == then.median
    told = f"{now.name} is {number_text(now.median)} now and was {number_text(then.median)} then"
    return VerifyResult(record, holds, told, outcome.metrics)
