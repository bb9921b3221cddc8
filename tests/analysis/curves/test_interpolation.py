"""Properties of Steffen's curve, and figures of a foreign implementation."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from pytest_precgate.analysis.curves.interpolation import MonotoneCubic, bezier_segments, steffen_slopes
from pytest_precgate.errors import InvalidValueError, OutsideSweepError
from tests import clouds

Knots = list[tuple[float, float]]


def curve(knots: Knots) -> MonotoneCubic:
    return MonotoneCubic([x for x, _ in knots], [y for _, y in knots], "fp4")


@given(clouds.falling())
def test_the_curve_passes_through_its_points(knots: Knots) -> None:
    """At a measured interactivity the curve says what was measured."""
    drawn = curve(knots)
    for x, y in knots:
        assert drawn.at(x) == pytest.approx(y, rel=1e-9)


@given(clouds.falling(), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20))
def test_the_curve_falls_between_its_points(knots: Knots, shares: list[float]) -> None:
    """Between two neighbours the curve never rises and never leaves the range of the two."""
    drawn = curve(knots)
    slack = 1e-9 * knots[0][1]
    for (left, top), (right, bottom) in pairwise(knots):
        inside = sorted(left + share * (right - left) for share in shares)
        values = [top, *(drawn.at(min(max(x, left), right)) for x in inside), bottom]
        assert all(before >= after - slack for before, after in pairwise(values))
        assert all(bottom - slack <= value <= top + slack for value in values)


@given(clouds.falling(), st.floats(1e-6, 1e6))
def test_outside_the_measured_range_there_is_no_number(knots: Knots, distance: float) -> None:
    """Left and right of the points the curve refuses, naming target and range."""
    drawn = curve(knots)
    for target in (knots[0][0] - distance, knots[-1][0] + distance):
        with pytest.raises(OutsideSweepError, match="outside the measured range") as caught:
            drawn.at(target)
        assert (caught.value.target, caught.value.low, caught.value.high) == (target, knots[0][0], knots[-1][0])


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf])
def test_a_target_that_is_no_number_is_refused(target: float) -> None:
    """A NaN compares false with everything and must not slip through."""
    with pytest.raises(OutsideSweepError):
        curve([(1.0, 2.0), (2.0, 1.0)]).at(target)


@given(clouds.falling(), st.floats(0.01, 100.0))
def test_scaling_the_values_scales_the_curve(knots: Knots, factor: float) -> None:
    """The method has no unit: twice the tokens is twice the curve."""
    middle = (knots[0][0] + knots[-1][0]) / 2
    scaled = curve([(x, y * factor) for x, y in knots])
    assert scaled.at(middle) == pytest.approx(curve(knots).at(middle) * factor, rel=1e-9)


@given(st.floats(1.0, 10.0), st.floats(-5.0, 5.0), st.integers(2, 8))
def test_a_straight_line_stays_straight(start: float, slope: float, count: int) -> None:
    """Evenly spaced points on a line give the line."""
    knots = [(start + step, 100.0 + slope * step) for step in range(count)]
    middle = start + (count - 1) * 0.37
    assert curve(knots).at(middle) == pytest.approx(100.0 + slope * (middle - start), rel=1e-9)


# d3-shape 3.2.0, line().digits(6).curve(curveMonotoneX) on KNOTS: the y of both control points of each segment. They
# lie a third of a step inside the segment, on the tangents: slope = 3 * (control - knot) / step.
KNOTS = [(36.4, 570.5), (51.3, 396.6), (67.5, 264.5), (87.9, 170.7), (112.0, 107.6), (130.0, 107.6)]
D3_CONTROLS = [
    (508.349147, 446.198294),
    (342.674338, 300.033237),
    (219.754442, 195.795086),
    (141.053355, 107.6),
    (107.6, 107.6),
]


def test_the_slopes_are_those_d3_draws() -> None:
    """The published page draws with d3's curveMonotoneX; every control point of it is reproduced."""
    x, y = zip(*KNOTS, strict=True)
    slopes = steffen_slopes(x, y)
    for index, (first, second) in enumerate(D3_CONTROLS):
        third = (x[index + 1] - x[index]) / 3
        assert y[index] + slopes[index] * third == pytest.approx(first, abs=1e-5)
        assert y[index + 1] - slopes[index + 1] * third == pytest.approx(second, abs=1e-5)


@given(clouds.falling(), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_the_curve_is_the_cubic_that_scipy_evaluates(knots: Knots, shares: list[float]) -> None:
    """Through the same points with the same slopes, at any place between the first and the last."""
    drawn, (x, y) = curve(knots), zip(*knots, strict=True)
    foreign = CubicHermiteSpline(x, y, steffen_slopes(x, y), extrapolate=False)
    for share in shares:
        target = min(x[0] + share * (x[-1] - x[0]), x[-1])
        assert drawn.at(target) == pytest.approx(float(foreign(target)), rel=1e-12)


@given(clouds.falling(), st.floats(0, 1))
def test_the_bezier_curves_are_the_curve(knots: Knots, share: float) -> None:
    """At every share of every segment: no approximation is drawn."""
    drawn, (x, y) = curve(knots), zip(*knots, strict=True)
    weights = (1 - share) ** 3, 3 * share * (1 - share) ** 2, 3 * share**2 * (1 - share), share**3
    for each in bezier_segments(x, y):
        right, up = (
            sum(weight * place for weight, place in zip(weights, side, strict=True))
            for side in zip(each.start, each.first, each.second, each.end, strict=True)
        )
        right = min(max(right, x[0]), x[-1])
        assert drawn.at(right) == pytest.approx(up, rel=1e-9, abs=1e-9 * max(map(abs, y)))


def test_the_curve_is_not_pchip() -> None:
    """scipy's own monotone cubic is another method (Fritsch-Carlson) and gives other figures."""
    knots = [(36.4, 570.5), (51.3, 396.6), (67.5, 264.5), (87.9, 170.7), (112.0, 107.6)]
    pchip = PchipInterpolator([x for x, _ in knots], [y for _, y in knots])
    assert abs(curve(knots).at(55) / float(pchip(55)) - 1) > 1e-4


def test_two_points_are_joined_by_a_line() -> None:
    """With one secant there is nothing to bend by."""
    assert curve([(10.0, 100.0), (20.0, 50.0)]).at(15.0) == pytest.approx(75.0)


def test_one_point_is_no_curve() -> None:
    """A single measured concurrency says nothing of any other interactivity."""
    with pytest.raises(InvalidValueError, match="fp4: a curve needs at least two points on its frontier, got 1"):
        curve([(10.0, 100.0)])


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        ([1.0, 2.0], [1.0], "as many"),
        ([1.0, 1.0], [2.0, 1.0], "rise strictly"),
        ([2.0, 1.0], [2.0, 1.0], "rise strictly"),
        ([1.0, 3.0, 2.0], [3.0, 2.0, 1.0], "rise strictly"),
        ([1.0, math.nan], [2.0, 1.0], "finite"),
        ([1.0, 2.0], [math.inf, 1.0], "finite"),
    ],
)
def test_knots_that_are_no_curve_are_refused(x: list[float], y: list[float], why: str) -> None:
    """Unequal lengths, standing or falling x, and values that are no number."""
    with pytest.raises(InvalidValueError, match=why):
        MonotoneCubic(x, y, "fp4")
