"""What launches are held against: the tolerance, the noise floor, and what a gate must detect."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise, independent_gates
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.limits import MUST_DETECT, GateLimits, LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.power import failing_share, largest_sigma, noise_line
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
    held, noise = gate(tolerance, metric, implausible=0.9), GateNoise(1000, sigma, 5)
    return policy.limits(held, 1000, policy.design(5, 6), noise)


@unhurried
@given(st.floats(0.005, 0.3), policies, metrics)
def test_without_noise_the_limit_is_the_tolerance(tolerance: float, policy: LaunchPolicy, metric: Metric) -> None:
    """Values that repeat exactly are held to exactly what was asked, and that is the smallest drop it catches."""
    still = limits(0.0, tolerance, policy, metric)
    assert (still.fails_beyond, still.noise_floor) == (tolerance, 0.0)
    assert still.minimum_detectable_drop == pytest.approx(tolerance)
    assert still.largest_detectable_drop == pytest.approx(tolerance)
    assert not still.too_noisy


def test_where_the_noise_is_unknown_the_limit_is_the_tolerance_and_nothing_is_promised() -> None:
    """One or two baseline launches: no sigma, no noise floor, no smallest drop, no refusal."""
    for launches in ([1000.0], [1000.0, 1010.0]):
        (unknown,) = suite_limits([(gate(), GateLaunches(gate().key, launches))], POLICIES[0])
        assert unknown.fails_beyond == 0.05
        assert unknown.centre == sum(launches) / len(launches)
        assert (unknown.noise, unknown.noise_floor, unknown.clear_beyond) == (None, None, None)
        assert (unknown.minimum_detectable_drop, unknown.largest_detectable_drop) == (None, None)
        assert (unknown.too_noisy, unknown.refusal) == (False, None)


@unhurried
@given(st.floats(0.0005, 0.06), st.floats(0.005, 0.3), policies, metrics)
def test_a_gate_fails_beyond_its_tolerance_and_beyond_its_noise_and_nowhere_nearer(
    sigma: float, tolerance: float, policy: LaunchPolicy, metric: Metric
) -> None:
    """The larger of the two; a true drop of the minimum detectable one fails four times in five."""
    held = limits(sigma, tolerance, policy, metric)
    assert held.noise_floor is not None
    assert held.minimum_detectable_drop is not None
    assert held.fails_beyond == max(tolerance, held.noise_floor)
    assert log_loss(held.noise_floor, metric) == pytest.approx(noise_line(held.design) * sigma)
    limit, drop = (log_loss(each, metric) / sigma for each in (held.fails_beyond, held.minimum_detectable_drop))
    assert failing_share(held.design, limit, drop) == pytest.approx(0.8, abs=1e-3)


def log_loss(share: float, metric: Metric) -> float:
    return -math.log1p(-share) if metric.higher_is_better else math.log1p(share)


@unhurried
@given(st.floats(0.0005, 0.06), st.floats(0.005, 0.3), policies, metrics)
def test_the_minimum_detectable_drop_has_a_range_because_sigma_is_an_estimate(
    sigma: float, tolerance: float, policy: LaunchPolicy, metric: Metric
) -> None:
    """Its upper end is the drop that the same limit catches, if sigma is as large as it may be."""
    held = limits(sigma, tolerance, policy, metric)
    assert held.minimum_detectable_drop is not None
    assert held.largest_detectable_drop is not None
    assert held.largest_detectable_drop > held.minimum_detectable_drop
    most = sigma * largest_sigma(held.design)
    limit, drop = (log_loss(each, metric) / most for each in (held.fails_beyond, held.largest_detectable_drop))
    assert failing_share(held.design, limit, drop) == pytest.approx(0.8, abs=1e-3)


@unhurried
@given(st.floats(0.0005, 0.06), st.floats(0.005, 0.3), st.none() | st.floats(0.02, 0.5), policies, metrics)
def test_a_gate_is_refused_exactly_when_it_does_not_catch_what_it_must(
    sigma: float, tolerance: float, must_detect: float | None, policy: LaunchPolicy, metric: Metric
) -> None:
    """must_detect is the largest minimum detectable drop; by default 10%, or twice the tolerance if more."""
    held = limits(sigma, tolerance, replace(policy, must_detect=must_detect), metric)
    assert held.minimum_detectable_drop is not None
    wanted = max(MUST_DETECT, 2 * tolerance) if must_detect is None else must_detect
    if abs(held.minimum_detectable_drop / wanted - 1) > 1e-6:
        assert held.too_noisy == (held.minimum_detectable_drop > wanted)
    assert (held.refusal is None) == (not held.too_noisy)


def test_more_noise_never_lowers_a_limit() -> None:
    """The noise floor at a tolerance of 2.5%, three launches against five, six gates."""
    held = [limits(sigma, 0.025) for sigma in (0.0, 0.005, 0.01, 0.02, 0.04)]
    assert [each.noise_floor for each in held] == pytest.approx([0.0, 0.0108, 0.0215, 0.0426, 0.0833], abs=1e-3)
    drops = [each.minimum_detectable_drop for each in held]
    assert drops == pytest.approx([0.025, 0.033, 0.041, 0.072, 0.139], abs=1e-3)


@pytest.mark.parametrize("must_detect", [0.0, -0.1, 1.0, 10.0, math.nan])
def test_a_drop_to_detect_that_is_no_share_is_refused(must_detect: float) -> None:
    """10 for 10% is the likeliest slip."""
    with pytest.raises(InvalidValueError, match="must_detect"):
        LaunchPolicy(must_detect=must_detect)


def test_what_to_do_about_noise_is_named() -> None:
    """Sigma 4%: another must_detect, or a longer median; a sigma of 50% leaves a quieter machine."""
    refusal = limits(0.04, 0.025).refusal
    assert refusal is not None
    assert "the smallest drop it catches is 13.9%, more than the 10% of must_detect" in refusal
    assert refusal.endswith(
        'set must_detect = 0.139 or take the median of 9 launches (launch_rule = "median") against a baseline of 9'
    )
    paired = limits(0.04, 0.025, POLICIES[3]).refusal
    assert paired is not None
    assert paired.endswith(" pairs")
    hopeless = limits(3.0, 0.025).refusal
    assert hopeless is not None
    assert hopeless.endswith("make the machine quieter: see docs/noise.md")


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
@given(st.floats(0.0005, 0.06), policies)
def test_a_cost_is_refused_exactly_where_its_throughput_is(sigma: float, policy: LaunchPolicy) -> None:
    """They are one measurement: a must_detect of a ninth of the cost is a tenth of the throughput."""
    throughput, cost = (
        limits(sigma, tolerance, replace(policy, must_detect=must_detect), metric)
        for metric, tolerance, must_detect in (
            (Metric.THROUGHPUT_PER_GPU, 0.03, 0.1),
            (Metric.COST, 1 / 0.97 - 1, 1 / 0.9 - 1),
        )
    )
    assert cost.too_noisy == throughput.too_noisy


@pytest.mark.parametrize(("kind", "launches"), [("median", 4), ("pairs", 2), ("first-good", 0)])
def test_a_policy_without_a_middle_is_refused(kind: str, launches: int) -> None:
    """The median of four launches is no launch, and no launch is no measurement."""
    with pytest.raises(InvalidValueError, match=r"LaunchPolicy|max_launches"):
        LaunchPolicy(kind, launches)  # type: ignore[arg-type]


def test_a_pass_needs_points_that_are_known_well_enough() -> None:
    """A sigma of the points beyond the launches' own takes the pass away where it would hide what must be detected."""
    held = limits(0.003)
    assert held.doubt(0.0) is None
    assert held.doubt(0.003) is None
    doubt = held.doubt(0.05)
    assert doubt is not None
    assert "leave a sigma of 5.0% on its value: too much to detect a drop of 10% (must_detect)" in doubt
    (unknown,) = suite_limits([(gate(), GateLaunches(gate().key, [1000.0]))], POLICIES[0])
    assert unknown.doubt(0.5) is None  # nothing is promised there


def test_launches_that_agree_better_than_their_points_are_known_do_not_lower_sigma() -> None:
    """Five equal values from points known to 3% are no sigma of 0."""
    lucky = [(gate(), GateLaunches(gate().key, [1000.0] * 5, 1.0, reading=0.02))]
    (held,) = suite_limits(lucky, POLICIES[0])
    assert held.noise is not None
    assert held.noise.sigma == 0.02
