"""The cost of a journal's launches: every start and every point once, for every run that began a launch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.cost import KindCost, LaunchCost
from pytest_precgate.journal.events import Event, LaunchFinished
from pytest_precgate.journal.paid import launch_cost, paid
from pytest_precgate.journal.state import RecordedLaunch
from tests.journal import journals
from tests.journal.test_state import KEY, LAUNCH, RUN, SMALL, point, told


def launch(*events: Event) -> RecordedLaunch:
    state = told([RUN, *events])
    assert state is not None
    return state.launches[KEY]


def test_a_launch_costs_its_starts_and_its_points() -> None:
    """How long GPUs were held is not in a journal."""
    assert paid(launch(*SMALL[1:])) == KindCost("simulated", 1, 2, 85.0, 3600.0, None)
    again = launch(LAUNCH, point(1), replace(LAUNCH, starting_gpu_s=1800.0), point(2), LaunchFinished(KEY))
    assert paid(again) == KindCost("simulated", 2, 2, 85.0, 5400.0, None)
    assert launch_cost(again) == LaunchCost("default", 2, 85.0, 1800.0)


def test_an_unknown_start_is_not_free() -> None:
    """One unknown start makes the sum unknown; an endpoint is never started here."""
    unknown = replace(LAUNCH, starting_gpu_s=None)
    both = paid(launch(LAUNCH, unknown, point(1)))
    assert both is not None
    assert both.starting_gpu_s is None
    endpoint = replace(unknown, paid="endpoint")
    assert paid(launch(endpoint, point(1))) == KindCost("endpoint", 0, 1, 42.5, None, None)


def test_the_engine_decides_what_its_seconds_are_and_not_its_name() -> None:
    """A kind of any name is paid for as it says; one that takes no GPU costs nothing and keeps no cost."""
    mine = replace(LAUNCH, engine="mine", paid="endpoint", starting_gpu_s=None)
    assert paid(launch(mine, point(1))) == KindCost("endpoint", 0, 1, 42.5, None, None)
    free = launch(replace(mine, paid=None), point(1), LaunchFinished(KEY))
    assert (paid(free), launch_cost(free)) == (None, None)


@settings(max_examples=50)
@given(journals.events(), st.data())
def test_before_and_since_are_the_whole(events: list[Event], data: st.DataObject) -> None:
    """Wherever a run was cut: what it had cost and what its resumption cost add up, for each launch."""
    cut = data.draw(st.integers(1, len(events)))
    earlier, whole = told(events[:cut]), told(events)
    assert earlier is not None
    assert whole is not None
    for key, now in whole.launches.items():
        before = earlier.launches.get(key)
        first: KindCost | None
        first = KindCost("simulated", 0, 0, 0.0, 0.0, None) if before is None else paid(before)
        since, all_of_it = paid(now, before), paid(now)
        if since is None or all_of_it is None or first is None:
            assert now.opened.paid is None
            continue
        assert first.launches + since.launches == all_of_it.launches
        assert first.points + since.points == all_of_it.points
        assert first.measuring_gpu_s + since.measuring_gpu_s == pytest.approx(all_of_it.measuring_gpu_s)
