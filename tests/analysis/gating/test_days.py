"""Scatter within and between days, taken apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.days import GroupSigmas, group_sigmas
from pytest_precgate.errors import InvalidValueError

SIZES = {2: (3, 2), 3: (2, 2, 1), 5: (2, 2, 2, 2, 2)}


def drawn(draw: Random, sizes: Sequence[int], effect: float, sigma: float = 0.01) -> GroupSigmas:
    groups = [str(day) for day, size in enumerate(sizes) for _ in range(size)]
    days = [draw.gauss(0, effect * sigma) for _ in sizes]
    logs = [[draw.gauss(0, sigma) + days[int(day)] for day in groups] for _ in range(3)]
    return group_sigmas([[math.exp(log) for log in each] for each in logs], groups)


@pytest.mark.parametrize("days", SIZES)
@pytest.mark.parametrize("effect", [0.0, 0.5, 1.0, 2.0])
def test_the_estimates_are_those_of_the_simulated_launches(days: int, effect: float) -> None:
    """Within: unbiased. Total: at most what truncation at 0 adds, and that is least where days truly differ."""
    draw = Random(f"{days}/{effect}")
    found = [drawn(draw, SIZES[days], effect) for _ in range(600)]
    within = statistics.fmean(each.within**2 for each in found if each.within is not None)
    total = statistics.fmean(each.total**2 for each in found if each.total is not None)
    assert within == pytest.approx(0.01**2, rel=0.1)
    assert 0.85 <= total / (0.01**2 * (1 + effect**2)) <= 1.35


def test_a_hand_made_case_is_the_textbook_s() -> None:
    """Logs 0, 2 on one day and 4, 6, 8 on another: MSW = 10 / 3, MSB = 30, weight 2.4."""
    values = [[math.exp(log / 100) for log in (0, 2, 4, 6, 8)]]
    found = group_sigmas(values, ["a", "a", "b", "b", "b"])
    assert found.within == pytest.approx(math.sqrt(10 / 3) / 100)
    assert found.between == pytest.approx(math.sqrt((30 - 10 / 3) / 2.4) / 100)
    assert found.total == pytest.approx(math.sqrt(10 / 3 + (30 - 10 / 3) / 2.4) / 100)
    assert (found.groups, found.launches, found.freedom_within, found.freedom_between) == (2, 5, 3, 1)


def test_what_groups_cannot_tell_is_not_known() -> None:
    """One day says nothing of days; one launch a day only the sum; a single launch nothing."""
    values = [[100.0, 102.0, 101.0]]
    one = group_sigmas(values, ["a", "a", "a"])
    assert one.within == pytest.approx(statistics.stdev(map(math.log, values[0])))
    assert (one.between, one.total, one.freedom_between) == (None, None, 0)
    each = group_sigmas(values, ["a", "b", "c"])
    assert (each.within, each.between, each.freedom_within) == (None, None, 0)
    assert each.total == pytest.approx(one.within)
    alone = group_sigmas([[100.0]], ["a"])
    assert (alone.within, alone.between, alone.total) == (None, None, None)


def test_groups_that_differ_less_than_launches_do_are_no_effect() -> None:
    """Truncated at 0, and the total is then what is within."""
    found = group_sigmas([[100.0, 104.0, 104.0, 100.0]], ["a", "a", "b", "b"])
    assert found.between == 0
    assert found.total == found.within


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(50, 200), st.floats(50, 200)), min_size=2, max_size=12),
    st.randoms(use_true_random=False),
    st.floats(0.1, 10),
)
def test_neither_the_order_of_launches_nor_the_unit_matters(
    launches: list[tuple[str, float, float]], order: Random, unit: float
) -> None:
    """A gate in other units, launches shuffled: the same sigmas. A gate's elasticity divides them."""
    labels, *gates = (list(each) for each in zip(*launches, strict=True))
    first = group_sigmas(gates, labels, [2.0, 2.0])
    order.shuffle(launches)
    labels, *gates = (list(each) for each in zip(*launches, strict=True))
    again = group_sigmas([[unit * value for value in gate] for gate in gates], labels)
    for name in ("within", "between", "total"):
        halved, whole = getattr(first, name), getattr(again, name)
        assert (halved is None) == (whole is None)
        if whole is not None:
            assert 2 * halved == pytest.approx(whole, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("values", "elasticities", "why"),
    [
        ([], None, "got 0 gates"),
        ([[1.0, 2.0]], [1.0, 1.0], "got 1 gates and 2 elasticities"),
        ([[1.0]], None, r"a gate has 1 values, wanted one per label \(2\)"),
        ([[1.0, 0.0]], None, "got 0.0, wanted a finite number above 0"),
        ([[1.0, 2.0]], [0.0], "elasticity: got 0.0"),
    ],
)
def test_launches_that_do_not_fit_are_refused(
    values: list[list[float]], elasticities: list[float] | None, why: str
) -> None:
    """One value of every gate for each label."""
    with pytest.raises(InvalidValueError, match=why):
        group_sigmas(values, ["a", "b"], elasticities)
