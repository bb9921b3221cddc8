"""A gate: one metric at one interactivity with one tolerance.

Input: a comparison or a sweep. Output: the gate's value. Invariant: a gate knows its metric and which direction is
better; it does not know baselines or verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError

THROUGHPUT = "throughput_per_gpu"
"""The figure of every point, which others are read beside."""

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
    OUTPUT_THROUGHPUT_PER_GPU = "output_throughput_per_gpu"
    TTFT_P50 = "ttft_p50"
    TTFT_P90 = "ttft_p90"
    TTFT_P99 = "ttft_p99"
    TPOT_P99 = "tpot_p99"
    ITL_P99 = "itl_p99"
    REQUEST_LATENCY_P99 = "request_latency_p99"
    GOODPUT = "goodput"
    JOULES_PER_TOKEN_RATIO = "joules_per_token_ratio"
    JOULES_PER_TOKEN = "joules_per_token"
    TOKENS_PER_SECOND_PER_MEGAWATT = "tokens_per_second_per_megawatt"

    @property
    def is_ratio(self) -> bool:
        """Whether the metric compares two precisions."""
        return self in (Metric.THROUGHPUT_RATIO, Metric.COST_RATIO, Metric.JOULES_PER_TOKEN_RATIO)

    @property
    def higher_is_better(self) -> bool:
        """The direction: more throughput is better, less cost, latency or energy is better."""
        return self in _MORE_IS_BETTER

    @property
    def figure(self) -> str:
        """The figure of a point that it is read from: THROUGHPUT, or one of its details."""
        if self in _OF_THROUGHPUT:
            return THROUGHPUT
        return _OTHER_FIGURES.get(self, f"{self.value}_s")

    @property
    def follows_steps(self) -> bool:
        """Whether it is a throughput, or its price: read along the curve, and as precise as the throughput is.

        The others are read at the concurrencies that serve the target, scatter in their own way, and gate nothing
        before they have a tolerance of their own."""
        return self in _OF_THROUGHPUT or self is Metric.OUTPUT_THROUGHPUT_PER_GPU

    @property
    def family(self) -> str:
        """The metrics whose gates scatter alike, so that they lend each other their launches."""
        return THROUGHPUT if self.follows_steps else self.figure.partition("_")[0]


_OF_THROUGHPUT = (Metric.THROUGHPUT_RATIO, Metric.COST_RATIO, Metric.THROUGHPUT_PER_GPU, Metric.COST)
_MORE_IS_BETTER = (
    *(Metric.THROUGHPUT_RATIO, Metric.THROUGHPUT_PER_GPU, Metric.OUTPUT_THROUGHPUT_PER_GPU),
    *(Metric.GOODPUT, Metric.TOKENS_PER_SECOND_PER_MEGAWATT),
)
_OTHER_FIGURES = {
    Metric.OUTPUT_THROUGHPUT_PER_GPU: "output_throughput_per_gpu",
    Metric.GOODPUT: "goodput",
    Metric.JOULES_PER_TOKEN_RATIO: "joules_per_token",
    Metric.JOULES_PER_TOKEN: "joules_per_token",
    Metric.TOKENS_PER_SECOND_PER_MEGAWATT: "joules_per_token",
}

DEFAULT_METRICS = (Metric.THROUGHPUT_RATIO, Metric.THROUGHPUT_PER_GPU)
"""What a suite gates that does not say. A cost derived from a throughput is the same measurement, shown beside it."""


_TOKENS_PER_MEGAJOULE = 1e6  # a token of 1 J: as many tok/s from a megawatt


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

    def read(self, curves: Mapping[str, Curve]) -> float:
        """Return the metric, read from one curve per precision at the point.

        Raises UnreadableCurveError off a curve's range, and where its figure was not measured."""
        first, *others = (self._of_one(curves[name]) for name in self.precisions)
        return first / others[0] if others else first

    def _of_one(self, curve: Curve) -> float:
        if self.metric.figure != THROUGHPUT:
            value = curve.figure(self.metric.figure, self.point)
            return _TOKENS_PER_MEGAJOULE / value if self.metric is Metric.TOKENS_PER_SECOND_PER_MEGAWATT else value
        read = curve.at(self.point)
        return read.cost if self.metric in (Metric.COST, Metric.COST_RATIO) else read.throughput_per_gpu

    def gain(self, value: float, baseline: float) -> float:
        """Return by which share ``value`` is better than ``baseline``; negative when it is worse."""
        change = value / baseline - 1
        return change if self.metric.higher_is_better else -change


@dataclass(frozen=True)
class Gate:
    """A key with its tolerance and its bound of plausibility, both as shares (0.03 is 3%).

    ``tolerance`` is how much worse the value may be than its baseline; ``implausible`` how much better makes it
    implausible. With ``record_only`` the value is recorded and shown, and holds nothing."""

    key: GateKey
    tolerance: float
    implausible: float = IMPLAUSIBLE_GAIN
    record_only: bool = False

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

    ``points`` is by interactivity in tok/s/user; a ratio has no precision of its own. With ``record_only`` none holds.
    """

    default: float = TOLERANCE
    points: Mapping[float, float] = field(default_factory=dict)
    precisions: Mapping[str, float] = field(default_factory=dict)
    record_only: bool = False

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

    ``tolerances`` names the metrics to gate. Of those that do not follow the steps, ``implausible`` is at least twice
    the tolerance. Raises InvalidValueError when there is nothing to gate."""
    pair = (candidate, reference)
    keys = [
        (GateKey(metric, precisions, point), tolerance)
        for metric, tolerance in tolerances.items()
        for precisions in ([pair] if metric.is_ratio else [(candidate,), (reference,)])
        for point in points
    ]
    gates = [gate_of(key, tolerance, implausible) for key, tolerance in keys]
    if all(gate.record_only for gate in gates):
        only = " that holds: every metric is only recorded" if gates else ""
        raise InvalidValueError(f"gates: no point or no metric left{only}, so nothing would be gated")
    return tuple(sorted(gates, key=lambda gate: gate.key.order))


def gate_of(key: GateKey, tolerance: Tolerance, implausible: float) -> Gate:
    """Return the gate of a key with its tolerance; raise InvalidValueError for a share that is none."""
    allowed = tolerance.of(key)
    # A latency scatters by more than a throughput may gain.
    most = implausible if key.metric.follows_steps else max(implausible, 2 * allowed)
    return Gate(key, allowed, most, tolerance.record_only)
