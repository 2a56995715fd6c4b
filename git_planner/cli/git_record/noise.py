"""`git record noise` and `simulate`: estimate noise, false-positive rate and power."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from git_planner.cli.git_record.render import in_columns
from git_planner.cli.options import bench_options, force_option, json_option, plan_option
from git_planner.cli.output import emit, say, tell
from git_planner.cli.start import start_in_repository
from git_planner.errors import DONE

if TYPE_CHECKING:
    from git_planner.flows.measuring.noise import NoiseReport
    from git_planner.rules.stats.simulation import SimulationReport


@click.command()
@click.option(
    "--trials",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=60,
    show_default=True,
    help="Candidates per campaign.",
)
@click.option(
    "--campaigns",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Number of campaigns to simulate.",
)
@click.option(
    "--seed", metavar="N", type=int, default=1, show_default=True, help="Seed of the random numbers."
)
@click.option("--metric", metavar="NAME", help="Use the settings of this metric of the policy at HEAD.")
@json_option
def simulate(trials: int, campaigns: int, seed: int, metric: str | None, as_json: bool) -> int:
    """Estimate false-positive rate, power and cost of noisy comparisons by simulation.

    Simulate campaigns of candidates that change nothing, and of candidates that are better by one or two
    standard deviations of a single run, under several kinds of noise, and with candidates that slow down or
    speed up the runs after their own.
    """
    from git_planner.flows.measuring.simulate import simulate as run

    result = run(metric, trials, campaigns, seed)
    if as_json:
        emit(result.document())
    else:
        say("\n".join(evidence_lines(result)))
    return DONE


@click.command()
@plan_option
@click.option(
    "--runs", metavar="N", type=click.IntRange(3, 1000), default=20, show_default=True, help="Number of runs."
)
@force_option("Measure again even if the noise is known.")
@bench_options
@json_option
def noise(plan: str | None, runs: int, force: bool, as_json: bool) -> int:
    """Measure the base N times, and store how much its noisy metrics vary on this machine.

    Needed once per instrument and environment. A 'min_gain' in the policy that is below twice the noise is
    refused, now and by 'git record'.
    """
    from git_planner.config.settings import read_settings
    from git_planner.flows.measuring.benches.open_bench import open_bench
    from git_planner.flows.measuring.noise import report_noise as run

    repo = start_in_repository()
    with open_bench(repo, read_settings(repo), tell) as bench:
        done = run(repo, plan=plan, runs=runs, force=force, progress=tell, bench=bench)
    if as_json:
        emit(
            {
                "schema": "git-planner/noise-measured@1",
                "noise": done.noise.document(),
                "path": done.noise.path,
                "known": done.known,
                "ledger": done.ledger,
            }
        )
    else:
        say("\n".join(noise_lines(done)))
    return DONE


def noise_lines(done: NoiseReport) -> Iterator[str]:
    """Format a noise measurement as a table."""
    words = "known since" if done.known else "measured at"
    yield f"noise of base {done.noise.base[:12]}, {words} {done.noise.created_at}"
    rows = [("metric", "runs", "median", "deviation", "share", "autocorrelation", "smallest gain")]
    for metric in done.noise.metrics:
        share = f"{100 * metric.deviation / abs(metric.median):.1f} %" if metric.median else "-"
        rows.append(
            (
                f"{metric.name} {metric.unit}".strip(),
                str(len(metric.samples)),
                f"{metric.median:.6g}",
                f"{metric.deviation:.3g}",
                share,
                f"{metric.autocorrelation:+.2f}",
                f"{metric.smallest_gain:.3g}",
            )
        )
    yield from _indented(*rows)


def evidence_lines(report: SimulationReport) -> Iterator[str]:
    """Format the result of a simulation as two tables."""
    yield f"campaigns of {report.trials} candidates; the noise of a single run is 5 % (1 sigma)"
    yield f"at most {report.bound:.3g} false keeps a campaign are expected"
    yield ""
    yield f"candidates that change nothing, {report.campaigns} campaigns a row"
    yield from _indented(
        ("noise", "false keeps a campaign", "runs a candidate", "most runs"),
        *(
            (outcome.case.label, f"{outcome.kept:.2f}", f"{outcome.runs:.0f}", str(outcome.most))
            for outcome in report.outcomes
            if outcome.case.gain == 0
        ),
    )
    yield ""
    yield f"candidates that are better, {report.better} campaigns a row"
    yield from _indented(
        ("noise", "gain", "kept", "runs a candidate", "most runs"),
        *(
            (
                outcome.case.label,
                f"{outcome.case.gain:g} sigma",
                f"{100 * outcome.share:.1f} %",
                f"{outcome.runs:.0f}",
                str(outcome.most),
            )
            for outcome in report.outcomes
            if outcome.case.gain > 0
        ),
    )


def _indented(*rows: tuple[str, ...]) -> Iterator[str]:
    for line in in_columns(rows, right=rows[0][1:]):
        yield f"  {line}"
