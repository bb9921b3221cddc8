"""Request records and the gaps between chunks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.records import Gaps, PointRun, RequestFailure, RequestRecord
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
    sent, first, last = times
    said = f"got sent {sent!r} s, first token {first!r} s, last token {last!r} s, wanted finite times in that order"
    with pytest.raises(InvalidValueError, match=said):
        RequestRecord(*times, 1, 2)


@pytest.mark.parametrize(("counts", "field"), [((0, 5), "input"), ((5, 0), "output"), ((-1, 5), "input")])
def test_a_record_counts_tokens(counts: tuple[int, int], field: str) -> None:
    """A request without input or output is none, whether or not its first event is known."""
    with pytest.raises(InvalidValueError, match=rf"RequestRecord\.{field}_tokens: got {min(counts)}"):
        RequestRecord(0.0, 1.0, 2.0, *counts, first_tokens=None)


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


def test_one_output_token_is_a_record() -> None:
    """Its last token is its first; with two, the first event may hold one of them and not three."""
    assert RequestRecord(0.0, 1.0, 1.0, 1, 1).request_latency_s == 1.0
    assert not RequestRecord(0.0, 1.0, 1.0, 1, 1).told
    for name in ("events", "first_tokens"):
        assert getattr(RequestRecord(0.0, 1.0, 2.0, 1, 2, **{name: 2}), name) == 2  # type: ignore[arg-type]
        with pytest.raises(InvalidValueError, match=rf"RequestRecord\.{name}: got 3, wanted at most 2"):
            RequestRecord(0.0, 1.0, 2.0, 1, 2, **{name: 3})  # type: ignore[arg-type]


def test_tokens_that_share_an_event_are_those_beyond_one_each() -> None:
    """None where each came in an event of its own, which is what a record says that names no events."""
    assert RequestRecord(0.0, 1.0, 2.0, 1, 10).shared_tokens == 0
    assert RequestRecord(0.0, 1.0, 2.0, 1, 10, events=4).shared_tokens == 6


def test_a_time_per_token_needs_to_know_the_first_event() -> None:
    """It is the time after the first event by the tokens after it."""
    record = RequestRecord(0.0, 1.0, 3.0, 1, 10, events=6, first_tokens=5)
    assert record.tpot_s == pytest.approx(2.0 / 5)
    assert record.tpot_after(9.5) == pytest.approx(2.0 / 0.5)
    with pytest.raises(InvalidValueError, match="nothing tells how many tokens the first event held"):
        _ = replace(record, first_tokens=None).tpot_s
    with pytest.raises(InvalidValueError, match="held all 10 output tokens"):
        record.tpot_after(10)


def test_a_failure_has_a_cause_on_one_line() -> None:
    """It is printed with the others."""
    assert not RequestFailure(0.0, 1.0, "HTTP 429").is_reset
    with pytest.raises(InvalidValueError, match=r"RequestFailure\.cause"):
        RequestFailure(0.0, 1.0, "two\nlines")


def test_the_shortest_gaps_share_a_bucket() -> None:
    """A microsecond and less, told as a microsecond; a little more is a bucket of its own."""
    assert Gaps.bucket(0.0) == Gaps.bucket(1e-6) == 0 < Gaps.bucket(1.001e-6)
    assert Gaps.of([0.0, 1e-7]).quantile_s(0.5) == 1e-6
    assert Gaps.of([1e-6, 1.0, 1.0]).total == 3


@given(st.floats(1.1e-6, 1e3))
def test_a_bucket_is_two_percent_wide(gap_s: float) -> None:
    """What it is told as lies within one percent of whatever fell into it, and 2.1% more is another one."""
    assert Gaps.of([gap_s]).quantile_s(1.0) == pytest.approx(gap_s, rel=0.0101)
    assert Gaps.bucket(1.021 * gap_s) > Gaps.bucket(gap_s)


def test_the_quantile_is_the_first_that_enough_gaps_reach() -> None:
    """Half of four are two; a share of nothing is the smallest."""
    gaps = Gaps.of([0.001, 0.01, 0.1, 1.0])
    for share, gap_s in ((0.0, 0.001), (0.25, 0.001), (0.26, 0.01), (0.5, 0.01), (1.0, 1.0)):
        assert gaps.quantile_s(share) == pytest.approx(gap_s, rel=0.011)


def test_a_run_holds_its_requests_in_the_order_they_were_sent_in() -> None:
    """Whatever order they ended in; and it is of one concurrency at least."""
    first, second = RequestRecord(0.0, 1.0, 9.0, 1, 2), RequestRecord(1.0, 2.0, 3.0, 1, 2)
    failure = RequestFailure(0.0, 1.0, "HTTP 429")
    assert PointRun(2, [], [failure]) == PointRun(2, (), (failure,))
    run = PointRun(2, [second, first])
    assert run.records == (first, second)
    assert (run.failures, run.resent, run.reopened, run.lost_s, run.froze) == ((), 0, 0, 0.0, False)
    with pytest.raises(InvalidValueError, match=r"PointRun\.concurrency: got 0"):
        PointRun(0, [])
