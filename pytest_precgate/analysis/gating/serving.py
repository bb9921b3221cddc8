"""The serving points of a gate, and the value of a later launch read from them.

Input: the curve of a baseline launch, a target, and the points of the launch under test. Output: the launch's
throughput at the target as a share of the baseline's, from the two points that bracket the target, each compared with
the baseline's point of the same concurrency; and the same for each serving point alone.

Invariant: no output rises when a point of the launch under test has less throughput, less interactivity, or both, and a
missing serving point is INCONCLUSIVE. A curve through the new points does not have this property: a point that
collapses leaves the frontier, and the curve bridges the hole."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.sweep import UNKNOWN_ERROR, PointKey, Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import THROUGHPUT, Gate, GateKey, Metric
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES, SIGMAS_OF_INTERVAL, step_time_elasticity
from pytest_precgate.analysis.gating.verdict import LAST_BITS, Absent, Verdict
from pytest_precgate.errors import OutsideSweepError

# Beyond its fast end the baseline's curve continues with the slope over this share of its interactivity, and at least
# with the slope of a server whose tokens per second do not depend on the batch.
_END_SPAN = 1.10
_LEAST_END_SLOPE = 1.0
_LEAST_SHARE = 1e-12
# Half of the deviations of a normal distribution of sigma 1 are smaller.
_MEDIAN_OF_NORMAL = 0.6745

Worse = Literal["below", "above"]


@dataclass(frozen=True)
class ServingPoint:
    """A serving point: a frontier point of a baseline that affects a target.

    ``weight`` is its part in the value, 0 for the outer neighbours, which only affect the slope of the curve."""

    key: PointKey
    weight: float


def serving_points(curve: Curve, target: float) -> tuple[ServingPoint, ...]:
    """Return the frontier points that the curve's value at ``target`` (tok/s/user) depends on: two to four.

    The two that bracket the target, weighted by their proximity in interactivity, and the next one on either side, on
    which Steffen's slopes depend. Raises OutsideSweepError off the measured range."""
    low, high = curve.span
    if not low <= target <= high:
        raise OutsideSweepError(curve.sweep.precision, target, low, high)
    points = curve.frontier
    right = max(1, bisect_left(points, target, key=_interactivity))
    left = right - 1
    share = (target - points[left].interactivity) / (points[right].interactivity - points[left].interactivity)
    weights = {left - 1: 0.0, left: 1 - share, right: share, right + 1: 0.0}
    return tuple(ServingPoint(points[i].key, weight) for i, weight in weights.items() if 0 <= i < len(points))


@dataclass(frozen=True)
class ServedTarget:
    """One precision of a baseline read at one target: the curve of a launch, and the serving points of the target.

    ``metric`` says which figure of the points, whose losses are told as ``worse``: below or above the baseline's."""

    curve: Curve
    target: float
    points: tuple[ServingPoint, ...]
    metric: Metric = Metric.THROUGHPUT_PER_GPU

    @staticmethod
    def of(curves: Sequence[Curve], target: float, metric: Metric = Metric.THROUGHPUT_PER_GPU) -> ServedTarget:
        """Return the target in the median launch of a baseline.

        The median, because an outlier launch predicts the next one worst. Of an even number it is the lower one. Raises
        UnreadableCurveError when a launch does not reach the target, or does not have the metric's figure."""
        values = [_value(metric, curve, target) for curve in curves]
        middle = curves[sorted(range(len(curves)), key=lambda i: (values[i], i))[(len(curves) - 1) // 2]]
        return ServedTarget(middle, target, serving_points(middle, target), metric)

    @property
    def worse(self) -> Worse:
        """Where a worse point lies."""
        return "below" if self.metric.follows_steps or self.metric is Metric.GOODPUT else "above"

    def name(self, key: PointKey) -> str:
        """Return the name of a point in reports."""
        configuration, _, concurrency = key
        return f"{self.curve.sweep.precision} {configuration} concurrency {concurrency}"

    def shares(self, sweep: Sweep) -> Mapping[PointKey, float]:
        """Return, for each serving point that ``sweep`` holds, how good its figure is as a share of the baseline's; a
        latency twice as long is 0.5.

        Of a throughput each as if every point of the baseline had changed as this one did: to the share a of its
        interactivity and b of its throughput, so that the curve B reads b * B(target / a). For a server that is slower
        by one factor everywhere, that is exactly the reading of its own curve. Any other figure is compared at the same
        concurrency: read along the curve, a latency would improve where the interactivity falls."""
        before, after = self.curve.sweep.by_key, sweep.by_key
        shares = {}
        for serving in self.points:
            if serving.key not in before or serving.key not in after:
                continue
            share = self._share(before[serving.key], after[serving.key])
            if share is not None:
                shares[serving.key] = share
        return shares

    def _share(self, old: SweepPoint, new: SweepPoint) -> float | None:
        figure = self.metric.figure
        if figure != THROUGHPUT:
            was, now = old.figure(figure), new.figure(figure)
            if was is None or now is None or not was > 0 or (figure == "goodput" and _slo(old) != _slo(new)):
                return None
            if not self.metric.follows_steps:
                return now / was if self.metric is Metric.GOODPUT else was / now
        else:
            was, now = old.throughput_per_gpu, new.throughput_per_gpu
        moved = self._throughput(self.target * old.interactivity / new.interactivity)
        return now / was * moved / self._throughput(self.target)

    def goodness(self, curve: Curve) -> float:
        """Return what a curve reads at the target, more being better."""
        value = _value(self.metric, curve, self.target)
        return value if self.worse == "below" else 1 / value

    def value(self, shares: Mapping[PointKey, float]) -> float:
        """Return how good the figure at the target is as a share of the baseline's: the weighted mean of ``shares``'
        logarithms."""
        return math.exp(
            math.fsum(point.weight * math.log(max(shares[point.key], 5e-324)) for point in self.points if point.weight)
        )

    def missing(self, shares: Mapping[PointKey, float]) -> list[str]:
        """Return the names of the serving points that ``shares`` lacks."""
        return [self.name(point.key) for point in self.points if point.key not in shares]

    def absent(self, missing: Sequence[str], sweep: Sweep) -> Absent:
        """Return why ``sweep`` has no value: it lacks the ``missing`` points, or their figures are not comparable."""
        figure, before = self.metric.figure, self.curve.sweep
        if self.metric is Metric.GOODPUT and sweep.objectives and sweep.objectives != before.objectives:
            now, then = (" or ".join(each.objectives) for each in (sweep, before))
            why = f"goodput of {before.precision} was counted under {now}, the baseline's under {then or 'none'}"
            return Absent(Verdict.INCONCLUSIVE, why, "record it again with --precgate-update")
        of = "" if figure == THROUGHPUT else f" {figure} of"
        what = f"{of} {missing[0]} was not measured".strip()
        what += f", nor {', '.join(missing[1:])}" if missing[1:] else ""
        return Absent(Verdict.INCONCLUSIVE, f"{what}; the baseline is read through it: measure it as well")

    def short_sigma(self, sweep: Sweep) -> float:
        """Return the sigma of the value due to points of ``sweep`` that did not reach the requested error.

        Infinite when the error of one is unknown."""
        weighed = [sweep.by_key[point.key] for point in self.points if point.weight and point.key in sweep.by_key]
        errors = [error for point in weighed if (error := point.short_error) is not None]
        if errors and max(errors) >= UNKNOWN_ERROR:
            return math.inf
        elasticity = step_time_elasticity([[self.curve]], self.target) if self.metric.follows_steps else 1.0
        return elasticity * max(errors) / SIGMAS_OF_INTERVAL if errors else 0.0

    def _throughput(self, interactivity: float) -> float:
        """The baseline's throughput, in tok/s/GPU, continued so that a loss of interactivity has a weight beyond its
        ends.

        Slower than measured: at most the largest measured throughput; faster: along the power law of its fast end."""
        low, high = self.curve.span
        if interactivity <= high:
            return self.curve.throughput(max(interactivity, low))
        points = self.curve.frontier
        end = points[-1]
        # The last point before the end that lies a span below it, else the first.
        far = bisect_right(points, high, hi=len(points) - 1, key=lambda point: point.interactivity * _END_SPAN)
        inner = points[max(far - 1, 0)]
        slope = math.log(inner.throughput_per_gpu / end.throughput_per_gpu) / math.log(high / inner.interactivity)
        return end.throughput_per_gpu * float((high / interactivity) ** max(slope, _LEAST_END_SLOPE))


@dataclass(frozen=True)
class PointReading:
    """The gate's value if every point had changed as one did. ``loss`` is how much worse its figure is, a share."""

    name: str
    value: float
    loss: float
    worse: Worse = "below"

    def __str__(self) -> str:
        return f"{self.name} is {self.loss:{'.0%' if self.loss >= 0.1 else '.1%'}} {self.worse} its baseline"


@dataclass(frozen=True)
class ServedLimits:
    """The limits of a launch: how much worse than ``centre`` its ``value`` and each ``point`` may be, as shares."""

    centre: float
    value: float
    point: float


@dataclass(frozen=True)
class GateReading:
    """A gate's value in one launch, and the value from each serving point alone, in the gate's unit."""

    value: float
    points: tuple[PointReading, ...]

    def beyond(self, gate: Gate, limits: ServedLimits) -> PointReading | None:
        """Return the worst point if it is beyond its limit."""
        worst = min(self.points, key=lambda point: gate.gain(point.value, limits.centre))
        return worst if gate.gain(worst.value, limits.centre) < -limits.point - LAST_BITS else None

    def held_to(self, gate: Gate, limits: ServedLimits) -> float:
        """Return the gate's value, or that of a point beyond its limit if that is worse."""
        point = self.beyond(gate, limits)
        read = [self.value] if point is None else [self.value, point.value]
        return min(read, key=lambda value: gate.gain(value, limits.centre))


@dataclass(frozen=True)
class ServedGate:
    """The serving points of a gate's value: one target of each precision it reads, in the order of its key.

    ``deviation`` is the sigma of a serving point relative to the gate's value, from a baseline's other launches; 0 when
    unknown."""

    key: GateKey
    sides: tuple[ServedTarget, ...]
    deviation: float = 0.0

    @staticmethod
    def of(key: GateKey, curves: Sequence[Sequence[Curve]]) -> ServedGate:
        """Return the gate's serving points in a baseline; ``curves`` are its launches of each precision of the key."""
        sides = tuple(ServedTarget.of(launches, key.point, key.metric) for launches in curves)
        apart = [_deviation(side, launches) for side, launches in zip(sides, curves, strict=True)]
        return ServedGate(key, sides, math.hypot(*apart))

    @property
    def points(self) -> tuple[ServingPoint, ...]:
        """All serving points of the gate, of all precisions it reads."""
        return tuple(point for side in self.sides for point in side.points)

    def along(self, curves: Sequence[Curve]) -> ServedGate:
        """Return the same gate with the same points of another launch, ``curves`` by the precisions of its key."""
        sides = tuple(replace(side, curve=curve) for side, curve in zip(self.sides, curves, strict=True))
        return replace(self, sides=sides)

    def read(self, curves: Mapping[str, Curve]) -> GateReading | Absent:
        """Return the value of a launch, ``curves`` being its own by precision; Absent when a serving point is missing.

        A ratio cancels what both precisions share, so the points of the first are compared relative to the second.
        Those of the second are compared with the whole of its own curve, because one that falls below it would make the
        ratio rise. Raises OutsideSweepError when even the fastest point is slower than the target."""
        found = []
        for side in self.sides:
            curve = curves[side.curve.sweep.precision]
            if curve.span[1] < side.target:
                raise OutsideSweepError(curve.sweep.precision, side.target, *curve.span)
            shares = side.shares(curve.sweep)
            if missing := side.missing(shares):
                return side.absent(missing, curve.sweep)
            found.append((side, shares, side.value(shares)))
        (first, shares, value), *others = found
        beside = others[0][2] if others else 1.0
        points = [self._point(first, key, share, share / beside) for key, share in shares.items()]
        for side, others_shares, whole in others:
            points += [self._point(side, key, share, share / min(1.0, whole)) for key, share in others_shares.items()]
        return GateReading(self._scaled(value / beside), tuple(points))

    def short_sigma(self, curves: Mapping[str, Curve]) -> float:
        """Return the sigma of the gate's value in a launch due to points that did not reach the requested error."""
        return math.hypot(*(side.short_sigma(curves[side.curve.sweep.precision].sweep) for side in self.sides))

    def _point(self, side: ServedTarget, key: PointKey, share: float, factor: float) -> PointReading:
        loss = 1 - share if side.worse == "below" else 1 / max(share, _LEAST_SHARE) - 1
        return PointReading(side.name(key), self._scaled(factor), loss, side.worse)

    def _scaled(self, factor: float) -> float:
        """The baseline's value, better by ``factor``."""
        factor = min(max(factor, _LEAST_SHARE), 1 / _LEAST_SHARE)  # a value stays a finite number above zero
        return self._before * factor if self.key.metric.higher_is_better else self._before / factor

    @cached_property
    def _before(self) -> float:
        return self.key.read({side.curve.sweep.precision: side.curve for side in self.sides})


def _value(metric: Metric, curve: Curve, target: float) -> float:
    return curve.throughput(target) if metric.figure == THROUGHPUT else curve.figure(metric.figure, target)


def _slo(point: SweepPoint) -> tuple[float | None, float | None]:
    return point.figure("slo_ttft_s"), point.figure("slo_tpot_s")


def _interactivity(point: SweepPoint) -> float:
    return point.interactivity


def _deviation(side: ServedTarget, curves: Sequence[Curve]) -> float:
    """The deviation of serving points of another launch of the baseline from that launch's own value: the root mean
    square over the points. One launch with a slow point loosens no limit: see _scale."""
    at_target = side.goodness(side.curve)
    apart: dict[PointKey, list[float]] = {}
    for curve in curves:
        if curve is not side.curve:
            for key, share in side.shares(curve.sweep).items():
                log = math.log(max(share, _LEAST_SHARE) * at_target / side.goodness(curve))
                apart.setdefault(key, []).append(abs(log))
    return math.sqrt(statistics.fmean(_scale(each) ** 2 for each in apart.values())) if apart else 0.0


def _scale(apart: Sequence[float]) -> float:
    """The scale of deviations from zero: their median over that of a normal distribution, which an outlier does not
    move; of one or two, which have no outlier, the root mean square."""
    if len(apart) < LEAST_LAUNCHES:
        return math.sqrt(statistics.fmean(each**2 for each in apart))
    return statistics.median(apart) / _MEDIAN_OF_NORMAL
