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
"""The largest share of unchanged suites that noise may fail."""

TARGET_POWER = 0.80
"""A drop counts as detected when it is stopped in at least this share of runs."""

OUTLIER_RATE = 0.05
"""The share of launches that are far too low although nothing changed."""

POWER_AT_TOLERANCE = 0.90
"""The power at the tolerance when the noise is as large as the limits leave room for."""

# The first launch may be this much further down than a later one: a tight first limit costs a second launch whenever
# noise crosses it, and gains little, because two more launches have to be low before the gate fails.
_FIRST_TO_LATER = 1.3
# The variance of the centre of n launches is this over n: removing outliers costs a little of the mean's 1.
_CENTRE_VARIANCE = 1.1
_NODES = [(step - 8) / 2 for step in range(17)]  # of a normal variable: the trapezoid rule is exact to 1e-6


@dataclass(frozen=True)
class Design:
    """How a gate is measured: ``good`` of at most ``launches`` must be good, against ``baseline`` launches.

    ``gates`` share one suite's false alarm rate. ``paired``: launch i is compared with its own launch of the baseline
    side, sigma is that of their difference, and there is no error of the centre."""

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
        """The standard deviation of the centre, in sigma."""
        return 0.0 if self.paired else math.sqrt(_CENTRE_VARIANCE / self.baseline)


def failing_share(design: Design, lines: Sequence[float], drop: float = 0.0) -> float:
    """Return the probability that a gate fails that truly dropped by ``drop`` sigma; line i is the limit of launch
    i."""
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
    share, launches = shares[0], design.launches  # all lines of a median are equal
    counts = range(design.to_fail, launches + 1)
    return sum(math.comb(launches, low) * share**low * (1 - share) ** (launches - low) for low in counts)


@lru_cache(maxsize=256)
def critical_values(design: Design) -> tuple[float, ...]:
    """Return the critical values, in sigma: the smallest limits with which noise fails at most FALSE_ALARM_RATE of
    unchanged suites.

    No limit can prevent the failures caused by outliers alone (one launch in twenty, when a single launch decides);
    they are additional. When one good launch is enough, the first limit is wider than the later ones."""
    per_gate = 1 - (1 - FALSE_ALARM_RATE) ** (1 / design.gates)
    outliers_alone = _all_low(design, [math.inf] * design.launches, 0.0)
    later = _crossing(lambda line: failing_share(design, _shape(design, line)) - per_gate - outliers_alone, 0.0, 16.0)
    return _shape(design, later)


def _shape(design: Design, later: float) -> tuple[float, ...]:
    first = later * _FIRST_TO_LATER if design.good == 1 and design.launches > 1 else later
    return (first, *[later] * (design.launches - 1))


def detectable_drop(design: Design, lines: Sequence[float], share: float = TARGET_POWER) -> float:
    """Return the drop, in sigma, that these limits detect with probability ``share``."""
    return _crossing(lambda drop: share - failing_share(design, lines, drop), 0.0, max(lines) + 16.0)


@lru_cache(maxsize=256)
def least_detectable_drop(design: Design, share: float = TARGET_POWER) -> float:
    """Return the smallest drop, in sigma, that can be detected with probability ``share`` at FALSE_ALARM_RATE."""
    return detectable_drop(design, critical_values(design), share)


def least_median(drop: float, design: Design, most: int = 49) -> int | None:
    """Return the smallest odd n so that the median of n launches against a baseline of n detects ``drop`` sigma.

    ``drop`` in units of the estimated sigma; allows for that sigma being too small (see :func:`sigma_inflation`). None
    above ``most``."""

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
    """Return the factor by which to increase sigma before choosing a tolerance by it.

    A tolerance chosen from the launches that gave sigma is too tight when those launches scatter little by chance. The
    effect grows with fewer values; the factor was fitted to simulated suites so that their false alarm rate stays near
    FALSE_ALARM_RATE (docs/noise.md)."""
    freedom = design.gates * (design.baseline - 1) * (2 if design.paired else 1)
    return 1.1 + 7 / freedom


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """The zero of a falling function, to 1e-5, from above: ``falling`` is at most zero there."""
    if falling(low) <= 0:
        return low
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
