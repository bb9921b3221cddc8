"""Latencies that moved beside a failed gate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.latencies import moved_latencies
from pytest_precgate.analysis.accepted.launch_curves import LaunchCurves
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.economics import hardware_named
from tests.published import kimi


def curve(ttft: float = 1.0, tpot: float = 1.0, *, measured: bool = True) -> Curve:
    """The recorded FP4 cloud with latencies that grow with the concurrency, longer by two factors."""
    sweep = kimi("fp4")
    points = [
        replace(
            point,
            details=PointDetails(ttft_p50_s=ttft * point.concurrency / 100, tpot_p99_s=tpot * 2 / point.interactivity)
            if measured
            else None,
        )
        for point in sweep.points
    ]
    return Curve(replace(sweep, points=points), hardware_named("b200"))


def moved(before: Curve, after: Curve) -> dict[str, float]:
    baseline = LaunchCurves({"fp4": [before]}, (), ())
    return {each.key.metric.value: each.change for each in moved_latencies(baseline, {"fp4": after}, "fp4", 55)}


def test_each_latency_is_told_by_its_own_change() -> None:
    """A prefill 10% longer moves the ttft alone."""
    assert moved(curve(), curve(ttft=1.1, tpot=1.02)) == pytest.approx({"ttft_p50": 0.1, "tpot_p99": 0.02})


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False), (False, False)])
def test_what_one_side_did_not_measure_is_left_out(before: bool, after: bool) -> None:
    """Nothing is told of it, and nothing fails."""
    assert moved(curve(measured=before), curve(measured=after)) == {}
