"""What a failed check offers to paste waives exactly what regressed, and nothing that no waiver covers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.proposed_waivers import proposed
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, JudgedGate, Verdict, judge
from pytest_precgate.analysis.gating.waiver import waived

DAY = date(2026, 11, 24)


def gate(metric: Metric, point: float, value: float | Absent) -> JudgedGate:
    names = ("fp4", "int4") if metric.is_ratio else ("fp4",)
    return judge(Gate(GateKey(metric, names, point), 0.05), value, 1.0)


values = st.floats(0.02, 1.98) | st.sampled_from([Absent(Verdict.MISSING, "gone")])


@given(st.dictionaries(st.tuples(st.sampled_from(Metric), st.sampled_from([55.0, 73.0, 91.0])), values))
def test_what_is_pasted_waives_every_regression_it_names_and_no_other_gate(
    judged: dict[tuple[Metric, float], float | Absent],
) -> None:
    """A regression is left only where its loss is 99% or more; nothing but a regression is covered by name."""
    gates = [gate(metric, point, value) for (metric, point), value in judged.items()]
    waivers = proposed("kimi", gates, DAY)
    for each in gates:
        left, _ = waived("kimi", each, waivers, DAY)
        covering = [waiver for waiver in waivers if waiver.covers("kimi", each.gate.key)]
        if covering:
            assert (left.verdict is Verdict.WAIVED) == (each.verdict is Verdict.REGRESSED)
            assert each.verdict is Verdict.REGRESSED
            assert (covering[0].expires - DAY).days == 14
        elif each.verdict is Verdict.REGRESSED:
            quantity = [other for other in gates if other.gate.key.quantity == each.gate.key.quantity]
            assert any(other.value is not None and abs(other.value - 1) > 0.99 for other in quantity)


def test_each_point_that_regressed_is_named_and_the_loss_is_rounded_up() -> None:
    """No gate of another test is covered. Whole percents, the largest loss; a collapsed serving point counts."""
    low = gate(Metric.COST, 55, 1.081)
    (every,) = proposed("kimi", [low], DAY)
    assert (every.points, every.ceiling, every.precisions) == ((55,), 0.09, ("fp4",))
    (one,) = proposed("kimi", [low, gate(Metric.COST, 73, 1.0)], DAY)
    assert (one.points, one.ceiling) == ((55,), 0.09)
    collapsed = replace(low, evidence=Evidence(None, None, 1, lowest=1.3))
    assert proposed("kimi", [collapsed], DAY)[0].ceiling == 0.3
    exact = gate(Metric.THROUGHPUT_PER_GPU, 55, 0.92)
    assert proposed("kimi", [exact], DAY)[0].ceiling == 0.08


def test_a_regression_that_cannot_be_told_from_noise_is_not_offered() -> None:
    """No waiver covers it."""
    noisy = replace(gate(Metric.COST, 55, 1.2), evidence=Evidence(0.1, 0.4, 3, refusal="scatters too much"))
    assert proposed("kimi", [noisy], DAY) == ()
