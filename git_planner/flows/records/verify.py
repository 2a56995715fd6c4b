"""`git record verify`: measure a recorded commit again and report whether its record holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from git_planner.errors import DEADLINE, DONE, NO, UNREACHED, PlannerError
from git_planner.flows.guard import trusted_base
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.benches.bench import Bench, HostBench, on_one_worker
from git_planner.flows.measuring.candidate_tree import Candidate, build_candidate
from git_planner.flows.measuring.paired_runs import Rival, restore_tree
from git_planner.flows.measuring.run_benchmark import BenchmarkResult
from git_planner.flows.records.ledger import LedgerReader, find_record, read_baseline_proof
from git_planner.gitio.repository import Repository
from git_planner.owned_folder import owned_folder
from git_planner.progress import Progress
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.record import MeasuredMetric, Record
from git_planner.rules.records.recorded_comparison import comparison_verdict, describe_comparison
from git_planner.rules.records.row import REASONS
from git_planner.rules.refnames import number_text
from git_planner.rules.stats import paired_design

# Attempts with these reasons were never measured.
_NEVER_MEASURED = ("commit_refused", "no_change", "implementer_failed", "abandoned")


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Result of a verification. `holds` is None if it could not be measured now; `why` is one sentence."""

    record: Record
    holds: bool | None
    why: str
    metrics: tuple[MeasuredMetric, ...]
    timed_out: bool = False

    @property
    def exit(self) -> int:
        """Return 0 if it holds, 1 if not, 4 or 124 if it could not be measured."""
        if self.holds is None:
            return DEADLINE if self.timed_out else UNREACHED
        return DONE if self.holds else NO

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
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
    repo: Repository, ref: str, *, plan: str | None, progress: Progress, bench: Bench | None = None
) -> VerifyResult:
    """Measure a recorded commit again.

    Args:
        repo: the repository.
        ref: a revision of the commit.
        plan: the plan (default: the iteration's, then the current one).
        progress: called with each progress message.
        bench: where it is measured (default: this host).

    Raises:
        PlannerError: E_NO_RECORD without a record, and what finding and exporting the commit raises.
    """
    subject = trusted_base.find_subject(repo, ref, plan)
    candidate = build_candidate(repo, subject)
    rows = LedgerReader(repo).read(subject.plan)
    measured = [
        row
        for row in rows
        if row.commit == subject.commit
        and row.instrument == candidate.instrument
        and row.reason not in _NEVER_MEASURED
    ]
    if not measured:
        raise PlannerError(
            "E_NO_RECORD",
            f"plan '{subject.plan}' has no measurement of '{ref}' by the instrument of its base",
            hint=f"make one with 'git record {ref}'",
        )
    record = find_record(repo, subject.plan, measured[-1].id)
    if candidate.refusal is not None:
        holds = record.reason == candidate.refusal.reason
        return VerifyResult(record, holds, f"refused again: {candidate.refusal.sentence}", ())
    before = None
    if record.kind != "baseline":
        before = read_baseline_proof(repo, subject.plan, rows, candidate.instrument)
    place: Bench = bench or HostBench(repo)

    def measure() -> BenchmarkResult:
        with owned_folder(repo.private("records"), "verify-") as logs:
            return place.measure(
                subject.base,
                subject.policy,
                candidate.tree,
                before=before,
                logs=logs,
                progress=progress,
                rival=_rival(repo, subject, record),
            )

    return _check_outcome(record, candidate, on_one_worker(measure, progress))


def _rival(repo: Repository, subject: Subject, record: Record) -> Rival | None:
    """Return the rival of a noisy candidate. Nothing is stored, so no comparison number is reserved."""
    metric = subject.policy.metric
    if record.comparison is None or metric is None:
        return None
    old = find_record(repo, record.plan, record.comparison.rival)
    plan = paired_design.plan_comparison(metric.pairs, record.comparison.number)
    return Rival(old.id, restore_tree(repo, subject, old.tree, old.commit), plan)


def _check_outcome(record: Record, candidate: Candidate, outcome: BenchmarkResult) -> VerifyResult:
    refusal = outcome.refusal
    if refusal is not None:
        return _check_refusal(record, refusal)
    tests = outcome.proof.tests.ids if outcome.proof else None
    fault = None
    if record.tree != candidate.tree:
        fault = "another tree was measured then"
    elif not record.valid:
        fault = f"it is valid now, and was not then ({record.reason})"
    elif tests != (record.tests.ids if record.tests else None):
        fault = "other tests ran, or with other outcomes"
    if fault is not None:
        return VerifyResult(record, False, fault, outcome.metrics)
    if not record.metrics or not outcome.metrics:
        return VerifyResult(record, True, "the tests passed again", outcome.metrics)
    return _check_metric(candidate.subject.policy.metric, record, outcome)


def _check_refusal(record: Record, refusal: Refusal) -> VerifyResult:
    if refusal.verdict == "unmeasured" and record.verdict != "unmeasured":
        return VerifyResult(record, None, refusal.sentence, (), refusal.reason == "timeout")
    message = f"{REASONS[refusal.reason]}: {refusal.sentence}"
    return VerifyResult(record, refusal.reason == record.reason, message, ())


def _check_metric(metric: Metric | None, record: Record, outcome: BenchmarkResult) -> VerifyResult:
    recorded, now = record.metrics[0], outcome.metrics[0]
    if metric is not None and outcome.comparison is not None:
        again = comparison_verdict(outcome.comparison, metric)
        # Only gain or no gain is reproducible; 'worse' and 'within the noise' may differ by chance.
        holds = (again == "improved") == (record.verdict == "improved")
        message = f"{again} now, {record.verdict} then: {describe_comparison(outcome.comparison, metric)}"
        return VerifyResult(record, holds, message, outcome.metrics)
    if metric is not None and metric.kind == "noisy":
        message = f"{now.name} is {number_text(now.median)} now and was {number_text(recorded.median)} then"
        return VerifyResult(record, True, f"{message}, which proves nothing", outcome.metrics)
    holds = now.median == recorded.median
    message = f"{now.name} is {number_text(now.median)} now and was {number_text(recorded.median)} then"
    return VerifyResult(record, holds, message, outcome.metrics)
