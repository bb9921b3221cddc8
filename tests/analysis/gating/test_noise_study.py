"""What launches of an unchanged suite say of its gates."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.noise_study import StudiedGate, study
from pytest_precgate.errors import InvalidValueError
from tests.builders.launches import POLICY, asked, gates, launched, paced, seeds, sigmas


def test_the_sigma_put_into_the_pace_of_launches_is_found_again() -> None:
    """1% of the step time: over many studies in the mean, and in each gate stretched by its curve."""
    found = [study(gates(), launched(seed, 0.01), POLICY) for seed in range(60)]
    assert math.sqrt(statistics.fmean((each.step_sigma or 0.0) ** 2 for each in found)) == pytest.approx(0.01, rel=0.1)
    for index, each in enumerate(found[0].gates):
        mine = math.sqrt(statistics.fmean(one.gates[index].noise.sigma ** 2 for one in found))
        assert mine == pytest.approx(0.01 * each.launches.elasticity, rel=0.2)


@given(seeds, asked)
def test_without_noise_nothing_is_refused_and_the_mdd_is_the_tolerance(
    seed: int, tolerances: Mapping[Metric, float | None]
) -> None:
    """Launches that repeat exactly: sigma 0, nothing set aside, nothing advised."""
    found = study(gates(tolerances), launched(seed, 0.0), POLICY)
    assert (found.refused, found.must_detect) == ((), None)
    assert found.step_sigma == pytest.approx(0.0, abs=1e-12)
    for each in found.gates:
        assert each.limits.minimum_detectable_drop == pytest.approx(each.gate.tolerance)
        assert each.changes == pytest.approx([0.0] * 5, abs=1e-12)


@given(seeds, sigmas, asked)
def test_the_must_detect_advised_refuses_no_gate_of_the_same_launches(
    seed: int, sigma: float, tolerances: Mapping[Metric, float | None]
) -> None:
    """Written into the settings it refuses none; without a refusal none is advised, and a little less refuses one."""
    curves = launched(seed, sigma)
    found = study(gates(tolerances), curves, POLICY)
    beyond_any = any((each.limits.minimum_detectable_drop or 0.0) > 0.999 for each in found.gates)
    assert (found.must_detect is None) == (not found.refused or beyond_any)
    if found.must_detect is not None:
        assert study(gates(tolerances), curves, replace(POLICY, must_detect=found.must_detect)).refused == ()
        assert study(gates(tolerances), curves, replace(POLICY, must_detect=found.must_detect - 0.0011)).refused


@given(seeds, sigmas, st.permutations(range(5)))
def test_the_order_of_launches_does_not_matter(seed: int, sigma: float, order: list[int]) -> None:
    """In pairs, in any order: the same findings."""
    curves = launched(seed, sigma)
    turned = {name: [launches[i] for i in order] for name, launches in curves.items()}
    for one, other in zip(study(gates(), curves, POLICY).gates, study(gates(), turned, POLICY).gates, strict=True):
        assert other.noise.centre == pytest.approx(one.noise.centre)
        assert other.noise.sigma == pytest.approx(one.noise.sigma)
        assert other.limits.too_noisy == one.limits.too_noisy
        assert sorted(other.changes) == pytest.approx(sorted(one.changes), abs=1e-9)


def test_an_outlier_launch_is_shown_and_not_counted() -> None:
    """10% slower: set aside in every gate that reads it, and still the lowest of its changes."""
    curves = {name: [*launches[:4], paced(name, 1.1)] for name, launches in launched(3, 0.005).items()}
    for each in study(gates({Metric.THROUGHPUT_PER_GPU: None}), curves, POLICY).gates:
        assert each.noise.set_aside == 1
        assert min(each.changes) < -0.15


def test_a_gate_some_launch_does_not_reach_is_named_and_the_others_stand() -> None:
    """No sigma is taken of an incomplete row; INT4 slows down past 110 tok/s/user in one launch."""
    curves = launched(0, 0.001)
    curves = {**curves, "int4": [*curves["int4"][:4], paced("int4", 1.05)]}
    found = study(gates(points=(55.0, 110.0)), curves, POLICY)
    assert {str(each.key.point) for each in found.unread} == {"110.0"}
    assert all("int4: 110 tok/s/user lies outside" in each.reason for each in found.unread)
    assert {each.key.precisions for each in found.unread} == {("fp4", "int4"), ("int4",)}
    assert len(found.gates) + len(found.unread) == len(gates())
    nothing = study(gates(points=(300.0,)), curves, POLICY)
    assert (nothing.gates, nothing.step_sigma, nothing.must_detect) == ((), None, None)


@pytest.mark.parametrize(("fp4", "int4"), [(2, 2), (5, 4), (0, 0)])
def test_too_few_launches_or_unequally_many_are_refused(fp4: int, int4: int) -> None:
    """Two launches tell no sigma, and a launch without its partner no ratio."""
    curves = {name: launched(0, 0.01)[name][:number] for name, number in (("fp4", fp4), ("int4", int4))}
    with pytest.raises(InvalidValueError, match="study: got launches"):
        study(gates(), curves, POLICY)


def test_a_studied_gate_of_two_gates_is_none() -> None:
    """Its launches and its limits are its own, and the limits knows its noise."""
    one, other = study(gates(), launched(0, 0.01), POLICY).gates[:2]
    with pytest.raises(InvalidValueError, match="of another gate"):
        StudiedGate(one.gate, other.launches, one.limits)
    with pytest.raises(InvalidValueError, match="wanted 3"):
        StudiedGate(one.gate, one.launches, replace(one.limits, noise=None))
