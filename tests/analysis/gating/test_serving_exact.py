"""Serving points read on curves whose figures are known by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import UNKNOWN_ERROR, PointKey, Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.noise import step_time_elasticity
from pytest_precgate.analysis.gating.serving import (
    GateReading,
    PointReading,
    ServedGate,
    ServedLimits,
    ServedTarget,
)
from pytest_precgate.analysis.gating.verdict import Absent
from tests.published import WORKLOAD

B200 = HARDWARE["b200"]
ROWS = ((1, 120.0, 60.0), (4, 100.0, 190.0), (16, 75.0, 560.0), (64, 45.0, 1300.0), (128, 30.0, 1700.0))
FP4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 75)
RATIO = GateKey(Metric.THROUGHPUT_RATIO, ("fp4", "int4"), 75)
Changes = Mapping[int, tuple[float, float]]


def curve(
    changes: Changes | None = None,
    *,
    precision: str = "fp4",
    rows: Sequence[tuple[int, float, float]] = ROWS,
    errors: Mapping[int, float] | None = None,
) -> Curve:
    """The rows, some of them with interactivity and throughput at shares of what they were."""
    points = [
        SweepPoint(
            concurrency,
            4,
            speed * (changes or {}).get(concurrency, (1, 1))[0],
            throughput * (changes or {}).get(concurrency, (1, 1))[1],
            short_error=(errors or {}).get(concurrency),
        )
        for concurrency, speed, throughput in rows
    ]
    return Curve(Sweep(precision, WORKLOAD, "b200", points), B200)


def key(concurrency: int) -> PointKey:
    return next(point.key for point in curve().sweep.points if point.concurrency == concurrency)


def shares(target: float, changes: Changes) -> dict[int, float]:
    found = ServedTarget.of([curve()], target).shares(curve(changes).sweep)
    return {name[2]: share for name, share in found.items()}


def test_a_point_is_read_as_if_all_had_changed_like_it() -> None:
    """Point 16 at 3/4 of its speed: the curve at 75 / 0.75 = 100 gives 190 of 560. At 80% of its throughput: 80%. Both
    multiply. Point 64 at 4/3 of its speed: the curve at 56.25."""
    base = curve()
    assert shares(75, {16: (0.75, 1)})[16] == pytest.approx(190 / 560)
    assert shares(75, {16: (1, 0.8)})[16] == pytest.approx(0.8)
    assert shares(75, {16: (0.75, 0.8)})[16] == pytest.approx(0.8 * 190 / 560)
    faster = shares(75, {64: (4 / 3, 1)})
    assert faster[64] == pytest.approx(base.throughput(56.25) / 560)
    assert {name: share for name, share in faster.items() if name != 64} == pytest.approx({128: 1, 16: 1, 4: 1})


def test_beyond_its_slow_end_the_curve_stays_at_its_largest_throughput() -> None:
    """Point 128 three times as fast, read at 36 / 3 = 12: as at 30, its end."""
    assert shares(36, {128: (3, 1)})[128] == pytest.approx(1700 / curve().throughput(36))
    assert shares(30, {128: (1, 1)})[128] == 1


@pytest.mark.parametrize(
    ("rows", "slope"),
    [
        (ROWS, math.log(190 / 60) / math.log(1.2)),
        # The last point a tenth below the end, not one nearer.
        (
            ((1, 120.0, 60.0), (2, 115.0, 180.0), (4, 100.0, 190.0), (8, 75.0, 560.0)),
            math.log(190 / 60) / math.log(1.2),
        ),
        # Exactly a tenth below it.
        (((1, 22.0, 60.0), (4, 20.0, 90.0), (8, 15.0, 560.0)), math.log(90 / 60) / math.log(1.1)),
        # No point is so far below: the first.
        (((1, 120.0, 60.0), (2, 118.0, 66.0), (4, 115.0, 90.0)), math.log(90 / 60) / math.log(120 / 115)),
        # A curve that hardly falls continues with a slope of 1.
        (((1, 120.0, 60.0), (4, 60.0, 70.0), (8, 30.0, 80.0)), 1.0),
    ],
)
def test_beyond_its_fast_end_the_curve_continues_as_a_power(
    rows: Sequence[tuple[int, float, float]], slope: float
) -> None:
    """Read at twice the end's interactivity, where the fastest point has half of its speed."""
    target = rows[0][1]
    base = curve(rows=rows)
    after = curve({1: (0.5, 1)}, rows=rows)
    found = ServedTarget.of([base], target).shares(after.sweep)
    assert found[key(1)] == pytest.approx(2**-slope)


def test_the_value_is_the_weighted_mean_of_logarithms() -> None:
    """At 60 halfway between 45 and 75; a point without weight does not count, and one of nothing is nearly nothing."""
    served = ServedTarget.of([curve()], 60)
    held = {key(64): 0.5, key(16): 0.72, key(128): 0.1, key(4): 0.1}
    assert served.value(held) == pytest.approx(0.6)
    assert 0 < served.value({**held, key(64): 0.0}) < 1e-160
    assert served.missing({key(16): 1.0, key(4): 1.0}) == ["fp4 default concurrency 128", "fp4 default concurrency 64"]


@pytest.mark.parametrize(
    ("factors", "middle"),
    [((1.0,), 0), ((1.0, 0.9), 1), ((0.9, 1.0), 0), ((1.1, 0.9, 1.0), 2), ((1, 1.1, 0.8, 0.9), 3)],
)
def test_a_target_is_read_in_the_median_launch(factors: Sequence[float], middle: int) -> None:
    """Of an even number in the lower one of the two."""
    launches = [curve({row[0]: (1, factor) for row in ROWS}) for factor in factors]
    assert ServedTarget.of(launches, 60).curve is launches[middle]


@pytest.mark.parametrize(
    ("errors", "share"),
    [({64: 0.02}, 0.02), ({64: 0.02, 16: 0.01}, 0.02), ({128: 0.02, 4: 0.02}, 0.0), ({}, 0.0)],
)
def test_the_larger_error_of_the_two_points_counts(errors: Mapping[int, float], share: float) -> None:
    """Times the elasticity of the baseline's curve, divided by the half-width of a 90% interval."""
    base = curve()
    served = ServedTarget.of([base], 60)
    expected = share / 1.645 * step_time_elasticity([[base]], 60)
    assert served.short_sigma(curve(errors=errors).sweep) == pytest.approx(expected)
    gate = ServedGate.of(replace(RATIO, point=60), [[base], [curve(precision="int4")]])
    both = gate.short_sigma({"fp4": curve(errors=errors), "int4": curve(errors=errors, precision="int4")})
    assert both == pytest.approx(expected * math.sqrt(2))


def test_an_unknown_error_is_no_number_and_a_missing_point_has_none() -> None:
    """A point that was not measured makes the value absent elsewhere."""
    served = ServedTarget.of([curve()], 60)
    assert served.short_sigma(curve(errors={64: UNKNOWN_ERROR, 16: 0.01}).sweep) == math.inf
    left = curve(rows=[row for row in ROWS if row[0] != 64], errors={16: 0.02})
    assert served.short_sigma(left.sweep) == pytest.approx(0.02 / 1.645 * step_time_elasticity([[curve()]], 60))


def reading(fp4: Changes, int4: Changes | None = None, gate: GateKey = FP4) -> GateReading:
    curves = {"fp4": curve(fp4), "int4": curve(int4, precision="int4")}
    served = ServedGate.of(gate, [[curve(precision=name)] for name in gate.precisions])
    found = served.read(curves)
    assert isinstance(found, GateReading)
    return found


@pytest.mark.parametrize("metric", [Metric.THROUGHPUT_PER_GPU, Metric.COST])
def test_a_value_is_the_baseline_s_times_what_is_left(metric: Metric) -> None:
    """On a point, that point decides: 80% of a throughput, or a cost by 80%. Losses of points are of throughput."""
    gate = replace(FP4, metric=metric)
    before = curve().at(75)
    first = before.throughput_per_gpu if metric is Metric.THROUGHPUT_PER_GPU else before.cost
    found = reading({16: (1, 0.8), 4: (1, 0.5)}, gate=gate)

    def left(share: float) -> float:
        return first * share if metric is Metric.THROUGHPUT_PER_GPU else first / share

    assert found.value == pytest.approx(left(0.8))
    by_name = {point.name: (point.value, point.loss) for point in found.points}
    assert by_name["fp4 default concurrency 16"] == pytest.approx((left(0.8), 0.2))
    assert by_name["fp4 default concurrency 4"] == pytest.approx((left(0.5), 0.5))
    assert by_name["fp4 default concurrency 64"] == pytest.approx((left(1.0), 0.0))


def test_a_ratio_cancels_what_both_precisions_lose() -> None:
    """FP4 loses 28% at its point and INT4 10% at all: the ratio is 0.8 of what it was, 1. INT4's points are compared
    with its own curve where that fell, and with the baseline where it rose."""
    everywhere = {row[0]: (1.0, 0.9) for row in ROWS}
    found = reading({16: (1, 0.72)}, everywhere, RATIO)
    assert found.value == pytest.approx(0.8)
    by_name = {point.name: point for point in found.points}
    assert by_name["fp4 default concurrency 16"].value == pytest.approx(0.8)
    assert by_name["fp4 default concurrency 4"].value == pytest.approx(1 / 0.9)
    assert by_name["int4 default concurrency 16"].value == pytest.approx(1.0)
    assert by_name["int4 default concurrency 16"].loss == pytest.approx(0.1)
    risen = reading({}, {row[0]: (1.0, 1.25 if row[0] != 4 else 1.0) for row in ROWS}, RATIO)
    assert risen.value == pytest.approx(0.8)
    by_name = {point.name: point for point in risen.points}
    assert by_name["int4 default concurrency 16"].value == pytest.approx(1.25)
    assert by_name["int4 default concurrency 4"].value == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "factor"), [(1e-15, 1e-12), (1e15, 1e12)])
def test_a_value_stays_a_number_above_zero(share: float, factor: float) -> None:
    """Whatever one point reads."""
    found = reading({16: (1, share)})
    assert found.value == pytest.approx(560 * factor)


def test_missing_points_are_named_the_first_before_the_others() -> None:
    """One alone has no others."""
    served = ServedGate.of(FP4, [[curve()]])
    one, two = (
        served.read({"fp4": curve(rows=[row for row in ROWS if row[0] not in gone])}) for gone in ((4,), (4, 64, 16))
    )
    end = "; the baseline is read through it: measure it as well"
    assert isinstance(one, Absent)
    assert one.reason == f"fp4 default concurrency 4 was not measured{end}"
    assert isinstance(two, Absent)
    assert two.reason == (
        "fp4 default concurrency 64 was not measured, nor fp4 default concurrency 16, fp4 default concurrency 4" + end
    )


def test_a_launch_that_ends_at_the_target_has_a_value() -> None:
    """Its fastest point is not slower than the target."""
    found = reading({1: (75 / 120, 1), 4: (75 / 100, 1)})
    assert found.value == pytest.approx(560)


def test_the_worst_point_counts_where_it_is_beyond_its_limit_and_worse_than_the_value() -> None:
    """A limit of 10%, with room for the last bits alone."""
    gate = Gate(FP4, 0.05)

    def of(value: float, *points: float) -> GateReading:
        return GateReading(value, tuple(PointReading(str(point), point, 1 - point / 100) for point in points))

    limits = ServedLimits(100.0, 0.05, 0.1)
    for point, is_beyond in ((90.0, False), (90.0 - 5e-8, False), (90.0 - 2e-7, True), (80.0, True)):
        found = of(97.0, 99.0, point, 98.0).beyond(gate, limits)
        assert (found is not None) is is_beyond
        assert of(97.0, 99.0, point).held_to(gate, limits) == (point if is_beyond else 97.0)
    assert of(70.0, 80.0).held_to(gate, limits) == 70.0
    cost = Gate(replace(FP4, metric=Metric.COST), 0.05)
    assert of(105.0, 100.0, 111.0).held_to(cost, limits) == 111.0


@pytest.mark.parametrize(("loss", "text"), [(0.0999, "10.0%"), (0.1, "10%"), (0.333, "33%"), (0.012, "1.2%")])
def test_a_loss_of_a_point_is_told_in_tenths_of_a_percent_below_ten(loss: float, text: str) -> None:
    """And in whole ones above."""
    assert str(PointReading("fp4 c 4", 1.0, loss)) == f"fp4 c 4 is {text} below its baseline"


def test_the_deviation_of_points_is_their_root_mean_square_around_their_launch() -> None:
    """Another launch of the baseline, as fast on its curve: a point 10% low there, of four that serve the target."""
    base, other = curve(), curve({4: (1, 0.9)})
    whole = other.throughput(75) / base.throughput(75)
    logs = [math.log(share / whole) for share in (1, 1, 1, 0.9)]
    expected = math.sqrt(sum(log**2 for log in logs) / 4)
    served = ServedGate.of(FP4, [[base, other]])
    assert served.sides[0].curve is base
    assert served.deviation == pytest.approx(expected)
    assert expected == pytest.approx(math.log(1 / 0.9) / 2, rel=0.01)
    both = ServedGate.of(RATIO, [[base, other], [curve(precision="int4"), curve({4: (1, 0.9)}, precision="int4")]])
    assert both.deviation == pytest.approx(expected * math.sqrt(2))
    assert ServedGate(FP4, served.sides).deviation == 0.0


def test_points_of_another_launch_are_those_of_the_same_gate() -> None:
    """The points stay, and what they are read against is the other launch."""
    base, other = curve(), curve({row[0]: (1, 0.5) for row in ROWS})
    served = ServedGate.of(FP4, [[base]])
    along = served.along([other])
    assert along.points == served.points
    assert {point.key[2] for point in served.points} == {64, 16, 4, 128}
    found = along.read({"fp4": other})
    assert isinstance(found, GateReading)
    assert found.value == pytest.approx(280)
