"""Closed loops on a server of constant speed: what a client of it would record, without a simulation."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence

from pytest_precgate.analysis.measure.records import RequestRecord


def closed_loop(
    lengths: Sequence[tuple[int, int]], concurrency: int, step_s: float = 0.01, ttft_steps: float = 1.0
) -> list[RequestRecord]:
    """Records of ``lengths`` served by ``concurrency`` slots: some steps to the first token, one for each further one.

    Every slot sends its next request the moment its last one ended.
    """
    free = [0.0] * concurrency
    records = []
    for input_tokens, output_tokens in lengths:
        sent = heapq.heappop(free)
        first = sent + ttft_steps * step_s
        last = first + (output_tokens - 1) * step_s
        records.append(RequestRecord(sent, first, last, input_tokens, output_tokens))
        heapq.heappush(free, last)
    return records


def wandering_loop(number: int, sigma: float, tau_s: float, rng: random.Random) -> list[RequestRecord]:
    """Requests of one slot, each of a second on the mean, whose pace wanders by ``sigma`` (of its logarithm).

    An Ornstein-Uhlenbeck process sampled once a second: it forgets itself within ``tau_s``.
    """
    kept = math.exp(-1 / tau_s)
    records, now_s, slow = [], 0.0, rng.gauss(0.0, sigma)
    for _ in range(number):
        latency_s = math.exp(slow)
        records.append(RequestRecord(now_s, now_s + latency_s / 100, now_s + latency_s, 100, 100))
        now_s += latency_s
        slow = kept * slow + math.sqrt(1 - kept * kept) * rng.gauss(0.0, sigma)
    return records
