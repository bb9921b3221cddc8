"""What a number of launches can tell, held against simulation and against itself."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.power import (
    FALSE_ALARM_RATE,
    OUTLIER_RATE,
    TARGET_POWER,
    Design,
    detectable_drop,
    failing_share,
    largest_sigma,
    least_median,
    noise_line,
)
from pytest_precgate.errors import InvalidValueError

unhurried = settings(deadline=None)  # the first design of its kind is computed, the others remembered

THREE = Design(launches=3, good=1, baseline=5, gates=6)
MEDIAN = Design(launches=5, good=3, baseline=5, gates=6)
PAIRS = Design(5, 3, 5, 6, paired=True)
designs = st.sampled_from([THREE, MEDIAN, Design(1, 1, 5, 6), PAIRS, Design(2, 1, 8, 12)])


@pytest.mark.parametrize("design", [THREE, MEDIAN, PAIRS], ids=["three", "median", "pairs"])
@pytest.mark.parametrize("drop", [0.0, 2.0, 3.5])
def test_the_share_that_fails_is_what_simulation_counts(design: Design, drop: float) -> None:
    """20000 gates of the model drawn one by one: the share that fails agrees within four standard errors."""
    draw, line, runs, failed = random.Random(7), noise_line(design), 20_000, 0
    for _ in range(runs):
        centre = draw.gauss(0, design.centre_sigma)
        beyond = sum(
            draw.random() < OUTLIER_RATE or draw.gauss(-drop - centre, 1) < -line for _ in range(design.launches)
        )
        failed += beyond >= design.to_fail
    share = failing_share(design, line, drop)
    assert failed / runs == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / runs))


@pytest.mark.parametrize("design", [THREE, MEDIAN, Design(3, 1, 5, 1)], ids=["three", "median", "one gate"])
def test_a_suite_rarely_fails_by_noise_alone(design: Design) -> None:
    """1% of unchanged suites, with a sigma estimated from a chi distribution of the design's degrees of freedom: 40000
    suites drawn, gates scattering independently around centres of their own."""
    draw, line, runs, failed = np.random.default_rng(3), noise_line(design), 40_000, 0
    sigma = np.sqrt(draw.chisquare(design.freedom, (runs, design.gates, 1)) / design.freedom)
    centre = draw.normal(0, design.centre_sigma, (runs, design.gates, 1))
    shape = (runs, design.gates, design.launches)
    beyond = (draw.random(shape) < OUTLIER_RATE) | (draw.normal(-centre, 1, shape) < -line * sigma)
    failed = int((beyond.sum(axis=2) >= design.to_fail).any(axis=1).sum())
    outliers = 1 - (1 - failing_share(design, math.inf)) ** design.gates
    assert failed / runs == pytest.approx(FALSE_ALARM_RATE + outliers, abs=0.0025)


@unhurried
@given(designs, st.sampled_from([TARGET_POWER, 0.9]))
def test_the_detectable_drop_fails_as_often_as_asked(design: Design, share: float) -> None:
    """The drop returned fails with the probability asked for, and smaller ones less often."""
    line = noise_line(design)
    drop = detectable_drop(design, line, share)
    assert failing_share(design, line, drop) == pytest.approx(share, abs=1e-3)
    assert failing_share(design, line, drop - 0.1) < share


def test_more_gates_cost_sensitivity_and_more_launches_buy_it() -> None:
    """Eighteen gates see less than one; ten baseline launches more than five; a median of nine more than of five."""

    def drop(design: Design) -> float:
        return detectable_drop(design, noise_line(design))

    assert drop(Design(3, 1, 5, 1)) < drop(THREE) < drop(Design(3, 1, 5, 18))
    assert drop(Design(3, 1, 10, 6)) < drop(THREE)
    assert drop(Design(9, 5, 5, 6)) < drop(MEDIAN)


@pytest.mark.parametrize("line", [4.0, 3.0, 2.0, 1.5])
def test_the_median_named_is_the_smallest_longer_one_that_suffices(line: float) -> None:
    """Against a baseline of as many launches; two launches fewer would not."""

    def suffices(design: Design) -> bool:
        return noise_line(design) <= line

    n = least_median(suffices, THREE)
    assert n is not None
    assert n % 2 == 1
    assert n > THREE.launches
    assert suffices(Design(n, (n + 1) // 2, n, 6))
    assert n == 5 or not suffices(Design(n - 2, (n - 1) // 2, n - 2, 6))


def test_what_no_reasonable_median_reaches_has_no_answer() -> None:
    """A tenth of a sigma would take hundreds of launches."""
    assert least_median(lambda design: noise_line(design) <= 0.1, THREE) is None


def test_sigma_may_be_larger_than_its_estimate_by_less_the_more_values_there_are() -> None:
    """The upper end of its 90% interval: one gate of five launches by chi squared of four degrees of freedom, 0.711."""
    assert largest_sigma(Design(3, 1, 5, 1)) == pytest.approx(math.sqrt(4 / 0.7107), rel=1e-3)
    assert largest_sigma(Design(3, 1, 3, 1)) > 4
    assert largest_sigma(THREE) < 1.7
    assert largest_sigma(Design(3, 1, 10, 12)) < 1.3


@pytest.mark.parametrize("wrong", [(0, 0, 5, 1), (3, 4, 5, 1), (3, 1, 0, 1), (3, 1, 5, 0)])
def test_an_impossible_design_is_refused(wrong: tuple[int, int, int, int]) -> None:
    """No launch, more good ones than launches, no baseline, no gate."""
    with pytest.raises(InvalidValueError, match="Design"):
        Design(*wrong)
