"""Check a composed commit: all gates, then a measurement against the best single variant.

The only place where a composition meets gates and measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from git_planner.config.settings import read_settings
from git_planner.errors import PlannerError
from git_planner.flows.measuring.benches.bench import Bench, on_one_worker
from git_planner.flows.measuring.benches.open_bench import open_bench
from git_planner.flows.tournament.gates.run_gates import GateOptions, prepare_gates, subject_of
from git_planner.flows.tournament.run_store import RunView
from git_planner.flows.tournament.tree_measurer import TreeMeasurer
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules.measuring.verdict import Refusal
from git_planner.rules.tournament.gate import GateReport, is_report, report_from
from git_planner.rules.tournament.variant import Variant

SHIPPING = "shipping"


@dataclass(frozen=True, slots=True)
class CheckedCandidate:
    """The gates of a composed commit, whether it wins, why, and the figures of its comparison."""

    gates: GateReport
    wins: bool
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_candidate(
    repo: Repository, view: RunView, commit: str, best: Variant | None, progress: Progress
) -> CheckedCandidate:
    """Run gates and a measurement on a composed commit.

    Args:
        repo: the repository.
        view: the run.
        commit: the composed commit.
        best: the best single variant, which it must be better than; None: better than the base.
        progress: called with each progress message.

    Raises:
        PlannerError: what gates and measurements raise.
    """
    report = gate_commit(repo, view, commit, progress)
    if not report.passed:
        failure = report.failure
        why = f"'{failure.name}' {failure.verdict}" if failure else "no gate has passed"
        return CheckedCandidate(report, False, f"the composition failed its gates: {why}")
    with open_bench(repo, read_settings(repo), progress) as bench:
        return on_one_worker(lambda: _compared(repo, view, commit, best, report, bench, progress), progress)


def _compared(  # noqa: PLR0917 - all of different types
    repo: Repository,
    view: RunView,
    commit: str,
    best: Variant | None,
    report: GateReport,
    bench: Bench,
    progress: Progress,
) -> CheckedCandidate:
    """Measure a composed commit against its rival on one bench, from the start."""
    measurer = TreeMeasurer(repo, view.run, progress, bench)
    rival = "the base" if best is None else best.name
    if measurer.metric is None:
        return CheckedCandidate(report, True, "the composition passed its gates; the policy has no metric")
    tree = _measured_tree(measurer, commit)
    rival_tree = measurer.base_tree if best is None else _measured_tree(measurer, str(best.commit))
    verdict = measurer.compare(tree, rival_tree, f"the composition against {rival}")
    words = "is better than" if verdict.is_better else "is not better than"
    reason = f"the composition {words} {rival}: {verdict.text}"
    return CheckedCandidate(report, verdict.is_better, reason, {**verdict.figures, "against": rival})


def gate_commit(
    repo: Repository, view: RunView, commit: str, progress: Progress, gate_set: str = SHIPPING
) -> GateReport:
    """Run a set of gates on a commit of a run, unless the run has a report for the same tree and gates."""
    prepared = prepare_gates(repo, subject_of(repo, commit, view.run.base), gate_set)
    known = next((report for report in _known_reports(view) if report.key == prepared.key), None)
    return known or prepared.run(repo, GateOptions(progress))


def _known_reports(view: RunView) -> list[GateReport]:
    gates = [variant.gates for variant in view.variants.values()]
    gates.append((view.run.selection or {}).get("gates"))
    documents = [inner for row in gates if row for inner in (row, row.get(SHIPPING)) if inner]
    return [report_from(document) for document in documents if is_report(document)]


def _measured_tree(measurer: TreeMeasurer, commit: str) -> str:
    tree = measurer.candidate_tree(commit)
    if isinstance(tree, Refusal):
        raise PlannerError("E_MEASURE", f"'{commit[:12]}' cannot be measured: {tree.sentence}")
    return tree
