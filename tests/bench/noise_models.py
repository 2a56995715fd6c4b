"""Simulated campaigns of noisy comparisons: noise of every kind, with after-effects of every kind.

The suite simulates few campaigns (tests/stats/test_simulation.py). This simulates more, and compares the
complete table in docs/noisy-metrics.md with what `git record simulate` prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from git_planner.cli.git_record.noise import evidence_lines
from git_planner.rules.stats.pairs import Pairs
from git_planner.rules.stats.simulation import NOISES, CaseResult, SimulationCase, simulate
from tests.bench.timing import Figure

PAGE = Path(__file__).parents[2] / "docs" / "noisy-metrics.md"
# After-effect on the next run, in standard deviations, and the share that remains from run to run.
NEXT_RUN = ((2.0, 0.0), (3.0, 0.0), (5.0, 0.0), (-5.0, 0.0))
FADING = ((5.0, 0.3), (5.0, 0.5))
SLOWLY_FADING = (5.0, 0.66)
# In these, a lasting effect looked like a gain while all rounds were of the same length.
WAVES = tuple(noise for noise in NOISES if noise.startswith("wave"))
# False keeps that are expected among 60 candidates.
BOUND = 0.0375
STEADY = [noise for noise in NOISES if not noise.startswith("wave")]


def measure(root: Path, env: Mapping[str, str], fewer: int) -> Iterator[Figure]:
    """Simulate campaigns and count false keeps, missed gains, and lines of the page that are not printed."""
    campaigns = 100 // fewer
    yield false_keeps("without after-effects", [SimulationCase(noise) for noise in NOISES], campaigns)
    next_run = [SimulationCase(noise, 0.0, *effect) for noise in NOISES for effect in NEXT_RUN]
    yield false_keeps("the next run disturbed", next_run, campaigns)
    fading = [SimulationCase(noise, 0.0, *effect) for noise in STEADY for effect in FADING]
    yield false_keeps("the next runs disturbed", fading, campaigns // 5)
    slowly = [SimulationCase(noise, 0.0, *SLOWLY_FADING) for noise in STEADY]
    yield false_keeps("the next runs disturbed for long", slowly, campaigns // 5)
    waves = [SimulationCase(noise, 0.0, *effect) for noise in WAVES for effect in (*FADING, SLOWLY_FADING)]
    yield false_keeps("the next runs disturbed, in waves", waves, campaigns)
    better = [SimulationCase(noise, 2.0, after) for noise in NOISES for after in (0.0, 5.0)]
    least = min(simulate(Pairs(), 60, campaigns, 2, better).outcomes, key=lambda result: result.share)
    yield Figure("gains of 2 sigma that are missed", 21, 100 * (1 - least.share), "%", least.case.label)
    small = simulate(Pairs(max=96), 60, campaigns // 5, 1, [SimulationCase("normal", 1.0)]).outcomes[0]
    yield Figure("gains of 1 sigma that are missed in 300 runs", 35, 100 * (1 - small.share), "%")
    printed = [line.strip() for line in evidence_lines(simulate(Pairs(), 60, 50, 1))]
    shown = {line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines()}
    missing = [line for line in printed if line not in shown]
    yield Figure(
        "lines of the table that docs/noisy-metrics.md lacks", 0, len(missing), "x", "".join(missing[:1])
    )


def false_keeps(what: str, cases: list[SimulationCase], campaigns: int, limit: float = 0.1) -> Figure:
    """Return the mean number of false keeps in a campaign, for the worst case."""
    worst = max(simulate(Pairs(), 60, campaigns, 2, cases).outcomes, key=kept)
    return Figure(f"false keeps among 60, {what}", limit, worst.kept, "keeps", worst.case.label)


def kept(result: CaseResult) -> float:
    """Return the sorting key of the worst result."""
    return result.kept
