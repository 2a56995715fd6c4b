"""Gates of variants as jobs of an engine: workers fetch the commits, and return the reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from git_planner.engines.choose import open_engine
from git_planner.engines.contract import EngineJob
from git_planner.engines.git_data import describe_data, open_data
from git_planner.errors import PlannerError
from git_planner.flows.measuring.benches.engine_choice import EngineChoice
from git_planner.flows.tournament.gates.run_gates import GateOptions, prepare_gates, subject_of
from git_planner.gitio.repository import Repository
from git_planner.progress import Progress
from git_planner.rules import refnames
from git_planner.rules.tournament.gate import GateReport, report_from
from git_planner.rules.tournament.run import TournamentRun
from git_planner.rules.tournament.variant import Variant

FUNCTION = "git_planner.flows.tournament.gates.engine_gates:gate_job"


def gate_on_engine(
    repo: Repository,
    engine: EngineChoice,
    run: TournamentRun,
    variants: Mapping[str, Variant],
    *,
    gate_set: str,
    workers: int,
    progress: Progress,
) -> Iterator[tuple[str, GateReport]]:
    """Run a set of gates on variants; yield each report with its key as it arrives.

    Args:
        repo: the repository.
        engine: where the gates run.
        run: the tournament.
        variants: key -> a variant with a commit on its branch.
        gate_set: 'conceptual' or 'shipping'.
        workers: the number of worker processes on this host.
        progress: called with each progress message.

    Raises:
        PlannerError: what opening the engine raises; at the end the first error of a job.
    """
    if not variants:
        return
    jobs = [
        EngineJob(key, _payload(repo, engine, run, gate_set, variant)) for key, variant in variants.items()
    ]
    first_error: PlannerError | None = None
    with open_engine(engine.name, workers=workers, scheduler=engine.scheduler) as opened:
        for outcome in opened.map(FUNCTION, jobs, progress):
            if outcome.result is not None:
                progress(
                    f"{variants[outcome.key].name}: gated by {outcome.worker} in {outcome.seconds:.1f} s"
                )
                yield outcome.key, report_from(outcome.result)
            else:
                first_error = first_error or outcome.error
    if first_error is not None:
        raise first_error


def _payload(
    repo: Repository, engine: EngineChoice, run: TournamentRun, gate_set: str, variant: Variant
) -> dict[str, Any]:
    refs = {refnames.variant_ref(run.run, variant.turn, variant.number): str(variant.commit)}
    data = describe_data(repo, run.uid, refs, engine.url(repo))
    return {"data": data, "commit": variant.commit, "base": run.base, "set": gate_set}


def gate_job(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a set of gates in a worker: fetch the commit, and return the document of the report."""
    copy = open_data(payload["data"])
    subject = subject_of(copy, str(payload["commit"]), str(payload["base"]))
    report = prepare_gates(copy, subject, str(payload["set"])).run(copy, GateOptions(lambda _: None))
    return report.document()
