"""How much launches scatter: what sigma is, what it ignores, what gates lend each other."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.noise import (
    LEAST_LAUNCHES,
    qn_factor,
    reading_sigma,
    step_time_elasticity,
    suite_noise,
)
from pytest_precgate.errors import InvalidValueError, OutsideSweepError
from tests.published import WORKLOAD, kimi

unhurried = settings(deadline=None)

values = st.lists(st.floats(0.1, 1e4), min_size=3, max_size=9)


def scattered(seed: int, sigma: float, launches: int, gates: int) -> list[list[float]]:
    draw = random.Random(seed)
    return [[1000 * math.exp(draw.gauss(0, sigma)) for _ in range(launches)] for _ in range(gates)]


@pytest.mark.parametrize("launches", [3, 4, 5, 6, 8, 12])
def test_sigma_is_that_of_normal_launches(launches: int) -> None:
    """Over many suites of six gates its mean square is the true one within 10%."""
    sigmas = [suite_noise(scattered(seed, 0.01, launches, 6), [1.0] * 6)[0].sigma for seed in range(400)]
    assert math.sqrt(statistics.fmean(sigma**2 for sigma in sigmas)) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("launches", [3, 5, 6, 9, 10, 11])
def test_the_robust_scale_is_unbiased(launches: int) -> None:
    """The published factors of Qn turn its order statistic into the sigma of normal values."""
    draw = random.Random(launches)
    half = launches // 2 + 1
    scales = []
    for _ in range(4000):
        sample = [draw.gauss(0, 1) for _ in range(launches)]
        apart = sorted(abs(a - b) for i, a in enumerate(sample) for b in sample[:i])
        scales.append(qn_factor(launches) * apart[math.comb(half, 2) - 1])
    assert statistics.fmean(scales) == pytest.approx(1, rel=0.05)


def test_a_launch_far_below_the_others_is_set_aside() -> None:
    """One of five launches 10% low moves neither centre nor sigma of a gate that scatters by a percent."""
    clean = suite_noise([[1000, 1004, 991, 1010, 998]], [1.0])[0]
    strayed = suite_noise([[1000, 1004, 991, 1010, 898]], [1.0])[0]
    assert (clean.set_aside, strayed.set_aside) == (0, 1)
    assert strayed.centre == pytest.approx(clean.centre, rel=0.005)
    assert strayed.sigma < 0.015


@unhurried
@given(st.lists(st.lists(st.floats(0.1, 1e4), min_size=5, max_size=5), min_size=1, max_size=4))
def test_more_than_half_of_the_launches_always_count(suite: list[list[float]]) -> None:
    """For any values; and the centre lies between the smallest and the largest."""
    for noise, launches in zip(suite_noise(suite, [1.0] * len(suite)), suite, strict=True):
        assert noise.launches - noise.set_aside >= 3
        assert min(launches) * (1 - 1e-9) <= noise.centre <= max(launches) * (1 + 1e-9)


@unhurried
@given(values, st.randoms(use_true_random=False))
def test_the_order_of_launches_does_not_matter(launches: list[float], shuffler: random.Random) -> None:
    """The same launches in another order are the same noise, to the last bit."""
    shuffled = launches[:]
    shuffler.shuffle(shuffled)
    assert suite_noise([launches], [1.0]) == suite_noise([shuffled], [1.0])


@unhurried
@given(values, st.floats(1e-3, 1e3))
def test_sigma_has_no_unit(launches: list[float], factor: float) -> None:
    """Values in another unit have another centre and the same sigma."""
    one, other = (suite_noise([side], [1.0])[0] for side in (launches, [factor * value for value in launches]))
    assert other.sigma == pytest.approx(one.sigma, rel=1e-6, abs=1e-9)
    assert other.centre == pytest.approx(factor * one.centre, rel=1e-9)


def test_identical_launches_have_no_noise() -> None:
    """A recorded file read five times scatters by rounding at most."""
    noise = suite_noise([[712.9] * 5], [1.0])[0]
    assert noise.sigma < 1e-12
    assert noise.centre == pytest.approx(712.9, rel=1e-12)


def test_gates_lend_each_other_their_launches() -> None:
    """Five launches that happen to agree make no quiet gate among noisy ones; five that differ, hardly a loud one."""
    noisy = scattered(1, 0.01, 5, 6)
    still = suite_noise([*noisy, [1000.0] * 5], [1.0] * 7)[-1]
    assert 0.004 < still.sigma < 0.01
    loud = suite_noise([*noisy, [1000, 1030, 970, 1020, 985]], [1.0] * 7)[-1]
    assert 0.01 < loud.sigma < suite_noise([[1000, 1030, 970, 1020, 985]], [1.0])[0].sigma


def test_the_suite_s_sigma_weighs_as_much_as_twelve_launches() -> None:
    """Five launches without scatter beside five with all of it: the shares of the variance are 12 : 12 + 8.

    Two gates have 2 * 4 degrees of freedom, so the pooled variance is an eighth of the only sum of squares there is;
    what is missing from normal launches because far ones are set aside is 4% of sigma (docs/noise.md).
    """
    logs = [-0.01, -0.005, 0.0, 0.005, 0.01]
    still, loud = suite_noise([[1000.0] * 5, [1000 * math.exp(log) for log in logs]], [1.0, 1.0])
    assert (still.set_aside, loud.set_aside) == (0, 0)
    pooled = math.fsum(log**2 for log in logs) / 8
    assert still.sigma == pytest.approx(1.04 * math.sqrt(12 * pooled / 16))
    assert loud.sigma == pytest.approx(1.04 * math.sqrt(20 * pooled / 16))


def test_a_quiet_gate_is_not_called_noisy_by_gates_fifty_times_as_noisy() -> None:
    """The coefficients of variation that vLLM issue 53436 reports of one server by concurrency, 1 to 32: with one
    sigma for all, the quiet gates would be called 6.5% and refused. Median of 100 baselines of five launches."""
    true = (0.0985, 0.1965, 0.075, 0.0039, 0.0036, 0.0064)
    draw, stated = random.Random(4), []
    for _ in range(100):
        suite = [[1000 * math.exp(draw.gauss(0, sigma)) for _ in range(5)] for sigma in true]
        stated.append([noise.sigma for noise in suite_noise(suite, [1.0] * 6)])
    middle = [statistics.median(each) for each in zip(*stated, strict=True)]
    assert all(0.5 < found / sigma < 1.5 for found, sigma in zip(middle, true, strict=True))


def test_gates_of_one_noise_are_seldom_told_apart() -> None:
    """Launches that agree by chance make no quiet gate: else unchanged launches fail it, and the next baseline is
    called louder. A rule of two standard errors told gates apart in 12% of such suites."""
    told_apart = 0
    for seed in range(200):
        sigmas = [noise.sigma for noise in suite_noise(scattered(seed, 0.005, 5, 6), [1.0] * 6)]
        told_apart += min(sigmas) < max(sigmas) / 2.5
    assert told_apart <= 6


def test_an_elasticity_says_how_gates_differ() -> None:
    """Gates that scatter 1 : 4 have sigmas 1 : 4 when told, and stretching all of them alike changes nothing."""
    draw = random.Random(2)
    steps = [draw.gauss(0, 0.005) for _ in range(5)]
    suite = [[100 * math.exp(elasticity * step) for step in steps] for elasticity in (1, 2, 4)]
    told = suite_noise(suite, [1, 2, 4])
    assert told[2].sigma == pytest.approx(4 * told[0].sigma)
    assert [noise.sigma for noise in suite_noise(suite, [3, 6, 12])] == pytest.approx([noise.sigma for noise in told])
    untold = suite_noise(suite, [1, 1, 1])
    assert untold[0].sigma > told[0].sigma
    assert untold[2].sigma < told[2].sigma


@pytest.mark.parametrize("suite", [[[1.0, 1.0]], [[1.0, 0.0, 1.0]], [[1.0, math.nan, 1.0]]])
def test_too_few_or_impossible_values_are_refused(suite: list[list[float]]) -> None:
    """Two launches tell no sigma, and a value that is none tells nothing."""
    assert LEAST_LAUNCHES == 3
    with pytest.raises(InvalidValueError, match="suite_noise"):
        suite_noise(suite, [1.0])


@pytest.mark.parametrize("point", [40, 55, 73, 91, 105])
@pytest.mark.parametrize("precision", ["fp4", "int4"])
def test_a_slower_step_moves_a_gate_by_its_elasticity(precision: str, point: float) -> None:
    """Every step 0.1% longer lowers throughput and interactivity of each recorded point by 0.1%; the curve read at a
    fixed interactivity falls by the elasticity times that, which is 1.8 to 3 on the published Kimi K2.5 points."""
    sweep = kimi(precision)
    slower = [
        SweepPoint(p.concurrency, p.gpus, p.interactivity / 1.001, p.throughput_per_gpu / 1.001, p.configuration)
        for p in sweep.points
    ]
    before, after = (
        Curve(each, hardware_named("b200")) for each in (sweep, Sweep(precision, WORKLOAD, "b200", slower))
    )
    moved = 1 - after.at(point).throughput_per_gpu / before.at(point).throughput_per_gpu
    elasticity = step_time_elasticity([[before]], point)
    assert moved == pytest.approx(0.001 * elasticity, rel=0.15)  # the slope is that of 10% on either side
    assert 1.8 < elasticity < 3.3


def test_a_ratio_has_the_elasticity_of_two_independent_launches() -> None:
    """The two precisions are launched apart, so their scatter adds as squares; off the range there is none."""
    curves = [Curve(kimi(precision), hardware_named("b200")) for precision in ("fp4", "int4")]
    alone = [step_time_elasticity([[curve]], 73) for curve in curves]
    assert step_time_elasticity([curves], 73) == pytest.approx(math.hypot(*alone))
    with pytest.raises(OutsideSweepError):
        step_time_elasticity([curves], 150)
    assert step_time_elasticity([curves[:1]], curves[0].span[0]) > 1


def test_the_elasticity_of_noisy_launches_is_their_median_over_a_tenth_of_the_curve() -> None:
    """0.5% of noise on every point: over 200 baselines of five launches the range that holds nine in ten is less than
    1.7 wide, around the true 2.4."""
    draw, sweep = random.Random(5), kimi("fp4")

    def launch() -> Curve:
        points = [
            replace(
                point,
                interactivity=point.interactivity * math.exp(draw.gauss(0, 0.005)),
                throughput_per_gpu=point.throughput_per_gpu * math.exp(draw.gauss(0, 0.005)),
            )
            for point in sweep.points
        ]
        return Curve(replace(sweep, points=points), hardware_named("b200"))

    true = step_time_elasticity([[Curve(sweep, hardware_named("b200"))]], 73)
    found = sorted(step_time_elasticity([[launch()] for _ in range(5)], 73) for _ in range(200))
    assert found[10] < true < found[189]
    assert found[189] - found[10] < 1.7


def curve_with(errors: dict[int, float]) -> Curve:
    """Throughput falls as interactivity squared rises; the points at some interactivities ended early."""
    points = [
        SweepPoint(100 - speed, 4, speed, 1e6 / speed**2, short_error=errors.get(speed)) for speed in (40, 50, 60, 80)
    ]
    return Curve(Sweep("fp4", WORKLOAD, "b200", points), hardware_named("b200"))


def test_points_that_ended_early_leave_a_sigma_on_what_is_read_between_them() -> None:
    """Half-width by 1.645, stretched as the value is by a pace; points elsewhere on the curve do not count."""
    short = curve_with({50: 0.0329, 80: 0.5})
    elasticity = step_time_elasticity([[short]], 55)
    assert reading_sigma([[short]], 55) == pytest.approx(0.02 * elasticity)
    assert reading_sigma([[short], [curve_with({})]], 55) == pytest.approx(0.02 * elasticity / math.sqrt(2))
    assert reading_sigma([[short, short]], 55) == pytest.approx(0.02 * elasticity * math.sqrt(2))
    assert reading_sigma([[curve_with({80: 0.5})]], 55) == 0
    assert reading_sigma([[curve_with({50: 0.0329})]], 50) == pytest.approx(0.02 * step_time_elasticity([[short]], 50))
