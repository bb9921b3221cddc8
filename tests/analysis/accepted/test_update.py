"""What an update would write, and which moves need a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.baseline import Provenance, RecordedGate
from pytest_precgate.analysis.accepted.update import GateChange, Measured, plan_additions, plan_rewrite
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
