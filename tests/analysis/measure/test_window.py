"""Ramp, steady part and drain of a closed loop, and what throughput the parts give."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.lengths import closed_loop_lengths
from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.analysis.measure.window import (
    Window,
    end_of_ramp,
    served_within,
    steady_window,
    tokens_per_second,
    whole_window,
)
from pytest_precgate.errors import InvalidValueError
from tests.loops import closed_loop

STEP_S = 0.01
TTFT_STEPS = 12.0


def throughput(records: Sequence[RequestRecord], window: Window) -> float:
    return tokens_per_second(records, window)


@given(st.integers(1, 40), st.integers(3, 12), st.integers(2, 200), st.integers(1, 200), st.floats(0.5, 30.0))
def test_equal_requests_on_a_constant_server_read_what_it_delivers(
    concurrency: int, rounds: int, output: int, prompt: int, ttft_steps: float
) -> None:
    """However few the requests and wherever the window cuts: slots times tokens by latency."""
    records = closed_loop([(prompt, output)] * concurrency * rounds, concurrency, STEP_S, ttft_steps)
    latency_s = (ttft_steps + output - 1) * STEP_S
    delivered = concurrency * (prompt + output) / latency_s
    assert throughput(records, steady_window(records, concurrency)) == pytest.approx(delivered)
    assert throughput(records, whole_window(records)) == pytest.approx(delivered)


@given(st.integers(1, 40), st.integers(6, 20), st.integers(0, 10**6))
def test_five_requests_per_slot_read_within_two_percent_in_any_order(
    concurrency: int, per_slot: int, position: int
) -> None:
    """Even lengths and a staggered start: no long run is needed to average out what the lengths do."""
    work = Workload(1024, 1024, 0.8)
    lengths = list(itertools.islice(closed_loop_lengths(work, concurrency, position), max(per_slot * concurrency, 40)))
    records = closed_loop(lengths, concurrency, STEP_S, TTFT_STEPS)
    delivered = concurrency * 2 * 922 / ((TTFT_STEPS + 921) * STEP_S)
    assert throughput(records, steady_window(records, concurrency)) == pytest.approx(delivered, rel=0.02)


def test_the_whole_window_reads_low_and_the_steady_one_does_not() -> None:
    """Ramp and drain are a bias: 10 random requests per slot, over many draws."""
    biases = []
    for seed in range(40):
        rng = random.Random(seed)
        lengths = [(rng.randint(820, 1024), rng.randint(820, 1024)) for _ in range(160)]
        records = closed_loop(lengths, 16, STEP_S, TTFT_STEPS)
        delivered = 16 * sum(map(sum, lengths)) / sum((TTFT_STEPS + out - 1) * STEP_S for _, out in lengths)
        windows = (whole_window(records), steady_window(records, 16))
        biases.append([throughput(records, window) / delivered - 1 for window in windows])
    whole, steady = (sum(column) / len(column) for column in zip(*biases, strict=True))
    assert whole < -0.01
    assert abs(steady) < 0.003


def test_the_ramp_ends_with_half_of_the_first_requests_and_every_first_token() -> None:
    """Whichever is later: the third slot's prompt took until 5 s here, and until 1.5 s there."""
    first = [(0.0, 0.1, 1.0), (0.0, 0.2, 2.0), (0.0, 5.0, 6.0), (0.0, 0.2, 3.0), (1.0, 1.1, 9.0)]
    records = [RequestRecord(*times, 5, 10) for times in first]
    assert end_of_ramp(records, 4) == 5.0
    records[2] = RequestRecord(0.0, 1.5, 6.0, 5, 10)
    assert end_of_ramp(records, 4) == 3.0


def test_the_steady_window_needs_three_requests_per_slot() -> None:
    """With fewer, none of them saw neither ramp nor drain."""
    with pytest.raises(InvalidValueError, match="send at least three requests per slot"):
        steady_window(closed_loop([(50, 100)] * 4, 4), 4)


@pytest.mark.parametrize("pause_s", [0.0, 1e-4])
def test_the_steady_window_ends_with_the_first_request_after_the_last_send(pause_s: float) -> None:
    """Whether a slot sends in the instant its last request ended (virtual time) or a little later (a real client)."""
    records = [
        RequestRecord(start + pause_s * number, start + 0.1, start + 1.0, 5, 10)
        for slot in (0.0, 0.5)
        for number, start in enumerate(slot + n for n in range(4))
    ]
    window = steady_window(records, 2)
    assert (window.start_s, window.end_s) == (1.5, 4.0)


def test_a_long_request_cuts_the_sample_and_is_not_left_out_of_it() -> None:
    """Selecting all that ended in time would select the short ones: here the third is still running at the end."""
    times = [(0, 1), (1, 2), (2, 9), (3, 4), (4, 5)]
    records = [RequestRecord(sent, sent + 0.5, last, 5, 10) for sent, last in times]
    assert served_within(records, Window("steady", 0.0, 5.0)) == tuple(records[:2])


@pytest.mark.parametrize("latency_s", [2.0, 1.0, 0.2])
def test_pauses_between_requests_count(latency_s: float) -> None:
    """A request every two seconds is a request every two seconds, however quickly each is served."""
    records = [RequestRecord(2 * n, 2 * n + 0.1, 2 * n + latency_s, 5, 10) for n in range(9)]
    assert throughput(records, Window("steady", 0.0, 16.0)) == pytest.approx(15 / 2)


def test_the_whole_window_holds_every_request() -> None:
    """From the first send to the last token, whoever sent first or ended last: all tokens by the time they took."""
    times = [(2, 3), (0, 9), (1, 4)]
    records = [RequestRecord(sent, sent + 0.5, last, 5, 10) for sent, last in times]
    assert whole_window(records) == Window("whole", 0, 9)
    assert throughput(records, whole_window(records)) == pytest.approx(3 * 15 / 9)


def test_requests_in_flight_are_those_inside_the_window() -> None:
    """One that ended long before it and one sent long after it are no part of it; one that reaches in is, so far."""
    times = [(0, 2), (4, 12), (10, 14), (14, 18), (28, 40)]
    records = [RequestRecord(sent, sent + 0.5, last, 5, 10) for sent, last in times]
    in_flight = (2 + 4 + 4) / 10
    assert throughput(records, Window("steady", 10, 20)) == pytest.approx(in_flight * 15 / 4)
