"""The noise of a gate from launch to launch while nothing changes: one standard deviation (sigma) per gate.

Input: the values of a suite's gates in the baseline's launches. Output: centre and sigma per gate. Sigma is that of the
logarithm, so 0.01 is 1% for any unit. Outliers are found with a robust scale and set aside first. Because five launches
of one gate give an imprecise estimate, the gates of a suite are pooled."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.sweep import UNKNOWN_ERROR, SweepPoint
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError

LEAST_LAUNCHES = 3
"""With fewer launches sigma is not estimated: two values give one difference, which is often close to zero."""

# Qn of Rousseeuw and Croux 1993 (JASA 88, 1273): twice as efficient as the median absolute deviation, as robust. Its
# factors make it unbiased for few values: Croux and Rousseeuw 1992 (Computational Statistics 1, 411).
_QN = 2.2219
_QN_FEW = {2: 0.399, 3: 0.994, 4: 0.512, 5: 0.844, 6: 0.611, 7: 0.857, 8: 0.669, 9: 0.872}
# A launch further than this many scales from the median is set aside. This also removes a few normal launches, and
# makes the standard deviation of the rest 4% too small.
FAR = 2.5
_UNTRIMMED = 1.04
# The suite's common sigma has the weight of this many further launches of the gate itself. A gate's own launches alone
# fail and refuse more suites by chance; the common sigma alone misses a gate noisier than the others
# (docs/noise_derivation.md).
_POOL_FREEDOM = 12
# The gates of a suite differ in noise when their variances do by so many standard errors. With fewer, a gate whose
# launches agree by chance gets a sigma far too small: with two, in a tenth of suites of six gates of one noise.
_UNLIKE = 3
# With fewer gates their variances tell nothing of how much gates differ.
_FEW_GATES = 3
# The slope of a curve at an interactivity is taken over so much of it on either side. Over less, it is the slope of the
# noise of two points: with 0.5% of noise a true elasticity of 2.27 reads 1.11 to 3.57 over 0.5%, and 1.66 to 2.74 over
# 10% (simulated).
_SLOPE_SPAN = 0.10
# The half-width of a normal distribution's 90% interval.
SIGMAS_OF_INTERVAL = 1.645


@dataclass(frozen=True)
class GateNoise:
    """The noise of one gate, estimated from the launches of one state.

    ``centre`` is the geometric mean of the launches kept, in the gate's unit; ``sigma`` the standard deviation of the
    logarithm of one launch; ``set_aside`` how many of ``launches`` were outliers. ``has_errors`` says that sigma
    includes the measurement error of the points; without it sigma is only the launches' scatter. ``worth`` is how many
    launches of that sigma the centre is worth, when days differ and the launches are of a few days; None for all.
    ``differs_by_day`` says that a part of sigma, or one that is not known, is of the day: launches of one day share it.
    ``outliers`` are the numbers of those set aside, in the order of the values."""

    centre: float
    sigma: float
    launches: int
    set_aside: int = 0
    has_errors: bool = True
    worth: int | None = None
    differs_by_day: bool = False
    outliers: frozenset[int] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        positive("GateNoise", "centre", self.centre, "the gate's unit")
        count("GateNoise", "launches", self.launches, "launches")
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise InvalidValueError(f"GateNoise.sigma: got {self.sigma!r}, wanted a finite share of at least 0")


@dataclass(frozen=True)
class _Series:
    """One gate's launches as logarithms, sorted; ``elasticity`` is the factor by which it scatters more than the
    suite's sigma."""

    logs: tuple[float, ...]
    elasticity: float

    @property
    def half(self) -> int:
        """The smallest number of launches that is more than half of them."""
        return len(self.logs) // 2 + 1

    @property
    def scale(self) -> float:
        """Qn of the launches, in units of the suite's sigma."""
        apart = sorted(high - low for low, high in combinations(self.logs, 2))
        return qn_factor(len(self.logs)) * apart[math.comb(self.half, 2) - 1] / self.elasticity

    def kept(self, common: _CommonVariance) -> list[float]:
        """The launches near the median, always more than half of them."""
        scale = math.sqrt(common.shrunk(self.scale**2, len(self.logs) - 1))
        median = statistics.median_high(self.logs)
        by_distance = sorted(self.logs, key=lambda log: abs(log - median))
        near = [log for log in by_distance if abs(log - median) <= FAR * scale * self.elasticity]
        return near if len(near) >= self.half else by_distance[: self.half]


def qn_factor(launches: int) -> float:
    """Return the factor that makes the order statistic of Qn an unbiased sigma of normal values (source above)."""
    if launches in _QN_FEW:
        return _QN * _QN_FEW[launches]
    return _QN * launches / (launches + (1.4 if launches % 2 else 3.8))


def suite_noise(values: Sequence[Sequence[float]], elasticities: Sequence[float]) -> tuple[GateNoise, ...]:
    """Return the noise of every gate of a suite; ``values[g]`` holds the values of gate g, one per launch.

    ``elasticities[g]`` is the factor by which gate g scatters more than a gate of elasticity 1 (see
    :func:`step_time_elasticity`); it is used for pooling and scales nothing by itself. The order of launches, and of
    gates, does not matter.

    Raises InvalidValueError for a gate with fewer than LEAST_LAUNCHES values, or one not above zero."""
    series = []
    for gate, (launches, elasticity) in enumerate(zip(values, elasticities, strict=True)):
        if len(launches) < LEAST_LAUNCHES:
            raise InvalidValueError(
                f"suite_noise: gate {gate} has {len(launches)} launches, wanted at least {LEAST_LAUNCHES}"
            )
        logs = sorted(math.log(positive("suite_noise", "value", value, "the gate's unit")) for value in launches)
        series.append(_Series(tuple(logs), positive("suite_noise", "elasticity", elasticity, "ratio")))
    if not series:
        return ()
    common = _common_variance([each.scale**2 for each in series], [len(each.logs) - 1 for each in series])
    kept = [each.kept(common) for each in series]
    centres = [statistics.fmean(logs) for logs in kept]
    squares = [
        sum((log - centre) ** 2 for log in logs) / each.elasticity**2
        for each, logs, centre in zip(series, kept, centres, strict=True)
    ]
    freedoms = [len(logs) - 1 for logs in kept]
    common = _common_variance([square / freedom for square, freedom in zip(squares, freedoms, strict=True)], freedoms)
    return tuple(
        GateNoise(
            centre=math.exp(centre),
            sigma=_UNTRIMMED * each.elasticity * math.sqrt(common.shrunk(square / freedom, freedom)),
            launches=len(each.logs),
            set_aside=len(each.logs) - len(logs),
            outliers=_outliers([math.log(value) for value in launches], logs),
        )
        for launches, each, logs, centre, square, freedom in zip(
            values, series, kept, centres, squares, freedoms, strict=True
        )
    )


def _outliers(logs: Sequence[float], kept: Sequence[float]) -> frozenset[int]:
    """The places in ``logs`` that are not among ``kept``."""
    left = Counter(kept)
    found = set()
    for index, log in enumerate(logs):
        if left[log] > 0:
            left[log] -= 1
        else:
            found.add(index)
    return frozenset(found)


@dataclass(frozen=True)
class _CommonVariance:
    """The variance that gates have in common, worth ``freedom`` degrees beside a gate's own."""

    variance: float
    freedom: float

    def shrunk(self, variance: float, freedom: int) -> float:
        """Return a gate's variance, of its own ``freedom`` degrees, drawn towards the common one."""
        return (self.freedom * self.variance + freedom * variance) / (self.freedom + freedom)


def _common_variance(variances: Sequence[float], freedoms: Sequence[int]) -> _CommonVariance:
    """Return the variance that the gates have in common, with at most _POOL_FREEDOM degrees.

    The more the gates' variances differ beyond what their few degrees explain, the fewer: of gates 50 times as noisy as
    others the quiet ones would be called noisy, and the noisy ones quiet. Empirical Bayes with a scaled inverse chi
    squared prior, its moments matched on the logarithms: Smyth 2004 (Statistical Applications in Genetics and Molecular
    Biology 3, 3), section 6.2."""
    pooled = math.fsum(v * f for v, f in zip(variances, freedoms, strict=True)) / sum(freedoms)
    known = [(variance, freedom) for variance, freedom in zip(variances, freedoms, strict=True) if variance > 0]
    if len(known) < _FEW_GATES:
        return _CommonVariance(pooled, _POOL_FREEDOM)
    from scipy.special import digamma, polygamma  # noqa: PLC0415  # loading the plugin imports no scipy

    logs = [math.log(v) - float(digamma(f / 2)) + math.log(f / 2) for v, f in known]
    own, fourth = (statistics.fmean(float(polygamma(order, f / 2)) for _, f in known) for order in (1, 3))
    # Launches that agree by chance make a gate look quiet: only gates noisier than most tell that gates differ.
    least = statistics.median(logs) - _UNLIKE * math.sqrt(own)
    logs = [max(log, least) for log in logs]
    mean = statistics.fmean(logs)
    # Beyond what chance makes of a few gates: standard errors of the variance of log chi squared values.
    error = math.sqrt(own**2 * 2 / (len(known) - 1) + fourth / len(known))
    excess = statistics.variance(logs) - own - _UNLIKE * error
    if excess <= float(polygamma(1, _POOL_FREEDOM / 2)):
        return _CommonVariance(pooled, _POOL_FREEDOM)
    low, high = 1e-3, float(_POOL_FREEDOM)  # the degrees at which the prior explains the excess: trigamma falls
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if float(polygamma(1, middle / 2)) > excess else (low, middle)
    return _CommonVariance(math.exp(mean + float(digamma(high / 2)) - math.log(high / 2)), high)


def step_time_elasticity(launches: Sequence[Sequence[Curve]], interactivity: float) -> float:
    """Return by how many percent a gate's value changes when every step of a launch takes 1% longer: the median of
    ``launches``, each with the curves the gate is read from.

    A slower step lowers throughput and interactivity alike, so at a fixed interactivity the value changes by one minus
    the slope of log throughput over log interactivity: more than 1, and growing along the curve. Give one curve for a
    gate of one precision, both for a ratio, whose launches scatter independently. The slope is taken over 10% of the
    interactivity on either side, inside the measured range. Raises OutsideSweepError off it."""
    return statistics.median(
        math.hypot(*(1 - _log_slope(curve, interactivity) for curve in curves)) for curves in launches
    )


def gate_elasticity(key: GateKey, launches: Sequence[Sequence[Curve]]) -> float:
    """Return by how many percent a gate scatters when the steps of a launch do by 1%: see step_time_elasticity.

    A figure that is not read along the curve takes as much longer as a step does."""
    return step_time_elasticity(launches, key.point) if key.metric.follows_steps else math.sqrt(len(key.precisions))


def reading_sigma(launches: Sequence[Sequence[Curve]], interactivity: float) -> float:
    """Return the sigma of a gate's value due to points that did not reach the requested error, root mean square.

    ``launches`` are those of a gate, each with the curves it is read from, which all reach the interactivity. The two
    points that bracket it count; an error of one changes throughput and interactivity alike (see
    :func:`step_time_elasticity`). 0 when every such point reached the requested error, infinite when the error of one
    is unknown."""
    return math.sqrt(
        statistics.fmean(math.fsum(_short_sigma(curve, interactivity) ** 2 for curve in curves) for curves in launches)
    )


def _short_sigma(curve: Curve, interactivity: float) -> float:
    """The error of a value read at an interactivity, due to the less precise of the two points that bracket it."""
    points = curve.frontier
    from_here = bisect_left(points, interactivity, key=_interactivity)
    above = points[from_here : from_here + 1]
    below = above if above and above[0].interactivity == interactivity else points[max(from_here - 1, 0) : from_here]
    error = max((error for point in (*below, *above) if (error := point.short_error) is not None), default=0.0)
    if error >= UNKNOWN_ERROR:
        return math.inf
    return (1 - _log_slope(curve, interactivity)) * error / SIGMAS_OF_INTERVAL if error else 0.0


def _interactivity(point: SweepPoint) -> float:
    return point.interactivity


def _log_slope(curve: Curve, interactivity: float) -> float:
    curve.at(interactivity)  # refuses a point off the range, before the ends are clipped to it
    low, high = (
        max(curve.span[0], interactivity * (1 - _SLOPE_SPAN)),
        min(curve.span[1], interactivity * (1 + _SLOPE_SPAN)),
    )
    rise = curve.at(high).throughput_per_gpu / curve.at(low).throughput_per_gpu
    return math.log(rise) / math.log(high / low)
