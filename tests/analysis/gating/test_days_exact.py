"""What launches of several days say of one launch and of their centre, worked out by hand."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest

from pytest_precgate.analysis.gating.days import group_sigmas
from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise, independent_gates, noise_of
from pytest_precgate.analysis.gating.noise import GateNoise
from tests.builders.gates import gate

UNTRIMMED = 1.04


def values(logs: Sequence[float]) -> list[float]:
    """Launches whose logarithms are these thousandths."""
    return [1000 * math.exp(log / 1000) for log in logs]


def noises(*gates: Sequence[float], days: str | None, elasticities: Sequence[float] | None = None) -> list[GateNoise]:
    """The noise of gates, each with its logarithms in thousandths; a letter of ``days`` is the day of a launch."""
    groups = None if days is None else tuple(days)
    factors = [1.0] * len(gates) if elasticities is None else elasticities
    return noise_of(
        [
            GateLaunches(gate(point=50 + number).key, values(logs), factor, groups=groups)
            for number, (logs, factor) in enumerate(zip(gates, factors, strict=True))
        ]
    )


@pytest.mark.parametrize("gates", [1, 3])
def test_three_days_of_unequal_length_are_the_textbook_s(gates: int) -> None:
    """Logs 0 | 2, 4 | 6, 7, 8: squares 4 within and 43.5 between, of 3 and 2 degrees; a mean square between counts for
    (6 - 14 / 6) / 2 launches. Of three gates that scatter by 1, 2 and not at all the squares are 5 / 3 in the mean."""
    logs = (0, 2, 4, 6, 7, 8)
    rows = [values(logs), values([2 * log for log in logs]), values([0] * 6)][:gates]
    found, squares = group_sigmas(rows, "abbccc"), 1 if gates == 1 else 5 / 3
    within, mean = squares * 4 / 3, squares * 43.5 / 2
    between = (mean - within) / (11 / 6)
    assert found.within == pytest.approx(math.sqrt(within) / 1000)
    assert found.between == pytest.approx(math.sqrt(between) / 1000)
    assert found.total == pytest.approx(math.sqrt(within + between) / 1000)
    assert (found.groups, found.launches, found.freedom_within, found.freedom_between) == (3, 6, 3, 2)


def test_a_day_has_the_mean_of_its_launches() -> None:
    """Logs 0, 1, 5 of one day: squares 4 + 1 + 9 around 2, not 1 + 0 + 16 around the middle one."""
    assert group_sigmas([values([0, 1, 5, 2])], "aaab").within == pytest.approx(math.sqrt(14 / 2) / 1000)


def test_a_centre_is_worth_less_by_what_launches_scatter_within_a_day() -> None:
    """Logs 0, 4 | 6, 10: within 8, between (36 - 8) / 2, so 22 / (14 / 2 + 8 / 4) launches."""
    [found] = noises((0, 4, 6, 10), days="aabb")
    assert found.worth == int(22 / 9) == 2


def test_one_degree_of_freedom_is_one() -> None:
    """Two launches of one day and one of another: each mean square is a sum of squares."""
    found = group_sigmas([values([0, 2, 4])], "aab")
    assert found.within == pytest.approx(math.sqrt(2) / 1000)
    assert found.total == pytest.approx(math.sqrt(2 + (6 - 2) / (3 - 5 / 3)) / 1000)


LOGS = (0, 2, 1, 9, 11, 10)  # of two days: variances 1 within and 121.5 / 3 - 1 / 3 between


@pytest.mark.parametrize("elasticity", [1.0, 2.0])
def test_a_launch_of_another_day_scatters_by_both_and_the_centre_is_worth_fewer(elasticity: float) -> None:
    """Sigma squared is within and between, in the gate's own units; the centre's is between / 2 + within / 6."""
    within, between = 1.0, (121.5 - 1) / 3
    [found] = noises(LOGS, days="aaabbb", elasticities=[elasticity])
    assert found.sigma == pytest.approx(math.sqrt(within + between) / 1000)
    assert found.worth == int((within + between) / (between / 2 + within / 6)) == 2


@pytest.mark.parametrize(
    ("logs", "days", "worth"),
    [((0, 2, 0.9, 2.9, 0.5, 2.5, 1, 3, 0.2, 2.2, 1.1, 3.1), "aabbccddeeff", 12), ((0, 0, 0, 0), "aabb", 4)],
)
def test_where_days_do_not_differ_the_centre_is_worth_every_launch(
    logs: Sequence[float], days: str, worth: int
) -> None:
    """Also where nothing scatters at all."""
    [found] = noises(logs, days=days)
    assert found.worth == worth


def test_a_few_launches_of_many_days_are_worth_what_their_variance_says() -> None:
    """Logs 0, 2 | 4, 6 | 11, 13 | 1, 3: within 2, means 1, 5, 12 and 2 of mean 5, so between (148 / 3 - 2) / 2."""
    within, between = 2.0, (2 * (16 + 0 + 49 + 9) / 3 - 2) / 2
    [found] = noises((0, 2, 4, 6, 11, 13, 1, 3), days="aabbccdd")
    assert found.worth == int((within + between) / (between / 4 + within / 8)) == 4
    [many] = noises((0, 20, 4, 24, 11, 31, 1, 21), days="aabbccdd")
    assert many.worth == 8


def test_a_launch_far_from_its_own_day_in_half_of_the_gates_is_no_difference_between_days() -> None:
    """In one of two gates it is left out of both; in one of three it counts, as a launch does."""
    still, stray = (0, 1, 2, 0.5, 1.5, 1), (0, 1, 2, 0.5, 1.5, 40)
    two = noises(still, stray, days="aaabbb")
    assert two[0].sigma < 0.0025
    three = noises(still, stray, still, days="aaabbb")
    found = group_sigmas([values(still), values(stray), values(still)], "aaabbb")
    assert found.total is not None
    assert three[0].sigma == pytest.approx(found.total)
    assert found.total > 0.009


def test_launches_far_from_those_of_other_days_are_a_difference_between_days() -> None:
    """The second day's two launches agree: the farther one is an outlier of the suite, and none of its day."""
    logs = (0, 0.5, 1, 1.5, 3.4, 6.7)
    [alone], [known] = noises(logs, days=None), noises(logs, days="aaaabb")
    assert alone.outliers == frozenset({5})
    found = group_sigmas([values(logs)], "aaaabb")
    assert found.total is not None
    assert known.sigma == pytest.approx(found.total)
    assert found.total > 2 * alone.sigma


def total_of(logs: Sequence[float], days: str) -> float:
    """The sigma of a launch of another day, from all of these."""
    found = group_sigmas([values(logs)], days)
    assert found.total is not None
    return found.total


def test_how_far_a_launch_is_from_its_day_is_told_from_the_mean_of_the_others() -> None:
    """Two and a half sigma of the launches kept; the others of its day are 1, 1.5 and 3.3."""
    near = (0, 0.5, 1, 1, 1.5, 3.3)
    limit = statistics.fmean(near[3:]) + 2.5 * UNTRIMMED * statistics.stdev(near)
    for far, total in (
        (limit - 0.01, total_of((*near, limit - 0.01), "aaabbbb")),
        (limit + 0.01, total_of(near, "aaabbb")),
    ):
        [alone], [known] = noises((*near, far), days=None), noises((*near, far), days="aaabbbb")
        assert alone.outliers == frozenset({6})
        assert known.sigma == pytest.approx(max(alone.sigma, total))


def test_one_day_or_an_unknown_one_changes_nothing() -> None:
    """Nothing is known of other days."""
    [alone], [same] = noises(LOGS, days=None), noises(LOGS, days="aaaaaa")
    assert alone == same


def test_a_reading_is_the_least_sigma_and_an_unknown_one_is_none() -> None:
    """Where the error of a point is not known, the scatter counts alone, and that is said."""
    key = gate().key
    scatter, measured, unknown = noise_of(
        [GateLaunches(key, values((0, 10, 20)), reading=reading) for reading in (0.0, 0.5, math.inf)]
    )
    assert scatter.sigma == unknown.sigma == pytest.approx(UNTRIMMED * 0.01)
    assert measured.sigma == 0.5
    assert (scatter.has_errors, measured.has_errors, unknown.has_errors) == (True, True, False)
    assert GateLaunches(key, [1.0]).reading == 0
    assert GateLaunches(key, [1.0]).elasticity == 1


def test_the_values_of_a_gate_are_kept_as_numbers_of_their_own() -> None:
    """A list that is changed later changes no gate; whole numbers are as good as others."""
    given = [1000, 1001, 1002]
    held = GateLaunches(gate().key, given)
    given.append(5)
    assert held.values == (1000.0, 1001.0, 1002.0)


@pytest.mark.parametrize(("apart", "gates"), [(3e-10, 1), (3e-9, 2)])
def test_gates_are_the_same_where_nine_digits_of_their_launches_agree(apart: float, gates: int) -> None:
    """Each launch as a share of the first."""
    held = [GateLaunches(gate(point=point).key, [1.0, 1.0 + by]) for point, by in ((55, 0.0), (73, apart))]
    assert independent_gates(held) == gates


def test_three_launches_are_enough_for_a_suite_s_noise() -> None:
    """Gates with fewer lend nothing and share no false alarms."""
    few, enough = GateLaunches(gate().key, [1.0, 2.0]), GateLaunches(gate(point=73).key, [1.0, 2.0, 3.0])
    found = SuiteNoise.of([few, enough])
    assert (set(found.gates), found.independent) == ({enough.key}, 1)
