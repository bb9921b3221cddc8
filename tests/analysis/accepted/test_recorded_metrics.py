"""Metrics of points' details in baselines: what an update says of them, and what a baseline without them lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pytest_precgate.analysis.accepted.anchor import AnchorValue, drifts_beyond
from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate, curves_of
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.matching import JudgingContext, lacks_figure, match_baseline
from pytest_precgate.analysis.accepted.origin import LaunchOrigin, days_of, utc_text
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, plan_rewrite
from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from tests.builders.baselines import B200, FP4, RECORDED, TEST, kimi_baseline, launch
from tests.published import kimi

TTFT = GateKey(Metric.TTFT_P99, ("fp4",), 55)
QUIET = (1.0, 1.003, 0.997, 1.002, 0.998)
LATER = Provenance("def456", "2026-12-01T06:00:00Z", "0.1.0", "")


def state(ttft: float = 1.0) -> list[Launch]:
    """Five launches whose throughput hardly scatters, with a ttft of ``ttft`` seconds that scatters alike."""
    launches = []
    for factor in QUIET:
        sweep = kimi("fp4")
        points = [
            replace(
                point,
                throughput_per_gpu=point.throughput_per_gpu * factor,
                details=PointDetails(ttft_p99_s=ttft * factor * (1 + point.concurrency / 100)),
            )
            for point in sweep.points
        ]
        launches.append(launch(replace(sweep, points=points), "vllm"))
    return launches


def accepted(launches: Sequence[Launch], recorded: frozenset[RecordedGate] = frozenset()) -> PlannedUpdate:
    return plan_rewrite(None, measured(launches, recorded), RECORDED, ())


def measured(launches: Sequence[Launch], recorded: frozenset[RecordedGate] = frozenset()) -> Measured:
    return Measured("kimi", {"fp4": launches}, {TEST: [FP4, TTFT]}, B200, "derived", recorded=recorded)


def test_a_longer_latency_that_is_held_asks_for_a_reason_and_one_that_is_recorded_does_not() -> None:
    """A ttft 8% longer is easier to pass; no value of a gate that holds nothing is."""
    old = accepted(state()).baseline
    held = plan_rewrite(old, measured(state(1.08)), LATER, ())
    assert "make fp4 ttft_p99 at 55 tok/s/user easier to pass" in held.needs_reason
    recorded = plan_rewrite(old, measured(state(1.08), frozenset({RecordedGate(TEST, TTFT)})), LATER, ())
    assert recorded.needs_reason == ""
    assert recorded.is_change


def test_a_latency_does_not_sink_below_its_anchor_by_an_update() -> None:
    """It scatters by more than the 3% that a throughput may fall; a check tells by its own tolerance when it drifts."""
    plan = plan_rewrite(accepted(state()).baseline, measured(state(1.5)), LATER, ())
    assert plan.sunk == ()


def test_a_baseline_of_points_without_the_figure_says_so() -> None:
    """One point that lacks it is enough; the throughput is a figure of every point."""
    whole = accepted(state()).baseline
    assert not lacks_figure(whole, TTFT)
    holed = [replace(each, sweep=replace(each.sweep, points=_without_first(each.sweep.points))) for each in state()]
    baseline = Baseline("kimi", holed, [RecordedGate(TEST, FP4)], RECORDED, B200)
    assert lacks_figure(baseline, TTFT)
    assert not lacks_figure(kimi_baseline(), FP4)
    today = JudgingContext({"fp4": holed[0].fingerprint}, B200, "derived")
    (absent,) = match_baseline(baseline, TEST, [Gate(TTFT, 0.2)], today).held
    assert isinstance(absent.baseline, Absent)
    assert absent.baseline.verdict is Verdict.MISSING
    assert "its points have no ttft_p99_s" in absent.baseline.reason


def _without_first(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    return [replace(points[0], details=None), *points[1:]]


def test_recorded_metrics_take_no_part_in_the_false_alarms_of_the_others() -> None:
    """Their gates still have a noise."""
    curves = accepted(state()).baseline.at(B200, "derived")
    assert curves.noise.independent == 2
    without = curves.noise_without(frozenset({Metric.TTFT_P99}))
    assert (without.independent, set(without.gates)) == (1, {FP4, TTFT})
    assert curves.noise_without(frozenset()) is curves.noise
    assert curves.noise_without(frozenset({Metric.TTFT_P99})) is without


def test_details_are_kept_with_four_digits() -> None:
    """As the points are, with six."""
    found = launch(
        replace(kimi("fp4"), points=[replace(kimi("fp4").points[0], details=PointDetails(ttft_p99_s=1 / 3))])
    )
    (point,) = found.rounded().sweep.points
    assert point.details == PointDetails(ttft_p99_s=0.3333)


def test_the_axis_is_a_hard_fact_where_it_is_not_the_usual_one() -> None:
    """A baseline of before there was a choice matches."""
    assert "axis" not in Fingerprint.of(kimi("fp4"), ("vllm",), {}).hard
    assert Fingerprint.of(replace(kimi("fp4"), axis="e2e"), ("vllm",), {}).hard["axis"] == "e2e"


@pytest.mark.parametrize("anchor", [None, Absent(Verdict.INCONCLUSIVE, "its anchor cannot be read")])
def test_without_an_anchor_that_can_be_read_no_value_is_too_far_from_it(anchor: Absent | None) -> None:
    """Whether it then passes is decided elsewhere."""
    assert drifts_beyond(Gate(FP4, 0.025), anchor, 0.01) is None


def test_too_far_from_the_anchor_is_beyond_its_share_and_what_noise_explains() -> None:
    """3% of 1000, and two standard errors of 1% each on top of it."""
    anchor = AnchorValue(1000.0, 0.0, "then")
    assert drifts_beyond(Gate(FP4, 0.025), anchor, None) == pytest.approx(970)
    noisy = drifts_beyond(Gate(FP4, 0.025), anchor, 0.01)
    assert noisy == pytest.approx(970 * 0.9802, rel=1e-4)


def test_launches_of_unknown_days_have_no_group_and_gaps_of_six_hours_begin_a_day() -> None:
    """Two launches 5 h 59 min apart are of one run; 6 h apart they are of two."""
    begin = datetime(2026, 11, 24, 20, 0, tzinfo=timezone.utc)
    for gap, days in ((timedelta(hours=5, minutes=59), 1), (timedelta(hours=6), 2)):
        origins = [LaunchOrigin(utc_text(begin + number * gap)) for number in range(2)]
        assert len(set(days_of(origins))) == days
    unknown = [replace(each, origin=LaunchOrigin(None, "n")) for each in state()]
    assert set(curves_of(unknown, [FP4], B200, "derived").groups["fp4"]) == {None}
    assert LaunchOrigin(None, None, ["GPU-1"]).gpus == ("GPU-1",)  # type: ignore[arg-type]  # a list from a file
