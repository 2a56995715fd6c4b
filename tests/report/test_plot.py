"""Plots of a metric: the same records give the same bytes."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from git_planner.errors import PlannerError
from git_planner.report import plot
from git_planner.rules.records.record import MeasuredMetric, Record, Verdict
from tests.support.lab import Lab


def record(number: int, verdict: Verdict, cycles: float | None) -> Record:
    """Return a record as a loop writes it; number 0 is the baseline."""
    metrics = (
        (MeasuredMetric("cycles", "cycles", "lower", (cycles,), cycles, 0.0),) if cycles is not None else ()
    )
    return Record(
        id=f"r{number}",
        plan="default",
        kind="attempt" if number else "baseline",
        verdict=verdict,
        reason=None,
        commit="c",
        tree="t",
        patch_id=None,
        base="b",
        branch=None,
        iteration=number or None,
        slug=None,
        instrument="i",
        environment_digest="e",
        metrics=metrics,
    )


RECORDS = [
    record(0, "within_noise", 768),
    record(1, "improved", 708),
    record(2, "invalid", None),
    record(3, "improved", 456),
    record(4, "worse", 584),
]


def test_a_series_has_the_best_value_at_each_point() -> None:
    series = plot.make_series(RECORDS)
    assert (series.name, series.unit) == ("cycles", "cycles")
    assert series.best == (768, 708, 708, 456, 456)
    assert [(point.x, point.value, point.look) for point in series.points] == [
        (0, 768, "baseline"),
        (1, 708, "improved"),
        (2, None, "invalid"),
        (3, 456, "improved"),
        (4, 584, "worse"),
    ]


def test_terminal_plot() -> None:
    expected = (Path(__file__).parent / "terminal-plot.txt").read_text(encoding="utf-8")
    assert plot.draw_terminal(plot.make_series(RECORDS), width=60, height=14) + "\n" == expected


def test_svg_is_an_image_and_reproducible() -> None:
    series = plot.make_series(RECORDS)
    image = plot.draw_svg(series)
    texts = {node.text for node in ET.fromstring(image).iter("{http://www.w3.org/2000/svg}text")}
    assert {
        "cycles over the iterations",
        "iteration",
        "cycles",
        "best so far",
        "improved",
        "invalid",
    } <= texts
    assert plot.draw_svg(series) == image


def test_a_series_without_values_can_be_drawn() -> None:
    series = plot.make_series([record(1, "unmeasured", None)])
    assert "metric over the iterations" in plot.draw_terminal(series, width=60, height=10)
    assert plot.draw_svg(series).startswith(b"<?xml")


def test_a_missing_extra_has_an_install_hint(lab: Lab) -> None:
    for module, call in (("plotext", "draw_terminal"), ("matplotlib", "draw_svg")):
        code = (
            "import sys\n"
            f"sys.modules[{module!r}] = None\n"
            "from git_planner.errors import PlannerError\n"
            "from git_planner.report import plot\n"
            "try:\n"
            f"    plot.{call}(plot.make_series([]))\n"
            "except PlannerError as error:\n"
            "    print(error.code, error.message, error.hint, sep='|')\n"
        )
        ran = lab.run_program(sys.executable, "-c", code, env={"PYTHONPATH": str(Path(__file__).parents[2])})
        message = f"'{module}', which draws plots, is not installed"
        assert ran.out == f"E_MISSING_EXTRA|{message}|pip install 'git-planner[plot]'\n", ran.err


@pytest.mark.parametrize("value", [-1e308, 1e308, 1e101])
def test_values_that_cannot_be_drawn_are_an_error(value: float) -> None:
    series = plot.make_series([record(0, "baseline", -value), record(1, "improved", value)])
    for draw in (plot.draw_terminal, plot.draw_svg):
        with pytest.raises(PlannerError) as caught:
            draw(series)
        assert (caught.value.code, "too large to be drawn" in caught.value.message) == ("E_PLOT", True)


def test_extreme_values_below_that_are_drawn() -> None:
    for values in ((1e100, -1e100), (5e-324, 1e99), (1e16, 1e16 + 2)):
        series = plot.make_series([record(at, "improved", value) for at, value in enumerate(values)])
        assert plot.draw_terminal(series, width=60, height=10)
        assert plot.draw_svg(series)
