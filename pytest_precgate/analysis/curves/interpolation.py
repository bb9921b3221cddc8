"""Steffen's monotone cubic interpolation: through every point, monotone between neighbours, undefined outside the
range.

Input: points with increasing abscissae. Output: a function that refuses to extrapolate. M. Steffen 1990, "A simple
method for monotonic interpolation in one dimension", A&A 239, 443: interior slopes by his limiter, end slopes (3 *
secant - neighbour slope) / 2, as in d3's curveMonotoneX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from pytest_precgate.errors import InvalidValueError, OutsideSweepError

Vector = NDArray[np.float64]


def steffen_slopes(x: Vector, y: Vector) -> Vector:
    """Return the slope at each knot, shape (n,), for strictly rising ``x`` and n >= 2."""
    steps = np.diff(x)
    secants = np.diff(y) / steps
    if len(x) == 2:
        return np.repeat(secants, 2)
    left, right = secants[:-1], secants[1:]
    # The slope of the parabola through three neighbouring knots, before limiting (Steffen, eq. 11).
    parabola = (left * steps[1:] + right * steps[:-1]) / (steps[:-1] + steps[1:])
    limit = np.minimum(np.minimum(np.abs(left), np.abs(right)), 0.5 * np.abs(parabola))
    slopes = np.empty_like(y)
    slopes[1:-1] = (np.sign(left) + np.sign(right)) * limit
    slopes[0] = (3 * secants[0] - slopes[1]) / 2
    slopes[-1] = (3 * secants[-1] - slopes[-2]) / 2
    return slopes


@dataclass(frozen=True)
class MonotoneCubic:
    """A curve through (x, y), defined on [x[0], x[-1]] and nowhere else.

    Raises InvalidValueError unless x and y are finite, of one length of at least two, and x rises strictly.
    """

    x: Sequence[float]
    y: Sequence[float]
    label: str

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x, dtype=float), np.asarray(self.y, dtype=float)
        if len(x) != len(y):
            raise InvalidValueError(f"{self.label}: x has {len(x)} values and y {len(y)}, wanted as many")
        if len(x) < 2:
            raise InvalidValueError(
                f"{self.label}: a curve needs at least two points on its frontier, got {len(x)}; measure another "
                "concurrency"
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InvalidValueError(f"{self.label}: x and y must be finite")
        if not (np.diff(x) > 0).all():
            raise InvalidValueError(f"{self.label}: x must rise strictly, got {list(self.x)}")

    @cached_property
    def _spline(self) -> CubicHermiteSpline:
        x, y = np.asarray(self.x, dtype=float), np.asarray(self.y, dtype=float)
        return CubicHermiteSpline(x, y, steffen_slopes(x, y), extrapolate=False)

    def at(self, target: float) -> float:
        """Return the curve's value at ``target``; raise OutsideSweepError off the measured range."""
        low, high = float(self.x[0]), float(self.x[-1])
        if not low <= target <= high:
            raise OutsideSweepError(self.label, target, low, high)
        return float(self._spline(target))
