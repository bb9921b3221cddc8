"""A gate: one metric at one interactivity with one tolerance.

Input: a comparison or a sweep. Output: the gate's value. Invariant: a gate knows its metric and which direction is
better; it does not know baselines or verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from pytest_precgate.analysis.curves.comparison import Reading
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError

TOLERANCE = 0.025
"""The largest loss that passes, as a share, when a suite does not say (benchmarks/decision_rule.py: with 3% too few
drops of 5% are caught at a sigma of 1%)."""

IMPLAUSIBLE_GAIN = 0.25
"""A gain beyond this share is more likely a measurement error than a better engine."""


class Metric(Enum):
    """The metric of a gate. Ratios are candidate / reference; the others belong to one precision."""

    THROUGHPUT_RATIO = "throughput_ratio"
    COST_RATIO = "cost_ratio"
    THROUGHPUT_PER_GPU = "throughput_per_gpu"
    COST = "cost"

    @property
    def is_ratio(self) -> bool:
        """Whether the metric compares two precisions."""
        return self in (Metric.THROUGHPUT_RATIO, Metric.COST_RATIO)

    @property
    def higher_is_better(self) -> bool:
        """The direction: more throughput is better, less cost is better."""
        return self in (Metric.THROUGHPUT_RATIO, Metric.THROUGHPUT_PER_GPU)


DEFAULT_METRICS = (Metric.THROUGHPUT_RATIO, Metric.THROUGHPUT_PER_GPU)
"""What a suite gates that does not say. A cost derived from a throughput is the same measurement, shown beside it."""


@dataclass(frozen=True)
class GateKey:
    """The quantity of a gate: metric, the precisions it reads, and the interactivity in tok/s/user."""

    metric: Metric
    precisions: tuple[str, ...]
    point: float

    def __post_init__(self) -> None:
        wanted = 2 if self.metric.is_ratio else 1
        if len(self.precisions) != wanted or len(set(self.precisions)) != wanted:
            raise InvalidValueError(
                f"GateKey.precisions: {self.metric.value} reads {wanted} precision(s), got {'/'.join(self.precisions)}"
            )
        object.__setattr__(self, "point", positive("GateKey", "point", self.point, "tok/s/user"))

    @property
    def quantity(self) -> str:
        """The gate without its point, as reports write it: ``fp4/int4 throughput_ratio``."""
        return f"{'/'.join(self.precisions)} {self.metric.value}"

    def __str__(self) -> str:
        return f"{self.quantity} at {self.point:g} tok/s/user"

    @property
    def order(self) -> tuple[bool, tuple[str, ...], int, float]:
        """A fixed order for files and reports: ratios first, then by precision, metric as listed above, point."""
        return (not self.metric.is_ratio, self.precisions, list(Metric).index(self.metric), self.point)

    def value(self, read: Mapping[str, Reading]) -> float:
        """Compute the metric from one reading per precision."""
        first = read[self.precisions[0]]
        if self.metric is Metric.THROUGHPUT_PER_GPU:
            return first.throughput_per_gpu
        if self.metric is Metric.COST:
            return first.cost
        second = read[self.precisions[1]]
        if self.metric is Metric.THROUGHPUT_RATIO:
            return first.throughput_per_gpu / second.throughput_per_gpu
        return first.cost / second.cost

    def gain(self, value: float, baseline: float) -> float:
        """Return by which share ``value`` is better than ``baseline``; negative when it is worse."""
        change = value / baseline - 1
        return change if self.metric.higher_is_better else -change


@dataclass(frozen=True)
class Gate:
    """A key with its tolerance and its bound of plausibility, both as shares (0.03 is 3%).

    ``tolerance`` is how much worse the value may be than its baseline; ``implausible`` how much better makes it
    implausible."""

    key: GateKey
    tolerance: float
    implausible: float = IMPLAUSIBLE_GAIN

    def __post_init__(self) -> None:
        positive("Gate", "tolerance", self.tolerance, "share of the baseline")
        positive("Gate", "implausible", self.implausible, "share of the baseline")
        if not self.tolerance < 1 or not self.implausible > self.tolerance:
            raise InvalidValueError(
                f"Gate: got tolerance {self.tolerance!r} and implausible {self.implausible!r}, wanted a tolerance "
                "below 1 (0.03 is 3%) and below implausible"
            )

    def gain(self, value: float, baseline: float) -> float:
        """Return by which share ``value`` is better than ``baseline``; negative when it is worse."""
        return self.key.gain(value, baseline)


@dataclass(frozen=True)
class Tolerance:
    """The tolerances of one metric, as shares: that of a point, else that of a precision, else ``default``.

    ``points`` is by interactivity in tok/s/user; a ratio has no precision of its own."""

    default: float = TOLERANCE
    points: Mapping[float, float] = field(default_factory=dict)
    precisions: Mapping[str, float] = field(default_factory=dict)

    def of(self, key: GateKey) -> float:
        """Return the tolerance of a gate."""
        own = self.default if key.metric.is_ratio else self.precisions.get(key.precisions[0], self.default)
        return self.points.get(key.point, own)


def gates_of(
    candidate: str,
    reference: str,
    points: Iterable[float],
    tolerances: Mapping[Metric, Tolerance],
    implausible: float = IMPLAUSIBLE_GAIN,
) -> tuple[Gate, ...]:
    """Return the gates of one comparison: each ratio once, each absolute metric once per precision, at every point.

    ``tolerances`` names the metrics to gate. Raises InvalidValueError
    when there is nothing to gate."""
    pair = (candidate, reference)
    keys = [
        (GateKey(metric, precisions, point), tolerance)
        for metric, tolerance in tolerances.items()
        for precisions in ([pair] if metric.is_ratio else [(candidate,), (reference,)])
        for point in points
    ]
    gates = [Gate(key, tolerance.of(key), implausible) for key, tolerance in keys]
    if not gates:
        raise InvalidValueError("gates: no point or no metric left, so nothing would be gated")
    return tuple(sorted(gates, key=lambda gate: gate.key.order))
