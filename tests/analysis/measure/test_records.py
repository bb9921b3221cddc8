"""Request records, gaps between chunks, and the point they give."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.metrics import Spread, measure
from pytest_precgate.analysis.measure.records import ClientCheck, Gaps, PointRun, RequestFailure, RequestRecord
from pytest_precgate.analysis.measure.window import WINDOW_KINDS
from pytest_precgate.errors import InvalidPointError, InvalidValueError
from tests.loops import closed_loop

GOOD = ClientCheck(cpu_share=0.2, events_per_read=1.0, loop_lag_p99_s=1e-4, achieved_concurrency=4.0)


def steady_run(concurrency: int = 4, rounds: int = 10, out: int = 100, step_s: float = 0.01) -> PointRun:
    records = closed_loop([(50, out)] * rounds * concurrency, concurrency, step_s)
    return PointRun(concurrency, records, gaps=Gaps.of([step_s] * 50), client=GOOD)


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


def test_gpus_divide_the_throughput() -> None:
    """Per GPU, and nothing else changes."""
    one, four = measure(steady_run(), 1), measure(steady_run(), 4)
    assert four.throughput_per_gpu == pytest.approx(one.throughput_per_gpu / 4)
    assert four.point("tp4").gpus == 4
    assert four.interactivity == one.interactivity


def test_a_run_with_failures_is_no_point() -> None:
    """By default one failure is one too many; the causes are counted."""
    failed = replace(steady_run(), failures=[RequestFailure(0.0, 1.0, "HTTP 429")] * 2)
    with pytest.raises(InvalidPointError, match=r"2 of 42 requests failed, at most 0 may: 2 x HTTP 429"):
        measure(failed, 1)
    assert measure(failed, 1, max_failures=2).failed == 2


def test_tokens_that_all_come_at_once_are_no_point() -> None:
    """There is no time per token, and a division by it would be no figure either."""
    records = [replace(record, first_token_s=record.last_token_s) for record in steady_run().records]
    with pytest.raises(InvalidPointError, match="all their tokens in one read"):
        measure(replace(steady_run(), records=records), 1)


def test_a_run_without_a_completed_request_is_no_point() -> None:
    """Nothing missing is zero."""
    for window in WINDOW_KINDS:
        with pytest.raises(InvalidPointError, match="no request completed"):
            measure(PointRun(4, []), 1, window)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cpu_share": 0.8}, "its process used 80% of a core"),
        ({"cpu_share": math.nan}, "its process used nan"),
        ({"loop_lag_p99_s": 0.02}, r"its loop lagged 20\.0 ms \(p99\), at most 10\.0 ms may be"),
        ({"loop_lag_p99_s": math.nan}, r"its loop lagged nan ms"),
        ({"events_per_read": 5.0}, r"it found 5\.0 events in a read"),
        ({"achieved_concurrency": 3.0}, r"it kept 3\.0 requests in flight, asked for 4"),
    ],
)
def test_a_client_that_could_not_keep_up_gives_no_point(change: dict[str, float], why: str) -> None:
    """A saturated client looks like a slow server; the point is invalid, never slow."""
    with pytest.raises(InvalidPointError, match=f"the load client could not keep up: {why}"):
        measure(replace(steady_run(), client=replace(GOOD, **change)), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("out", "gap_s", "limit_s"),
    [(100, 0.002, 0.002), (5, 0.002, 0.0002), (5, None, 0.0001)],
    ids=["a long request", "a short request", "answers in one piece"],
)
def test_a_late_client_is_held_against_what_it_delays(out: int, gap_s: float | None, limit_s: float) -> None:
    """A hundredth of the request, or a tenth of the gap between chunks where that is more."""
    steady = steady_run(out=out, step_s=0.002)
    gaps = Gaps() if gap_s is None else steady.gaps

    def lagging(lag_s: float) -> PointRun:
        return replace(steady, gaps=gaps, client=replace(GOOD, loop_lag_p99_s=lag_s))

    measure(lagging(0.98 * limit_s), 1)  # gaps are counted in buckets two percent wide
    with pytest.raises(InvalidPointError, match="its loop lagged"):
        measure(lagging(1.02 * limit_s), 1)


def test_a_distribution_of_nothing_is_refused() -> None:
    """No empty mean."""
    with pytest.raises(InvalidValueError, match="no value"):
        Spread.of([])


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50))
def test_percentiles_are_ordered_and_measured(values: list[float]) -> None:
    """Each percentile is a value that occurred, and they rise."""
    spread = Spread.of(values)
    assert spread.p90_s in values
    assert spread.p99_s in values
    assert spread.median_s <= spread.p90_s <= spread.p99_s
