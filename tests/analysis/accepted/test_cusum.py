"""Since when accepted states sink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.cusum import AcceptedState, Sinking, sinking
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.errors import InvalidValueError

KEY = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 55)


def states(values: Sequence[float], sigma: float | None = 0.005) -> list[AcceptedState]:
    return [
        AcceptedState(f"2026-11-{day:02}T06:00:00Z", f"c{day}", value, 100.0, sigma, "first")
        for day, value in enumerate(values, 1)
    ]


def test_a_ramp_is_noticed_with_its_first_state() -> None:
    """-1% a merge at sigma 0.5%: 2, 3, 3, 3, 3 sigma, each less 1.5: 6.5 after the fifth."""
    ramp = states([100 * 0.99**number for number in range(7)])
    assert sinking(KEY, ramp[:5]) is None
    found = sinking(KEY, ramp[:6])
    assert isinstance(found, Sinking)
    assert (found.since.utc, found.since.commit, found.states) == ("2026-11-02T06:00:00Z", "c2", 5)
    assert found.below == pytest.approx(0.049, abs=1e-3)
    assert found.total == pytest.approx(6.5, abs=0.02)


def test_one_stray_state_raises_no_alarm() -> None:
    """However far it lies: it counts three sigma, and the states after it take that away."""
    assert sinking(KEY, states([100, 50, 100, 100])) is None
    assert sinking(KEY, states([50])) is None


def test_a_higher_cost_sinks_too() -> None:
    """More is worse; less is not."""
    cost = GateKey(Metric.COST, ("fp4",), 55)
    assert sinking(cost, states([100 * 1.01**number for number in range(7)])) is not None
    assert sinking(cost, states([100 * 0.99**number for number in range(7)])) is None


def test_a_new_anchor_begins_a_new_sum() -> None:
    """What was accepted for good is no loss any more."""
    ramp = states([100 * 0.99**number for number in range(7)])
    after = [replace(state, anchor=state.value, anchored="second") for state in states([94.0])]
    assert sinking(KEY, ramp) is not None
    assert sinking(KEY, [*ramp, *after]) is None


def test_states_of_unknown_noise_count_for_nothing() -> None:
    """Recorded points have none; and where no launch scattered, any fall is one of three sigma."""
    ramp = [100 * 0.99**number for number in range(9)]
    assert sinking(KEY, states(ramp, None)) is None
    assert sinking(KEY, states([100, 99.9, 99.9, 99.9, 99.9, 99.9], 0.0)) is not None
    assert sinking(KEY, states([100.0] * 9, 0.0)) is None


def test_flat_states_are_seldom_called_sinking() -> None:
    """Twenty merges with nothing changed, five launches each, the anchor as uncertain as the others."""
    draw, alarms = Random(1), 0
    for _ in range(300):
        anchor = draw.gauss(0, 0.005 / 5**0.5)
        values = [100 * (1 + draw.gauss(0, 0.005 / 5**0.5) - anchor) for _ in range(20)]
        alarms += any(sinking(KEY, states(values[:number])) is not None for number in range(1, 21))
    assert alarms <= 3


@given(st.lists(st.floats(90, 110), min_size=1, max_size=12), st.integers(0, 11), st.floats(0, 5))
def test_a_worse_state_never_ends_an_alarm(values: list[float], index: int, worse: float) -> None:
    """The sum only grows with a loss."""
    lower = [value - worse * (number == index) for number, value in enumerate(values)]
    if sinking(KEY, states(values)) is not None:
        assert sinking(KEY, states(lower)) is not None


def test_nonsense_is_refused() -> None:
    """A value is above zero."""
    with pytest.raises(InvalidValueError, match=r"AcceptedState\.value: got 0\.0"):
        states([0.0])
