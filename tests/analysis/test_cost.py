"""What measuring cost: sums that never turn an unknown into a zero."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.cost import (
    KINDS,
    KindCost,
    LaunchCost,
    SuiteCost,
    VerdictCost,
    by_kind,
    known_sum,
    verdict_cost,
)
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.errors import InvalidValueError

B200 = HARDWARE["b200"]
STARTED = KindCost("started", 2, 14, 980.0, 4800.0, 6000.0)
seconds = st.floats(0.0, 1e6)


@st.composite
def spents(draw: st.DrawFn) -> KindCost:
    measuring, starting, idle = draw(seconds), draw(st.none() | seconds), draw(st.none() | seconds)
    held = None if idle is None else measuring + (starting or 0.0) + idle
    return KindCost(
        draw(st.sampled_from(KINDS)), draw(st.integers(0, 9)), draw(st.integers(0, 99)), measuring, starting, held
    )


def test_what_is_held_is_what_is_paid_for() -> None:
    """Idle time, failed points and stops cost as much as a measurement."""
    assert STARTED.gpu_s == 6000.0
    assert STARTED.idle_gpu_s == 220.0
    assert STARTED.dollars(B200) == pytest.approx(6000 / 3600 * 1.95)


def test_where_the_whole_is_not_known_its_parts_are_what_is_told() -> None:
    """And an unknown part is left out, not counted as nothing."""
    assert replace(STARTED, held_gpu_s=None).gpu_s == 5780.0
    assert replace(STARTED, held_gpu_s=None).idle_gpu_s is None
    assert replace(STARTED, held_gpu_s=None, starting_gpu_s=None).gpu_s == 980.0


@given(st.lists(spents(), max_size=8))
def test_sums_keep_kinds_apart_and_unknowns_unknown(each: list[KindCost]) -> None:
    """Every start, point and second once; one unknown part makes that part of the sum unknown."""
    sums = by_kind(each)
    assert [total.kind for total in sums] == [kind for kind in KINDS if any(costs.kind == kind for costs in each)]
    for total in sums:
        ours = [costs for costs in each if costs.kind == total.kind]
        assert total.launches == sum(costs.launches for costs in ours)
        assert total.points == sum(costs.points for costs in ours)
        assert total.measuring_gpu_s == pytest.approx(sum(costs.measuring_gpu_s for costs in ours))
        assert (total.starting_gpu_s is None) == any(costs.starting_gpu_s is None for costs in ours)
        assert (total.held_gpu_s is None) == any(costs.held_gpu_s is None for costs in ours)
    assert known_sum([1.0, None]) is None
    assert known_sum([]) == 0.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "free"}, "wanted one of started, endpoint, simulated"),
        ({"launches": -1}, "KindCost.launches: got -1"),
        ({"points": True}, "KindCost.points: got True"),
        ({"measuring_gpu_s": None}, "KindCost.measuring_gpu_s: got None"),
        ({"starting_gpu_s": math.nan}, "KindCost.starting_gpu_s: got nan"),
        ({"held_gpu_s": 5779.0}, "KindCost.held_gpu_s: got 5779, and its parts alone are 5780"),
    ],
)
def test_a_cost_that_cannot_be_is_refused(change: dict[str, object], why: str) -> None:
    """Less than nothing, no number, parts that are more than the whole."""
    with pytest.raises(InvalidValueError, match=why):
        replace(STARTED, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"points": 0}, {"measuring_gpu_s": 0.0}, {"starting_gpu_s": 0.0}, {"configuration": ""}, {"points": 1.5}]
)
def test_a_launch_that_cost_nothing_is_none(change: dict[str, object]) -> None:
    """Unknown is None; zero GPU seconds were never measured."""
    cost = LaunchCost("tp4", 7, 980.123456, None)
    assert cost.rounded() == LaunchCost("tp4", 7, 980.123, None)
    assert replace(cost, starting_gpu_s=3600.00001).rounded().starting_gpu_s == 3600.0
    with pytest.raises(InvalidValueError):
        replace(cost, **change)  # type: ignore[arg-type]


def test_a_replay_has_no_cost_of_its_own() -> None:
    """It measures nothing."""
    assert SuiteCost("kimi", B200, reused=[STARTED], replayed=True).reused == (STARTED,)
    with pytest.raises(InvalidValueError, match="a replay measures nothing"):
        SuiteCost("kimi", B200, costs=[STARTED], replayed=True)


def test_a_full_rule_is_estimated_at_the_launches_that_were_taken() -> None:
    """Of three launches each of two precisions and of the old state: two and one were taken, of the old state none."""
    fp4, int4 = LaunchCost("tp4", 4, 100.0, 900.0), LaunchCost("tp8", 4, 50.0, 450.0)
    taken = [(2, [fp4, fp4]), (1, [int4]), (0, []), (0, [])]
    found = verdict_cost(taken, 3, "first good of 3 launches", simulated=False)
    assert (found.launches, found.gpu_s) == (3, 2500.0)
    assert (found.full_launches, found.full_gpu_s) == (12, 3 * 1000 + 3 * 500 + 2 * 3 * 2500 / 3)
    assert found.is_whole
    # A launch of two configurations is one launch that costs both.
    assert verdict_cost([(1, [fp4, int4])], 3, "r", simulated=False).full_gpu_s == 4500.0


def test_a_start_that_is_not_known_is_not_counted_and_said() -> None:
    """As of an endpoint; a launch that takes no GPU costs nothing."""
    found = verdict_cost([(1, [LaunchCost("e", 4, 100.0, None)])], 3, "r", simulated=False)
    assert (found.gpu_s, found.full_gpu_s, found.is_whole) == (100.0, 300.0, False)
    assert verdict_cost([(1, []), (0, [])], 3, "r", simulated=False).full_gpu_s == 0.0


def test_a_verdict_takes_no_more_than_its_rule_allows() -> None:
    """What was taken beyond that was for something else."""
    with pytest.raises(InvalidValueError, match=r"VerdictCost\.full_launches: got 3, and 4 were taken"):
        VerdictCost("r", 4, 1.0, 3, 1.0)
