"""How latencies moved beside the gates of a check: told with a failure, and held to nothing.

Input: the curves of a baseline's launches and of a launch. Output: relative changes. Invariant: a latency that one side
did not measure is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_precgate.analysis.accepted.launch_curves import LaunchCurves
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.gating.verdict import Absent
from pytest_precgate.errors import UnreadableCurveError

_WATCHED = (Metric.TTFT_P50, Metric.TPOT_P99)
"""The start of an answer and its slowest steps: a longer prefill moves the first, a longer decode step the second."""


@dataclass(frozen=True)
class MovedLatency:
    """A latency of one precision at a target, and its change as a share of the baseline's."""

    key: GateKey
    change: float


def moved_latencies(
    baseline: LaunchCurves, curves: Mapping[str, Curve], precision: str, target: float
) -> Iterator[MovedLatency]:
    """Yield the watched latencies of a precision at ``target``, read at the concurrencies that serve it."""
    for metric in _WATCHED:
        key = GateKey(metric, (precision,), target)
        try:
            served = baseline.served(key)
            found, before = served.read(curves), key.read({precision: served.sides[0].curve})
        except UnreadableCurveError:
            continue
        if not isinstance(found, Absent):
            yield MovedLatency(key, found.value / before - 1)
