"""What a policy takes, and what limits say: figures by their definitions, texts to the letter."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.limits import (
    MOST_LAUNCHES,
    GateLimits,
    Kind,
    LaunchPolicy,
    rounded_up,
    suite_limits,
)
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.power import Design, detectable_drop, largest_sigma, noise_line
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate

FIRST_GOOD, MEDIAN, PAIRS = LaunchPolicy(), LaunchPolicy("median", 5), LaunchPolicy("pairs", 5)


def limits(
    sigma: float,
    tolerance: float = 0.05,
    policy: LaunchPolicy = FIRST_GOOD,
    metric: Metric = Metric.THROUGHPUT_PER_GPU,
    implausible: float = 0.9,
) -> GateLimits:
    """Of a gate of five baseline launches, one of six that scatter independently."""
    noise = GateNoise(1000, sigma, 5)
    return policy.limits(gate(tolerance, metric, implausible=implausible), 1000, policy.design(5, 6), noise)


def share(log: float) -> float:
    """The loss of a throughput whose logarithm falls by so much."""
    return 1 - math.exp(-log)


@pytest.mark.parametrize(
    ("policy", "text", "good"),
    [
        (LaunchPolicy("first-good", 1), "first good of 1 launch", 1),
        (LaunchPolicy("first-good", 4), "first good of 4 launches", 1),
        (LaunchPolicy("median", 1), "median of 1 launch", 1),
        (LaunchPolicy("median", 5), "median of 5 launches", 3),
        (LaunchPolicy("pairs", 7), "median of 7 pairs", 4),
    ],
)
def test_a_policy_says_what_it_takes(policy: LaunchPolicy, text: str, good: int) -> None:
    """One good launch, or more than half of them; pairs bring their own baseline."""
    assert (str(policy), policy.good) == (text, good)
    assert policy.design(8, 6) == Design(policy.launches, good, 8, 6, paired=policy.kind == "pairs")
    assert (FIRST_GOOD.kind, FIRST_GOOD.launches, FIRST_GOOD.must_detect) == ("first-good", 3, None)


def test_a_number_of_launches_has_an_end() -> None:
    """A thousand; and a median of an even number of launches is none of them."""
    assert LaunchPolicy("first-good", MOST_LAUNCHES).launches == 1000
    with pytest.raises(InvalidValueError, match=r"^max_launches: got 1001, wanted at most 1000 launches$"):
        LaunchPolicy("first-good", 1001)
    kinds: tuple[Kind, Kind] = ("median", "pairs")
    for kind in kinds:
        with pytest.raises(
            InvalidValueError, match=r"^max_launches: got 4, wanted an odd number for a median, such as 3 or 5$"
        ):
            LaunchPolicy(kind, 4)


@pytest.mark.parametrize(
    ("tolerance", "asked", "must_detect"),
    [(0.025, None, 0.1), (0.05, None, 0.1), (0.06, None, 0.12), (0.06, 0.07, 0.07)],
)
def test_what_must_be_detected_is_ten_percent_or_twice_the_tolerance(
    tolerance: float, asked: float | None, must_detect: float
) -> None:
    """Or what the suite says."""
    assert limits(0.0, tolerance, replace(FIRST_GOOD, must_detect=asked)).must_detect == must_detect


@pytest.mark.parametrize("sigma", [0.0, 0.005, 0.03])
@pytest.mark.parametrize("metric", [Metric.THROUGHPUT_PER_GPU, Metric.COST])
def test_a_loss_is_clear_six_sigma_beyond_its_limit(sigma: float, metric: Metric) -> None:
    """On the logarithm: of the tolerance, or of the noise floor where that is more."""
    held = limits(sigma, 0.05, metric=metric)
    assert held.clear_beyond is not None
    is_throughput = metric is Metric.THROUGHPUT_PER_GPU
    tolerance = -math.log(0.95) if is_throughput else math.log(1.05)
    log = max(tolerance, noise_line(held.design) * sigma) + 6 * sigma
    assert held.clear_beyond == pytest.approx(share(log) if is_throughput else math.exp(log) - 1)


def test_a_gate_that_detects_exactly_what_it_must_is_not_too_noisy() -> None:
    """But for rounding: without noise the smallest drop is the tolerance."""
    still = limits(0.0, 0.03, replace(FIRST_GOOD, must_detect=0.03))
    assert not still.too_noisy
    assert not replace(still, must_detect=0.03 - 5e-10).too_noisy
    assert replace(still, must_detect=0.03 - 2e-9).too_noisy


@pytest.mark.parametrize("policy", [FIRST_GOOD, PAIRS])
def test_a_drop_that_is_caught_lies_beyond_the_limit_by_what_the_rule_takes(policy: LaunchPolicy) -> None:
    """In units of sigma; its upper end takes the largest sigma at the same limit."""
    held = limits(0.01, 0.05, policy)
    limit = -math.log(0.95)
    assert held.minimum_detectable_drop == pytest.approx(share(0.01 * detectable_drop(held.design, limit / 0.01)))
    most = 0.01 * largest_sigma(held.design)
    assert held.largest_detectable_drop == pytest.approx(share(most * detectable_drop(held.design, limit / most)))


@pytest.mark.parametrize(("sigma", "is_noise"), [(0.9e-9, False), (1.1e-9, True)])
def test_a_sigma_of_rounding_is_none(sigma: float, is_noise: bool) -> None:
    """Values that are equal but for their last bits."""
    assert (limits(sigma).noise_floor != 0.0) is is_noise
    assert (limits(sigma).minimum_detectable_drop != limits(0.0).minimum_detectable_drop) is is_noise


def test_points_whose_error_is_unknown_are_doubted_where_the_baseline_s_is_known() -> None:
    """A finite one is doubted where it hides what must be detected; what the launches' own noise covers is not."""
    held = limits(0.01)
    assert [held.doubt(reading) for reading in (0.0, 0.01, 0.011)] == [None, None, None]
    assert held.doubt(math.inf) == (
        "its points ended before their error could be estimated, and the baseline's points have an estimate; give them "
        "more time with window_limit_s"
    )
    assert held.doubt(0.05) == (
        "its points ended before they reached point_error, and leave a sigma of 5.0% on its value: too much to detect "
        "a drop of 10% (must_detect); give them more time with window_limit_s"
    )
    assert held.noise is not None
    unknown = replace(held, noise=replace(held.noise, has_errors=False))
    assert unknown.doubt(math.inf) is None
    assert unknown.doubt(0.05) == held.doubt(0.05)
    assert replace(held, noise=None).doubt(math.inf) is None


@pytest.mark.parametrize("tolerance", [0.02, 0.3, 0.6])
def test_a_point_may_lose_twice_the_tolerance_or_its_own_noise_floor(tolerance: float) -> None:
    """Never everything. Its noise is that of the value and of the point around it; points share the false alarms."""
    held = limits(0.01, tolerance)
    least = {0.02: 0.04, 0.3: 0.6, 0.6: 0.99}[tolerance]
    assert replace(held, noise=None).point_limit(0.5, 4) == least
    assert limits(0.0, tolerance).point_limit(0.0, 4) == least
    line = noise_line(replace(held.design, gates=24))
    assert held.point_limit(0.03, 4) == pytest.approx(max(least, share(line * math.hypot(0.01, 0.03))))
    assert (held.point_limit(0.03, 4) > least) is (tolerance == 0.02)


def fewest(policy: LaunchPolicy, sigma: float, wanted: float, *, of_floor: bool) -> int | None:
    """The smallest longer median against as many launches whose figure is at most ``wanted``, up to 21."""
    for n in range(5 if policy.launches < 5 else 7, 22, 2):
        longer = replace(limits(sigma, 0.025, policy), design=Design(n, (n + 1) // 2, n, 6, policy.kind == "pairs"))
        figure = longer.noise_floor if of_floor else longer.largest_detectable_drop
        if figure is not None and figure <= wanted:
            return n
    return None


@pytest.mark.parametrize(("sigma", "drop"), [(0.04, "13.9"), (0.06, "20.1")])
@pytest.mark.parametrize("policy", [FIRST_GOOD, PAIRS], ids=str)
def test_a_refusal_names_the_noise_the_drop_and_what_would_help(policy: LaunchPolicy, sigma: float, drop: str) -> None:
    """must_detect as large as the drop, rounded up; or as many launches as make the upper end of the drop fit."""
    held = limits(sigma, 0.025, policy)
    assert held.minimum_detectable_drop is not None
    seen = math.ceil(1000 * held.minimum_detectable_drop) / 1000
    if policy is FIRST_GOOD:
        assert f"{100 * seen:g}" == drop
    needed = fewest(policy, sigma, 0.1, of_floor=False)
    longer = f'the median of {needed} launches (launch_rule = "median") against a baseline of {needed}'
    more = "" if needed is None else f" or take {longer if policy is FIRST_GOOD else f'{needed} pairs'}"
    assert held.refusal == (
        f"its launches scatter by {sigma:.1%} (sigma, 5 launches), so the smallest drop it catches is {100 * seen:g}%, "
        f"more than the 10% of must_detect; set must_detect = {seen:g}{more}"
    )


def test_a_drop_of_everything_is_no_must_detect() -> None:
    """A cost may double: there is no share below 1 to set."""
    held = limits(0.2, 0.025, metric=Metric.COST)
    refusal = held.refusal
    assert held.minimum_detectable_drop is not None
    assert 1 < held.minimum_detectable_drop < 2
    assert refusal is not None
    assert refusal.endswith("of must_detect; make the machine quieter: see docs/noise.md")


@pytest.mark.parametrize("policy", [FIRST_GOOD, MEDIAN, PAIRS], ids=str)
def test_a_loss_inside_the_noise_floor_is_settled_by_a_wider_tolerance_or_more_launches(policy: LaunchPolicy) -> None:
    """The floor, rounded up; and as many launches as bring the floor to the tolerance. A wider tolerance that detects
    too little needs a must_detect as well."""
    sigma = 0.02
    held = limits(sigma, 0.025, policy)
    floor = math.ceil(1000 * held.fails_beyond) / 1000
    needed = fewest(policy, sigma, 0.025, of_floor=True)
    assert needed is not None
    longer = f'the median of {needed} launches (launch_rule = "median") against a baseline of {needed}'
    take = f"take {f'{needed} pairs' if policy is PAIRS else longer}"
    assert held.remedies == f"set a tolerance of {100 * floor:g}% or {take}"
    strict = replace(held, must_detect=0.05)
    wider = replace(strict, gate=replace(held.gate, tolerance=floor))
    assert wider.minimum_detectable_drop is not None
    asked = math.ceil(1000 * wider.minimum_detectable_drop) / 1000
    assert strict.remedies == f"set a tolerance of {100 * floor:g}% and must_detect = {asked:g} or {take}"


def test_no_more_than_21_launches_are_advised() -> None:
    """Where the floor of a median of 21 just meets the tolerance they are; where it just does not, more would be."""
    longest = Design(21, 11, 21, 6)
    most = -math.log(1 - 0.025) / noise_line(longest)
    for sigma, is_advised in ((0.999 * most, True), (1.001 * most, False)):
        advice = limits(sigma, 0.025).remedies
        assert ("take the median of 21 launches" in advice) is is_advised
        assert (" or take " in advice) is is_advised


def test_a_tolerance_that_is_no_longer_plausible_is_not_advised() -> None:
    """The floor must lie below the gain that is taken for an error of measurement."""
    held = limits(0.02, 0.025)
    floor = rounded_up(held.fails_beyond)
    for implausible, is_advised in ((floor, False), (floor + 0.001, True)):
        narrow = replace(held, gate=replace(held.gate, implausible=implausible))
        assert narrow.remedies.startswith("set a tolerance of") is is_advised
    still = limits(0.2, 0.025, implausible=0.03)
    assert still.remedies == "make the machine quieter: see docs/noise.md"


@pytest.mark.parametrize(
    ("share", "rounded"),
    [(0.1, 0.1), (0.1001, 0.101), (0.1 + 1e-13, 0.1), (0.1 + 1.5e-12, 0.101), (0.1 + 1e-11, 0.101), (0.0009, 0.001)],
)
def test_what_is_advised_is_rounded_up_to_a_tenth_of_a_percent(share: float, rounded: float) -> None:
    """But for the last bits."""
    assert rounded_up(share) == rounded


def test_limits_rest_on_the_launches_that_a_baseline_is_worth() -> None:
    """Two launches have a median and no noise; three have one; of a few days they are worth fewer than they are."""
    held = gate(0.025)

    def of(values: list[float], groups: tuple[str, ...] | None = None) -> GateLimits:
        (found,) = suite_limits([(held, GateLaunches(held.key, values, groups=groups))], FIRST_GOOD)
        return found

    two, three = of([1000.0, 1010.0]), of([1000.0, 1010.0, 1020.0])
    assert (two.centre, two.noise, two.design) == (1005.0, None, FIRST_GOOD.design(2, 1))
    assert three.noise is not None
    assert (three.centre, three.design) == (three.noise.centre, FIRST_GOOD.design(3, 1))
    days = of([1000.0, 1001.0, 1040.0, 1041.0], ("a", "a", "b", "b"))
    assert days.noise is not None
    assert days.noise.worth == 2
    assert days.design == FIRST_GOOD.design(2, 1)
    lonely = suite_limits([(held, GateLaunches(held.key, [1000.0]))], FIRST_GOOD, SuiteNoise({}, 0))
    assert lonely[0].design == FIRST_GOOD.design(1, 1)
