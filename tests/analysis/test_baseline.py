"""Baseline values: what a gate is held against, and why there may be nothing."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from pytest_precgate.analysis.baseline import Baseline, Launch, Provenance, RecordedGate, baseline_number
from pytest_precgate.analysis.economics import HARDWARE, Hardware
from pytest_precgate.analysis.fingerprint import Fingerprint
from pytest_precgate.analysis.gates import GateKey, Metric
from pytest_precgate.analysis.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.verdict import Absent, Verdict
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.errors import InvalidValueError
from tests.published import WORKLOAD, kimi

B200 = HARDWARE["b200"]
TEST = "tests/test_kimi.py::test_fp4_pays_off"
RECORDED = Provenance("abc123", "2026-11-24T06:00:00Z", "0.1.0", "first")
RATIO = GateKey(Metric.THROUGHPUT_RATIO, ("fp4", "int4"), 55)
FP4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 55)


def launch(sweep: Sweep, engine: str = "recorded") -> Launch:
    return Launch(sweep, Fingerprint.of(sweep, engine, {"source": "points.csv"}))


def kimi_baseline() -> Baseline:
    """The recorded Kimi sweeps as an accepted state, with two gates."""
    return Baseline(
        suite="kimi",
        launches=[launch(kimi("fp4")).settled(), launch(kimi("int4")).settled()],
        gates=[RecordedGate(TEST, RATIO), RecordedGate(TEST, FP4)],
        recorded=RECORDED,
        hardware=B200,
    )


NOW = {precision: launch(kimi(precision)).fingerprint for precision in ("fp4", "int4")}


def test_a_value_is_computed_from_the_raw_points() -> None:
    """Nothing interpolated is stored, so any point inside the range has a value without a GPU."""
    baseline = kimi_baseline()
    assert baseline.value(FP4, B200, "derived") == pytest.approx(1028.1, abs=0.05)
    assert baseline.value(replace(FP4, point=100.0), B200, "derived") == pytest.approx(430, abs=10)


def test_several_launches_give_their_median() -> None:
    """One low launch out of three does not lower the bar."""
    fp4 = kimi("fp4")
    low = replace(fp4, points=[replace(p, throughput_per_gpu=p.throughput_per_gpu * 0.8) for p in fp4.points])
    baseline = replace(kimi_baseline(), launches=[launch(fp4), launch(low), launch(fp4), launch(kimi("int4"))])
    assert baseline.value(FP4, B200, "derived") == pytest.approx(1028.1, abs=0.05)


def test_cost_is_computed_at_today_s_price() -> None:
    """A price change moves value and baseline alike, so it is no regression."""
    cost = GateKey(Metric.COST, ("fp4",), 55)
    baseline = replace(kimi_baseline(), gates=[RecordedGate(TEST, cost)])
    dear = Hardware("b200", 3.90, 2.17, "a test")
    number = baseline_number(baseline, RecordedGate(TEST, cost), NOW, (dear, "derived"))
    assert number == pytest.approx(2 * baseline.value(cost, B200, "derived"))


def test_without_a_baseline_the_number_is_missing() -> None:
    """The reason says which flag records one."""
    absent = baseline_number(None, RecordedGate(TEST, RATIO), NOW, (B200, "derived"))
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISSING
    assert "--precgate-update" in absent.reason


def test_a_renamed_test_is_missing_and_its_old_name_is_said() -> None:
    """A gate belongs to its test: a rename is seen, not silently adopted."""
    absent = baseline_number(
        kimi_baseline(), RecordedGate("tests/test_kimi.py::test_new", RATIO), NOW, (B200, "derived")
    )
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISSING
    assert f"it knows the same gate of {TEST} (renamed?)" in absent.reason


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
    absent = baseline_number(kimi_baseline(), RecordedGate(TEST, RATIO), now, (B200, "derived"))
    assert absent == Absent(Verdict.MISMATCH, said)


def test_a_mismatch_of_the_other_precision_leaves_an_absolute_gate_alone() -> None:
    """INT4 moved to another engine: FP4's own throughput can still be held, the ratio cannot."""
    now = NOW | {"int4": Fingerprint({**NOW["int4"].hard, "engine": "vllm"})}
    assert isinstance(baseline_number(kimi_baseline(), RecordedGate(TEST, FP4), now, (B200, "derived")), float)
    assert isinstance(baseline_number(kimi_baseline(), RecordedGate(TEST, RATIO), now, (B200, "derived")), Absent)


def test_an_ignored_mismatch_is_judged_at_today_s_price() -> None:
    """--precgate-mismatch=warn holds the value against the other hardware's points."""
    h200 = Hardware("h200", 1.95, 2.17, "a test")
    now = {name: Fingerprint({**NOW[name].hard, "hardware": "h200"}) for name in NOW}
    number = baseline_number(kimi_baseline(), RecordedGate(TEST, FP4), now, (h200, "derived"), ignore_mismatch=True)
    assert number == pytest.approx(1028.1, abs=0.05)


def test_a_soft_fact_that_differs_is_told() -> None:
    """Another recording is worth a line, not a refusal."""
    fp4 = kimi("fp4")
    now = NOW | {"fp4": Fingerprint.of(fp4, "recorded", {"source": "other.csv"})}
    assert kimi_baseline().mismatches(now, ["fp4", "int4"]) == ()
    assert kimi_baseline().drifts(now) == ("fp4: source is other.csv, the baseline's is points.csv",)


def test_a_gate_beyond_the_baseline_s_points_is_missing() -> None:
    """The baseline knows the gate but was measured over a narrower range."""
    narrow = Sweep("fp4", WORKLOAD, "b200", [SweepPoint(8, 4, 100.0, 400.0), SweepPoint(16, 4, 80.0, 600.0)])
    baseline = replace(kimi_baseline(), launches=[launch(narrow)], gates=[RecordedGate(TEST, FP4)])
    absent = baseline_number(baseline, RecordedGate(TEST, FP4), NOW, (B200, "derived"))
    assert isinstance(absent, Absent)
    assert absent.verdict is Verdict.MISSING
    assert "does not reach this point: fp4: 55 tok/s/user lies outside the measured range 80 to 100" in absent.reason


def test_settled_figures_keep_six_digits() -> None:
    """What a baseline stores is what it is compared with: cutting twice changes nothing."""
    once = launch(kimi("fp4")).settled()
    assert once.settled() == once
    assert {point.throughput_per_gpu for point in once.sweep.points} >= {2079.15, 41.8286}


def test_a_baseline_that_would_gate_nothing_is_refused() -> None:
    """No gate, or no launch."""
    for field in ("gates", "launches"):
        with pytest.raises(InvalidValueError, match="would gate nothing"):
            replace(kimi_baseline(), **{field: ()})  # type: ignore[arg-type]


def test_a_gate_without_its_launch_is_refused() -> None:
    """A ratio needs both precisions' points."""
    with pytest.raises(InvalidValueError, match="throughput_ratio at 55 tok/s/user has no int4 launch"):
        replace(kimi_baseline(), launches=[launch(kimi("fp4"))])


def test_a_gate_twice_is_refused() -> None:
    """One test holds one gate once."""
    with pytest.raises(InvalidValueError, match="stands twice"):
        replace(kimi_baseline(), gates=[RecordedGate(TEST, FP4), RecordedGate(TEST, FP4)])


def test_launches_of_different_workloads_are_refused() -> None:
    """A baseline is one state of one suite."""
    other = replace(kimi("int4"), workload=Workload(8192, 1024))
    with pytest.raises(InvalidValueError, match="its launches differ in hardware or workload"):
        replace(kimi_baseline(), launches=[launch(kimi("fp4")), launch(other)])


def test_a_fingerprint_can_be_hashed_copied_and_pickled() -> None:
    """It is a value like any other, and cannot be changed in place."""
    fingerprint = NOW["fp4"]
    assert pickle.loads(pickle.dumps(fingerprint)) == fingerprint == copy.deepcopy(fingerprint)
    assert len({fingerprint, NOW["fp4"]}) == 1
    with pytest.raises(TypeError):
        fingerprint.hard["isl"] = 1  # type: ignore[index]


def test_a_fact_that_cannot_be_stored_is_refused() -> None:
    """A fingerprint holds texts and numbers."""
    with pytest.raises(InvalidValueError, match=r"Fingerprint\.hard\['gpus'\]"):
        Fingerprint({"gpus": None})  # type: ignore[dict-item]
