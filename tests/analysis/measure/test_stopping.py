"""When a point has been measured long enough."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.analysis.measure.stopping import DEFAULT, LEAST_S, PUBLISHED, StopRule, known_to, never
from pytest_precgate.analysis.measure.uncertainty import uncertainty
from pytest_precgate.analysis.measure.window import end_of_ramp
from pytest_precgate.errors import InvalidValueError
from tests.loops import closed_loop, wandering_loop


def ended(
    records: Sequence[RequestRecord], point_error: float, concurrency: int = 1, window_limit_s: float = 120.0
) -> list[RequestRecord]:
    """The requests that have completed when the point may end; all of them when it never may."""
    is_enough = known_to(point_error, window_limit_s, concurrency)
    completed: list[RequestRecord] = []
    for record in sorted(records, key=lambda record: record.last_token_s):
        completed.append(record)
        if is_enough(completed):
            break
    return completed


def window_s(records: Sequence[RequestRecord], concurrency: int = 1) -> float:
    return records[-1].last_token_s - end_of_ramp(records, concurrency)


def test_a_noisier_point_takes_longer() -> None:
    """A quiet one ends after the least time; one that is never known well enough ends with its time."""
    quiet, some, loud = (
        window_s(ended(wandering_loop(400, sigma, 0.01, random.Random(3)), 0.01)) for sigma in (0.001, 0.03, 0.3)
    )
    assert LEAST_S <= quiet < 25
    assert quiet < some <= 121
    assert 119 <= loud <= 123


@given(st.integers(1, 60), st.floats(0.2, 30.0))
def test_a_quiet_point_takes_ten_seconds_and_three_requests_per_slot(concurrency: int, latency_s: float) -> None:
    """Equal requests: at least so much, and no more than a few requests beyond, unless its time is up."""
    step_s = latency_s / 100
    number = math.ceil((concurrency + 9) * (8 + 20 / latency_s))
    records = closed_loop([(50, 100)] * number, concurrency, step_s)
    completed = ended(records, 0.01, concurrency, 1e9)
    window = window_s(completed, concurrency)
    served = sum(record.sent_s >= end_of_ramp(completed, concurrency) for record in completed)
    assert len(completed) < number
    assert window >= LEAST_S
    assert served >= max(9, 2 * concurrency)
    assert window <= max(2 * LEAST_S, 9 * latency_s, 40 * latency_s / concurrency) + latency_s


@given(st.integers(1, 40), st.floats(0.2, 200.0), st.floats(1.0, 200.0))
def test_a_point_never_takes_longer_than_its_time(concurrency: int, latency_s: float, limit_s: float) -> None:
    """Counted from the end of the ramp; two requests of each slot, without which nothing is measured, come first."""
    records = closed_loop(
        [(50, 100)] * math.ceil(concurrency * (4 + limit_s / latency_s)), concurrency, latency_s / 100
    )
    completed = ended(records, 1e-9, concurrency, limit_s)
    last = completed[-1].last_token_s
    before = [record for record in completed if record.last_token_s < last - 1e-9]
    deadline_s = end_of_ramp(completed, concurrency) + limit_s
    assert len(completed) >= 2 * concurrency
    assert not before or before[-1].last_token_s < deadline_s or len(before) < 2 * concurrency


def held(served: Sequence[RequestRecord], pace_sigma: float) -> bool:
    """Whether the interval of requests of :func:`wandering_loop` holds their long-run rate."""
    error = uncertainty(served)
    assert error is not None
    mean_s = statistics.fmean(record.request_latency_s for record in served)
    return abs(math.exp(pace_sigma**2 / 2) / mean_s - 1) <= error.throughput


def test_intervals_hold_the_truth_in_points_that_ended_themselves() -> None:
    """The pace wanders by 5% within 3 s and 3% is asked for: nine of ten of 100 points, within two standard errors."""
    ours = [held(ended(wandering_loop(150, 0.05, 3.0, random.Random(seed)), 0.03)[1:], 0.05) for seed in range(100)]
    assert statistics.fmean(ours) > 0.84


def test_what_comes_after_the_look_that_decides_has_no_say_in_the_end() -> None:
    """A server that turns uneven after a quiet start: the point ends when it would have, and its interval tells."""
    quiet = closed_loop([(50, 100)] * 400, 1, 0.001)
    rng, now_s, uneven = random.Random(6), quiet[59].last_token_s, quiet[:60]
    for _ in range(400):
        latency_s = rng.choice([0.05, 0.3])
        uneven.append(RequestRecord(now_s, now_s + latency_s / 10, now_s + latency_s, 50, 100))
        now_s += latency_s
    as_ever, in_the_end = ended(quiet, 0.01), ended(uneven, 0.01)
    assert in_the_end[:60] == as_ever[:60]
    assert window_s(in_the_end) == pytest.approx(window_s(as_ever), abs=0.3)
    error = uncertainty(in_the_end[1:])
    assert error is not None
    assert error.worst > 0.1


class Looked(Sequence[RequestRecord]):
    """Records that count how often all of them were read."""

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self.records = records
        self.looks = 0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, at: int | slice) -> RequestRecord:  # type: ignore[override]
        assert at == -1
        return self.records[-1]

    def __iter__(self) -> Iterator[RequestRecord]:
        self.looks += 1
        return iter(self.records)


def test_asking_is_cheap_between_looks() -> None:
    """Asked after each of 3000 requests it looks at them some twenty times: each time the window is longer by 40%."""
    records, is_enough = wandering_loop(3000, 0.3, 0.01, random.Random(5)), known_to(1e-6, 1e9, 4)
    looks = 0
    for n in range(3000):
        seen = Looked(records[:n])
        assert not is_enough(seen)
        looks += seen.looks > 0
    assert 10 < looks < 25


def test_looks_are_further_apart_the_longer_the_window_is() -> None:
    """The first after 5 s, each of the others when the window is longer by the square root of two."""
    draw, records, now_s = random.Random(7), list[RequestRecord](), 0.0
    for _ in range(4000):
        latency_s = draw.uniform(0.04, 0.06)
        records.append(RequestRecord(now_s, now_s + 0.01, now_s + latency_s, 50, 100))
        now_s += latency_s
    is_enough, windows = known_to(1e-6, 1e9, 1), list[float]()
    for n in range(2, 4000):
        seen = Looked(records[:n])
        assert not is_enough(seen)
        if seen.looks and n > 2:
            windows.append(seen[-1].last_token_s - records[0].last_token_s)
    assert windows[0] == pytest.approx(5, abs=0.06)
    assert len(windows) == 11
    for before, after in pairwise(windows):
        assert 0 <= after - before * math.sqrt(2) <= 0.06


def test_where_nothing_can_be_told_yet_the_next_look_comes_soon() -> None:
    """After a sixteenth of the window: a point of long requests is not held up by a look that came too early."""
    records = closed_loop([(50, 100)] * 60, 1, 0.01)  # of a second each: nine of them are served after ten
    quiet = ended(records, 0.01)
    assert 18 <= window_s(quiet) <= 21


def test_a_quiet_point_takes_ten_seconds() -> None:
    """Half of them until the look that decides."""
    quiet = ended(closed_loop([(50, 100)] * 400, 1, 0.001), 0.01)
    assert window_s(quiet) == pytest.approx(10, abs=0.11)


def test_two_requests_of_each_slot_are_waited_for() -> None:
    """However long they take; then a point whose time is up has ended."""
    assert len(ended(closed_loop([(50, 100)] * 40, 4, 0.1), 0.01, 4, window_limit_s=1.0)) == 8


def test_a_stop_rule_is_one_of_two_kinds() -> None:
    """A number of requests per slot, or an error and the time it may take."""
    assert PUBLISHED.requests(16) == 160
    assert PUBLISHED.is_enough(16) is never
    assert not never([])
    quiet = closed_loop([(50, 100)] * 400, 1, 0.001)
    is_enough = DEFAULT.is_enough(1)
    assert [is_enough(quiet[:number]) for number in (50, 60, 300)] == [False, False, True]
    assert DEFAULT.requests(16) is None
    assert DEFAULT.window_limit_s == 120
    assert PUBLISHED.facts == {"requests_per_slot": 10}
    assert DEFAULT.facts == {"point_error": 0.005, "window_limit_s": 120}


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({}, "wanted either a number of requests or an error"),
        ({"requests_per_slot": 3, "point_error": 0.1}, "and not both"),
        ({"requests_per_slot": 3, "window_limit_s": 60.0}, "wanted no window_limit_s"),
        ({"requests_per_slot": 0}, r"StopRule.requests_per_slot: got 0"),
        ({"point_error": 0.0}, "StopRule.point_error: got 0.0"),
        ({"point_error": 1.0}, "wanted a share below 1"),
        ({"point_error": 0.1, "window_limit_s": 0}, "StopRule.window_limit_s: got 0"),
    ],
)
def test_an_impossible_stop_rule_is_refused(given_: dict[str, float], why: str) -> None:
    """When it is built."""
    with pytest.raises(InvalidValueError, match=why):
        StopRule(**given_)  # type: ignore[arg-type]
