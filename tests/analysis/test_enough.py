"""How well a point is known from its own requests, and when that is enough."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.enough import BATCHES, DEFAULT, PUBLISHED, Extent, known_to, never, standard_error
from pytest_precgate.analysis.records import RequestRecord
from pytest_precgate.errors import InvalidValueError
from tests.loops import closed_loop


def noisy(number: int, sigma: float, rng: random.Random, memory: float = 0.0) -> list[RequestRecord]:
    """Requests of one slot whose steps vary by ``sigma``, each remembering ``memory`` of how slow the last one was."""
    records, now, slow = [], 0.0, 0.0
    for _ in range(number):
        slow = memory * slow + math.sqrt(1 - memory**2) * rng.gauss(0.0, sigma)
        step = 0.01 * math.exp(slow)
        records.append(RequestRecord(now, now + step, now + 100 * step, 100, 100))
        now += 100 * step
    return records


def test_the_error_of_independent_requests_is_that_of_their_mean() -> None:
    """sigma by the square root of their number, and a quarter more for the median of a batch; over 100 estimates."""
    rng = random.Random(1)
    found = [standard_error(noisy(200, 0.05, rng)) for _ in range(100)]
    throughput = statistics.fmean(error.throughput for error in found if error is not None)
    interactivity = statistics.fmean(error.interactivity for error in found if error is not None)
    assert throughput == pytest.approx(0.05 / math.sqrt(200), rel=0.1)
    assert interactivity == pytest.approx(1.25 * 0.05 / math.sqrt(200), rel=0.15)


def test_requests_that_slow_down_together_are_fewer_than_they_look() -> None:
    """Requests that remember half of the last one's slowness are known 1.7 times worse than independent ones."""
    rng = random.Random(2)
    found = [standard_error(noisy(400, 0.05, rng, memory=0.5)) for _ in range(100)]
    throughput = statistics.fmean(error.throughput for error in found if error is not None)
    assert throughput == pytest.approx(0.05 / math.sqrt(400) * math.sqrt(3), rel=0.15)


def test_without_noise_there_is_no_error() -> None:
    """Equal requests on a server of constant speed."""
    error = standard_error(closed_loop([(50, 100)] * 60, 4))
    assert error is not None
    assert error.worst == pytest.approx(0.0, abs=1e-12)


def test_too_few_requests_tell_nothing() -> None:
    """Below three a batch there is no estimate, and not an estimate of zero; nor where tokens came all at once."""
    records = closed_loop([(50, 100)] * (3 * BATCHES), 1)
    assert standard_error(records) is not None
    assert standard_error(records[1:]) is None
    assert standard_error([RequestRecord(n, n + 0.5, n + 0.5, 5, 10) for n in range(60)]) is None


def length_of(records: Sequence[RequestRecord], point_error: float, concurrency: int = 1) -> int:
    """How many requests have completed when the point may end; all of them when it never may."""
    is_enough = known_to(point_error, concurrency)
    completed: list[RequestRecord] = []
    for record in records:
        completed.append(record)
        if is_enough(completed):
            break
    return len(completed)


def test_a_noisier_point_takes_longer() -> None:
    """And a quiet one ends at the first look."""
    rng = random.Random(3)
    quiet, some, loud = (length_of(noisy(3000, sigma, rng), 0.005) for sigma in (0.001, 0.06, 0.15))
    assert 31 <= quiet <= 40 < some < loud < 3000


@pytest.mark.parametrize(("sigma", "memory"), [(0.03, 0.0), (0.06, 0.0), (0.06, 0.5)])
def test_a_point_that_ended_is_known_about_as_well_as_asked(sigma: float, memory: float) -> None:
    """Over 200 points that ended when they said so: the error of throughput is at most 1.4 times what was asked for."""
    rng = random.Random(4)
    errors = []
    for _ in range(200):
        records = noisy(600, sigma, rng, memory)
        served = records[: length_of(records, 0.01)]
        tokens = 200 * len(served) / sum(record.request_latency_s for record in served)
        errors.append(tokens / (200 / math.exp(sigma**2 / 2)) - 1)
    assert 0.003 < math.sqrt(statistics.fmean(error**2 for error in errors)) < 0.014


@given(st.integers(1, 200))
def test_a_point_does_not_end_before_every_slot_served_two(concurrency: int) -> None:
    """Without any noise at all: the ramp, two requests per slot, and 30 at least."""
    records = closed_loop([(50, 100)] * (5 * concurrency + 60), concurrency)
    assert length_of(records, 0.5, concurrency) >= concurrency + max(30, 2 * concurrency)


class Looked(Sequence[RequestRecord]):
    """Records that count how often somebody looked at one of them."""

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self.records = records
        self.looks = 0

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, at: int | slice) -> RequestRecord:  # type: ignore[override]
        raise AssertionError(at)

    def __iter__(self) -> Iterator[RequestRecord]:
        self.looks += 1
        return iter(self.records)


def test_asking_is_cheap_between_looks() -> None:
    """Asked after each of 3000 requests it looks at them some twenty times (twice for each look)."""
    records, is_enough = noisy(3000, 0.3, random.Random(5)), known_to(1e-6, 4)
    looks = 0
    for n in range(3000):
        seen = Looked(records[:n])
        assert not is_enough(seen)
        looks += seen.looks > 0
    assert 10 < looks < 30


def test_an_extent_is_one_of_two_things() -> None:
    """A number of requests per slot, or an error; what it may take at most is bounded."""
    assert PUBLISHED.requests(16) == 160
    assert PUBLISHED.is_enough(16) is never
    assert not never([])
    assert DEFAULT.requests(16) == 320
    assert DEFAULT.requests(1) == 60
    assert (PUBLISHED.facts, DEFAULT.facts) == ({"requests_per_slot": 10}, {"point_error": 0.005})


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({}, "wanted either a number of requests or an error"),
        ({"requests_per_slot": 3, "point_error": 0.1}, "and not both"),
        ({"requests_per_slot": 0}, "Extent.requests_per_slot: got 0"),
        ({"point_error": 0.0}, "Extent.point_error: got 0.0"),
        ({"point_error": 1.0}, "wanted a share below 1"),
    ],
)
def test_an_extent_no_point_could_have_is_refused(given_: dict[str, float], why: str) -> None:
    """When it is built."""
    with pytest.raises(InvalidValueError, match=why):
        Extent(**given_)  # type: ignore[arg-type]
