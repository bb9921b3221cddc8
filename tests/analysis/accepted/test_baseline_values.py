"""What a baseline keeps, computes once, tells of its launches, and refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pytest_precgate.analysis.accepted.baseline import (
    AnchorState,
    Launch,
    Provenance,
    RecordedGate,
    targets_at,
    targets_beside,
)
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin, utc_text
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.errors import InvalidValueError
from tests.builders.baselines import B200, FP4, NOW, RATIO, RECORDED, TEST, kimi_baseline, launch, scaled
from tests.published import kimi

DEAR = Hardware("b200", 3.90, 2.17, "twice the price")
INT4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("int4",), 55)


def test_every_figure_of_a_point_is_rounded_to_six_digits() -> None:
    """Its acceptance and its error too, where they are known."""
    sweep = kimi("fp4")
    points = [
        replace(sweep.points[0], interactivity=10.00000049, throughput_per_gpu=2.22222249),
        replace(sweep.points[1], acceptance_length=2.3333333, short_error=0.01111111),
    ]
    rounded = Launch(replace(sweep, points=points), NOW["fp4"], (LaunchCost("tp4", 1, 1.23456789, None),)).rounded()
    by_key = rounded.sweep.by_key
    first, second = by_key[points[0].key], by_key[points[1].key]
    assert (first.interactivity, first.throughput_per_gpu) == (10.0, 2.22222)
    assert (first.acceptance_length, first.short_error) == (None, None)
    assert (second.acceptance_length, second.short_error) == (2.33333, 0.0111111)
    assert rounded.costs == (LaunchCost("tp4", 1, 1.23457, None),)


def test_a_launch_can_be_repeated_unless_it_is_said() -> None:
    """Of an engine that runs."""
    assert Launch(kimi("fp4"), NOW["fp4"]).is_repeatable


def test_curves_are_drawn_once_for_each_price() -> None:
    """Of a launch, of an anchor, of a baseline: asked again, the same object."""
    for state in (kimi_baseline(), AnchorState(RECORDED, kimi_baseline().launches, [FP4])):
        assert state.at(B200, "derived") is state.at(B200, "derived")
        assert state.at(DEAR, "derived") is not state.at(B200, "derived")
        assert state.at(B200, "interpolated") is not state.at(B200, "derived")
    one = kimi_baseline().launches[0]
    assert one.curve(B200, "derived") is one.curve(B200, "derived")
    assert one.curve(DEAR, "derived") is not one.curve(B200, "derived")


@pytest.mark.parametrize("field", ["commit", "utc", "tool_version"])
@pytest.mark.parametrize("text", ["", "a\nb"])
def test_where_a_state_comes_from_is_a_line_each(field: str, text: str) -> None:
    """Commit, time and version; a file is read line by line in a review."""
    with pytest.raises(InvalidValueError, match=rf"Provenance\.{field}: got "):
        replace(RECORDED, **{field: text})


@pytest.mark.parametrize("reason", ["a\nb", None, 3])
def test_a_reason_is_one_line_or_none(reason: object) -> None:
    """The first state needs none."""
    assert replace(RECORDED, reason="").reason == ""
    with pytest.raises(InvalidValueError, match=r"Provenance\.reason: got .*, wanted one line"):
        replace(RECORDED, reason=reason)  # type: ignore[arg-type]


def test_names_are_one_line() -> None:
    """Of a test, and of a suite."""
    with pytest.raises(InvalidValueError, match=r"RecordedGate\.test: got 'a\\nb'"):
        RecordedGate("a\nb", FP4)
    with pytest.raises(InvalidValueError, match=r"Baseline\.suite: got ''"):
        replace(kimi_baseline(), suite="")


def test_an_age_is_in_days_of_86400_seconds() -> None:
    """None where the time is written in another way."""
    now = datetime(2026, 11, 26, 18, tzinfo=timezone.utc)
    state = Provenance("c", utc_text(now - timedelta(days=2, hours=12)), "0.1.0", "")
    assert state.age_days(now) == 2.5
    assert state.age_days(now - timedelta(days=3)) == -0.5
    assert replace(state, utc="yesterday").age_days(now) is None


def test_an_anchor_keeps_what_its_gates_read_and_no_costs() -> None:
    """Gates once each and in order; without gates, every launch."""
    whole = [replace(each, costs=(LaunchCost("tp4", 1, 1.0, None),)) for each in kimi_baseline().launches[::-1]]
    state = AnchorState(RECORDED, whole, [FP4, RATIO, FP4])
    assert state.keys == (RATIO, FP4)
    assert [(each.sweep.precision, each.costs) for each in state.launches] == [("fp4", ()), ("int4", ())]
    assert [each.sweep.precision for each in AnchorState(RECORDED, whole, [FP4]).launches] == ["fp4"]
    assert [each.sweep.precision for each in AnchorState(RECORDED, whole, []).launches] == ["fp4", "int4"]


def test_launches_and_gates_are_in_order() -> None:
    """By precision; gates by test, then ratios first. Launches of one precision keep their turn."""
    fp4 = [launch(scaled(kimi("fp4"), factor)) for factor in (1.1, 1.0)]
    gates = [RecordedGate("b", FP4), RecordedGate("b", RATIO), RecordedGate("a", INT4)]
    found = replace(kimi_baseline(), launches=[launch(kimi("int4")), *fp4], gates=gates)
    assert found.launches == (*fp4, launch(kimi("int4")))
    assert found.precisions == ("fp4", "int4")
    assert found.gates == (gates[2], gates[1], gates[0])
    assert found.launches_of("fp4") == tuple(fp4)


def test_the_tests_of_a_gate_are_told_in_order() -> None:
    """None checks one that the baseline does not hold."""
    gates = [RecordedGate(test, FP4) for test in ("b", "a")]
    found = replace(kimi_baseline(), gates=gates)
    assert list(found.tests_of(FP4)) == ["a", "b"]
    assert list(found.tests_of(RATIO)) == []
    assert found.holds(gates[0])
    assert not found.holds(RecordedGate("c", FP4))


def test_launches_of_another_hardware_are_refused_by_name() -> None:
    """As those of another workload are."""
    other = replace(kimi("int4"), hardware="h200")
    with pytest.raises(InvalidValueError, match=r"differ in hardware or workload: h200, .* beside b200, "):
        replace(kimi_baseline(), launches=[launch(kimi("fp4")), launch(other)])


def test_facts_that_differ_are_told_once_for_a_precision_of_several_launches() -> None:
    """Hard ones as a mismatch, soft ones as a drift."""
    found = replace(kimi_baseline(), launches=[*kimi_baseline().launches] * 2)
    now = {name: Fingerprint({**facts.hard, "isl": 8}, {"source": "b.csv"}) for name, facts in NOW.items()}
    assert found.mismatches(now, ["int4"]) == ("int4: isl is 8, the baseline's is 1024",)
    assert found.drifts(now) == tuple(f"{name}: source is b.csv, the baseline's is points.csv" for name in NOW)


def test_points_of_any_launch_of_the_baseline_are_a_repetition() -> None:
    """Those of a simulation repeat by design."""
    found = replace(kimi_baseline(), launches=[*kimi_baseline().launches, launch(scaled(kimi("fp4"), 0.9))])
    again, fresh = launch(scaled(kimi("fp4"), 0.9)), launch(scaled(kimi("fp4"), 0.8))
    [line] = found.repeated({"fp4": again, "int4": launch(scaled(kimi("int4"), 0.8))})
    assert line.startswith("fp4: these are the baseline's own points")
    assert found.repeated({"fp4": fresh}) == ()
    simulated = replace(again, sweep=replace(again.sweep, simulated=True))
    assert found.repeated({"fp4": simulated}) == ()


def dated(name: str, day: int | None, *, simulated: bool = False, repeatable: bool = True) -> Launch:
    origin = LaunchOrigin() if day is None else LaunchOrigin(f"2026-11-{day}T06:00:00Z", "node1")
    sweep = replace(kimi(name), simulated=simulated)
    return Launch(sweep, NOW[name], origin=origin, is_repeatable=repeatable)


def test_the_only_day_is_that_of_all_measured_launches() -> None:
    """Recorded points and a simulation have none; an unknown day, and a second one, leave none."""

    def day(*launches: Launch) -> str | None:
        return replace(kimi_baseline(), launches=launches).only_day

    assert day(dated("fp4", 24), dated("int4", 24)) == "2026-11-24"
    assert day(dated("fp4", 24), dated("int4", None, repeatable=False)) == "2026-11-24"
    assert day(dated("fp4", 24), dated("int4", 25, simulated=True)) == "2026-11-24"
    assert day(dated("fp4", 24), dated("int4", 25)) is None
    assert day(dated("fp4", 24), dated("int4", None)) is None
    assert day(dated("fp4", None, repeatable=False), dated("int4", None, repeatable=False)) is None


def test_an_anchor_of_precisions_that_are_gone_is_gone() -> None:
    """Of a gate that is gone the state stays, of what is left; every other gate is anchored at this state."""
    older = replace(RECORDED, utc="2026-11-20T06:00:00Z")
    anchors = [
        AnchorState(older, [launch(kimi("int4"))], [INT4]),
        AnchorState(older, kimi_baseline().launches, [RATIO]),
    ]
    left = replace(kimi_baseline(), launches=[launch(kimi("fp4"))], gates=[RecordedGate(TEST, FP4)], anchors=anchors)
    assert [(state.recorded, state.keys) for state in left.anchors] == [(older, ()), (RECORDED, (FP4,))]
    assert left.anchor_of(FP4) is left.anchors[1]


def test_targets_of_a_sweep_begin_at_the_first_earlier_one() -> None:
    """The serving points of each target that it reaches are held; with nothing earlier there are none."""
    sweeps = [kimi("fp4"), scaled(kimi("fp4"), 0.9)]
    found = targets_beside([55.0, 5000.0], sweeps, B200)
    assert found.targets == (5000.0, 55.0)
    assert found.earlier == tuple(sweeps[0].points)
    assert set(found.held) == {55.0}
    assert 2 <= len(found.held[55.0]) <= 4
    assert targets_beside([55.0], [], B200) == SweepTargets([55.0])


def test_the_points_held_are_those_of_every_gate_of_the_precision() -> None:
    """Where no test names its points, those of the baseline alone."""
    found = targets_at([], kimi_baseline(), "int4")
    assert found.targets == (55.0,)
    assert set(found.held) == {55.0}
    assert targets_at([(73.0,)], kimi_baseline(), "int4").targets == (73.0, 55.0)
