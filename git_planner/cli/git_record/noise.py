"""`git record noise` and `simulate`: how noisy metrics are, and what comparisons of them are worth."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

import click

from git_planner.cli.git_record.render import in_columns
from git_planner.cli.options import json_option, plan_option
from git_planner.cli.output import emit, hush, say, tell
from git_planner.errors import DONE
from git_planner.gitio.repository import open_repository

if TYPE_CHECKING:
    from git_planner.flows.measuring.noise import NoiseReport
    from git_planner.rules.stats.simulation import SimulationReport


@click.command()
@click.option(
    "--trials", type=click.IntRange(1, 1000), default=60, show_default=True, help="A campaign's length."
)
@click.option(
    "--campaigns",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many to go through.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Where chance begins.")
@click.option("--metric", metavar="NAME", help="Take the numbers of this metric of the policy at HEAD.")
@json_option
def simulate(trials: int, campaigns: int, seed: int, metric: str | None, as_json: bool) -> int:
    """Print false keeps, power and cost in runs of noisy comparisons, found by simulation.

    Campaigns of candidates that change nothing, and of candidates that are better by one or two standard
    deviations of a single run, are gone through with noise of several kinds.
    """
    from git_planner.flows.measuring.simulate import simulate as run

    found = run(metric, trials, campaigns, Random(seed))
    if as_json:
        emit(found.document())
    else:
        say("\n".join(evidence(found)))
    return DONE


@click.command()
@plan_option
@click.option(
    "--runs", metavar="N", type=click.IntRange(3, 1000), default=20, show_default=True, help="How many runs."
)
@click.option("--force", is_flag=True, help="Measure again even where the noise is known.")
@json_option
def noise(plan: str | None, runs: int, force: bool, as_json: bool) -> int:
    """Measure the base N times, and keep how much its noisy metrics vary on this machine.

    Done once for each instrument and environment. A 'min_gain' in the policy that is less than twice the
    noise is refused, now and by 'git record'.
    """
    from git_planner.flows.measuring.noise import report_noise as run

    done = run(open_repository(), plan=plan, runs=runs, force=force, tell=hush if as_json else tell)
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
        say("\n".join(varied(done)))
    return DONE


def varied(done: NoiseReport) -> Iterator[str]:
    """The noise in words."""
    words = "known since" if done.known else "measured at"
    yield f"noise of base {done.noise.base[:12]}, {words} {done.noise.created_at}"
    rows = [("metric", "runs", "median", "deviation", "share", "autocorrelation", "smallest gain")]
    for each in done.noise.metrics:
        share = f"{100 * each.deviation / abs(each.median):.1f} %" if each.median else "-"
        rows.append(
            (
                f"{each.name} {each.unit}".strip(),
                str(len(each.samples)),
                f"{each.median:.6g}",
                f"{each.deviation:.3g}",
                share,
                f"{each.autocorrelation:+.2f}",
                f"{each.smallest_gain:.3g}",
            )
        )
    yield from _shown(*rows)


def evidence(found: SimulationReport) -> Iterator[str]:
    """The evidence in two tables."""
    yield f"campaigns of {found.trials} candidates; the noise of a single run is 5 % (1 sigma)"
    yield f"at most {found.bound:.3g} false keeps a campaign are to be expected"
    yield ""
    yield f"candidates that change nothing, {found.campaigns} campaigns a row"
    yield from _shown(
        ("noise", "false keeps a campaign", "runs a candidate", "most runs"),
        *(
            (each.noise, f"{each.kept:.2f}", f"{each.runs:.0f}", str(each.most))
            for each in found.outcomes
            if each.gain == 0
        ),
    )
    yield ""
    yield f"candidates that are better, {found.better} campaigns a row"
    yield from _shown(
        ("noise", "gain", "kept", "runs a candidate", "most runs"),
        *(
            (
                each.noise,
                f"{each.gain:g} sigma",
                f"{100 * each.share:.1f} %",
                f"{each.runs:.0f}",
                str(each.most),
            )
            for each in found.outcomes
            if each.gain > 0
        ),
    )


def _shown(*rows: tuple[str, ...]) -> Iterator[str]:
    for line in in_columns(rows, right=rows[0][1:]):
        yield f"  {line}"
