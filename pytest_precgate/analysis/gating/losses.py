"""Losses of a metric in either direction as logarithms, in which noise adds up, and as shares.

Input: the key of a gate, values or a loss. Output: a loss. Invariant: a positive loss is worse, whichever
direction of the metric is better."""

from __future__ import annotations

import math

from pytest_precgate.analysis.gating.gates import GateKey


def log_loss(key: GateKey, value: float, baseline: float) -> float:
    """Return the logarithm by which ``value`` is worse than ``baseline``; negative when it is better."""
    loss = math.log(baseline / value)
    return loss if key.metric.higher_is_better else -loss


def log_of(key: GateKey, share: float) -> float:
    """Return the logarithm of a loss of ``share``: 5% of a cost is less than 5% of a throughput."""
    return -math.log1p(-share) if key.metric.higher_is_better else math.log1p(share)


def share_of(key: GateKey, log: float) -> float:
    """Return the loss, as a share, of a logarithm."""
    return -math.expm1(-log) if key.metric.higher_is_better else math.expm1(log)
