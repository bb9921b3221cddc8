"""What launches are held against: limits inside the tolerance, and when a tolerance is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise, independent_gates
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.limits import WIDEST, GateLimits, LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.power import critical_values
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate

unhurried = settings(deadline=None)  # the first design of its kind is computed, the others remembered

POLICIES = [LaunchPolicy(), LaunchPolicy("first-good", 1), LaunchPolicy("median", 5), LaunchPolicy("pairs", 5)]
policies = st.sampled_from(POLICIES)
metrics = st.sampled_from([Metric.THROUGHPUT_PER_GPU, Metric.COST])


def limits(
    sigma: float,
    tolerance: float = 0.05,
    policy: LaunchPolicy = POLICIES[0],
    metric: Metric = Metric.THROUGHPUT_PER_GPU,
) -> GateLimits:
    return GateLimits(gate(tolerance, metric, implausible=0.9), 1000, policy.design(5, 6), GateNoise(1000, sigma, 5))


@unhurried
@given(st.floats(0.005, 0.3), policies, metrics)
def test_without_noise_the_limit_is_the_tolerance(tolerance: float, policy: LaunchPolicy, metric: Metric) -> None:
    """Values that repeat exactly are held to exactly what was asked, and that is the smallest drop seen."""
    still = limits(0.0, tolerance, policy, metric)
    assert still.per_launch == pytest.approx([tolerance] * policy.launches)
    assert still.minimum_detectable_drop == pytest.approx(tolerance)
    assert not still.too_noisy


def test_where_the_noise_is_unknown_the_limit_is_the_tolerance_and_nothing_is_promised() -> None:
    """One or two baseline launches: no sigma, no smallest drop, no advice."""
    for launches in ([1000.0], [1000.0, 1010.0]):
        (unknown,) = suite_limits([(gate(), GateLaunches(gate().key, launches))], POLICIES[0])
        assert unknown.per_launch == (0.05, 0.05, 0.05)
        assert unknown.centre == sum(launches) / len(launches)
        assert (unknown.noise, unknown.minimum_detectable_drop, unknown.honest_tolerance) == (None, None, None)
        assert unknown.launches_needed is None
        assert not unknown.too_noisy


@unhurried
@given(st.floats(0.0005, 0.06), st.floats(0.01, 0.3), policies, metrics)
def test_a_tolerance_is_refused_exactly_when_a_drop_of_it_would_not_be_seen(
    sigma: float, tolerance: float, policy: LaunchPolicy, metric: Metric
) -> None:
    """Too noisy means: the smallest drop stopped four times in five is larger than the tolerance."""
    held = limits(sigma, tolerance, policy, metric)
    assert held.minimum_detectable_drop is not None
    if abs(held.minimum_detectable_drop / tolerance - 1) > 1e-3:
        assert held.too_noisy == (held.minimum_detectable_drop > tolerance)


@unhurried
@given(st.floats(0.0005, 0.06), st.floats(0.01, 0.3), policies)
def test_a_limit_stands_beyond_the_noise_and_within_the_tolerance(
    sigma: float, tolerance: float, policy: LaunchPolicy
) -> None:
    """Never nearer than what noise reaches; never beyond the tolerance unless that is refused."""
    held = limits(sigma, tolerance, policy)
    for limit, line in zip(held.per_launch, critical_values(held.design), strict=True):
        assert -math.log1p(-limit) >= line * sigma * (1 - 1e-9)
        assert held.too_noisy or limit <= tolerance


@unhurried
@given(st.floats(0.0005, 0.03), policies, metrics)
def test_the_tolerance_advised_is_one_that_is_not_refused(sigma: float, policy: LaunchPolicy, metric: Metric) -> None:
    """Asked for, it is kept, with room for a sigma that was found too small."""
    advised = limits(sigma, 0.01, policy, metric).honest_tolerance
    assert advised is not None
    if advised < 0.9:
        held = limits(sigma, advised, policy, metric)
        assert not held.too_noisy
        assert held.minimum_detectable_drop is not None
        assert held.minimum_detectable_drop < advised


def test_quieter_gates_are_held_nearer_to_what_was_asked() -> None:
    """A tolerance of 5%: the limit of the first launch at sigma 0, 0.2% and 1%, and where it takes over."""
    shares = [round(limits(sigma).per_launch[0], 3) for sigma in (0.0, 0.002, 0.01, 0.014, 0.03)]
    assert shares == [0.05, 0.042, 0.028, 0.03, 0.062]
    assert [limits(sigma).too_noisy for sigma in (0.0, 0.002, 0.01, 0.014, 0.03)] == [False, False, False, False, True]


def test_what_to_do_about_noise_is_named() -> None:
    """Sigma 2%, tolerance 5%: ask for 9.3%, or take the median of 11 launches; more noise, more."""
    assert limits(0.02).honest_tolerance == pytest.approx(0.093, abs=0.005)
    assert limits(0.02).launches_needed == 11
    assert limits(0.03).launches_needed == 21
    assert limits(0.2).launches_needed is None
    assert limits(0.0).launches_needed == 3


def test_a_cost_is_not_a_further_gate_beside_its_throughput() -> None:
    """The price over a throughput scatters with it: two gates, one chance of a false alarm; other gates count."""
    throughput = [1000.0, 1010.0, 990.0, 1004.0, 998.0]
    cost = [0.5 / value for value in throughput]
    other = [500.0, 499.0, 510.0, 505.0, 493.0]
    gates = [gate(), gate(metric=Metric.COST)]
    both = [GateLaunches(each.key, values) for each, values in zip(gates, (throughput, cost), strict=True)]
    further = GateLaunches(gate(point=73).key, other)
    assert independent_gates(both) == 1
    assert independent_gates([*both, further]) == 2
    first, second = suite_limits(list(zip(gates, both, strict=True)), POLICIES[0])
    assert first.noise is not None
    assert second.noise is not None
    assert first.noise.sigma == pytest.approx(second.noise.sigma)
    assert second.centre == pytest.approx(0.5 / first.centre)


@pytest.mark.parametrize(("apart", "gates"), [(1e-11, 1), (1e-7, 2)])
def test_gates_are_told_apart_by_figures_and_not_by_the_last_bits_of_a_sum(apart: float, gates: int) -> None:
    """A figure on disk has six digits, what arithmetic leaves is 1e-16: in between, both ways."""
    values = [1000.0, 1010.0, 990.0]
    other = [0.5 * values[0], 0.5 * values[1] * (1 + apart), 0.5 * values[2]]
    assert independent_gates([GateLaunches(gate(point=p).key, v) for p, v in ((55, values), (73, other))]) == gates


def test_a_slow_outlier_is_set_aside_for_either_direction_of_the_metric() -> None:
    """10% less throughput is 11% more cost; neither centre follows it."""
    throughput = [1000.0, 1010.0, 990.0, 1004.0, 900.0, 998.0]
    for metric, values in (
        (Metric.THROUGHPUT_PER_GPU, throughput),
        (Metric.COST, [500 / value for value in throughput]),
    ):
        (held,) = suite_limits([(gate(metric=metric), GateLaunches(gate(metric=metric).key, values))], POLICIES[0])
        assert held.noise is not None
        assert held.noise.set_aside == 1
        assert held.centre == pytest.approx(1000 if metric is Metric.THROUGHPUT_PER_GPU else 0.5, rel=0.005)


def test_gates_judged_elsewhere_share_the_false_alarms_of_the_suite_and_lend_their_launches() -> None:
    """One test of a suite with further ones: its lines stand further down, as if it held every gate itself."""
    mine = [1000.0, 1010.0, 990.0, 1004.0, 998.0]
    theirs = [GateLaunches(gate(point=p).key, [v * 1.02**i for i, v in enumerate(mine)]) for p in (56, 57)]
    gates = [(gate(0.2), GateLaunches(gate().key, mine)), *((gate(0.2, point=each.key.point), each) for each in theirs)]
    (alone,) = suite_limits(gates[:1], POLICIES[0])
    (beside,) = suite_limits(gates[:1], POLICIES[0], SuiteNoise.of([*theirs, gates[0][1]]))
    assert beside == suite_limits(gates, POLICIES[0])[0]
    assert alone.design.gates == 1
    assert beside.design.gates == 2  # the two others scatter alike
    assert alone.noise is not None
    assert beside.noise is not None
    assert beside.noise.sigma > alone.noise.sigma


@unhurried
@given(st.floats(0.0005, 0.06), st.floats(0.01, 0.09), policies, metrics)
def test_a_default_tolerance_grows_to_what_the_noise_supports_and_at_most_to_a_tenth(
    sigma: float, tolerance: float, policy: LaunchPolicy, metric: Metric
) -> None:
    """A default is the least tolerance; one that was asked for stays, and is refused where the noise says so."""
    asked = limits(sigma, tolerance, policy, metric)
    default = replace(asked, gate=replace(asked.gate, asked=False)).supported()
    assert asked.supported() == asked
    honest = asked.honest_tolerance
    assert honest is not None
    throughput_lost = honest if metric.higher_is_better else 1 - 1 / (1 + honest)
    if not asked.too_noisy:
        assert default.gate.tolerance == tolerance
    elif throughput_lost <= WIDEST:
        assert default.gate.tolerance == honest > tolerance
        assert not default.too_noisy
    elif throughput_lost > WIDEST + 0.001:  # nearer, rounding up decides what honest is
        assert default.gate.tolerance == tolerance
        assert default.too_noisy


@unhurried
@given(st.floats(0.0005, 0.06), policies)
def test_a_cost_is_refused_exactly_where_its_throughput_is(sigma: float, policy: LaunchPolicy) -> None:
    """They are one measurement: noise widens or refuses both default tolerances."""
    throughput, cost = (
        replace(each, gate=replace(each.gate, asked=False)).supported()
        for each in (limits(sigma, 0.03, policy, metric) for metric in (Metric.THROUGHPUT_PER_GPU, Metric.COST))
    )
    assert cost.too_noisy == throughput.too_noisy


def test_a_default_tolerance_never_reaches_the_bound_of_plausibility() -> None:
    """A tolerance must stay below the gain that is implausible; where it cannot, the gate is refused."""
    tight = limits(0.02, 0.03)
    tight = replace(tight, gate=replace(tight.gate, implausible=0.05, asked=False)).supported()
    assert tight.gate.tolerance == 0.03
    assert tight.too_noisy


@pytest.mark.parametrize(("kind", "launches"), [("median", 4), ("pairs", 2), ("first-good", 0)])
def test_a_policy_without_a_middle_is_refused(kind: str, launches: int) -> None:
    """The median of four launches is no launch, and no launch is no measurement."""
    with pytest.raises(InvalidValueError, match=r"LaunchPolicy|max_launches"):
        LaunchPolicy(kind, launches)  # type: ignore[arg-type]


def test_a_pass_needs_points_that_are_known_well_enough() -> None:
    """A sigma of the points beyond the launches' own takes the pass away where it would refuse the tolerance."""
    held = limits(0.003)
    assert held.doubt(0.0) is None
    assert held.doubt(0.003) is None
    doubt = held.doubt(0.05)
    assert doubt is not None
    assert "leave a sigma of 5.0% on its value: too much to keep a tolerance of 5%" in doubt
    (unknown,) = suite_limits([(gate(), GateLaunches(gate().key, [1000.0]))], POLICIES[0])
    assert unknown.doubt(0.5) is None  # nothing is promised there


def test_launches_that_agree_better_than_their_points_are_known_do_not_lower_sigma() -> None:
    """Five equal values from points known to 3% are no sigma of 0."""
    lucky = [(gate(), GateLaunches(gate().key, [1000.0] * 5, 1.0, reading=0.02))]
    (held,) = suite_limits(lucky, POLICIES[0])
    assert held.noise is not None
    assert held.noise.sigma == 0.02
