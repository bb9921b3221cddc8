"""The noise floor and the power of a rule in the cases that have closed forms."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean

import pytest
from scipy import stats

from pytest_precgate.analysis.gating.power import (
    Design,
    detectable_drop,
    failing_share,
    largest_sigma,
    least_median,
    noise_line,
)
from pytest_precgate.errors import InvalidValueError

NORMAL = NormalDist()
ONE = Design(launches=1, good=1, baseline=5, gates=1)
PAIR = Design(launches=1, good=1, baseline=5, gates=1, paired=True)


@pytest.mark.parametrize("drop", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("baseline", [1, 5, 50])
def test_one_launch_against_a_noisy_centre_is_one_normal_difference(baseline: int, drop: float) -> None:
    """Of the variance 1 + 1.1 / baseline; one launch in twenty is far too low whatever the limit."""
    design = Design(1, 1, baseline, 1)
    assert design.centre_sigma == pytest.approx(math.sqrt(1.1 / baseline))
    beyond = NORMAL.cdf((drop - 2) / math.sqrt(1 + 1.1 / baseline))
    assert failing_share(design, 2.0, drop) == pytest.approx(0.05 + 0.95 * beyond, abs=1e-5)
    assert failing_share(design, 2.0) == failing_share(design, 2.0, 0.0)


@pytest.mark.parametrize(("launches", "good"), [(1, 1), (3, 1), (3, 2), (5, 3), (5, 5)])
def test_launches_of_pairs_fail_as_often_as_coins_of_their_share(launches: int, good: int) -> None:
    """A pair has its own centre, so its launches are independent: a binomial tail."""
    share = 0.05 + 0.95 * NORMAL.cdf(0.5 - 1.2)
    design = Design(launches, good, 5, 1, paired=True)
    assert design.centre_sigma == 0
    assert design.to_fail == launches - good + 1
    expected = stats.binom.sf(launches - good, launches, share)
    assert failing_share(design, 1.2, 0.5) == pytest.approx(expected)


@pytest.mark.parametrize(("baseline", "gates", "freedom"), [(5, 1, 4), (5, 9, 12), (2, 4, 2), (1, 4, 2)])
def test_the_degrees_of_freedom_are_a_geometric_mean(baseline: int, gates: int, freedom: float) -> None:
    """Of the launches less one, and of that times the gates; at least one."""
    assert Design(3, 1, baseline, gates).freedom == pytest.approx(freedom)


@pytest.mark.parametrize("gates", [1, 6])
@pytest.mark.parametrize("paired", [False, True])
def test_the_noise_floor_of_one_launch_leaves_each_gate_its_share_of_one_percent(gates: int, paired: bool) -> None:
    """Over 24 equal shares of what sigma may be, by their middles; to 1e-5, and from below. Outliers are no noise, so
    a launch that is none fails by (1 - 0.99 ** (1 / gates)) / 0.95."""
    design = Design(1, 1, 5, gates, paired=paired)
    middles = [stats.chi.ppf((i + 0.5) / 24, design.freedom) / math.sqrt(design.freedom) for i in range(24)]
    spread = 1.0 if paired else math.sqrt(1 + 1.1 / 5)

    def share(line: float) -> float:
        return fmean(NORMAL.cdf(-line * middle / spread) for middle in middles)

    line, wanted = noise_line(design), (1 - 0.99 ** (1 / gates)) / 0.95
    assert share(line) == pytest.approx(wanted, abs=1e-5)
    if paired:  # without the integral over the centre
        assert share(line) <= wanted < share(line - 1e-4)


def test_the_noise_floor_is_that_of_student_s_t_where_sigma_is_an_estimate() -> None:
    """The limit that 1% / 0.95 of t variables lie beyond, but for the 24 shares; far less where sigma is known."""
    line = noise_line(PAIR)
    assert line == pytest.approx(stats.t.isf(0.01 / 0.95, 4), rel=0.06)
    known = noise_line(Design(1, 1, 10_000, 1, paired=True))
    assert known == pytest.approx(NORMAL.inv_cdf(1 - 0.01 / 0.95), abs=2e-3)


@pytest.mark.parametrize("share", [0.8, 0.9])
def test_what_one_pair_detects_is_a_normal_quantile_beyond_its_limit(share: float) -> None:
    """Of launches that are no outliers a share must be beyond the limit such that all together are."""
    wanted = NORMAL.inv_cdf((share - 0.05) / 0.95)
    found = detectable_drop(PAIR, 2.0, share)
    assert 2 + wanted <= found <= 2 + wanted + 1e-4
    assert detectable_drop(PAIR, 2.0) == detectable_drop(PAIR, 2.0, 0.8)


def test_a_share_that_outliers_nearly_reach_lies_before_the_limit() -> None:
    """One that they exceed by themselves has no lower end: the search ends 16 sigma before it."""
    assert detectable_drop(PAIR, 2.0, 0.06) == pytest.approx(2 + NORMAL.inv_cdf(0.01 / 0.95), abs=2e-4)
    assert detectable_drop(PAIR, 0.0, 0.01) == -16.0


@pytest.mark.parametrize("baseline", [3, 5, 10])
def test_sigma_s_upper_end_is_that_of_chi_squared_at_five_percent(baseline: int) -> None:
    """One gate: the launches less one."""
    freedom = baseline - 1
    expected = math.sqrt(freedom / stats.chi2.ppf(0.05, freedom))
    assert largest_sigma(Design(3, 1, baseline, 1)) == pytest.approx(expected)


@pytest.mark.parametrize(("launches", "first"), [(1, 3), (2, 3), (3, 5), (4, 5), (5, 7)])
def test_a_longer_median_is_odd_and_has_more_launches_than_the_design(launches: int, first: int) -> None:
    """Against a baseline of as many; gates and pairs stay."""
    asked: list[Design] = []

    def third(design: Design) -> bool:
        asked.append(design)
        return len(asked) == 3

    for paired in (False, True):
        asked.clear()
        assert least_median(third, Design(launches, 1, 5, 6, paired)) == first + 4
        assert asked == [Design(n, (n + 1) // 2, n, 6, paired) for n in (first, first + 2, first + 4)]


def test_no_longer_median_than_the_longest_is_advised() -> None:
    """49 if nothing else is said; the longest itself is."""

    def at(number: int) -> int | None:
        return least_median(lambda design: design.launches >= number, ONE, 21)

    assert [at(21), at(22)] == [21, None]
    assert least_median(lambda design: design.launches >= 49, ONE) == 49
    assert least_median(lambda design: design.launches >= 50, ONE) is None


def test_as_many_good_launches_as_there_are_is_a_design() -> None:
    """One more is none."""
    assert Design(3, 3, 1, 1).to_fail == 1
    with pytest.raises(InvalidValueError, match="Design: 4 good launches wanted of only 3"):
        Design(3, 4, 1, 1)
