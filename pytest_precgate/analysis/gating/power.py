"""Critical values and power: where a limit must lie for a given false alarm rate, and which drop it then detects.

Input: numbers of launches, baseline launches and gates. Output: values in units of sigma, the noise of one launch.
Model: launches scatter normally, one in twenty is far too low, and the baseline's centre is the mean of noisy launches.
Everything is computed; benchmarks/decision_rule.py compares the results with simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_precgate.analysis.quantity import count
from pytest_precgate.errors import InvalidValueError

FALSE_ALARM_RATE = 0.01
"""How often noise may fail a suite in which nothing changed."""

TARGET_POWER = 0.80
"""A drop counts as seen when it is stopped at least this often."""

OUTLIER_RATE = 0.05
"""The share of launches that land far too low although nothing changed."""

POWER_AT_TOLERANCE = 0.90
"""How often a drop of the tolerance is stopped where noise is as large as the lines leave room for."""

# The first launch may be this much further down than a later one: a line close to the baseline costs a second launch
# whenever noise crosses it, and gains little, since two more launches have to be low before anything fails.
_FIRST_TO_LATER = 1.3
# Variance of the centre of n launches is this over n: setting far ones aside costs a little of the mean's 1.
_CENTRE_VARIANCE = 1.1
_NODES = [(step - 8) / 2 for step in range(17)]  # of a normal variable: the trapezoid rule is exact to 1e-6


@dataclass(frozen=True)
class Design:
    """How a gate is measured: ``good`` of at most ``launches`` must be good, against ``baseline`` launches.

    ``gates`` share one suite's false alarms. ``paired``: launch i is held against its own launch of the baseline side,
    sigma is that of their difference, and there is no centre to be wrong about.
    """

    launches: int
    good: int
    baseline: int
    gates: int
    paired: bool = False

    def __post_init__(self) -> None:
        for name in ("launches", "good", "baseline", "gates"):
            count("Design", name, getattr(self, name), name)
        if self.good > self.launches:
            raise InvalidValueError(f"Design: {self.good} good launches wanted of only {self.launches}")

    @property
    def to_fail(self) -> int:
        """How many launches must be low before the gate fails."""
        return self.launches - self.good + 1

    @property
    def centre_sigma(self) -> float:
        """The standard deviation of what the launches are held against, in sigma."""
        return 0.0 if self.paired else math.sqrt(_CENTRE_VARIANCE / self.baseline)


def failing_share(design: Design, lines: Sequence[float], drop: float = 0.0) -> float:
    """Return how often a gate fails that truly dropped by ``drop`` sigma; line i is how far below launch i may be."""
    if design.centre_sigma == 0:
        return _all_low(design, lines, drop)
    weights = [math.exp(-node * node / 2) for node in _NODES]
    shares = [_all_low(design, lines, drop + node * design.centre_sigma) for node in _NODES]
    return sum(weight * share for weight, share in zip(weights, shares, strict=True)) / sum(weights)


def _all_low(design: Design, lines: Sequence[float], drop: float) -> float:
    """The same for a centre known exactly: at least ``to_fail`` of independent launches are low."""
    shares = [OUTLIER_RATE + (1 - OUTLIER_RATE) * math.erfc((line - drop) / math.sqrt(2)) / 2 for line in lines]
    if design.good == 1:
        return math.prod(shares)
    share, launches = shares[0], design.launches  # the lines of a median are all the same
    counts = range(design.to_fail, launches + 1)
    return sum(math.comb(launches, low) * share**low * (1 - share) ** (launches - low) for low in counts)


@lru_cache(maxsize=256)
def critical_values(design: Design) -> tuple[float, ...]:
    """Return the nearest lines, in sigma, at which noise fails an unchanged suite no more often than FALSE_ALARM.

    What outliers do by themselves (one launch in twenty, where a single launch decides) no line can prevent; it comes
    on top. Where one good launch is enough, the first line stands further down than the later ones.
    """
    per_gate = 1 - (1 - FALSE_ALARM_RATE) ** (1 / design.gates)
    outliers_alone = _all_low(design, [math.inf] * design.launches, 0.0)
    later = _crossing(lambda line: failing_share(design, _shape(design, line)) - per_gate - outliers_alone, 0.0, 16.0)
    return _shape(design, later)


def _shape(design: Design, later: float) -> tuple[float, ...]:
    first = later * _FIRST_TO_LATER if design.good == 1 and design.launches > 1 else later
    return (first, *[later] * (design.launches - 1))


def detectable_drop(design: Design, lines: Sequence[float], share: float = TARGET_POWER) -> float:
    """Return the drop, in sigma, that these lines stop with probability ``share``."""
    return _crossing(lambda drop: share - failing_share(design, lines, drop), 0.0, max(lines) + 16.0)


@lru_cache(maxsize=256)
def least_detectable_drop(design: Design, share: float = TARGET_POWER) -> float:
    """Return the smallest drop, in sigma, that can be stopped with probability ``share`` at FALSE_ALARM."""
    return detectable_drop(design, critical_values(design), share)


def least_median(drop: float, design: Design, most: int = 49) -> int | None:
    """Return the smallest odd n so that the median of n launches against a baseline of n sees ``drop`` sigma.

    ``drop`` in units of the sigma found; allows for that sigma being too small (see :func:`sigma_inflation`). None
    above ``most``.
    """

    def sees(n: int) -> bool:
        longer = Design(n, (n + 1) // 2, n, design.gates, design.paired)
        return least_detectable_drop(longer) * sigma_inflation(longer) <= drop

    low, high = 1, 3
    while not sees(high):
        low, high = high, high * 2 + 1
        if low >= most:
            return None
    while high - low > 2:
        middle = (low + high) // 4 * 2 + 1
        low, high = (low, middle) if sees(middle) else (middle, high)
    return high if high <= most else None


def sigma_inflation(design: Design) -> float:
    """Return by how much to stretch a sigma before choosing a tolerance by it.

    A tolerance chosen from the very launches that gave sigma is too tight whenever those happened to scatter little.
    The fewer values sigma comes from, the more that matters; the factor was fitted to simulated suites so that their
    false alarms stay near FALSE_ALARM (docs/noise.md).
    """
    freedom = design.gates * (design.baseline - 1) * (2 if design.paired else 1)
    return 1.1 + 7 / freedom


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """The place where a falling function crosses zero, to 1e-5, from above: ``falling`` is at most zero there."""
    if falling(low) <= 0:
        return low
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
