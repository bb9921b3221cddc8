"""Request records and the gaps between chunks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.records import Gaps, RequestRecord
from pytest_precgate.errors import InvalidValueError


def test_the_times_of_a_record_follow_from_its_stamps() -> None:
    """ttft, tpot and latency as design fixes them: tpot leaves the first token out."""
    record = RequestRecord(10.0, 10.5, 12.5, 100, 41)
    assert (record.ttft_s, record.request_latency_s, record.tpot_s) == (0.5, 2.5, 0.05)


@pytest.mark.parametrize(
    "times", [(1.0, 1.0, 2.0), (2.0, 1.0, 3.0), (1.0, 3.0, 2.0), (math.nan, 1.0, 2.0), (0.0, 1.0, math.inf)]
)
def test_times_out_of_order_are_no_record(times: tuple[float, float, float]) -> None:
    """A token before its request, a last token before the first, a time that is no number."""
    with pytest.raises(InvalidValueError, match="wanted finite times in that order"):
        RequestRecord(*times, 1, 2)


@pytest.mark.parametrize("counts", [(0, 5), (5, 0), (-1, 5)])
def test_a_record_counts_tokens(counts: tuple[int, int]) -> None:
    """A request without input or output is none."""
    with pytest.raises(InvalidValueError, match="RequestRecord"):
        RequestRecord(0.0, 1.0, 2.0, *counts)


def test_one_output_token_has_no_tpot() -> None:
    """There is no second token to wait for."""
    with pytest.raises(InvalidValueError, match="the first event held all 1 output tokens"):
        _ = RequestRecord(0.0, 1.0, 1.0, 5, 1).tpot_s


@given(st.lists(st.floats(2e-6, 100.0), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_of_gaps_is_within_two_percent(gaps: list[float], share: float) -> None:
    """Buckets instead of values: memory does not grow with tokens, and little is lost."""
    exact = sorted(gaps)[max(0, math.ceil(share * len(gaps)) - 1)]
    assert Gaps.of(gaps).quantile_s(share) == pytest.approx(exact, rel=0.02)


@given(st.lists(st.floats(0.0, 1.0), max_size=50), st.lists(st.floats(0.0, 1.0), max_size=50))
def test_gaps_of_two_clients_add_up(first: list[float], second: list[float]) -> None:
    """Merging counts is counting together."""
    assert Gaps.merged([Gaps.of(first), Gaps.of(second)]).counts == dict(Gaps.of(first + second).counts)


def test_no_gap_has_no_quantile() -> None:
    """There is no default."""
    with pytest.raises(InvalidValueError, match="no gap was counted"):
        Gaps().quantile_s(0.5)
