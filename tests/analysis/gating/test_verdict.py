"""The decision rule: which numbers pass, which fail, and that nothing missing ever passes."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_precgate
from pytest_precgate.analysis.gating.gates import GateKey, Metric, Tolerance, gates_of
from pytest_precgate.analysis.gating.verdict import Absent, Verdict, all_pass, decide, judge
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate
from tests.builders.launches import OF_THROUGHPUT


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (100.0, Verdict.PASS),
        (95.0, Verdict.PASS),
        (94.99, Verdict.REGRESSED),
        (1.0, Verdict.REGRESSED),
        (105.0, Verdict.PASS),
        (105.01, Verdict.IMPROVED),
        (125.0, Verdict.IMPROVED),
        (125.01, Verdict.IMPLAUSIBLE),
        (1000.0, Verdict.IMPLAUSIBLE),
    ],
)
def test_where_more_is_better_the_verdict_follows_the_change(value: float, verdict: Verdict) -> None:
    """Throughput against a baseline of 100 with 5% tolerance; the bounds themselves still pass."""
    assert judge(gate(), value, 100.0).verdict is verdict


def test_a_gain_inside_the_noise_is_no_improvement() -> None:
    """A noise floor of 10%: what is better by less than noise alone reaches does not make the baseline stale."""
    assert judge(gate(), 109.0, 100.0, 0.10).verdict is Verdict.PASS
    assert judge(gate(), 111.0, 100.0, 0.10).verdict is Verdict.PASS
    assert judge(gate(), 111.2, 100.0, 0.10).verdict is Verdict.IMPROVED  # 1 / 0.9 is as far above as 0.9 is below
    assert judge(gate(), 106.0, 100.0, 0.01).verdict is Verdict.IMPROVED
    cost = gate(metric=Metric.COST)
    assert judge(cost, 92.0, 100.0, 0.10).verdict is Verdict.PASS
    assert judge(cost, 90.0, 100.0, 0.10).verdict is Verdict.IMPROVED


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (100.0, Verdict.PASS),
        (105.0, Verdict.PASS),
        (105.01, Verdict.REGRESSED),
        (95.0, Verdict.PASS),
        (94.99, Verdict.IMPROVED),
        (75.0, Verdict.IMPROVED),
        (74.99, Verdict.IMPLAUSIBLE),
    ],
)
def test_where_less_is_better_the_verdict_follows_the_reversed_change(value: float, verdict: Verdict) -> None:
    """Cost against a baseline of 100 with 5% tolerance."""
    assert judge(gate(metric=Metric.COST), value, 100.0).verdict is verdict


@pytest.mark.parametrize("metric", list(Metric))
@given(tolerance=st.floats(0.001, 0.2), baseline=st.floats(1e-3, 1e6))
def test_a_loss_of_exactly_the_tolerance_passes(metric: Metric, tolerance: float, baseline: float) -> None:
    """The last bits of a division decide nothing."""
    held = gate(tolerance, metric)
    worst = baseline * (1 - tolerance if metric.higher_is_better else 1 + tolerance)
    assert judge(held, worst, baseline).verdict is Verdict.PASS


@given(value=st.floats(1e-3, 1e6), baseline=st.floats(1e-3, 1e6), metric=st.sampled_from(list(Metric)))
def test_a_gate_passes_only_within_its_bounds(value: float, baseline: float, metric: Metric) -> None:
    """A passing value is at most the tolerance worse and at most implausibly better."""
    held = gate(metric=metric)
    verdict = judge(held, value, baseline).verdict
    assert verdict.passes == (-0.05 - 1e-9 <= held.gain(value, baseline) <= 0.25 + 1e-9)


@given(value=st.floats(1e-3, 1e6), baseline=st.floats(1e-3, 1e6), worse=st.floats(0.5, 1.0))
def test_a_worse_value_never_turns_a_regression_into_a_pass(value: float, baseline: float, worse: float) -> None:
    """The rule is monotone: below a regression there is only regression."""
    if judge(gate(), value, baseline).verdict is Verdict.REGRESSED:
        assert judge(gate(), value * worse, baseline).verdict is Verdict.REGRESSED


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_a_number_that_is_none_is_refused_on_either_side(number: float) -> None:
    """NaN compares false with every bound; it must not fall through them."""
    with pytest.raises(InvalidValueError):
        judge(gate(), number, 100.0)
    with pytest.raises(InvalidValueError):
        judge(gate(), 100.0, number)
    if not math.isfinite(number):
        assert not decide(gate(), number, 100.0)[0].passes


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.MISMATCH, Verdict.INCONCLUSIVE])
def test_an_absent_number_fails_with_its_own_verdict_and_reason(verdict: Verdict) -> None:
    """No baseline, another hardware, no measurement: three verdicts, and none of them passes."""
    absent = Absent(verdict, "because")
    for judged in (judge(gate(), absent, 100.0), judge(gate(), 100.0, absent)):
        assert (judged.verdict, judged.reason, judged.change) == (verdict, "because", None)
        assert not judged.verdict.passes


def test_a_value_that_could_not_be_measured_is_inconclusive_even_without_a_baseline() -> None:
    """Recording a baseline would not help, so that is not what the verdict asks for."""
    judged = judge(gate(), Absent(Verdict.INCONCLUSIVE, "off"), Absent(Verdict.MISSING, "none"))
    assert judged.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.IMPROVED, Verdict.REGRESSED, Verdict.IMPLAUSIBLE])
def test_an_absent_number_cannot_pass_or_regress(verdict: Verdict) -> None:
    """Those verdicts need two numbers."""
    with pytest.raises(InvalidValueError, match="needs a number"):
        Absent(verdict, "because")


def test_no_gate_at_all_is_not_a_pass() -> None:
    """An empty check passes nothing."""
    assert not all_pass([])
    assert all_pass([judge(gate(), 100.0, 100.0)])
    assert not all_pass([judge(gate(), 100.0, 100.0), judge(gate(), 50.0, 100.0)])


def test_pass_is_returned_in_one_place_only() -> None:
    """One line returns PASS, so one line has to be reviewed."""
    package = Path(pytest_precgate.__file__).parent
    found = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bVerdict\.PASS\b", line)
    ]
    assert found == ['analysis/gating/verdict.py: return Verdict.PASS, ""']


def test_few_verdicts_let_a_merge_through() -> None:
    """The list of verdicts that pass is short, and a new verdict has to be added to it by hand. RECORDED is of gates
    that hold nothing; a check of such gates alone does not pass."""
    assert {verdict.word for verdict in Verdict if verdict.passes} == {"PASS", "IMPROVED", "WAIVED", "RECORDED"}


@pytest.mark.parametrize("tolerance", [0.0, -0.03, 1.0, math.nan])
def test_an_impossible_tolerance_is_refused(tolerance: float) -> None:
    """Zero would fail on noise, 100% would pass a dead engine."""
    with pytest.raises(InvalidValueError, match="tolerance"):
        gate(tolerance=tolerance)


def test_a_tolerance_above_the_plausible_gain_is_refused() -> None:
    """3 for 3% is the likeliest slip."""
    with pytest.raises(InvalidValueError, match=r"below 1 \(0.03 is 3%\)"):
        gate(tolerance=3)
    with pytest.raises(InvalidValueError, match="below implausible"):
        gate(tolerance=0.3)


def test_gates_are_both_ratios_and_both_precisions_at_every_point() -> None:
    """Six gates a point, each at the default tolerance."""
    gates = gates_of("fp4", "int4", (55.0, 73.0), dict.fromkeys(OF_THROUGHPUT, Tolerance()))
    assert [(str(gate.key), gate.tolerance) for gate in gates if gate.key.point == 55] == [
        ("fp4/int4 throughput_ratio at 55 tok/s/user", 0.025),
        ("fp4/int4 cost_ratio at 55 tok/s/user", 0.025),
        ("fp4 throughput_per_gpu at 55 tok/s/user", 0.025),
        ("fp4 cost at 55 tok/s/user", 0.025),
        ("int4 throughput_per_gpu at 55 tok/s/user", 0.025),
        ("int4 cost at 55 tok/s/user", 0.025),
    ]
    assert len(gates) == 12


def test_a_tolerance_is_that_of_the_point_else_of_the_precision_else_of_the_metric() -> None:
    """A ratio reads two precisions and has no tolerance of one."""
    held = Tolerance(0.02, {91.0: 0.05}, {"int4": 0.03})
    gates = gates_of("fp4", "int4", (55.0, 91.0), {Metric.THROUGHPUT_PER_GPU: held, Metric.THROUGHPUT_RATIO: held})
    assert {str(gate.key): gate.tolerance for gate in gates} == {
        "fp4/int4 throughput_ratio at 55 tok/s/user": 0.02,
        "fp4/int4 throughput_ratio at 91 tok/s/user": 0.05,
        "fp4 throughput_per_gpu at 55 tok/s/user": 0.02,
        "fp4 throughput_per_gpu at 91 tok/s/user": 0.05,
        "int4 throughput_per_gpu at 55 tok/s/user": 0.03,
        "int4 throughput_per_gpu at 91 tok/s/user": 0.05,
    }


def test_between_the_tolerance_and_the_noise_floor_a_gate_neither_passes_nor_fails() -> None:
    """A tolerance of 5%, a noise floor of 8%; a floor below the tolerance changes nothing."""
    held = gate(0.05)
    for value, verdict in ((0.95, Verdict.PASS), (0.949, Verdict.INCONCLUSIVE), (0.92, Verdict.INCONCLUSIVE)):
        assert judge(held, value, 1.0, 0.08).verdict is verdict
    assert judge(held, 0.919, 1.0, 0.08).verdict is Verdict.REGRESSED
    assert judge(held, 0.949, 1.0, 0.01).verdict is Verdict.REGRESSED
    assert judge(held, 0.95, 1.0, 0.01).verdict is Verdict.PASS


@pytest.mark.parametrize(("points", "metrics"), [((), list(Metric)), ((55.0,), [])])
def test_nothing_to_gate_is_refused(points: tuple[float, ...], metrics: list[Metric]) -> None:
    """A check without gates would pass in every case."""
    with pytest.raises(InvalidValueError, match="nothing would be gated"):
        gates_of("fp4", "int4", points, dict.fromkeys(metrics, Tolerance(0.03)))


def test_a_ratio_needs_two_different_precisions() -> None:
    """A precision against itself is always 1 and gates nothing."""
    with pytest.raises(InvalidValueError, match=r"reads 2 precision\(s\), got fp4/fp4"):
        GateKey(Metric.COST_RATIO, ("fp4", "fp4"), 55)
    with pytest.raises(InvalidValueError, match=r"reads 1 precision\(s\)"):
        GateKey(Metric.COST, ("fp4", "int4"), 55)
