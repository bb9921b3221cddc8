"""How well a point is known from its own requests."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, optimize, stats

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.analysis.measure.uncertainty import LEAST_REQUESTS, Uncertainty, foreseen, uncertainty, within_t
from tests.loops import closed_loop, wandering_loop


def coverage(number: int, tau_s: float, points: int = 200) -> tuple[float, float]:
    """The share of points of one slot whose throughput lies inside its interval, and the mean half-width.

    Requests take a second, their pace wanders by 5% and forgets itself within ``tau_s``.
    """
    held, widths = 0, []
    for seed in range(points):
        records = wandering_loop(number, 0.05, tau_s, random.Random(seed))
        error = uncertainty(records)
        assert error is not None
        rate = 200 * number / sum(record.request_latency_s for record in records)
        # Each request takes exp(pace) seconds: the long-run rate is tokens by its mean.
        held += abs(rate / (200 / math.exp(0.05**2 / 2)) - 1) <= error.throughput
        widths.append(error.throughput)
    return held / points, sum(widths) / points


@pytest.mark.parametrize(
    ("number", "tau_s", "at_least", "at_most"),
    [
        (120, 0.01, 0.90, 1.00),  # independent requests: a model of slow change makes it wider than it needs to be
        (120, 1.0, 0.87, 1.00),
        (120, 5.0, 0.85, 0.98),
        (120, 20.0, 0.80, 0.96),
        (12, 0.01, 0.85, 1.00),
    ],
)
def test_nine_of_ten_intervals_hold_the_truth(number: int, tau_s: float, at_least: float, at_most: float) -> None:
    """However slowly the pace wanders, up to a sixth of the window: 200 points each, within three standard errors."""
    share, _ = coverage(number, tau_s)
    assert at_least <= share <= at_most


def test_the_interval_of_independent_requests_is_not_much_wider_than_it_must_be() -> None:
    """1.645 standard errors were the half-width of who knew that they are independent."""
    _, width = coverage(240, 0.01)
    assert 1.0 <= width / (1.645 * 0.05 / math.sqrt(240)) <= 1.8


def test_slow_change_is_seen_where_batches_of_a_tenth_do_not_see_it() -> None:
    """A drift of 5% over the window: the spread of ten batches would call it known to 0.8% (1.645 standard errors)."""
    records, now_s = [], 0.0
    for number in range(120):
        latency_s = 1 + 0.05 * number / 120
        records.append(RequestRecord(now_s, now_s + latency_s / 100, now_s + latency_s, 100, 100))
        now_s += latency_s
    error = uncertainty(records)
    assert error is not None
    assert 0.015 < error.worst < 0.05


def test_without_noise_there_is_no_error() -> None:
    """Equal requests on a server of constant speed."""
    error = uncertainty(closed_loop([(50, 100)] * 60, 4))
    assert error is not None
    assert error.worst == pytest.approx(0.0, abs=1e-9)


def test_lengths_alone_leave_an_error_on_throughput() -> None:
    """On a server of constant speed: by the number of requests where they follow the even sequence, more where not."""
    rng = random.Random(1)
    few, many = (
        closed_loop([(rng.randint(80, 100), rng.randint(80, 100)) for _ in range(number)], 1, ttft_steps=0.5)
        for number in (20, 80)
    )
    short, long, drawn = uncertainty(few), uncertainty(many), uncertainty(many, even_lengths=False)
    assert short is not None
    assert long is not None
    assert drawn is not None
    assert 0.003 < short.throughput < 0.012
    assert long.throughput < short.throughput / 2
    assert drawn.throughput > 2 * long.throughput
    assert long.interactivity < 1e-3


def at_once(number: int) -> list[RequestRecord]:
    return [RequestRecord(0.001 * at, 0.5, 1.0 + 0.01 * at, 5, 10) for at in range(number)]


@pytest.mark.parametrize(
    "records",
    [
        closed_loop([(50, 100)] * (LEAST_REQUESTS - 1), 1),
        at_once(60),
        [RequestRecord(at, at + 0.5, at + 0.5, 5, 10) for at in range(60)],
    ],
    ids=["too few", "sent within the time of one", "all tokens at once"],
)
def test_where_requests_cannot_tell_there_is_no_interval(records: Sequence[RequestRecord]) -> None:
    """And not one of width zero."""
    assert uncertainty(records) is None


@given(
    st.lists(st.floats(0.1, 10.0), min_size=LEAST_REQUESTS, max_size=80),
    st.integers(1, 4),
    st.floats(1e-3, 1e3),
)
def test_an_interval_is_finite_and_the_same_each_time(latencies_s: list[float], slots: int, unit: float) -> None:
    """For any request times; whether there is an estimate does not depend on the server's speed."""
    free, records = [0.0] * slots, []
    for latency_s in latencies_s:
        slot = free.index(min(free))
        sent_s = free[slot]
        records.append(RequestRecord(sent_s, sent_s + latency_s / 10, sent_s + latency_s, 50, 50))
        free[slot] = sent_s + latency_s
    error = uncertainty(records)
    if error is not None:
        assert 0 <= error.throughput < math.inf
        assert 0 <= error.interactivity < math.inf
        assert uncertainty(records) == error
    as_told = uncertainty(
        [RequestRecord(unit * r.sent_s, unit * r.first_token_s, unit * r.last_token_s, 50, 50) for r in records]
    )
    assert (as_told is None) is (error is None)


@given(st.integers(1, 60), st.floats(0.0, 50.0), st.floats(0.0, 50.0))
def test_the_t_distribution_grows_with_its_width(freedom: int, first: float, second: float) -> None:
    """From 0 towards 1."""
    low, high = sorted((first, second))
    assert 0 <= within_t(low, freedom) <= within_t(high, freedom) + 1e-12 <= 1 + 1e-11


@pytest.mark.parametrize(
    ("freedom", "width"), [(1, 6.3138), (2, 2.9200), (3, 2.3534), (8, 1.8595), (20, 1.7247), (120, 1.6577)]
)
def test_the_t_distribution_is_the_one_of_the_tables(freedom: int, width: float) -> None:
    """Two-sided 90% quantiles of Student's t (Abramowitz and Stegun 1964, table 26.10)."""
    assert within_t(width, freedom) == pytest.approx(0.9, abs=1e-5)


def test_the_worst_of_two_figures_counts() -> None:
    """A point is known as well as the figure that is known worse."""
    assert Uncertainty(0.01, 0.02).worst == 0.02


# --- the same figures by scipy: its cosine transform, its t distribution, its root finder ------------------------


def half_width(values: Sequence[float], span_s: float, latency_s: float) -> float:
    """The relative half-width of the mean of ``values``, as the head of the module describes it."""
    relative = np.array(values) / np.mean(values) - 1
    number = max(2, min(20, len(values) - 1, int(span_s / latency_s)))
    powers = 2 * (fft.dct(relative, type=2)[1 : number + 1] / (2 * len(values))) ** 2
    omegas = np.pi * np.arange(1, number + 1) / span_s
    # np.sinc(x) is sin(pi x) / (pi x); beyond one request's own frequency its average is taken no further.
    averaged = np.sinc(np.minimum(omegas * latency_s / 2, np.pi / 2) / np.pi) ** 2
    logs, scales = [], []
    for share in (0.5, 1.0):
        for tau_s in (5.0, 20.0, 60.0):
            spectrum = 1 - share + share * averaged / (1 + (omegas * tau_s) ** 2)
            rest = float(np.sum(powers / spectrum))
            spans = span_s / tau_s
            at_zero = 1 - share + share * (1 + np.expm1(-spans) / spans)
            logs.append(-0.5 * float(np.sum(np.log(spectrum))) - 0.5 * number * math.log(rest))
            scales.append(math.sqrt(at_zero * rest / number))
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()

    def outside(width: float) -> float:
        return float(np.dot(weights, 2 * stats.t.cdf(width / np.array(scales), number) - 1)) - 0.9

    drift = stats.norm.ppf(0.95) * math.sqrt(float(np.mean(powers[:2])))
    return max(float(optimize.brentq(outside, 0, 1e3 * max(scales))), float(drift))


def by_scipy(records: Sequence[RequestRecord], even: bool) -> tuple[float, float]:
    """The half-widths of throughput and interactivity."""
    count = len(records)
    number = min(48, count // 6) if count >= 24 else min(4, count // 3)
    cuts = [part * count // number for part in range(number + 1)]
    batches = [records[cuts[part] : cuts[part + 1]] for part in range(number)]
    paces = [sum(r.request_latency_s for r in each) / sum(r.output_tokens for r in each) for each in batches]
    tpots = [float(np.median([r.tpot_s for r in each])) for each in batches]
    latency_s = float(np.mean([r.request_latency_s for r in records]))
    span_s = (records[-1].sent_s - records[0].sent_s) * count / (count - 1)
    tokens = np.array([(r.input_tokens + r.output_tokens) / r.output_tokens for r in records])
    off = 0.6 * np.ptp(tokens) / count if even else stats.norm.ppf(0.95) * np.std(tokens, ddof=1) / math.sqrt(count)
    pace, tpot = (half_width(values, span_s, latency_s) for values in (paces, tpots))
    return math.hypot(pace, float(off / tokens.mean())), tpot


def uneven(number: int, seed: int, slots: int, sigma: float = 0.05) -> list[RequestRecord]:
    """Requests of many lengths whose pace, and whose time to the first token, wander apart from each other."""
    draw, slow, records = random.Random(seed), 0.0, []
    free = [0.1 * slot for slot in range(slots)]
    for _ in range(number):
        slow = 0.8 * slow + draw.gauss(0, sigma)
        sent_s, prompt, output = min(free), draw.randint(80, 120), draw.randint(50, 100)
        first_s = sent_s + 0.2 * math.exp(draw.gauss(0, 0.3))
        records.append(RequestRecord(sent_s, first_s, first_s + (output - 1) * 0.02 * math.exp(slow), prompt, output))
        free[free.index(sent_s)] = records[-1].last_token_s
    return records


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("slots", [1, 3, 7])
@pytest.mark.parametrize("number", [9, 12, 15, 23, 24, 29, 60, 120, 287, 288, 300])
def test_intervals_are_those_that_scipy_gives(number: int, slots: int, even: bool) -> None:
    """Few batches and many, short spans and long ones; the width is searched for to a ten thousandth."""
    for seed in range(3):
        records = uneven(number, seed, slots)
        found = uncertainty(records, even)
        assert found is not None
        assert (found.throughput, found.interactivity) == pytest.approx(by_scipy(records, even), rel=2e-4)


def test_a_stretch_of_answers_in_one_piece_tells_no_pace() -> None:
    """Half of one batch came without a time per token: no interval, however even the others are."""
    records = uneven(60, 3, 1)
    whole = [replace(r, first_token_s=r.last_token_s) if 12 <= at < 18 else r for at, r in enumerate(records)]
    assert uncertainty(records) is not None
    assert uncertainty(whole) is None


def test_a_longer_window_is_foreseen_by_its_growth() -> None:
    """What the server does goes by the square root, what even lengths do by the number; a slot's last is missed."""
    records = uneven(60, 1, 3)
    now, same, later = uncertainty(records), foreseen(records, 1, 3), foreseen(records, 4, 3)
    assert now is not None
    assert same is not None
    assert later is not None
    tokens = [1 + r.input_tokens / r.output_tokens for r in records]
    lengths = 0.6 * (max(tokens) - min(tokens)) / sum(tokens)
    server = math.sqrt(now.throughput**2 - lengths**2)
    assert (same.throughput, same.interactivity) == pytest.approx(
        (math.hypot(server, 1.25 * lengths), now.interactivity)
    )
    assert (later.throughput, later.interactivity) == pytest.approx(
        (math.hypot(server / 2, 1.25 * lengths * 60 / (240 + 9)), now.interactivity / 2)
    )
    assert foreseen(records[:8], 4, 3) is None


def test_the_first_event_is_left_out_of_a_request_s_pace_however_much_it_held() -> None:
    """Half of a request's tokens at once, then the others at a pace that wanders: known as well as without them."""
    plain = uneven(60, 2, 1)
    lumped = [replace(r, output_tokens=r.output_tokens + 40, events=r.output_tokens, first_tokens=41) for r in plain]
    untold = [replace(r, first_tokens=None) for r in plain]
    one, other, silent = (uncertainty(records) for records in (plain, lumped, untold))
    assert one is not None
    assert other is not None
    assert other.interactivity == pytest.approx(one.interactivity)
    assert silent == one


def test_requests_that_arrive_in_one_event_have_no_time_per_token() -> None:
    """A few leave the median of a batch to the others; where every request is one, nothing is estimated. A first event
    of unknown size held one token."""
    records = wandering_loop(240, 0.05, 5.0, random.Random(1))
    whole = [replace(record, first_tokens=record.output_tokens) for record in records]
    few = [one if number % 10 == 0 else record for number, (record, one) in enumerate(zip(records, whole, strict=True))]
    known, error = uncertainty(records), uncertainty(few)
    assert known is not None
    assert error is not None
    assert error.interactivity == pytest.approx(known.interactivity, rel=0.5)
    assert uncertainty(whole) is None
    assert uncertainty([replace(record, first_tokens=None) for record in records]) == uncertainty(
        [replace(record, first_tokens=1) for record in records]
    )
