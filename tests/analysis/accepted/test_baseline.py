"""Baseline values: what a gate is held against, and why there may be nothing."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.baseline import Launch, RecordedGate, targets_at
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.errors import InvalidValueError, OutsideSweepError
from tests.builders.baselines import B200, FP4, NOW, RATIO, TEST, kimi_baseline, launch, scaled
from tests.published import kimi


def test_a_value_is_computed_from_the_raw_points() -> None:
    """Nothing interpolated is stored, so any point inside the range has a value without a GPU."""
    baseline = kimi_baseline()
    assert baseline.value(FP4, B200, "derived") == pytest.approx(1028.1, abs=0.05)
    assert baseline.value(replace(FP4, point=100.0), B200, "derived") == pytest.approx(430, abs=10)


def test_a_low_launch_out_of_three_does_not_lower_the_value() -> None:
    """It is set aside: the value is the centre of the others."""
    fp4 = kimi("fp4")
    launches = [launch(fp4), launch(scaled(fp4, 0.8)), launch(fp4), launch(kimi("int4"))]
    baseline = replace(kimi_baseline(), launches=launches)
    assert baseline.value(FP4, B200, "derived") == pytest.approx(1028.1, abs=0.05)
    assert baseline.noises(B200, "derived")[FP4].set_aside == 1


def test_a_launch_whose_day_is_not_known_lowers_no_sigma() -> None:
    """Two days 4% apart; without the day of one launch it is a group of its own, beside the known ones. Where no day is
    known the launches are one group."""
    fp4, int4 = kimi("fp4"), kimi("int4")

    def sigma(*days: int | None) -> float:
        origins = [UNKNOWN if day is None else LaunchOrigin(f"2026-11-{day}T06:00:00Z", "node1") for day in days]
        pairs = zip((1.0, 1.002, 1.04, 1.042), origins, strict=True)
        launches = [
            Launch(scaled(fp4, factor), Fingerprint.of(fp4, ("vllm",), {}), origin=origin) for factor, origin in pairs
        ]
        return replace(kimi_baseline(), launches=[*launches, launch(int4)]).noises(B200, "derived")[FP4].sigma

    known, unknown = sigma(24, 24, 25, 25), sigma(None, None, None, None)
    assert known > unknown
    assert sigma(None, 24, 25, 25) > unknown
    assert sigma(None, None, 25, 25) == known  # a baseline of before, and launches of today


def test_two_launches_give_their_mean_and_tell_no_noise() -> None:
    """Two values differ once; a sigma of that would be a guess."""
    fp4 = kimi("fp4")
    launches = [launch(fp4), launch(scaled(fp4, 1.02)), launch(kimi("int4"))]
    baseline = replace(kimi_baseline(), launches=launches)
    assert baseline.value(FP4, B200, "derived") == pytest.approx(1028.1 * 1.01, abs=0.05)
    assert baseline.noises(B200, "derived") == {}


def test_launches_of_two_precisions_are_read_in_pairs() -> None:
    """The ratio of the first launches, of the second, and so on; one without partner tells the ratio nothing."""
    fp4, int4 = kimi("fp4"), kimi("int4")
    launches = [*(scaled(fp4, factor) for factor in (1.0, 1.1, 1.2)), int4, scaled(int4, 1.1)]
    baseline = replace(kimi_baseline(), launches=[launch(sweep, "vllm") for sweep in launches])
    first, second = baseline.at(B200, "derived").gate_launches(RATIO).values
    assert first == pytest.approx(second)
    assert len(baseline.at(B200, "derived").gate_launches(FP4).values) == 3


def test_a_gate_off_one_launch_s_range_has_no_value_and_lends_nothing() -> None:
    """The other gates are read all the same."""
    far = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 5000)
    baseline = replace(kimi_baseline(), gates=[RecordedGate(TEST, far), RecordedGate(TEST, FP4)])
    assert [each.key for each in baseline.at(B200, "derived").all_gate_launches] == [FP4]
    with pytest.raises(OutsideSweepError, match="5000"):
        baseline.value(far, B200, "derived")


def test_a_soft_fact_that_differs_is_told() -> None:
    """Another recording is worth a line, not a refusal."""
    fp4 = kimi("fp4")
    now = NOW | {"fp4": Fingerprint.of(fp4, ("recorded",), {"source": "other.csv"})}
    assert kimi_baseline().mismatches(now, ["fp4", "int4"]) == ()
    assert kimi_baseline().drifts(now) == ("fp4: source is other.csv, the baseline's is points.csv",)


def test_rounded_figures_keep_six_digits() -> None:
    """What a baseline stores is what it is compared with: cutting twice changes nothing."""
    once = launch(kimi("fp4")).rounded()
    assert once.rounded() == once
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
    with pytest.raises(InvalidValueError, match="is listed twice"):
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


def test_a_sweep_targets_every_point_that_is_read() -> None:
    """The suite's own and those of marks, once each; where the baseline had them is known."""
    sweep_targets = targets_at([(55.0, 73.0), (91.0,), (55.0,)], kimi_baseline(), "fp4")
    assert sweep_targets.targets == (91.0, 73.0, 55.0)
    assert set(sweep_targets.earlier) == set(kimi_baseline().launches_of("fp4")[0].sweep.points)
    assert targets_at([(55.0,)], None, "fp4") == SweepTargets((55.0,))


def test_every_gate_of_the_baseline_is_a_target_for_any_selected_tests() -> None:
    """A sweep that left out another test's points would read its gates off a wider step than the next run does."""
    far = RecordedGate("tests/test_other.py::test_far", replace(FP4, point=80.0))
    baseline = replace(kimi_baseline(), gates=[*kimi_baseline().gates, far])
    assert set(targets_at([(55.0,)], baseline, "fp4").targets) == {55.0, 80.0}
    assert set(targets_at([(55.0,)], baseline, "int4").targets) == {55.0}


def test_with_quartiles_there_are_no_targets() -> None:
    """They are unknown before the first sweep; later ones are swept the same way, to be comparable."""
    assert targets_at([None, (91.0,)], kimi_baseline(), "fp4") == NO_TARGETS
    assert targets_at([None], None, "fp4") == NO_TARGETS


def test_recorded_points_stand_beside_every_launch_of_the_other_precision() -> None:
    """INT4 from a file, FP4 launched three times: three ratios. Two live ones of which one was launched once: one."""
    launches = [launch(scaled(kimi("fp4"), factor), "trtllm") for factor in (1.0, 1.01, 0.99)]
    gates = [RecordedGate(TEST, RATIO)]
    mixed = replace(kimi_baseline(), launches=[*launches, launch(kimi("int4"))], gates=gates)
    assert len(mixed.at(B200, "derived").gate_launches(RATIO).values) == 3
    live = replace(mixed, launches=[*launches, launch(kimi("int4"), "vllm")])
    assert len(live.at(B200, "derived").gate_launches(RATIO).values) == 1
