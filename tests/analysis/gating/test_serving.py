"""Which points of a baseline serve a target, and what a later launch makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.serving import (
    GateReading,
    ServedGate,
    ServedLimits,
    ServedTarget,
    ServingPoint,
    serving_points,
)
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from pytest_precgate.errors import OutsideSweepError
from tests.clouds import falling
from tests.published import WORKLOAD, kimi

B200 = HARDWARE["b200"]
changes, losses = st.floats(0.3, 1.5), st.floats(0.1, 1)
ROWS = ((1, 120, 60), (4, 100, 190), (16, 75, 560), (64, 45, 1300), (128, 30, 1700))
THROUGHPUT = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 60)


def curve(points: Sequence[SweepPoint], precision: str = "fp4") -> Curve:
    return Curve(Sweep(precision, WORKLOAD, "b200", points), B200)


def points(changed: tuple[int, float, float] | None = None) -> list[SweepPoint]:
    """The rows, one of them with its interactivity and throughput at shares of what they were."""
    found = [SweepPoint(c, 4, speed, throughput) for c, speed, throughput in ROWS]
    if changed is None:
        return found
    concurrency, speed, throughput = changed
    return [
        replace(p, interactivity=speed * p.interactivity, throughput_per_gpu=throughput * p.throughput_per_gpu)
        if p.concurrency == concurrency
        else p
        for p in found
    ]


def weights(served: Sequence[ServingPoint]) -> dict[int, float]:
    return {point.key[2]: point.weight for point in served}


def read(after: Sequence[SweepPoint], key: GateKey = THROUGHPUT) -> GateReading:
    found = ServedGate.of(key, [[curve(points())]]).read({"fp4": curve(after)})
    assert isinstance(found, GateReading)
    return found


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (60, {128: 0.0, 64: 0.5, 16: 0.5, 4: 0.0}),
        (40, {128: 1 / 3, 64: 2 / 3, 16: 0.0}),
        (110, {16: 0.0, 4: 0.5, 1: 0.5}),
        (30, {128: 1.0, 64: 0.0, 16: 0.0}),
        (120, {16: 0.0, 4: 0.0, 1: 1.0}),
    ],
)
def test_the_bracket_serves_a_target_and_its_neighbours_steer_the_slope(
    target: float, expected: dict[int, float]
) -> None:
    """The nearer of the two counts more; the outer ones have no weight."""
    assert weights(serving_points(curve(points()), target)) == pytest.approx(expected)


def test_a_target_off_the_curve_is_served_by_nothing() -> None:
    """Nothing is extrapolated."""
    with pytest.raises(OutsideSweepError):
        serving_points(curve(points()), 20)


@given(falling(min_size=3), st.floats(0, 1), changes, changes, losses, losses)
def test_a_point_that_gets_worse_never_reads_better(
    knots: list[tuple[float, float]], share: float, speed: float, throughput: float, slower: float, lower: float
) -> None:
    """Beyond the ends of the baseline's curve as well."""
    before = [SweepPoint(number, 4, *knot) for number, knot in enumerate(knots, 1)]
    low, high = curve(before).span
    target = min(max(low + share * (high - low), low), high)
    served = ServedTarget.of([curve(before)], target)

    def shares(a: float, b: float) -> list[float]:
        after = [SweepPoint(p.concurrency, 4, a * p.interactivity, b * p.throughput_per_gpu) for p in before]
        return list(served.shares(Sweep("fp4", WORKLOAD, "b200", after)).values())

    first, second = shares(speed, throughput), shares(speed * slower, throughput * lower)
    assert all(after <= one * (1 + 1e-9) for one, after in zip(first, second, strict=True))


def test_an_outer_neighbour_moves_no_value_and_is_held_all_the_same() -> None:
    """Concurrency 128 loses a third: the value at 60 stays, and a limit of 5% names it."""
    found = read(points((128, 1.0, 2 / 3)))
    gate = Gate(THROUGHPUT, 0.05)
    before = curve(points()).throughput(60)
    assert found.value == pytest.approx(before)
    limits = ServedLimits(before, 0.05, 0.05)
    worst = found.beyond(gate, limits)
    assert str(worst) == "fp4 default concurrency 128 is 33% below its baseline"
    assert found.held_to(gate, limits) == pytest.approx(before * 2 / 3)


def test_a_cost_rises_as_its_points_fall() -> None:
    """Of a metric that is better when it is lower, the dearest point is the worst."""
    key = GateKey(Metric.COST, ("fp4",), 60)
    before = curve(points()).at(60).cost
    found = read(points((64, 1.0, 0.5)), key)
    assert found.value == pytest.approx(before * 2**0.5)
    worst = found.beyond(Gate(key, 0.05), ServedLimits(before, 0.05, 0.05))
    assert worst is not None
    assert worst.value == pytest.approx(2 * before)


def test_a_missing_point_is_named() -> None:
    """INCONCLUSIVE, with any other points."""
    after = [point for point in points() if point.concurrency not in (4, 64)]
    found = ServedGate.of(THROUGHPUT, [[curve(points())]]).read({"fp4": curve(after)})
    assert isinstance(found, Absent)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "fp4 default concurrency 64 was not measured, nor fp4 default concurrency 4;" in found.reason


def test_a_launch_too_slow_for_the_target_has_no_value() -> None:
    """Where even its fastest point is slower, as off any curve."""
    slow = [replace(point, interactivity=0.4 * point.interactivity) for point in points()]
    with pytest.raises(OutsideSweepError):
        ServedGate.of(THROUGHPUT, [[curve(points())]]).read({"fp4": curve(slow)})


def test_launches_of_a_baseline_determine_the_scatter_of_points() -> None:
    """A pace of its own moves points and value alike; what one point scatters by itself is the deviation."""
    slower = [replace(p, interactivity=p.interactivity / 1.02, throughput_per_gpu=p.throughput_per_gpu / 1.02)
              for p in points()]  # fmt: skip
    assert ServedGate.of(THROUGHPUT, [[curve(points()), curve(slower)]]).deviation == pytest.approx(0, abs=2e-3)
    assert ServedGate.of(THROUGHPUT, [[curve(points()), curve(points((128, 1, 0.9)))]]).deviation > 0.02
    assert ServedGate.of(THROUGHPUT, [[curve(points())]]).deviation == 0


def test_points_that_ended_early_count_where_they_have_weight() -> None:
    """Of the bracket alone; nothing where every point is known as well as asked."""
    sweep = kimi("fp4")
    served = ServedGate.of(THROUGHPUT, [[Curve(sweep, B200)]])
    assert served.short_sigma({"fp4": Curve(sweep, B200)}) == 0
    weighed = {point.key for point in served.points if point.weight}
    for keys, is_doubted in ((weighed, True), ({point.key for point in served.points} - weighed, False)):
        short = [replace(p, short_error=0.02) if p.key in keys else p for p in sweep.points]
        assert (served.short_sigma({"fp4": curve(short)}) > 0.01) is is_doubted


def test_one_slow_point_of_one_baseline_launch_loosens_no_limit() -> None:
    """Of five launches one has an outer point of half the throughput: the scale stays that of the other launches."""
    steady = [
        [replace(p, throughput_per_gpu=p.throughput_per_gpu * pace) for p in points()]
        for pace in (1.0, 1.001, 0.999, 1.002, 0.998)
    ]
    strayed = [*steady[:4], points((64, 0.9, 0.5))]
    quiet, loose = (ServedGate.of(THROUGHPUT, [[curve(each) for each in launches]]) for launches in (steady, strayed))
    assert loose.deviation < quiet.deviation + 0.01
