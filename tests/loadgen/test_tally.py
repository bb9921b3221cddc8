"""The self-check from sums, and several processes as one point."""

from __future__ import annotations

import pytest

from pytest_precgate.analysis.measure.records import ClientCheck, Gaps, RequestFailure, RequestRecord
from pytest_precgate.loadgen.tally import Share, Tally, merged


def test_achieved_concurrency_is_the_mean_between_ramp_and_last_send() -> None:
    """Two slots, sends at 0, 1, 4 and 8 s, one slot idle from 3 to 4 s and one from 6 to 8 s: (7 * 2 - 3) / 7."""
    tally = Tally(slots=2)
    tally.sent(0.0, 0.0)
    tally.sent(1.0, 0.5)
    tally.ended(3.0)
    tally.sent(4.0, 1.0)
    tally.ended(6.0)
    tally.sent(8.0, 4.0)
    tally.ended(20.0)
    check = tally.check(30.0, 5.0)
    assert check.achieved_concurrency == pytest.approx(11 / 7)
    assert check.cpu_share == pytest.approx(3.5 / 7)


def test_one_request_per_slot_counts_the_most_at_once_and_the_whole_run() -> None:
    """No time lies between ramp and last send."""
    tally = Tally(slots=2)
    tally.sent(0.0, 0.0)
    tally.sent(1.0, 0.5)
    tally.ended(3.0)
    check = tally.check(10.0, 2.0)
    assert (check.achieved_concurrency, check.cpu_share) == (2.0, 0.2)


def test_a_point_of_several_processes_shows_the_worst_client() -> None:
    """CPU share and lag of the worst, concurrency summed, gaps and records together, warm-up failures kept."""
    record = RequestRecord(0.0, 1.0, 2.0, 3, 4)
    failure = RequestFailure(0.0, 1.0, "HTTP 503")
    warmup = Share((), (failure,), Gaps(), ClientCheck(0.9, 9.0, 9.0, 0.0), resent=1)
    first = Share((record,), (), Gaps({5: 2}), ClientCheck(0.1, 1.0, 0.004, 3.0))
    second = Share((record,), (), Gaps({5: 1, 9: 1}), ClientCheck(0.3, 1.5, 0.001, 2.0)).after(warmup)
    run = merged(5, [first, second])
    assert run.client == ClientCheck(0.3, 1.5, 0.004, 5.0, processes=2)
    assert (len(run.records), run.failures, run.gaps.counts) == (2, (failure,), {5: 3, 9: 1})
