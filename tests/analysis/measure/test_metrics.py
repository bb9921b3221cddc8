"""What makes a point of records, and what of a run or of a recorded point is none."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.measurement import Measurement, Spread
from pytest_precgate.analysis.measure.metrics import measure, require_believable
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import ClientCheck, Gaps, PointRun, RequestFailure
from pytest_precgate.analysis.measure.tokens import Expected, TokenFacts
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import WINDOW_KINDS, Window
from pytest_precgate.errors import InvalidPointError, InvalidValueError
from tests.loops import closed_loop

GOOD = ClientCheck(cpu_share=0.2, events_per_read=1.0, loop_lag_p99_s=1e-4, achieved_concurrency=4.0)


def steady_run(concurrency: int = 4, rounds: int = 10, out: int = 100, step_s: float = 0.01) -> PointRun:
    records = closed_loop([(50, out)] * rounds * concurrency, concurrency, step_s)
    return PointRun(concurrency, records, gaps=Gaps.of([step_s] * 50), client=GOOD)


RUN = steady_run()
BUSY_S = sum(record.request_latency_s for record in RUN.records)
RESET, REFUSED = RequestFailure(0.0, 1.0, "reset by peer", is_reset=True), RequestFailure(0.0, 1.0, "HTTP 429")


def refused(run: PointRun, max_failures: int = 0) -> InvalidPointError:
    with pytest.raises(InvalidPointError) as caught:
        measure(run, 1, max_failures=max_failures)
    return caught.value


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


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    """The smallest value that at least 90%, or 99%, of all are no larger than."""
    assert Spread.of([float(value) for value in range(100, 0, -1)]) == Spread(50.5, 50.5, 90.0, 99.0)
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(4.0, 3.0, 8.0, 8.0)


@pytest.mark.parametrize(
    ("field", "held", "beyond"),
    [("cpu_share", 0.5, 0.51), ("events_per_read", 2.0, 2.01), ("achieved_concurrency", 3.8, 3.79)],
)
def test_a_client_is_believed_up_to_its_limits(field: str, held: float, beyond: float) -> None:
    """Half a core, two events in a read, 95% of the requests in flight (docs/loadgen.md), and no further."""
    measure(replace(RUN, client=replace(GOOD, **{field: held})), 1)  # type: ignore[arg-type]
    found = refused(replace(RUN, client=replace(GOOD, **{field: beyond})))  # type: ignore[arg-type]
    assert found.is_outside
    assert str(found).endswith("Use more client processes (processes in the settings) or a quieter machine")


def test_a_client_of_slow_requests_may_lag_by_a_hundredth_of_them() -> None:
    """Requests of 100 s: a second, and both times are told in milliseconds; without a client nothing lags."""
    slow = steady_run(step_s=1.0)
    found = refused(replace(slow, client=replace(GOOD, loop_lag_p99_s=3.0)))
    assert "its loop lagged 3000.0 ms (p99), at most 1000.0 ms may be" in str(found)
    assert measure(replace(slow, client=None), 1).client is None


def test_every_breach_of_a_client_is_told() -> None:
    """What they mean is said once."""
    assert GOOD.processes == 1
    found = refused(replace(RUN, client=replace(GOOD, cpu_share=0.8, events_per_read=5.0)))
    assert "the load client could not keep up: its process used 80% of a core, at most 50% may be; it found 5.0" in str(
        found
    )


def test_chunks_are_told_by_their_median_and_their_99th_percentile() -> None:
    """Of one hundred gaps, to the width of a bucket."""
    found = measure(replace(RUN, gaps=Gaps.of([*[0.005] * 20, *[0.01] * 40, *[0.02] * 39, 0.5])), 1)
    assert found.itl_median_s == pytest.approx(0.01, rel=0.02)
    assert found.itl_p99_s == pytest.approx(0.02, rel=0.02)
    silent = measure(replace(RUN, gaps=Gaps()), 1)
    assert (silent.itl_median_s, silent.itl_p99_s) == (None, None)


def test_the_time_lost_to_closed_connections_may_be_a_hundredth() -> None:
    """Of the time of all requests, in the seconds and the number of connections that it took."""
    measure(replace(RUN, lost_s=0.99 * BUSY_S / 100), 1)
    found = refused(replace(RUN, lost_s=1.01 * BUSY_S / 100, reopened=3))
    assert "3 connections were closed by the server" in str(found)
    assert f"{1.01 * BUSY_S / 100:.2f} s, at most 1% of {BUSY_S:.2f} s may" in str(found)


def test_a_run_that_was_given_up_says_why_behind_its_failures() -> None:
    """Both where there are both; requests sent again count as failed."""
    alone = str(refused(replace(RUN, ended="ended: gone")))
    assert alone.endswith("not a point: ended: gone")
    assert "sent again" not in str(refused(replace(RUN, failures=[REFUSED])))
    both = str(refused(replace(RUN, ended="ended: gone", failures=[REFUSED], resent=2)))
    assert "3 of 41 requests failed, at most 0 may: 1 x HTTP 429; 2 x sent again" in both
    assert both.endswith("; ended: gone")
    assert measure(replace(RUN, failures=[REFUSED], resent=2), 1, max_failures=3).resent == 2


def test_the_three_most_frequent_causes_are_shown() -> None:
    """By their number, whoever came first."""
    failures = [RequestFailure(0.0, 1.0, cause) for cause in "abbcccdddd"]
    found = str(refused(replace(RUN, failures=failures)))
    assert "4 x d; 3 x c; 2 x b" in found
    assert "1 x a" not in found


@pytest.mark.parametrize(
    ("run", "max_failures", "is_outside"),
    [
        (replace(RUN, failures=[RESET]), 0, True),
        (replace(RUN, failures=[RESET] * 3), 2, True),
        (replace(RUN, failures=[RESET] * 2), 0, False),
        (replace(RUN, failures=[REFUSED]), 0, False),
        (replace(RUN, failures=[RESET, REFUSED]), 1, False),
        (replace(RUN, failures=[RESET], froze=True), 0, False),
        (replace(RUN, ended="gone"), 0, False),
    ],
)
def test_one_reset_connection_too_many_may_be_the_network_s(run: PointRun, max_failures: int, is_outside: bool) -> None:
    """Such a point may be measured again; two, another cause or a server that fell silent are the server's."""
    assert refused(run, max_failures).is_outside is is_outside


def test_a_point_is_short_where_it_is_known_worse_than_asked() -> None:
    """Its point carries the error, at most the whole figure, and all of it where none could be told."""
    whole = replace(measure(RUN, 1), error=Uncertainty(0.01, 0.02), asked_error=None)
    for asked, error, short in (
        (None, whole.error, None),
        (0.02, whole.error, None),
        (0.019, whole.error, 0.02),
        (0.019, Uncertainty(0.03, 0.02), 0.03),
        (0.019, Uncertainty(0.1, 7.0), 1.0),
        (0.019, None, 1.0),
    ):
        assert replace(whole, asked_error=asked, error=error).point().short_error == short


def test_random_lengths_leave_more_on_a_point_than_even_ones() -> None:
    """The whole window holds lengths as they were drawn, the steady one those that were evened out."""
    run = replace(RUN, records=closed_loop([(50, 100), (60, 60), (40, 80)] * 40, 4, 0.01))
    whole, steady = measure(run, 1, "whole"), measure(run, 1, "steady")
    assert whole.error is not None
    assert steady.error is not None
    assert whole.error.throughput > 2 * steady.error.throughput


def test_a_long_cause_is_cut() -> None:
    """A server may answer with a page; four hundred characters of it are shown."""
    _, _, shown = str(refused(replace(RUN, failures=[RequestFailure(0.0, 1.0, "q" * 5000)]))).partition("1 x ")
    assert shown.startswith("qqq")
    assert len(shown) == 400


def test_a_point_has_gpus() -> None:
    """Throughput is by each of them."""
    with pytest.raises(InvalidValueError, match=r"measure\.gpus: got 0"):
        measure(RUN, 0)


RECORDED = measure(RUN, 1)
TOKENS = TokenFacts(1.0, 1.0)


def test_a_measurement_becomes_a_point_of_a_sweep() -> None:
    """Steps of 10 ms are 100 tok/s/user; what speculation gave goes with it."""
    assert RECORDED.interactivity == pytest.approx(100)
    assert RECORDED.point().acceptance_length is None
    assert replace(RECORDED, tokens=None).point().acceptance_length is None
    assert replace(RECORDED, tokens=TokenFacts(1.0, 1.0, None, 2.5)).point().acceptance_length == 2.5


def test_what_a_recorded_point_does_not_say_did_not_happen() -> None:
    """Files from before it was kept: nothing asked for, nothing sent again, no connection reopened."""
    kept = {each.name: getattr(RECORDED, each.name) for each in fields(RECORDED) if each.default is MISSING}
    assert Measurement(**kept) == replace(RECORDED, tokens=None, details=None)


def test_a_recorded_point_is_believed() -> None:
    """As measured; with as many failures as may be; with nothing known of its client or its tokens."""
    require_believable(RECORDED, 0)
    require_believable(replace(RECORDED, failed=1, resent=1), 2)
    require_believable(replace(RECORDED, resent=1), 1)
    require_believable(replace(RECORDED, client=None, tokens=None, error=None, asked_error=None), 0)
    require_believable(replace(RECORDED, error=Uncertainty(0.0, 0.0)), 0)
    require_believable(replace(RECORDED, window=Window("steady", 1.0, 1.5)), 0)
    require_believable(replace(RECORDED, asked_error=0.005), 0)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (replace(RECORDED, completed=0), "completed is 0, wanted a number of requests from 1"),
        (replace(RECORDED, failed=-1, resent=1), "failed is -1, wanted a number of requests from 0"),
        (replace(RECORDED, failed=1, resent=-1), "resent is -1, wanted a number of requests from 0"),
        (replace(RECORDED, reopened=-1), "reopened is -1, wanted a number of requests from 0"),
        (replace(RECORDED, failed=1), "1 requests failed, at most 0 may"),
        (replace(RECORDED, failed=1, resent=2), "3 requests failed, at most 0 may"),
        (replace(RECORDED, failed=-1), "-1 requests failed, at most 0 may"),
        (replace(RECORDED, failed=-2), "-2 requests failed, at most 0 may"),
        (replace(RECORDED, ttft=Spread(0.0, 1.0, 1.0, 1.0)), "ttft is Spread.*in that order"),
        (replace(RECORDED, tpot=Spread(1.0, 0.0, 1.0, 1.0)), "tpot is Spread.*in that order"),
        (replace(RECORDED, request_latency=Spread(1.0, 2.0, 1.0, 3.0)), "request_latency is Spread.*in that order"),
        (replace(RECORDED, request_latency=Spread(1.0, 1.0, 3.0, 2.0)), "request_latency is Spread.*in that order"),
        (replace(RECORDED, tpot=Spread(math.nan, 1.0, 1.0, 1.0)), "tpot is Spread.*in that order"),
        (replace(RECORDED, window=Window("steady", 1.0, 1.0)), "its window takes 0 s"),
        (replace(RECORDED, error=Uncertainty(-0.1, 0.1)), "an error below 0 is none"),
        (replace(RECORDED, error=Uncertainty(0.1, -0.1)), "an error below 0 is none"),
        (replace(RECORDED, asked_error=0.0), "an error below 0 is none"),
        (replace(RECORDED, client=replace(GOOD, cpu_share=0.9)), "its process used 90% of a core"),
        (replace(RECORDED, tokens=replace(TOKENS, cached_share=0.5)), "50.0% of the prompt tokens came"),
    ],
)
def test_a_recorded_point_that_no_run_gives_is_refused(changed: Measurement, why: str) -> None:
    """A file is believed as far as the rules it was measured by go."""
    with pytest.raises(InvalidPointError, match=f"as it is recorded, .*{why}"):
        require_believable(changed, 0)


def test_a_recorded_point_must_say_the_acceptance_length_that_is_forced() -> None:
    """Its tokens where they are kept, and what is not kept is not known."""
    forced = Expected(acceptance_length=2.0)
    require_believable(replace(RECORDED, tokens=TokenFacts(1.0, 1.0, None, 2.0)), 0, forced)
    with pytest.raises(InvalidPointError, match="does not say which acceptance length there was"):
        require_believable(replace(RECORDED, tokens=None), 0, forced)
    with pytest.raises(InvalidPointError, match="neither the server's counters nor its answers tell"):
        require_believable(RECORDED, 0, forced)


@pytest.mark.parametrize(
    ("gpu_seconds", "configuration", "why"),
    [
        (0.0, "tp4", r"MeasuredPoint\.gpu_seconds: got 0\.0"),
        (1.0, "", r"MeasuredPoint\.configuration: got ''"),
    ],
)
def test_a_point_is_kept_with_what_it_cost_and_where_it_belongs(
    gpu_seconds: float, configuration: str, why: str
) -> None:
    """Each refused by its name where it cannot be."""
    assert MeasuredPoint(RECORDED, 42.5, "tp4").key == MeasuredPoint(RECORDED, 42.5, "tp4").point.key == ("tp4", 1, 4)
    with pytest.raises(InvalidValueError, match=why):
        MeasuredPoint(RECORDED, gpu_seconds, configuration)


def test_a_point_without_a_time_per_token_is_not_kept() -> None:
    """Its interactivity would be a division by nothing."""
    with pytest.raises(InvalidValueError, match=r"MeasuredPoint\.tpot\.median_s: got 0\.0"):
        MeasuredPoint(replace(RECORDED, tpot=Spread(0.0, 0.0, 0.0, 0.0)), 42.5)
