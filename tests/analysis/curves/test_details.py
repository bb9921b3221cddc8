"""The further figures of a point: what they may be, and what a curve reads of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_precgate.analysis.curves.comparison import Curve, compare
from pytest_precgate.analysis.curves.details import FIGURES, PointDetails, Slo
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.interpolation import MonotoneCubic
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.errors import InvalidValueError, NotMeasuredError, OutsideSweepError, SweepMismatchError
from tests.published import kimi


def detailed(precision: str = "fp4") -> Sweep:
    """The recorded cloud, each point with a ttft_p99 of 10 ms a request in flight."""
    sweep = kimi(precision)
    points = [replace(p, details=PointDetails(ttft_p99_s=0.01 * p.concurrency)) for p in sweep.points]
    return replace(sweep, points=points)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "1"])
def test_no_figure_is_negative_infinite_or_no_number(name: str, value: object) -> None:
    """An impossible figure is refused by its name when it is read, not when it is compared."""
    with pytest.raises(InvalidValueError, match=name):
        PointDetails(**{name: value})  # type: ignore[arg-type]  # nonsense on purpose


def test_only_what_can_be_nothing_may_be_zero() -> None:
    """A request may wait for no time in a queue; none has a first token in no time."""
    assert PointDetails(queue_s=0.0, preemptions=0.0).known == {"queue_s": 0.0, "preemptions": 0.0}
    with pytest.raises(InvalidValueError, match=r"ttft_p50_s: got 0.0, wanted a number above 0"):
        PointDetails(ttft_p50_s=0.0)


def test_percentiles_rise_and_goodput_names_its_objective() -> None:
    """A p99 below the median was read from the wrong column."""
    with pytest.raises(InvalidValueError, match="wanted them in rising order"):
        PointDetails(ttft_p50_s=0.2, ttft_p99_s=0.1)
    with pytest.raises(InvalidValueError, match="slo_ttft_s"):
        PointDetails(goodput=1.0)
    with pytest.raises(InvalidValueError, match="tpot_s: got 0"):
        Slo(0.5, 0)


def test_a_curve_reads_a_figure_along_its_frontier() -> None:
    """Steffen's cubic through the figure of every frontier point, exact at the points, and nothing beyond them."""
    curve = Curve(detailed(), HARDWARE["b200"])
    own = MonotoneCubic(
        [p.interactivity for p in curve.frontier], [0.01 * p.concurrency for p in curve.frontier], "own"
    )
    assert curve.figure("ttft_p99_s", 55) == own.at(55)
    middle = curve.frontier[2]
    assert curve.figure("ttft_p99_s", middle.interactivity) == pytest.approx(0.01 * middle.concurrency)
    with pytest.raises(OutsideSweepError):
        curve.figure("ttft_p99_s", 1000)


def test_a_figure_that_a_point_lacks_is_not_measured() -> None:
    """One point without it, and the curve has none: it would be read past a hole."""
    sweep = detailed()
    curve = Curve(sweep, HARDWARE["b200"])
    holed = [replace(p, details=None) if p.key == curve.frontier[1].key else p for p in sweep.points]
    with pytest.raises(NotMeasuredError, match=r"fp4: ttft_p99_s was not measured at .* concurrency"):
        Curve(replace(sweep, points=holed), HARDWARE["b200"]).figure("ttft_p99_s", 55)
    with pytest.raises(NotMeasuredError, match="goodput"):
        curve.figure("goodput", 55)


def test_curves_of_two_axes_are_not_compared() -> None:
    """1 / median tpot and 1 / P90 of latency per token are other figures of the same server."""
    with pytest.raises(SweepMismatchError, match="axis differs: fp4 has e2e, int4 has tpot"):
        compare(replace(kimi("fp4"), axis="e2e"), kimi("int4"))
