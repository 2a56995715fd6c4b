"""Measurer of the trees of a tournament, with the instrument of its base.

The trusted recorder measures the base. What is measured is kept on this host, run by run, so that an
interrupted stage goes on where it was. The number of a comparison with the base is committed on the
run's branch before anything is measured; one that ends without a result has spent its share of the error
budget.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from git_planner import atomic_file
from git_planner.config.policy_file import policy_at
from git_planner.engines.contract import WorkerLostError
from git_planner.errors import PlannerError
from git_planner.flows.guard.trusted_base import Subject
from git_planner.flows.measuring.benches.bench import Bench, HostBench
from git_planner.flows.measuring.candidate_tree import build_candidate
from git_planner.flows.measuring.paired_runs import BegunRound, Rival
from git_planner.flows.measuring.run_benchmark import BenchmarkResult
from git_planner.flows.records.ledger import LedgerReader, find_record, read_baseline_proof
from git_planner.flows.records.recorder import Recorder
from git_planner.flows.tournament.run_store import RunChange, RunStore, RunView
from git_planner.gitio.repository import Repository
from git_planner.host.clock import utc_now
from git_planner.owned_folder import owned_folder
from git_planner.progress import Progress
from git_planner.rules.documents import canonical_json
from git_planner.rules.measuring.constraints import constraint_problems
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.policy.policy import Metric
from git_planner.rules.records.record import MeasuredMetric
from git_planner.rules.records.recorded_comparison import (
    RecordedComparison,
    comparison_verdict,
    describe_comparison,
)
from git_planner.rules.records.row import RecordRow
from git_planner.rules.tournament import event, judging
from git_planner.rules.tournament.event import COMPARISON, EventDraft
from git_planner.rules.tournament.run import TournamentRun

_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TreeVerdict:
    """Result of comparing one tree with another: whether it is better, in words, and the figures."""

    is_better: bool
    text: str
    figures: dict[str, Any]


class TreeMeasurer:
    """Measurer of the trees of one run.

    Args:
        repo: the repository.
        run: the run, whose base has the policy.
        progress: called with each progress message.
        bench: where they are measured (default: this host).

    Raises:
        PlannerError: E_MEASURE if the base has no valid result here; E_POLICY.
    """

    def __init__(
        self, repo: Repository, run: TournamentRun, progress: Progress, bench: Bench | None = None
    ) -> None:
        self.repo, self.run, self.progress = repo, run, progress
        self.bench: Bench = bench or HostBench(repo)
        self.policy = policy_at(repo, run.base)
        base = self._subject(run.base)
        candidate, site = build_candidate(repo, base), self.bench.site(run.base, self.policy)
        recorder = Recorder(repo, base, progress, {}, force=False, advance=False, bench=self.bench)
        problem = recorder.check_base()
        if problem is not None:
            raise PlannerError(
                "E_MEASURE",
                f"the base '{run.base_ref}' has no valid result: {problem.sentence}",
                hint=f"git record {run.base[:12]}",
            )
        self.base_tree, self._instrument, self._site = candidate.tree, candidate.instrument, site.digest
        # What figures must have in common: base, instrument and environment.
        self.digest = canonical_json.digest([run.base, candidate.instrument, site.digest])
        self._folder = repo.private("bo4", run.uid, self.digest[:16])

    @property
    def metric(self) -> Metric | None:
        """The deciding metric."""
        return self.policy.metric

    def candidate_tree(self, commit: str) -> str | Refusal:
        """Return the tree that is measured for a commit: its own, with the base's guarded files."""
        candidate = build_candidate(self.repo, self._subject(commit))
        return candidate.refusal or candidate.tree

    def tests_refusal(self, tree: str) -> Refusal | None:
        """Check a tree, once on this host: its tests, and the metrics with bounds besides the deciding one.

        Returns:
            None if it passes, or if there is nothing to check.
        """
        bounded = tuple(metric for metric in self.policy.metrics[1:] if metric.is_bounded)
        if self.policy.correctness is None and not bounded:
            return None
        place = self._folder / f"tests-{tree}.json"
        for _, values in load_rows(place):
            return Refusal(*values) if values else None
        refusal = self._measure(tree, metrics=bounded).refusal
        if refusal is None:
            save_rows(place, [["tests", []]])
        elif refusal.verdict == "invalid":
            save_rows(place, [["tests", [refusal.reason, refusal.sentence]]])
        return refusal

    def value(self, metric: Metric, tree: str) -> float | Refusal:
        """Return the value of a deterministic metric, measured once on this host."""
        if tree == self.base_tree and (recorded := self._recorded_base()) is not None:
            return recorded
        place = self._folder / f"value-{tree}.json"
        for name, values in load_rows(place):
            if name == metric.name:
                return float(values[0])
        result = self._measure(tree)
        if result.refusal is not None or not result.metrics:
            return result.refusal or Refusal("no_metric", f"'{metric.name}' was not measured")
        value = result.metrics[0].median
        save_rows(place, [[metric.name, [value]]])
        return value

    def sample(self, metric: Metric, tree: str) -> float | Refusal:
        """Measure one run of a noisy metric."""
        with owned_folder(self.repo.private("records"), "judge-") as logs:
            values = self.bench.samples(
                self.run.base, self.policy, tree, metric, 1, logs=logs, progress=self.progress
            )
        return values if isinstance(values, Refusal) else values[0]

    def place(self, name: str) -> Path:
        """Return the file in which figures of this run, base, instrument and environment are kept."""
        return self._folder / f"{name}.json"

    def compare(self, tree: str, rival: str, label: str) -> TreeVerdict:
        """Compare a tree with another one by the deciding metric; go on with an interrupted comparison.

        One that a failure ended, which the candidate may have caused, starts anew with another number.

        Args:
            tree: the composed tree of the candidate.
            rival: the composed tree that it is compared with.
            label: what the comparison is called in messages, such as 'v2 against base'.

        Raises:
            PlannerError: E_MEASURE if the rival cannot be measured; E_BUSY if another process compares the
                two; what measuring raises.
        """
        metric = self.metric
        assert metric is not None
        self.progress(f"{label}: measuring {metric.name}")
        if metric.kind == "deterministic":
            return self._compare_values(metric, tree, rival)
        with _locked(self.place(f"compare-{tree}-{rival}"), label) as place:
            return self._compare_rounds(metric, tree, rival, place, label)

    def _compare_rounds(self, metric: Metric, tree: str, rival: str, place: Path, label: str) -> TreeVerdict:
        number = self.place(f"number-{tree}") if rival == self.base_tree else None
        if not (self.bench.keeps_rounds or load_rows(place)):
            # One that was sent to a worker and has not come back has spent its share.
            _forget(number)
        plan = judging.tournament_schedule(metric.pairs, 1 if number is None else self._reserved(number))

        def keep(begun: Sequence[BegunRound]) -> None:
            save_rows(place, [[order, list(values)] for order, values in begun])

        try:
            result = self._measure(tree, Rival(label, rival, plan, load_rows(place), keep))
        except WorkerLostError:
            # The candidate may have caused that, so the next comparison has a share of its own.
            _forget(number, place)
            raise
        if result.comparison is None:
            _forget(number, place)
        elif result.refusal is None:
            return _verdict(result.comparison, metric)
        refusal = result.refusal or Refusal("no_metric", "nothing was compared")
        return TreeVerdict(False, refusal.sentence, {"reason": refusal.reason})

    def _reserved(self, place: Path) -> int:
        """Return the number that is kept in a file, or reserve the next one of the tournament."""
        for _, values in load_rows(place):
            return int(values[0])
        number = 0

        def decide(view: RunView) -> RunChange:
            nonlocal number
            # The run's branch counts, so that every clone that has it counts on.
            number = 1 + sum(
                row.get("detail", {}).get("code") == COMPARISON for row in event.read(view.events)
            )
            detail = {"message": f"comparison {number} with the base begins", "count": number}
            return RunChange(events=[EventDraft("GATES_WARN", COMPARISON, detail, utc_now())])

        RunStore(self.repo, self.run.run).change(decide, "judge")
        save_rows(place, [["number", [number]]])
        return number

    def _compare_values(self, metric: Metric, tree: str, rival: str) -> TreeVerdict:
        value, other = self.value(metric, tree), self.value(metric, rival)
        if isinstance(value, Refusal):
            return TreeVerdict(False, value.sentence, {"reason": value.reason})
        if isinstance(other, Refusal):
            raise PlannerError("E_MEASURE", f"the rival cannot be measured: {other.sentence}")
        gain = other - value if metric.better == "lower" else value - other
        text = f"{value:g} {metric.unit} against {other:g}"
        is_better = gain > 0 and gain >= (metric.min_gain or 0.0)
        return TreeVerdict(is_better, text, {"value": value, "rival": other, "gain": gain})

    def _measure(
        self, tree: str, rival: Rival | None = None, *, metrics: tuple[Metric, ...] | None = None
    ) -> BenchmarkResult:
        """Measure a tree, but refuse one besides the base that misses a constraint; None: all metrics."""
        policy = self.policy if metrics is None else self.policy._replace(metrics=metrics)
        rows = LedgerReader(self.repo).read(self.run.plan)
        before = read_baseline_proof(self.repo, self.run.plan, rows, self._instrument)
        with owned_folder(self.repo.private("records"), "judge-") as logs:
            result = self.bench.measure(
                self.run.base, policy, tree, before=before, logs=logs, progress=self.progress, rival=rival
            )
        if result.refusal is not None or tree == self.base_tree:
            return result
        problems = constraint_problems(policy.metrics, result.metrics, self._base_metrics)
        return replace(result, refusal=Refusal("constraint", "; ".join(problems))) if problems else result

    @cached_property
    def _base_metrics(self) -> tuple[MeasuredMetric, ...]:
        """The metrics of the base's record, if a constraint compares with them."""
        row = self._base_row()
        is_asked = any(metric.no_worse_than is not None for metric in self.policy.metrics)
        return find_record(self.repo, self.run.plan, row.id).metrics if row is not None and is_asked else ()

    def _recorded_base(self) -> float | None:
        row = self._base_row()
        return None if row is None else row.value

    def _base_row(self) -> RecordRow | None:
        ledger = LedgerReader(self.repo)
        for row in ledger.measured_here(ledger.read(self.run.plan), self._site):
            if row.valid and (row.tree, row.instrument) == (self.base_tree, self._instrument):
                return row
        return None

    def _subject(self, commit: str) -> Subject:
        return Subject(commit, None, None, False, self.run.base, self.policy, self.run.plan)


def _forget(*files: Path | None) -> None:
    """Remove what was kept of a comparison that has no result."""
    for file in files:
        if file is not None:
            file.unlink(missing_ok=True)


@contextmanager
def _locked(place: Path, label: str) -> Iterator[Path]:
    """Yield a file that no other process of this host uses meanwhile.

    Raises:
        PlannerError: E_BUSY.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("ab") as file:
        if not atomic_file.lock_now(file):
            raise PlannerError(
                "E_BUSY",
                f"another process measures {label}",
                hint="run the same command again when it has ended",
            )
        yield place


def load_rows(place: Path) -> list[tuple[Any, Any]]:
    """Return rows of figures that were kept on this host; none if there are none."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        document = json.loads(atomic_file.read(place, _MOST_BYTES))
        return [(name, values) for name, values in document["rows"]]
    return []


def save_rows(place: Path, rows: Sequence[Sequence[Any]]) -> None:
    """Keep rows of figures on this host, all or none."""
    place.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write(place, canonical_json.dumps_host({"rows": [list(row) for row in rows]}))


def _verdict(comparison: RecordedComparison, metric: Metric) -> TreeVerdict:
    figures = asdict(comparison)
    for name in ("orders", "base", "candidate", "lead_ins"):
        figures[name] = list(figures[name])
    is_better = comparison_verdict(comparison, metric) == "improved"
    return TreeVerdict(is_better, describe_comparison(comparison, metric), figures)
