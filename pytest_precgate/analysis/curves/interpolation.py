"""Steffen's monotone cubic interpolation: through every point, monotone between neighbours, undefined outside the
range.

Input: points with increasing abscissae. Output: a function that refuses to extrapolate. M. Steffen 1990, "A simple
method for monotonic interpolation in one dimension", A&A 239, 443: interior slopes by his limiter, end slopes (3 *
secant - neighbour slope) / 2, as in d3's curveMonotoneX."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pytest_precgate.errors import InvalidValueError, OutsideSweepError


def steffen_slopes(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """Return the slope at each knot, for strictly rising ``x`` of as many values as ``y``, at least two."""
    steps = [high - low for low, high in pairwise(x)]
    secants = [(high - low) / step for (low, high), step in zip(pairwise(y), steps, strict=True)]
    if len(secants) == 1:
        return secants * 2
    slopes = []
    for (left, right), (before, after) in zip(pairwise(secants), pairwise(steps), strict=True):
        # The slope of the parabola through three neighbouring knots, before limiting (Steffen, eq. 11).
        parabola = (left * after + right * before) / (before + after)
        limit = min(abs(left), abs(right), 0.5 * abs(parabola))
        slopes.append((_sign(left) + _sign(right)) * limit)
    return [(3 * secants[0] - slopes[0]) / 2, *slopes, (3 * secants[-1] - slopes[-1]) / 2]


@dataclass(frozen=True)
class BezierSegment:
    """A cubic between two knots as a Bezier curve: start, two handles, end, each (x, y)."""

    start: tuple[float, float]
    first: tuple[float, float]
    second: tuple[float, float]
    end: tuple[float, float]


def bezier_segments(x: Sequence[float], y: Sequence[float]) -> list[BezierSegment]:
    """Return Steffen's curve through the knots as Bezier curves: the same curve, not an approximation of it.

    A cubic of slopes m and n over a step h has its handles at a third of the step: (x + h/3, y + h m/3) from its
    start, (x - h/3, y - h n/3) from its end."""
    segments = []
    for (left, right), (low, high), (first, last) in zip(
        pairwise(x), pairwise(y), pairwise(steffen_slopes(x, y)), strict=True
    ):
        third = (right - left) / 3
        segments.append(
            BezierSegment(
                (left, low), (left + third, low + third * first), (right - third, high - third * last), (right, high)
            )
        )
    return segments


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


@dataclass(frozen=True)
class MonotoneCubic:
    """A curve through (x, y), defined on [x[0], x[-1]] and nowhere else.

    Raises InvalidValueError unless x and y are finite, of one length of at least two, and x rises strictly.
    """

    x: Sequence[float]
    y: Sequence[float]
    label: str

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise InvalidValueError(f"{self.label}: x has {len(self.x)} values and y {len(self.y)}, wanted as many")
        if len(self.x) < 2:
            raise InvalidValueError(
                f"{self.label}: a curve needs at least two points on its frontier, got {len(self.x)}; measure another "
                "concurrency"
            )
        if not all(map(math.isfinite, (*self.x, *self.y))):
            raise InvalidValueError(f"{self.label}: x and y must be finite")
        if not all(low < high for low, high in pairwise(self.x)):
            raise InvalidValueError(f"{self.label}: x must rise strictly, got {list(self.x)}")

    @cached_property
    def _cubics(self) -> list[tuple[float, float, float, float]]:
        """The coefficients of each segment's polynomial in the distance from its left knot, the constant first."""
        x, y = [float(value) for value in self.x], [float(value) for value in self.y]
        cubics = []
        for (left, right), (low, high), (first, last) in zip(
            pairwise(x), pairwise(y), pairwise(steffen_slopes(x, y)), strict=True
        ):
            step = right - left
            secant = (high - low) / step
            bend = (first + last - 2 * secant) / step
            cubics.append((low, first, (secant - first) / step - bend, bend / step))
        return cubics

    def at(self, target: float) -> float:
        """Return the curve's value at ``target``; raise OutsideSweepError off the measured range."""
        low, high = float(self.x[0]), float(self.x[-1])
        if not low <= target <= high:
            raise OutsideSweepError(self.label, target, low, high)
        segment = min(bisect_right(self.x, target), len(self.x) - 1) - 1
        distance = float(target) - float(self.x[segment])
        constant, linear, square, cube = self._cubics[segment]
        squared = distance * distance
        return constant + linear * distance + square * squared + cube * (squared * distance)
