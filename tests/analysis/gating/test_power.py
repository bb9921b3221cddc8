"""What a number of launches can tell, held against simulation and against itself."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.power import (
    FALSE_ALARM_RATE,
    OUTLIER_RATE,
    TARGET_POWER,
    Design,
    critical_values,
    detectable_drop,
    failing_share,
    least_detectable_drop,
    least_median,
    sigma_inflation,
)
from pytest_precgate.errors import InvalidValueError

unhurried = settings(deadline=None)  # the first design of its kind is computed, the others remembered

THREE = Design(launches=3, good=1, baseline=5, gates=6)
MEDIAN = Design(launches=5, good=3, baseline=5, gates=6)
designs = st.sampled_from([THREE, MEDIAN, Design(1, 1, 5, 6), Design(5, 3, 5, 6, paired=True), Design(2, 1, 8, 12)])


def suite_false_alarm(design: Design, lines: Sequence[float]) -> float:
    """Return how often some gate of an unchanged suite fails, gates scattering independently (the worst case)."""
    return 1 - (1 - failing_share(design, lines)) ** design.gates


@pytest.mark.parametrize("design", [THREE, MEDIAN, Design(5, 3, 5, 6, paired=True)], ids=["three", "median", "pairs"])
@pytest.mark.parametrize("drop", [0.0, 2.0, 3.5])
def test_the_share_that_fails_is_what_simulation_counts(design: Design, drop: float) -> None:
    """20000 gates of the model drawn one by one: the share that fails agrees within four standard errors."""
    draw, lines, runs, failed = random.Random(7), critical_values(design), 20_000, 0
    for _ in range(runs):
        centre = draw.gauss(0, design.centre_sigma)
        low = sum(draw.random() < OUTLIER_RATE or draw.gauss(-drop - centre, 1) < -line for line in lines)
        failed += low >= design.to_fail
    share = failing_share(design, lines, drop)
    assert failed / runs == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / runs))


def test_a_suite_rarely_fails_by_noise_alone() -> None:
    """1% is kept with three launches; where a single launch decides, one outlier in twenty comes on top."""
    assert suite_false_alarm(THREE, critical_values(THREE)) == pytest.approx(FALSE_ALARM_RATE, abs=0.001)
    single = Design(1, 1, 5, 1)
    assert suite_false_alarm(single, critical_values(single)) == pytest.approx(
        FALSE_ALARM_RATE + OUTLIER_RATE, abs=0.001
    )


@unhurried
@given(designs, st.sampled_from([TARGET_POWER, 0.9]))
def test_the_least_drop_is_seen_as_often_as_asked(design: Design, share: float) -> None:
    """The drop returned is stopped with the probability asked for, and smaller ones less often."""
    lines, drop = critical_values(design), least_detectable_drop(design, share)
    assert failing_share(design, lines, drop) == pytest.approx(share, abs=1e-4)
    assert failing_share(design, lines, drop - 0.1) < share
    assert detectable_drop(design, lines, share) == drop


def test_more_gates_cost_sensitivity_and_more_launches_buy_it() -> None:
    """Eighteen gates see less than one; ten baseline launches more than five; a median of nine more than of five."""
    assert (
        least_detectable_drop(Design(3, 1, 5, 1))
        < least_detectable_drop(THREE)
        < least_detectable_drop(Design(3, 1, 5, 18))
    )
    assert least_detectable_drop(Design(3, 1, 10, 6)) < least_detectable_drop(THREE)
    assert least_detectable_drop(Design(9, 5, 5, 6)) < least_detectable_drop(MEDIAN)


def test_the_first_of_several_launches_stands_further_down() -> None:
    """Repeating a launch costs; failing needs all three."""
    first, *later = critical_values(THREE)
    assert first > later[0] == later[1]
    assert len(set(critical_values(MEDIAN))) == 1


@pytest.mark.parametrize("drop", [6.0, 3.0, 2.0, 1.5])
def test_the_median_named_is_the_smallest_that_sees_the_drop(drop: float) -> None:
    """It detects the drop with sigma inflated, and two launches fewer would not."""

    def sees(n: int) -> bool:
        design = Design(n, (n + 1) // 2, n, 6)
        return least_detectable_drop(design) * sigma_inflation(design) <= drop

    n = least_median(drop, THREE)
    assert n is not None
    assert n % 2 == 1
    assert sees(n)
    assert n == 3 or not sees(n - 2)


def test_a_drop_that_no_reasonable_median_sees_has_no_answer() -> None:
    """A tenth of a sigma would take hundreds of launches."""
    assert least_median(0.1, THREE) is None


def test_the_inflation_of_sigma_falls_with_the_number_of_values() -> None:
    """One gate of three launches says next to nothing about its sigma; a dozen of ten a good deal."""
    assert sigma_inflation(Design(3, 1, 3, 1)) > 4
    assert sigma_inflation(Design(3, 1, 5, 6)) < 1.5
    assert sigma_inflation(Design(3, 1, 10, 12)) < 1.2


@pytest.mark.parametrize("wrong", [(0, 0, 5, 1), (3, 4, 5, 1), (3, 1, 0, 1), (3, 1, 5, 0)])
def test_an_impossible_design_is_refused(wrong: tuple[int, int, int, int]) -> None:
    """No launch, more good ones than launches, no baseline, no gate."""
    with pytest.raises(InvalidValueError, match="Design"):
        Design(*wrong)
