"""Gates of latencies, goodput and energy: read at the concurrencies that serve the target, and only recorded until they
have a tolerance of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric, Tolerance, gates_of
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.serving import GateReading, ServedGate
from pytest_precgate.analysis.gating.verdict import Absent, Verdict, all_pass, judge
from pytest_precgate.errors import InvalidValueError, NotMeasuredError
from tests.published import WORKLOAD

ROWS = ((1, 120, 60), (4, 100, 190), (16, 75, 560), (64, 45, 1300), (128, 30, 1700))
METRICS = [metric for metric in Metric if not metric.follows_steps]
FIGURES = sorted({metric.figure for metric in METRICS})


def details(concurrency: int) -> PointDetails:
    latency = 0.01 * concurrency
    return PointDetails(
        **dict.fromkeys(("ttft_p50_s", "ttft_p90_s", "ttft_p99_s", "tpot_p99_s", "itl_p99_s"), latency),
        request_latency_p99_s=100 * latency,
        goodput=0.1 * concurrency,
        slo_ttft_s=0.5,
        slo_tpot_s=0.05,
        joules_per_token=5 / concurrency,
        output_throughput_per_gpu=30.0 * concurrency,
    )


POINTS = [SweepPoint(c, 4, speed, throughput, details=details(c)) for c, speed, throughput in ROWS]


def curve(points: list[SweepPoint], precision: str = "fp4") -> Curve:
    return Curve(Sweep(precision, WORKLOAD, "b200", points), HARDWARE["b200"])


def key(metric: Metric) -> GateKey:
    return GateKey(metric, ("fp4", "int4") if metric.is_ratio else ("fp4",), 60)


def read(metric: Metric, after: list[SweepPoint]) -> GateReading | Absent:
    gate = key(metric)
    served = ServedGate.of(gate, [[curve(POINTS, name)] for name in gate.precisions])
    return served.read({name: curve(after if name == "fp4" else POINTS, name) for name in gate.precisions})


def changed(by: Mapping[int, float], metric: Metric) -> list[SweepPoint]:
    """The points with the metric's figure better by a factor at some concurrencies."""

    def of(point: SweepPoint) -> SweepPoint:
        assert point.details is not None
        factor = by.get(point.concurrency, 1.0)
        value = point.figure(metric.figure)
        assert value is not None
        worse_is_more = metric is not Metric.GOODPUT
        return replace(point, details=replace(point.details, **_consistent(metric, value, factor, worse_is_more)))

    return [of(point) for point in POINTS]


def _consistent(metric: Metric, value: float, factor: float, worse_is_more: bool) -> dict[str, float | None]:
    """The one figure, without the percentiles that it would overtake."""
    alone: dict[str, float | None] = {}
    if metric.figure.startswith("ttft"):
        alone = dict.fromkeys(("ttft_p50_s", "ttft_p90_s", "ttft_p99_s"))
    alone[metric.figure] = value / factor if worse_is_more else value * factor
    return alone


@pytest.mark.parametrize("metric", METRICS)
def test_an_unchanged_launch_reads_its_baseline(metric: Metric) -> None:
    """Whichever figure it is."""
    found = read(metric, POINTS)
    assert isinstance(found, GateReading)
    gate = key(metric)
    assert found.value == pytest.approx(gate.read({name: curve(POINTS, name) for name in gate.precisions}))


@pytest.mark.parametrize("metric", METRICS)
def test_a_figure_better_by_a_factor_everywhere_is_better_by_it(metric: Metric) -> None:
    """1.25 times as good: a latency of 80%, a goodput of 125%; in a ratio of precisions too."""
    gate = Gate(key(metric), 0.05)
    before, after = read(metric, POINTS), read(metric, changed(dict.fromkeys((1, 4, 16, 64, 128), 1.25), metric))
    assert isinstance(before, GateReading)
    assert isinstance(after, GateReading)
    assert gate.gain(after.value, before.value) == pytest.approx(0.25 if metric.higher_is_better else 0.2)


@given(
    st.sampled_from(METRICS),
    st.dictionaries(st.sampled_from([1, 4, 16, 64, 128]), st.floats(0.2, 5.0)),
    st.sampled_from([4, 16, 64, 128]),
    st.floats(0.3, 1.0),
)
def test_a_worse_figure_of_a_point_never_reads_better(
    metric: Metric, by: dict[int, float], at: int, worse: float
) -> None:
    """Neither the value nor any serving point."""
    gate = Gate(key(metric), 0.05)
    before, after = (
        read(metric, changed(by, metric)),
        read(metric, changed({**by, at: by.get(at, 1.0) * worse}, metric)),
    )
    assert isinstance(before, GateReading)
    assert isinstance(after, GateReading)
    assert gate.gain(after.value, before.value) <= 1e-9
    for was, now in zip(before.points, after.points, strict=True):
        assert gate.gain(now.value, was.value) <= 1e-9


@given(st.sampled_from(METRICS), st.sampled_from([16, 64]), st.floats(0.5, 1.0))
def test_a_slower_point_makes_no_latency_better(metric: Metric, at: int, speed: float) -> None:
    """Read along its own curve a slower launch would be read at a lower concurrency, where latencies are short."""
    slow = [replace(p, interactivity=p.interactivity * speed) if p.concurrency == at else p for p in POINTS]
    before, after = read(metric, POINTS), read(metric, slow)
    assert isinstance(before, GateReading)
    assert isinstance(after, GateReading)
    assert after.value == before.value


@pytest.mark.parametrize("metric", METRICS)
def test_a_launch_without_the_figure_is_inconclusive(metric: Metric) -> None:
    """And a baseline without it cannot be read."""
    without = [replace(point, details=None) for point in POINTS]
    found = read(metric, without)
    assert isinstance(found, Absent)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason.startswith(f"{metric.figure} of fp4 default concurrency")
    with pytest.raises(NotMeasuredError):
        ServedGate.of(key(metric), [[curve(without, name)] for name in key(metric).precisions])


def test_goodput_under_another_objective_is_not_compared() -> None:
    """500 ms and 400 ms count other requests."""
    stricter = [replace(p, details=replace(details(p.concurrency), slo_ttft_s=0.4)) for p in POINTS]
    found = read(Metric.GOODPUT, stricter)
    assert isinstance(found, Absent)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_no_good_request_is_a_loss_and_no_missing_value() -> None:
    """A goodput of 0 is measured."""
    none = [replace(p, details=replace(details(p.concurrency), goodput=0.0)) for p in POINTS]
    found = read(Metric.GOODPUT, none)
    assert isinstance(found, GateReading)
    before = read(Metric.GOODPUT, POINTS)
    assert isinstance(before, GateReading)
    assert judge(Gate(key(Metric.GOODPUT), 0.2), found.value, before.value).verdict is Verdict.REGRESSED


def test_tokens_per_second_per_megawatt_is_the_energy_per_token_turned_over() -> None:
    """1 J a token are a million tok/s from a megawatt."""
    joules = key(Metric.JOULES_PER_TOKEN).read({"fp4": curve(POINTS)})
    assert key(Metric.TOKENS_PER_SECOND_PER_MEGAWATT).read({"fp4": curve(POINTS)}) == pytest.approx(1e6 / joules)


def test_a_noisy_latency_makes_no_throughput_noisy() -> None:
    """Only gates of one family lend each other their launches."""
    quiet = GateLaunches(key(Metric.THROUGHPUT_PER_GPU), [1000, 1003, 998, 1001, 999])
    loud = GateLaunches(key(Metric.TTFT_P99), [1.0, 1.3, 0.8, 1.2, 0.9])
    alone, beside = SuiteNoise.of([quiet]), SuiteNoise.of([quiet, loud])
    assert beside.gates[quiet.key] == alone.gates[quiet.key]
    assert (alone.independent, beside.independent) == (1, 2)
    assert beside.without({Metric.TTFT_P99}).independent == 1


def test_what_is_only_recorded_asks_for_no_launch_and_blocks_nothing() -> None:
    """However bad its first launch, under every rule; with a missing value or baseline it says so."""
    gate = Gate(key(Metric.TTFT_P99), 0.025, record_only=True)
    for kind in ("first-good", "median"):
        rule = SuiteRule([GateBaseline(gate, [1.0, 1.5, 0.5])], LaunchPolicy(kind))
        (ruling,) = rule.judge([[9.0]]).gates
        assert ruling.judged is not None
        assert (ruling.judged.verdict, ruling.judged.value, ruling.judged.baseline) == (Verdict.RECORDED, 9.0, 1.0)
        assert ruling.launches == 1
    (pair,) = PairedRule([(gate, 1.0)], LaunchPolicy("pairs", 5)).judge([[(1.0, 9.0)]]).gates
    assert pair.judged is not None
    assert pair.judged.verdict is Verdict.RECORDED
    absent = Absent(Verdict.MISSING, "the baseline has no such gate")
    missing = judge(gate, 9.0, absent)
    assert (missing.verdict, missing.reason) == (Verdict.RECORDED, "only recorded; the baseline has no such gate")


def test_a_check_of_recorded_gates_alone_does_not_pass() -> None:
    """Nothing was held to anything."""
    recorded = judge(Gate(key(Metric.TTFT_P99), 0.025, record_only=True), 1.0, 1.0)
    held = judge(Gate(key(Metric.THROUGHPUT_PER_GPU), 0.025), 1.0, 1.0)
    assert not all_pass([recorded])
    assert all_pass([recorded, held])
    with pytest.raises(InvalidValueError, match="every metric is only recorded"):
        gates_of("fp4", "int4", [60], {Metric.TTFT_P99: Tolerance(record_only=True)})


def test_a_wide_tolerance_of_a_latency_takes_a_wider_bound_of_plausibility() -> None:
    """A tolerance of 30% beside a bound of 25% would be refused; a throughput keeps the bound."""
    tolerances = {Metric.TTFT_P99: Tolerance(0.3), Metric.THROUGHPUT_PER_GPU: Tolerance()}
    bounds = {gate.key.metric: gate.implausible for gate in gates_of("fp4", "int4", [60], tolerances)}
    assert bounds == {Metric.TTFT_P99: 0.6, Metric.THROUGHPUT_PER_GPU: 0.25}
