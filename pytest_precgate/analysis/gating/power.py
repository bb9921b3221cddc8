"""The noise floor and the power of a launch rule: which loss noise alone reaches, and which true drop is caught.

Input: numbers of launches, baseline launches and gates. Output: losses in units of sigma, the noise of one launch.
Model: launches scatter normally, one in twenty is far too low, the baseline's centre is the mean of noisy launches, and
sigma itself is an estimate. Everything is computed; benchmarks/decision_rule.py compares the results with
simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from pytest_precgate.analysis.quantity import count
from pytest_precgate.errors import InvalidValueError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FALSE_ALARM_RATE = 0.01
"""The largest share of unchanged suites that noise may fail."""

TARGET_POWER = 0.80
"""A drop counts as detected when it fails in at least this share of runs."""

OUTLIER_RATE = 0.05
"""The share of launches that are far too low although nothing changed."""

INTERVAL = 0.90
"""Of the interval of the minimum detectable drop."""

# The variance of the centre of n launches is this over n: removing outliers costs a little of the mean's 1.
_CENTRE_VARIANCE = 1.1
_NODES = tuple((step - 8) / 2 for step in range(17))  # of a normal variable: the trapezoid rule is exact to 1e-5
_WEIGHTS = tuple(math.exp(-node * node / 2) for node in _NODES)
# Equal shares of the distribution of an estimated sigma, each represented by its middle.
_SHARES = 24


@dataclass(frozen=True)
class Design:
    """How a gate is measured: ``good`` of at most ``launches`` must be inside the tolerance, against ``baseline``
    launches.

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
        """How many launches must be beyond the limit before the gate fails."""
        return self.launches - self.good + 1

    @cached_property
    def centre_sigma(self) -> float:
        """The standard deviation of the centre, in sigma."""
        return 0.0 if self.paired else math.sqrt(_CENTRE_VARIANCE / self.baseline)

    @property
    def freedom(self) -> float:
        """The degrees of freedom of the estimated sigma.

        They lie between those of gates that scatter as one, the launches less one, and those of gates that scatter by
        themselves, that times the gates. Which it is cannot be told from a few launches: this is the geometric
        mean."""
        return max(self.baseline - 1, 1) * math.sqrt(self.gates)


def failing_share(design: Design, line: float, drop: float = 0.0) -> float:
    """Return the probability that a gate fails that truly dropped by ``drop`` sigma, its limit being ``line``
    sigma."""
    return _mean_share(design, (line,), drop)


def _mean_share(design: Design, lines: Sequence[float], drop: float) -> float:
    """The mean of that over equally likely limits."""
    import numpy as np  # noqa: PLC0415  # loading the plugin imports no numpy
    from scipy.special import ndtr  # noqa: PLC0415

    nodes, weights = (_NODES, _WEIGHTS) if design.centre_sigma else ((0.0,), (1.0,))
    beyond = ndtr(drop + design.centre_sigma * np.asarray(nodes)[:, None] - np.asarray(lines)[None, :])
    fails = _of_launches(design, OUTLIER_RATE + (1 - OUTLIER_RATE) * beyond)
    return float(np.average(fails.mean(axis=1), weights=weights))


def _of_launches(design: Design, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability that at least ``to_fail`` launches are beyond, each with probability ``share``."""
    launches = design.launches
    counts = range(design.to_fail, launches + 1)
    return sum(
        (math.comb(launches, beyond) * share**beyond * (1 - share) ** (launches - beyond) for beyond in counts),
        start=0 * share,
    )


@lru_cache(maxsize=1024)
def noise_line(design: Design) -> float:
    """Return the noise floor, in units of the estimated sigma: the smallest limit with which noise fails at most
    FALSE_ALARM_RATE of unchanged suites.

    Averaged over what sigma may be, given its estimate (as a prediction interval by Student's t). No limit can prevent
    the failures caused by outliers alone (one launch in twenty, when a single launch decides); they are additional."""
    per_gate: float = 1 - (1 - FALSE_ALARM_RATE) ** (1 / design.gates)
    outliers_alone = _mean_share(design, (math.inf,), 0.0)
    ratios = _estimates(design.freedom)

    def excess(line: float) -> float:
        return _mean_share(design, [line * ratio for ratio in ratios], 0.0) - per_gate - outliers_alone

    return _crossing(excess, 0.0, 64.0)


@lru_cache(maxsize=256)
def _estimates(freedom: float) -> tuple[float, ...]:
    """What an estimate of a sigma of 1 with ``freedom`` degrees may be: the middles of equal shares."""
    return tuple(_of_sigma(freedom, (index + 0.5) / _SHARES) for index in range(_SHARES))


def _of_sigma(freedom: float, share: float) -> float:
    """The quantile of an estimated sigma, in units of the true one: the chi distribution."""
    from scipy.special import gammaincinv  # noqa: PLC0415  # loading the plugin imports no scipy

    return math.sqrt(2 * float(gammaincinv(freedom / 2, share)) / freedom)


@lru_cache(maxsize=256)
def largest_sigma(design: Design) -> float:
    """Return the upper end of sigma's interval (see INTERVAL), in units of the estimate."""
    return 1 / _of_sigma(design.freedom, (1 - INTERVAL) / 2)


def detectable_drop(design: Design, line: float, share: float = TARGET_POWER) -> float:
    """Return the drop, in sigma, that fails with probability ``share`` at a limit of ``line`` sigma."""
    return line + _drop_beyond_limit(design, share)


@lru_cache(maxsize=1024)
def _drop_beyond_limit(design: Design, share: float) -> float:
    """How far beyond its limit a drop must be: what fails depends on the distance alone."""
    return _crossing(lambda beyond: share - failing_share(design, 0.0, beyond), -16.0, 16.0)


def least_median(suffices: Callable[[Design], bool], design: Design, most: int = 49) -> int | None:
    """Return the smallest odd n so that the median of n launches against a baseline of n (or n pairs) ``suffices``.

    Only a larger number than the design's own is advised; None above ``most``."""

    def design_of(n: int) -> Design:
        return replace(design, launches=n, good=(n + 1) // 2, baseline=n)

    n = max(3, design.launches + 1 | 1)
    return next((n for n in range(n, most + 1, 2) if suffices(design_of(n))), None)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """The zero of a falling function, to 1e-4, from above: ``falling`` is at most zero there."""
    if falling(low) <= 0:
        return low
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high
