"""Noise of a few launches worked out by hand: what is set aside, what is left, and what gates lend each other."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.analysis.curves.sweep import UNKNOWN_ERROR, Sweep, SweepPoint
from pytest_precgate.analysis.gating.noise import (
    GateNoise,
    qn_factor,
    reading_sigma,
    step_time_elasticity,
    suite_noise,
)
from pytest_precgate.errors import InvalidValueError
from tests.published import WORKLOAD

EULER = 0.57721566490153286
UNTRIMMED = 1.04


def values(*logs: float) -> list[float]:
    """Launches whose logarithms are these thousandths."""
    return [1000 * math.exp(log / 1000) for log in logs]


def noise(*logs: float) -> GateNoise:
    (found,) = suite_noise([values(*logs)], [1.0])
    return found


def test_the_factors_of_qn_are_the_published_ones() -> None:
    """Croux and Rousseeuw 1992, section 3 and table 2: 2.2219, a factor for each of 2 to 9 values, n / (n + 1.4) for
    more when odd and n / (n + 3.8) when even."""
    few = [0.399, 0.994, 0.512, 0.844, 0.611, 0.857, 0.669, 0.872]
    assert [qn_factor(launches) / 2.2219 for launches in range(2, 10)] == pytest.approx(few)
    assert [qn_factor(launches) / 2.2219 for launches in (10, 11, 12)] == pytest.approx(
        [10 / 13.8, 11 / 12.4, 12 / 15.8]
    )


@pytest.mark.parametrize(
    ("near", "median", "difference", "factor"),
    [
        ((0, 1), 1, 1, 0.994),  # of three differences the smallest
        ((0, 1, 3), 3, 3, 0.512),  # of six the third; the higher middle launch
        ((0, 1, 3, 6), 3, 3, 0.844),  # of ten the third
        ((0, 1, 3, 6, 10), 6, 5, 0.611),  # of fifteen the sixth
    ],
)
def test_a_launch_is_set_aside_beyond_two_and_a_half_scales(
    near: Sequence[float], median: float, difference: float, factor: float
) -> None:
    """Qn is a factor times one of the sorted differences; the farthest launch is put just inside and just beyond."""
    far = median + 2.5 * 2.2219 * factor * difference
    inside, beyond = noise(*near, far - 0.01), noise(far + 0.01, *near)
    assert (inside.set_aside, inside.outliers, inside.launches) == (0, frozenset(), len(near) + 1)
    assert (beyond.set_aside, beyond.outliers, beyond.launches) == (1, frozenset({0}), len(near) + 1)
    assert inside.sigma == pytest.approx(UNTRIMMED * statistics.stdev([*near, far - 0.01]) / 1000)
    assert beyond.sigma == pytest.approx(UNTRIMMED * statistics.stdev(near) / 1000)
    assert beyond.centre == pytest.approx(1000 * math.exp(statistics.fmean(near) / 1000))


def test_launches_set_aside_are_told_by_their_place() -> None:
    """Of equal values as many are kept as there are near ones; the others are counted once each."""
    assert noise(0, 80, 2, 1, 1, 80, 2).outliers == frozenset({1, 5})


def test_a_gate_s_own_scale_is_drawn_to_that_of_the_suite() -> None:
    """Beside one of nine launches that do not scatter: 4 of 12 degrees of the squares are common, and count as twelve
    beside its own four."""
    scale = 2.2219 * 0.844 * 3
    far = 3 + 2.5 * scale * math.sqrt((12 * 4 / 12 + 4) / 16)
    for shift, set_aside in ((-0.01, 0), (0.01, 1)):
        loud, still = suite_noise([values(0, 1, 3, 6, far + shift), values(*[0] * 9)], [1.0, 1.0])
        assert (loud.set_aside, still.set_aside) == (set_aside, 0)


def test_more_than_half_of_the_launches_count_though_only_half_are_near() -> None:
    """Two groups of three, far from each other: the higher middle one's, and the nearest of the other."""
    found = noise(0, 100, 0.1, 100.1, 0.2, 100.2)
    kept = (0.2, 100, 100.1, 100.2)
    assert found.outliers == frozenset({0, 2})
    assert found.sigma == pytest.approx(UNTRIMMED * statistics.stdev(kept) / 1000)
    assert noise(5, 5, 5, 5, 5).set_aside == 0  # all of them are at a distance of no scale
    same = noise(0, 100, 0, 100, 0, 100)
    assert (same.set_aside, same.outliers) == (2, frozenset({2, 4}))


def test_an_elasticity_alone_changes_nothing() -> None:
    """It says how gates differ; a single gate differs from nobody, near its limit too."""
    for far in (0.01, -0.01):
        launches = values(0, 1, 3, 3 + 2.5 * 2.2219 * 0.512 * 3 + far)
        (one,), (other,) = suite_noise([launches], [1.0]), suite_noise([launches], [2.5])
        assert (one.centre, one.set_aside) == (other.centre, other.set_aside)
        assert other.sigma == pytest.approx(one.sigma)


def test_what_gates_have_in_common_counts_by_their_launches() -> None:
    """Three launches of one gate and five of another: sums of squares 2 and 10 over 2 and 4 degrees, 12 of 6 in common.

    A gate's variance is that of twelve degrees of the common one and of its own. With an elasticity of 2 its launches
    scatter twice as much, and so does its sigma."""
    three, five = (-1, 0, 1), (-2, -1, 0, 1, 2)
    for elasticity in (1.0, 2.0):
        pair = [values(*three), values(*(elasticity * log for log in five))]
        quiet, loud = suite_noise(pair, [1.0, elasticity])
        assert quiet.sigma == pytest.approx(UNTRIMMED * math.sqrt((12 * 2 + 2) / 14) / 1000)
        assert loud.sigma == pytest.approx(elasticity * UNTRIMMED * math.sqrt((12 * 2 + 10) / 16) / 1000)


def suite(*variances: float) -> tuple[GateNoise, ...]:
    """Gates of three launches, -s, 0 and s, whose variance is ``s**2``: two degrees of freedom each."""
    each = [values(-1000 * root, 0, 1000 * root) for root in map(math.sqrt, variances)]
    return suite_noise(each, [1.0] * len(each))


def apart(gates: int, loud: int, excess: float) -> float:
    """How far, as a factor of the variance, ``loud`` of ``gates`` gates must be from the others so that their
    logarithms differ by ``excess`` more than chance explains.

    Of two degrees of freedom the logarithm of a variance has the variance pi**2 / 6 and the fourth cumulant pi**4 / 15
    (those of a Gumbel variable). Chance is that and three standard errors of a variance of so many of them."""
    own, fourth = math.pi**2 / 6, math.pi**4 / 15
    error = math.sqrt(2 * own**2 / (gates - 1) + fourth / gates)
    return math.exp(math.sqrt((excess + own + 3 * error) * gates * (gates - 1) / (loud * (gates - loud))))


def sigma_of(common: float, freedom: float, own: float) -> float:
    return UNTRIMMED * math.sqrt((freedom * common + 2 * own) / (freedom + 2))


@pytest.mark.parametrize(("gates", "loud"), [(6, 2), (3, 1)])
def test_gates_that_differ_beyond_chance_lend_each_other_less(gates: int, loud: int) -> None:
    """Smyth 2004: the common variance has the degrees at which trigamma of their half is the excess. An excess of pi
    squared by 6 is two degrees, at which the common variance is the geometric mean of the variances."""
    quiet = 1e-8
    noisy = quiet * apart(gates, loud, math.pi**2 / 6)
    found = suite(*[quiet] * (gates - loud), *[noisy] * loud)
    common = math.exp(statistics.fmean([math.log(quiet)] * (gates - loud) + [math.log(noisy)] * loud))
    assert found[0].sigma == pytest.approx(sigma_of(common, 2, quiet), rel=1e-3)
    assert found[-1].sigma == pytest.approx(sigma_of(common, 2, noisy), rel=1e-3)


@pytest.mark.parametrize(
    ("degrees", "excess", "digamma"), [(1, math.pi**2 / 2, -2 * math.log(2)), (4, math.pi**2 / 6 - 1, 1)]
)
def test_the_common_variance_is_a_mean_of_logarithms(degrees: int, excess: float, digamma: float) -> None:
    """Of one degree and of four, by the values of digamma (less Euler's constant) and trigamma at 1/2 and 2."""
    quiet = 1e-8
    noisy = quiet * apart(6, 2, excess)
    logs = [math.log(quiet)] * 4 + [math.log(noisy)] * 2
    # The logarithm of a variance of two degrees lies Euler's constant below that of the true one, in the mean.
    common = math.exp(statistics.fmean(logs) + EULER + digamma - EULER - math.log(degrees / 2))
    found = suite(*[quiet] * 4, *[noisy] * 2)
    assert found[0].sigma == pytest.approx(sigma_of(common, degrees, quiet), rel=1e-3)
    assert found[-1].sigma == pytest.approx(sigma_of(common, degrees, noisy), rel=1e-3)


def test_gates_of_more_launches_are_known_better() -> None:
    """Four gates of two degrees beside two of four, whose logarithm lies 1 - log(2) less below the true one, and has
    the variance pi**2 / 6 - 1 and the fourth cumulant pi**4 / 15 - 6: chance is the mean of these."""
    own, fourth = math.pi**2 / 6 - 1 / 3, math.pi**4 / 15 - 2
    error = math.sqrt(2 * own**2 / 5 + fourth / 6)
    between = math.sqrt((math.pi**2 / 6 + own + 3 * error) * 30 / 8)
    quiet = 1e-8
    noisy = quiet * math.exp(between + 1 - math.log(2))
    step = 1000 * math.sqrt(noisy / 2.5)
    threes = [values(-1000 * math.sqrt(quiet), 0, 1000 * math.sqrt(quiet))] * 4
    found = suite_noise([*threes, *[values(*(step * log for log in (-2, -1, 0, 1, 2)))] * 2], [1.0] * 6)
    common = quiet * math.exp(between / 3)
    assert found[0].sigma == pytest.approx(sigma_of(common, 2, quiet), rel=1e-3)
    assert found[-1].sigma == pytest.approx(UNTRIMMED * math.sqrt((2 * common + 4 * noisy) / 6), rel=1e-3)


def test_gates_that_differ_by_less_share_one_variance_of_twelve_degrees() -> None:
    """Up to the excess of twelve degrees, trigamma of 6 or pi**2 / 6 - 5269 / 3600, it is the mean of the variances."""
    quiet, twelve = 1e-8, math.pi**2 / 6 - 5269 / 3600
    told, untold = (quiet * apart(6, 2, excess) for excess in (1.01 * twelve, 0.99 * twelve))
    pooled = statistics.fmean([quiet] * 4 + [untold] * 2)
    assert suite(*[quiet] * 4, untold, untold)[0].sigma == pytest.approx(sigma_of(pooled, 12, quiet))
    assert suite(*[quiet] * 4, told, told)[0].sigma < 0.9 * sigma_of(pooled, 12, quiet)


def test_two_gates_and_gates_without_scatter_tell_nothing_of_how_gates_differ() -> None:
    """However far apart they are, their variances have one mean."""
    for variances in ((1e-8, 1e-2), (0.0, 1e-8, 1e-2)):
        common = statistics.fmean(variances)
        for found, own in zip(suite(*variances), variances, strict=True):
            assert found.sigma == pytest.approx(sigma_of(common, 12, own))


def test_launches_that_agree_by_chance_are_no_quieter_gate_than_three_standard_errors_of_a_logarithm() -> None:
    """Beyond that, how well they agree changes nothing for the other gates; a gate far louder does."""
    floor = 1e-8 * math.exp(-3 * math.pi / math.sqrt(6))
    loud = 1e-8 * apart(6, 2, 5.0)
    same = [suite(*[1e-8] * 3, quiet, loud, loud)[0].sigma for quiet in (1.001 * floor, floor, 0.999 * floor, 1e-15)]
    assert same[0] != pytest.approx(same[1], rel=1e-7)
    assert same[1:] == pytest.approx([same[1]] * 3, rel=1e-9)


def test_a_suite_without_gates_has_no_noise() -> None:
    """And a gate of two launches is refused by its number."""
    assert suite_noise([], []) == ()
    with pytest.raises(InvalidValueError, match="suite_noise: gate 1 has 2 launches, wanted at least 3"):
        suite_noise([[1.0, 1.0, 1.0], [1.0, 1.0]], [1.0, 1.0])


@pytest.mark.parametrize("sigma", [-0.01, math.nan, math.inf])
def test_a_sigma_is_a_finite_share(sigma: float) -> None:
    """0 is one: values that repeat exactly."""
    assert GateNoise(1.0, 0.0, 3).sigma == 0
    with pytest.raises(InvalidValueError, match="wanted a finite share of at least 0"):
        GateNoise(1.0, sigma, 3)


def test_a_noise_is_of_launches_around_a_centre() -> None:
    """None set aside and all worth one, if nothing else is said; which ones were set aside makes no other noise."""
    plain = GateNoise(1.0, 0.01, 3)
    assert (plain.set_aside, plain.has_errors, plain.worth, plain.outliers) == (0, True, None, frozenset())
    assert GateNoise(1.0, 0.01, 3, outliers=frozenset({1})) == plain
    with pytest.raises(InvalidValueError, match=r"GateNoise\.centre: got 0"):
        GateNoise(0.0, 0.01, 3)
    with pytest.raises(InvalidValueError, match=r"GateNoise\.launches: got 0"):
        GateNoise(1.0, 0.01, 0)


def curve(*points: tuple[float, float], errors: dict[float, float] | None = None) -> Curve:
    known = errors or {}
    rows = [SweepPoint(n, 4, speed, value, short_error=known.get(speed)) for n, (speed, value) in enumerate(points, 1)]
    return Curve(Sweep("fp4", WORKLOAD, "b200", rows), hardware_named("b200"))


@pytest.mark.parametrize(
    ("points", "low", "high"),
    [
        (((50, 900), (90, 500), (100, 400), (110, 200), (150, 100)), 90, 110),
        (((95, 500), (100, 400), (104, 300)), 95, 104),
        (((100, 400), (110, 200), (150, 100)), 100, 110),
        (((50, 900), (90, 500), (100, 400)), 90, 100),
    ],
)
def test_the_slope_is_taken_over_a_tenth_on_either_side_inside_the_curve(
    points: Sequence[tuple[float, float]], low: float, high: float
) -> None:
    """Points lie where it begins and ends, so the slope is that of two points."""
    at = dict(points)
    slope = math.log(at[high] / at[low]) / math.log(high / low)
    assert step_time_elasticity([[curve(*points)]], 100) == pytest.approx(1 - slope)


def test_the_elasticity_of_launches_is_their_median() -> None:
    """A launch with a point far off does not count."""
    flat, steep, wild = (curve((90, 500), (100, 400), (110, high)) for high in (300, 290, 10))
    assert step_time_elasticity([[flat], [steep], [wild]], 100) == step_time_elasticity([[steep]], 100)


POINTS = ((90, 500), (100, 400), (110, 300), (120, 200))


@pytest.mark.parametrize(
    ("at", "errors", "share"),
    [
        (105, {100: 0.02}, 0.02),
        (105, {110: 0.02}, 0.02),
        (105, {100: 0.01, 110: 0.02}, 0.02),
        (105, {90: 0.02, 120: 0.02}, 0.0),
        (100, {100: 0.02}, 0.02),
        (100, {90: 0.02, 110: 0.02}, 0.0),
        (90, {90: 0.02}, 0.02),
        (90, {100: 0.02}, 0.0),
        (120, {120: 0.02}, 0.02),
        (120, {110: 0.02}, 0.0),
    ],
)
def test_only_the_points_that_bracket_a_value_leave_an_error_on_it(
    at: float, errors: dict[float, float], share: float
) -> None:
    """The larger one of the two; on a point, that point alone."""
    read = curve(*POINTS, errors=errors)
    expected = share / 1.645 * step_time_elasticity([[read]], at)
    assert reading_sigma([[read]], at) == pytest.approx(expected)


def test_an_error_of_one_launch_of_three_is_a_root_mean_square() -> None:
    """Of all launches, those that know better included."""
    short, known = curve(*POINTS, errors={100: 0.02}), curve(*POINTS)
    assert reading_sigma([[known], [short], [known]], 105) == pytest.approx(
        reading_sigma([[short]], 105) / math.sqrt(3)
    )


def test_an_unknown_error_of_a_bracketing_point_is_no_number() -> None:
    """However many launches know theirs."""
    read = curve(*POINTS, errors={100: UNKNOWN_ERROR})
    assert reading_sigma([[curve(*POINTS)], [read]], 105) == math.inf
    assert reading_sigma([[read]], 115) == 0
