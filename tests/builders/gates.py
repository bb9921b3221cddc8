"""Gates, each of FP4, or of its ratio to INT4 where the metric is one."""

from __future__ import annotations

from pytest_precgate.analysis.gating.gates import IMPLAUSIBLE_GAIN, Gate, GateKey, Metric


def gate(
    tolerance: float = 0.05,
    metric: Metric = Metric.THROUGHPUT_PER_GPU,
    point: float = 55,
    implausible: float = IMPLAUSIBLE_GAIN,
) -> Gate:
    precisions = ("fp4", "int4") if metric.is_ratio else ("fp4",)
    return Gate(GateKey(metric, precisions, point), tolerance, implausible)
