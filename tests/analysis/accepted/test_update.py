"""What an update would write, and which moves need a reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.addition import plan_addition
from pytest_precgate.analysis.accepted.baseline import AnchorState, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.update import (
    GateChange,
    Measured,
    PlannedUpdate,
    plan_additions,
    plan_rewrite,
    standard_errors,
)
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.errors import OutsideSweepError
from tests.builders.baselines import B200, FP4, RATIO, TEST, kimi_baseline, launch, scaled
from tests.calls import per_further_unit
from tests.published import kimi

LATER = Provenance("def456", "2026-12-01T06:00:00Z", "0.1.0", "faster kernels")
COST = GateKey(Metric.COST, ("fp4",), 55)


def measured(
    factor: float = 1.0, checked: dict[str, list[GateKey]] | None = None, hardware: Hardware = B200
) -> Measured:
    return Measured(
        suite="kimi",
        launches={"fp4": [launch(scaled(kimi("fp4"), factor))], "int4": [launch(kimi("int4"))]},
        checked={TEST: [RATIO, FP4]} if checked is None else checked,
        hardware=hardware,
        cost="derived",
    )


def test_measuring_the_same_again_is_no_change() -> None:
    """Only who and when differ, and that alone rewrites no file."""
    plan = plan_rewrite(kimi_baseline(), measured(), LATER, ())
    assert not plan.is_change
    assert plan.lowered == ()
    assert {change.change for change in plan.changes} == {0.0}


def test_what_launches_cost_is_no_change() -> None:
    """A slower disk moves no gate: the file is not rewritten for it, nor for a cost it never had."""
    again = measured()
    priced = {
        name: [replace(launch, costs=(LaunchCost("tp4", 7, 980.0, 3600.0),)) for launch in launches]
        for name, launches in again.launches.items()
    }
    plan = plan_rewrite(kimi_baseline(), replace(again, launches=priced), LATER, ())
    assert not plan.is_change
    assert {cost.points for launch in plan.baseline.launches for cost in launch.costs} == {7}


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_fact_that_moved_is_a_change_where_no_figure_is(kind: str) -> None:
    """A new version of the engine with the same points: the file says what was measured, and no gate moves."""
    again = measured()
    moved = {
        name: [
            replace(
                launch,
                fingerprint=replace(
                    launch.fingerprint, **{kind: {**getattr(launch.fingerprint, kind), "version": "2"}}
                ),
            )
            for launch in launches
        ]
        for name, launches in again.launches.items()
    }
    plan = plan_rewrite(kimi_baseline(), replace(again, launches=moved), LATER, ())
    assert plan.is_change
    assert plan.lowered == ()
    assert {change.change for change in plan.changes} == {0.0}


@pytest.mark.parametrize(("factor", "lowers"), [(0.999, True), (0.9, True), (1.001, False), (1.1, False)])
def test_a_worse_value_is_easier_to_pass_however_little(factor: float, lowers: bool) -> None:
    """Otherwise ten updates of 2.9% each would pass without a word."""
    plan = plan_rewrite(kimi_baseline(), measured(factor), LATER, ())
    assert plan.is_change
    assert bool(plan.lowered) is lowers
    assert {round(change.change or 0.0, 5) for change in plan.changes} == {round(factor - 1, 5)}


QUIET = (1.0, 1.003, 0.997, 1.002, 0.998)


def launched(*factors: float, targets: Sequence[GateKey] = (RATIO, FP4), **more: Any) -> Measured:
    """Launches of a server; every throughput of FP4 in launch i is multiplied by factor i."""
    fp4 = [launch(scaled(kimi("fp4"), factor), "vllm") for factor in factors]
    int4 = [launch(scaled(kimi("int4"), 1 + (factor - 1) / 20), "vllm") for factor in factors]
    return Measured("kimi", {"fp4": fp4, "int4": int4}, {TEST: list(targets)}, B200, "derived", **more)


def accepted(*steps: Measured) -> PlannedUpdate:
    """The last of several updates, each over the one before."""
    plan = plan_rewrite(None, steps[0], LATER, ())
    for step in steps[1:]:
        plan = plan_rewrite(plan.baseline, step, LATER, ())
    return plan


@pytest.mark.parametrize(("fall", "asks"), [(0.0, False), (0.002, False), (0.006, True), (0.02, True), (-0.02, False)])
def test_a_reason_is_asked_for_beyond_what_noise_explains(fall: float, asks: bool) -> None:
    """Sigma 0.25%, five launches of each state: two standard errors of the change are 0.33%."""
    plan = accepted(launched(*QUIET), launched(*(factor * (1 - fall) for factor in reversed(QUIET))))
    assert bool(plan.needs_reason) is asks
    assert bool(plan.lowered) is asks
    if asks:
        assert "make fp4/int4 throughput_ratio at 55 tok/s/user, fp4 throughput_per_gpu at 55 " in plan.needs_reason


def test_a_gate_that_is_only_recorded_asks_for_nothing_and_one_that_another_test_holds_does() -> None:
    """Neither a reason nor a lowered anchor; a mark has one test record what another holds."""
    recorded = frozenset({RecordedGate(TEST, RATIO), RecordedGate(TEST, FP4)})
    down = [factor * 0.95 for factor in QUIET]
    plan = accepted(launched(*QUIET), launched(*down, recorded=recorded))
    assert (plan.needs_reason, plan.sunk) == ("", ())
    both = {TEST: [RATIO, FP4], "test_kimi.py::test_other": [FP4]}
    held = accepted(replace(launched(*QUIET), checked=both), replace(launched(*down, recorded=recorded), checked=both))
    assert held.needs_reason == "make fp4 throughput_per_gpu at 55 tok/s/user easier to pass"
    assert {change.gate.key for change in held.sunk} == {FP4}


def test_more_gates_take_more_standard_errors() -> None:
    """Two for one gate; of six that scatter by themselves 5% of unchanged updates are asked, not 13%."""
    assert standard_errors(1) == 2.0
    assert [round(standard_errors(gates), 1) for gates in (2, 6, 18)] == [2.1, 2.6, 3.1]


def test_a_new_state_of_few_launches_has_the_noise_of_the_old_one() -> None:
    """Two launches know no sigma: their centre is as uncertain as two of the old state's."""
    few = accepted(launched(*QUIET), launched(0.998, 0.998))
    [change] = {replace(each, gate=few.changes[0].gate) for each in few.changes if each.gate.key == FP4}
    assert change.explained == pytest.approx(2 * 0.0026 * math.sqrt(1 / 5 + 1 / 2), rel=0.15)
    assert not change.is_easier


def test_a_louder_state_needs_a_reason() -> None:
    """Its limits are wider: sigma three times as large, or not known any more. A little louder needs none."""

    def after(*factors: float) -> PlannedUpdate:
        return accepted(launched(*QUIET), launched(*factors))

    loud = after(1.0, 1.012, 0.988, 1.008, 0.992)
    assert "raise the noise of fp4/int4 throughput_ratio at 55 tok/s/user (sigma 0.3" in loud.needs_reason
    assert "to sigma 1." in loud.needs_reason
    assert {change.is_louder for change in loud.changes} == {True}
    assert not after(1.0, 1.006, 0.994, 1.004, 0.996).needs_reason
    assert "to not known)" in after(1.0, 1.001).needs_reason
    assert not accepted(launched(1.0, 1.01, 0.99), launched(1.0, 1.001, 0.999)).needs_reason


def test_small_losses_add_up_to_the_anchor() -> None:
    """-1% an update: the fourth lies 3.9% below the first state, and that it is meant has to be said."""
    steps = [launched(*(factor * 0.99**number for factor in QUIET)) for number in range(6)]
    assert [bool(accepted(*steps[: number + 1]).sunk) for number in range(5)] == [False, False, False, False, True]
    sunk = accepted(*steps[:5])
    assert (
        "fp4 throughput_per_gpu at 55 tok/s/user 3.9% worse than its anchor, the state accepted 2026-"
        in sunk.sunk_listed
    )
    lowered = plan_rewrite(accepted(*steps[:4]).baseline, replace(steps[4], lower_anchor=True), LATER, ())
    assert not lowered.sunk
    assert lowered.lowered_anchors == (RATIO, FP4)
    assert len(lowered.baseline.anchors) == 1
    assert not plan_rewrite(lowered.baseline, steps[5], LATER, ()).sunk


def test_only_the_gates_that_sank_are_anchored_anew() -> None:
    """Another gate keeps the oldest state, with its launches."""
    int4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("int4",), 55)
    first, second = (launched(*(f * share for f in QUIET), targets=(FP4, int4)) for share in (1.0, 0.95))
    plan = accepted(first, replace(second, lower_anchor=True))
    assert plan.lowered_anchors == (FP4,)
    anchors = {key: state for state in plan.baseline.anchors for key in state.keys}
    assert anchors[int4] is not anchors[FP4]
    assert {each.sweep.precision for each in anchors[int4].launches} == {"int4"}


def shares(plan: PlannedUpdate) -> dict[GateKey, float]:
    """By which share each gate is worse than its anchor, to four digits."""
    return {each.gate.key: round(each.below_anchor, 4) for each in plan.changes if each.below_anchor is not None}


def slower(share: float, *targets: GateKey) -> Measured:
    return launched(*(factor * (1 - share) for factor in QUIET), targets=targets)


MOVED = replace(FP4, point=56.0)


def test_a_gate_no_older_state_reaches_is_anchored_at_its_first_value() -> None:
    """It was never better than that, as far as anybody accepted."""
    int4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("int4",), 55)
    alone = Measured("kimi", {"fp4": slower(0, FP4).launches["fp4"]}, {TEST: [FP4]}, B200, "derived")
    assert shares(accepted(alone, slower(0.02, FP4, int4))) == {FP4: 0.02, int4: 0.0}


def test_a_target_beside_another_one_has_the_anchor_of_the_same_measurement() -> None:
    """Added first and the old one dropped later, it would else accept what was lost until then."""
    lost = accepted(slower(0, FP4), slower(0.025, FP4)).baseline
    added = plan_additions(lost, slower(0.025, MOVED), LATER)
    assert shares(added) == {FP4: 0.025, MOVED: 0.025}
    assert shares(plan_rewrite(added.baseline, slower(0.05, MOVED), LATER, ()))[MOVED] == 0.05
    assert shares(plan_rewrite(lost, slower(0.05, MOVED), LATER, ()))[MOVED] == 0.05


def test_a_gate_that_comes_back_as_cost_or_throughput_has_its_old_anchor() -> None:
    """Both are one measurement: 5% less throughput is 5.3% more cost."""
    lost = accepted(slower(0, FP4), slower(0.025, COST))
    assert shares(lost)[COST] == pytest.approx(1 / 0.975 - 1, abs=1e-4)
    assert shares(plan_rewrite(lost.baseline, slower(0.05, FP4), LATER, ()))[FP4] == 0.05


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Metric.COST, Metric.THROUGHPUT_PER_GPU]),
            st.sampled_from([40.0, 55.0, 56.0, 100.0]),
            st.floats(-0.01, 0.03),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=15, deadline=None)
def test_no_series_of_updates_falls_far_below_the_first_state(steps: list[tuple[Metric, float, float, bool]]) -> None:
    """Whatever targets and metrics are gated in turn, added first or not, unless the anchor is lowered on request."""
    state, best = accepted(slower(0, FP4)).baseline, 0.0
    for metric, point, more, is_added in steps:
        key = GateKey(metric, ("fp4",), point)
        if is_added and key not in {gate.key for gate in state.gates}:
            state = plan_additions(state, slower(best, key), LATER).baseline
        plan = plan_rewrite(state, slower(best + more, key), LATER, ())
        if not plan.sunk:
            state, best = plan.baseline, best + more
    assert best < 0.0301


def test_a_gate_that_is_dropped_leaves_its_anchor_for_when_it_comes_back() -> None:
    """The first state does not reach what is gated between; facts that differ end that."""
    inside = replace(FP4, point=73.0)
    reached = replace(FP4, point=36.0)
    narrow = {name: [_above(each, 40) for each in launches] for name, launches in slower(0, inside).launches.items()}
    away = accepted(replace(slower(0, inside), launches=narrow), slower(0.025, reached))
    assert shares(away)[reached] == 0.0
    assert [state.keys for state in away.baseline.anchors] == [(), (reached,)]
    assert shares(plan_rewrite(away.baseline, slower(0.05, inside), LATER, ()))[inside] == 0.05
    trtllm = {
        name: [replace(each, fingerprint=Fingerprint.of(each.sweep, ("trtllm",), {})) for each in launches]
        for name, launches in slower(0.05, inside).launches.items()
    }
    other = plan_rewrite(away.baseline, replace(slower(0.05, inside), launches=trtllm), LATER, ())
    assert "fp4 throughput_per_gpu at 73 tok/s/user (fp4: engine is trtllm" in other.needs_reason
    assert [state.keys for state in other.baseline.anchors] == [(inside,)]


def _above(each: Launch, least: float) -> Launch:
    points = [point for point in each.sweep.points if point.interactivity > least]
    return replace(each, sweep=replace(each.sweep, points=points))


def test_an_anchor_that_was_lowered_for_a_target_is_lowered_for_those_beside_it() -> None:
    """What a person has accepted for good is not asked for again, though another gate keeps the older state."""
    far = replace(FP4, point=80.0)
    steps = slower(0, FP4, far), replace(slower(0.05, FP4, far), lower_anchor=True)
    lowered = accepted(*steps).baseline
    kept = AnchorState(lowered.recorded, steps[0].launches["fp4"], [far])
    mixed = replace(lowered, anchors=[kept])
    assert shares(plan_additions(mixed, slower(0.05, MOVED), LATER)) == {FP4: 0.0, MOVED: 0.0, far: 0.05}


def test_another_hardware_or_engine_is_anchored_anew_and_needs_a_reason() -> None:
    """Its figures are no continuation of the old ones, whichever way they went."""
    other = launched(*(factor * 1.5 for factor in QUIET))
    trtllm = {
        name: [replace(each, fingerprint=Fingerprint.of(each.sweep, ("trtllm",), {})) for each in launches]
        for name, launches in other.launches.items()
    }
    plan = accepted(launched(*QUIET), replace(other, launches=trtllm))
    assert "anchor fp4/int4 throughput_ratio at 55 tok/s/user (fp4: engine is trtllm, the baseline's is vllm), " in (
        plan.needs_reason
    )
    assert {change.below_anchor for change in plan.changes} == {0.0}
    assert plan.remarks[0].startswith("anchored anew: fp4/int4 throughput_ratio at 55 tok/s/user (fp4: engine is ")


def test_a_price_moves_no_gate_from_its_anchor() -> None:
    """The anchor's value is computed from its points at today's price too."""
    baseline = replace(kimi_baseline(), gates=[RecordedGate(TEST, COST)])
    plan = plan_rewrite(baseline, measured(1.0, {TEST: [COST]}, Hardware("b200", 3.0, 2.17, "a test")), LATER, ())
    assert {change.below_anchor for change in plan.changes} == {0.0}


def test_an_addition_keeps_the_anchor_and_what_both_hold_does_not_scatter() -> None:
    """Ten launches against the five among them: only the five new ones move the centre."""
    old = accepted(launched(*QUIET)).baseline
    plan = plan_addition(old, launched(*(factor * 1.0007 for factor in QUIET), adds=True), LATER)
    assert len(plan.baseline.launches) == 20
    [anchor] = plan.baseline.anchors
    assert len(anchor.launches) == 10
    change = next(each for each in plan.changes if each.gate.key == FP4)
    assert change.explained == pytest.approx(2 * 0.0026 * math.sqrt(1 / 5 - 1 / 10), rel=0.15)
    assert plan.needs_reason == ""


def test_a_higher_cost_is_easier_to_pass() -> None:
    """A cost is better when it is lower."""
    baseline = replace(kimi_baseline(), gates=[RecordedGate(TEST, COST)])
    assert plan_rewrite(baseline, measured(0.99, {TEST: [COST]}), LATER, ()).lowered
    assert not plan_rewrite(baseline, measured(1.01, {TEST: [COST]}), LATER, ()).lowered


def test_a_price_change_lowers_no_bar() -> None:
    """Old and new value are both read at today's price; the file still changes, since it says the price."""
    baseline = replace(kimi_baseline(), gates=[RecordedGate(TEST, COST)])
    plan = plan_rewrite(baseline, measured(1.0, {TEST: [COST]}, Hardware("b200", 3.0, 2.17, "a test")), LATER, ())
    assert plan.is_change
    assert plan.lowered == ()


def test_the_old_state_s_reason_is_kept_in_the_history() -> None:
    """Who looks back sees every reason ever given."""
    first = plan_rewrite(kimi_baseline(), measured(1.1), LATER, ()).baseline
    again = plan_rewrite(first, measured(1.2), replace(LATER, reason="again"), ()).baseline
    assert [entry.reason for entry in again.history] == ["first", "faster kernels"]
    assert again.recorded.reason == "again"


def test_gates_of_tests_that_were_not_run_are_kept() -> None:
    """An update of one test does not drop the other's gates, but moves them to the new points."""
    other = "tests/test_kimi.py::test_other"
    plan = plan_rewrite(kimi_baseline(), measured(1.1, {other: [FP4]}), LATER, ())
    assert {(gate.test, gate.key) for gate in plan.baseline.gates} == {(TEST, RATIO), (TEST, FP4), (other, FP4)}
    assert {change.gate.test: change.before is None for change in plan.changes} == {TEST: False, other: True}


def test_a_gate_a_test_no_longer_holds_is_dropped_and_needs_a_reason() -> None:
    """A gate that is gone passes always."""
    plan = plan_rewrite(kimi_baseline(), measured(1.0, {TEST: [FP4]}), LATER, ())
    assert [(change.gate.key, change.after) for change in plan.lowered] == [(RATIO, None)]


def test_a_renamed_test_s_gates_move_without_a_reason() -> None:
    """The same gates under another test, no worse than before, lower nothing."""
    new = "tests/test_kimi.py::test_new"
    plan = plan_rewrite(kimi_baseline(), measured(1.0, {new: [RATIO, FP4]}), LATER, {TEST})
    assert plan.lowered == ()
    assert {gate.test for gate in plan.baseline.gates} == {new}


def test_a_kept_gate_the_new_points_do_not_reach_stops_the_update() -> None:
    """Better no update than a gate that can never be judged again."""
    fast = replace(kimi("fp4"), points=[p for p in kimi("fp4").points if p.interactivity > 60])
    narrow = replace(measured(1.0, {"t::t": [replace(FP4, point=80.0)]}), launches={"fp4": [launch(fast)]})
    with pytest.raises(OutsideSweepError, match="fp4: 55 tok/s/user lies outside"):
        plan_rewrite(kimi_baseline(), narrow, LATER, ())


def test_additions_keep_the_points_that_are_there() -> None:
    """A renamed test or a further point is recorded against the accepted points, not against today's."""
    new = replace(FP4, point=73.0)
    plan = plan_additions(kimi_baseline(), measured(0.5, {TEST: [new]}), LATER)
    assert plan.baseline.value(new, B200, "derived") == pytest.approx(697.4, abs=0.05)
    assert plan.lowered == ()
    assert RecordedGate(TEST, RATIO) in plan.baseline.gates


def test_additions_without_a_baseline_are_the_first_one() -> None:
    """There is nothing to keep."""
    plan = plan_additions(None, measured(), LATER)
    assert plan.is_change
    assert plan.baseline.history == ()
    assert {change.before for change in plan.changes} == {None}


def test_a_new_gate_lowers_nothing() -> None:
    """There was nothing to pass."""
    assert not GateChange(RecordedGate(TEST, FP4), None, 1.0).is_easier


def test_an_update_costs_no_more_for_a_gate_the_more_there_are() -> None:
    """A baseline of a thousand tests is rewritten as one of ten is, gate by gate."""

    def rewriting(tests: int) -> Callable[[], object]:
        checked = {f"t.py::test_{number}": [replace(RATIO, point=55 + number / 10)] for number in range(tests + 1)}
        old = plan_rewrite(None, measured(checked=checked), LATER, ()).baseline
        renamed = {
            f"{test}_renamed" if number % 2 else test: keys for number, (test, keys) in enumerate(checked.items())
        }
        return lambda: plan_rewrite(replace(old), measured(0.99, renamed), LATER, {*checked} - {*renamed})

    assert per_further_unit(rewriting, 20, 60) < 1.2
