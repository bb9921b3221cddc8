"""What gates are held against, and why there may be nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.baseline import Baseline, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.matching import JudgingContext, match_baseline
from pytest_precgate.analysis.curves.economics import HARDWARE, Hardware
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from tests.builders.baselines import FP4, NOW, RATIO, TEST, kimi_baseline, launch, scaled
from tests.calls import per_further_unit
from tests.published import WORKLOAD, kimi

B200 = HARDWARE["b200"]
TODAY = JudgingContext(NOW, B200, "derived")


def number(baseline: Baseline | None, key: GateKey, today: JudgingContext, test: str = TEST) -> float | Absent:
    """What one gate is held against, its single launch."""
    (held,) = match_baseline(baseline, test, [Gate(key, 0.05)], today).held
    if isinstance(held.baseline, Absent):
        return held.baseline
    (value,) = held.baseline
    return value


def test_cost_is_computed_at_today_s_price() -> None:
    """A price change moves value and baseline alike, so it is no regression."""
    cost = GateKey(Metric.COST, ("fp4",), 55)
    baseline = replace(kimi_baseline(), gates=[RecordedGate(TEST, cost)])
    dear = Hardware("b200", 3.90, 2.17, "a test")
    assert number(baseline, cost, JudgingContext(NOW, dear, "derived")) == pytest.approx(
        2 * baseline.value(cost, B200, "derived")
    )


def test_without_a_baseline_the_number_is_missing() -> None:
    """The reason says which flag records one."""
    absent = number(None, RATIO, TODAY)
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISSING
    assert "--precgate-update" in absent.remedy


def test_a_renamed_test_is_missing_and_its_old_name_is_said() -> None:
    """A gate belongs to its test: a rename is seen, not silently adopted."""
    absent = number(kimi_baseline(), RATIO, TODAY, "tests/test_kimi.py::test_new")
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISSING
    assert f"has the same gate of {TEST}, none of this test" in absent.reason
    assert "pytest --precgate-update-new-only; precgate baseline prune --reason renamed" in absent.remedy


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("hardware", "h200", "fp4: hardware is h200, the baseline's is b200"),
        ("isl", 8192, "fp4: isl is 8192, the baseline's is 1024"),
        ("engine", "trtllm", "fp4: engine is trtllm, the baseline's is recorded"),
        ("driver", "570", "fp4: driver is 570, the baseline's is not known"),
    ],
)
def test_a_hard_fact_that_differs_is_a_mismatch_by_name(fact: str, value: str | int, said: str) -> None:
    """Other hardware, workload or engine, and a fact only one side knows."""
    now = NOW | {"fp4": Fingerprint({**NOW["fp4"].hard, fact: value})}
    absent = number(kimi_baseline(), RATIO, JudgingContext(now, B200, "derived"))
    assert isinstance(absent, Absent)
    assert (absent.verdict, absent.reason) == (Verdict.MISMATCH, said)


def test_a_mismatch_of_the_other_precision_leaves_an_absolute_gate_alone() -> None:
    """INT4 moved to another engine: FP4's own throughput can still be held, the ratio cannot."""
    now = NOW | {"int4": Fingerprint({**NOW["int4"].hard, "engine": "vllm"})}
    assert isinstance(number(kimi_baseline(), FP4, JudgingContext(now, B200, "derived")), float)
    assert isinstance(number(kimi_baseline(), RATIO, JudgingContext(now, B200, "derived")), Absent)


def test_an_ignored_mismatch_is_judged_at_today_s_price() -> None:
    """--precgate-mismatch=warn holds the value against the other hardware's points."""
    h200 = Hardware("h200", 1.95, 2.17, "a test")
    now = {name: Fingerprint({**NOW[name].hard, "hardware": "h200"}) for name in NOW}
    today = JudgingContext(now, h200, "derived", ignore_mismatch=True)
    assert number(kimi_baseline(), FP4, today) == pytest.approx(1028.1, abs=0.05)


def test_a_gate_beyond_the_baseline_s_points_is_missing() -> None:
    """The baseline knows the gate but was measured over a narrower range."""
    narrow = Sweep("fp4", WORKLOAD, "b200", [SweepPoint(8, 4, 100.0, 400.0), SweepPoint(16, 4, 80.0, 600.0)])
    baseline = replace(kimi_baseline(), launches=[launch(narrow)], gates=[RecordedGate(TEST, FP4)])
    absent = number(baseline, FP4, TODAY)
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISSING
    assert "does not reach this point: fp4: 55 tok/s/user lies outside the measured range 80 to 100" in absent.reason


@pytest.mark.parametrize(
    ("age", "said"), [(31.0, "is 31.0 days old"), (-2.0, "is -2.0 days old"), (None, "is of unknown age")]
)
def test_a_baseline_older_than_its_limit_is_a_mismatch(age: float | None, said: str) -> None:
    """A later change of the machine is not the merge's; an unknown age counts as too old."""
    absent = number(kimi_baseline(), FP4, replace(TODAY, max_age_days=30, age_days=age))
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISMATCH
    assert said in absent.reason
    assert "--precgate-paired-with" in absent.remedy
    assert isinstance(number(kimi_baseline(), FP4, replace(TODAY, max_age_days=30, age_days=30)), float)


def test_every_launch_of_the_baseline_is_held_against_and_the_suite_s_other_gates_stand_beside() -> None:
    """The rule needs the raw values, and how many gates share the suite's false alarms."""
    launches = [launch(scaled(kimi(name), factor)) for name in ("fp4", "int4") for factor in (1.0, 1.01, 0.99)]
    other = RecordedGate("tests/test_other.py::test_fast", GateKey(Metric.THROUGHPUT_PER_GPU, ("int4",), 55))
    baseline = replace(kimi_baseline(), launches=launches, gates=[*kimi_baseline().gates, other])
    holding = match_baseline(baseline, TEST, [Gate(FP4, 0.05)], TODAY)
    (held,) = holding.held
    assert held.baseline == pytest.approx([1028.1 * factor for factor in (1.0, 1.01, 0.99)], abs=0.1)
    assert held.elasticity > 1
    assert holding.noise is not None
    assert {*holding.noise.gates} == {FP4, RATIO, other.key}


def suite_of(tests: int) -> Baseline:
    """A baseline of three launches and so many tests, each with two gates at a point of its own."""
    launches = [launch(scaled(kimi(name), factor)) for name in ("fp4", "int4") for factor in (1.0, 1.01, 0.99)]
    gates = [
        RecordedGate(f"t.py::test_{number}", replace(key, point=55 + 30 * number / (tests or 1)))
        for number in range(max(tests, 1))
        for key in (RATIO, FP4)
    ]
    return replace(kimi_baseline(), launches=launches, gates=gates)


def bars_of(baseline: Baseline) -> list[GateLimits | None]:
    """What every gate of every test is held against, test by test."""
    found: list[GateLimits | None] = []
    for test in dict.fromkeys(gate.test for gate in baseline.gates):
        gates = [Gate(gate.key, 0.05) for gate in baseline.gates if gate.test == test]
        holding = match_baseline(baseline, test, gates, TODAY)
        found += SuiteRule(holding.held, LaunchPolicy(), holding.noise).gate_limits
    return found


def test_what_a_test_is_held_against_does_not_cost_more_the_more_tests_a_suite_has() -> None:
    """Curves are drawn once, gates read once, and the suite's noise is taken once."""

    def holding(tests: int) -> Callable[[], object]:
        baseline = suite_of(tests)
        names = {gate.test: [Gate(gate.key, 0.05)] for gate in baseline.gates[: 2 * tests]}
        return lambda: [match_baseline(baseline, test, gates, TODAY) for test, gates in names.items()]

    assert per_further_unit(holding, 20, 60) < 1.1


def test_a_test_is_held_to_the_same_limits_as_if_it_held_the_whole_suite() -> None:
    """To the last bit: what is known of a suite once is what each of its tests would have found."""
    baseline = suite_of(5)
    one_by_one = bars_of(baseline)
    whole = [
        GateBaseline(
            Gate(gate.key, 0.05),
            (found := baseline.at(B200, "derived").gate_launches(gate.key)).values,
            found.elasticity,
        )
        for gate in baseline.gates
    ]
    assert one_by_one == list(SuiteRule(whole, LaunchPolicy()).gate_limits)
    assert one_by_one == list(reversed(SuiteRule(whole[::-1], LaunchPolicy()).gate_limits))


def test_a_renamed_test_names_few_of_the_tests_that_hold_its_gate() -> None:
    """A suite of a thousand tests with one point holds the same gate a thousand times."""
    gates = [RecordedGate(f"t.py::test_{number}", RATIO) for number in range(5)]
    absent = number(replace(kimi_baseline(), gates=gates), RATIO, TODAY, "t.py::test_new")
    assert isinstance(absent, Absent)
    assert "of t.py::test_0, t.py::test_1, t.py::test_2 and 2 more tests, none" in absent.reason
