"""Computes what a point tells beside its interactivity and throughput.

Input: the measured point, its requests, the server's counters. Output: PointDetails. Invariant:
a figure whose inputs are not all known is None."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_precgate.analysis.curves.details import PointDetails, Slo
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.records import Gaps, RequestRecord
from pytest_precgate.analysis.measure.tokens import ServerCounts

_E2E_SHARE = 0.9


def details_of(
    measured: Measurement, served: Sequence[RequestRecord], gaps: Gaps, server: ServerCounts, slo: Slo | None = None
) -> PointDetails:
    """Return the details of a point measured from ``served``, the requests of its window.

    Requests per second follow from the throughput and the mean tokens of a request, as the throughput does from
    Little's law; goodput is their share that met ``slo``, per GPU."""
    output = sum(record.output_tokens for record in served)
    tokens = output + sum(record.input_tokens for record in served)
    requests_per_gpu = measured.throughput_per_gpu * len(served) / tokens
    good = None if slo is None else requests_per_gpu * _share_within(served, slo)
    times = (server.queue_s, server.prefill_s, server.decode_s)
    in_flight = float(measured.concurrency) if measured.client is None else measured.client.achieved_concurrency
    return PointDetails(
        ttft_mean_s=measured.ttft.mean_s,
        ttft_p50_s=measured.ttft.median_s,
        ttft_p90_s=measured.ttft.p90_s,
        ttft_p99_s=measured.ttft.p99_s,
        tpot_mean_s=measured.tpot.mean_s,
        tpot_p50_s=measured.tpot.median_s,
        tpot_p90_s=measured.tpot.p90_s,
        tpot_p99_s=measured.tpot.p99_s,
        itl_mean_s=gaps.mean_s if gaps.total else None,
        itl_p50_s=measured.itl_median_s,
        itl_p99_s=measured.itl_p99_s,
        request_latency_mean_s=measured.request_latency.mean_s,
        request_latency_p50_s=measured.request_latency.median_s,
        request_latency_p90_s=measured.request_latency.p90_s,
        request_latency_p99_s=measured.request_latency.p99_s,
        output_throughput_per_gpu=measured.throughput_per_gpu * output / tokens,
        e2e_interactivity=_e2e_interactivity(served),
        goodput=good,
        slo_ttft_s=None if slo is None else slo.ttft_s,
        slo_tpot_s=None if slo is None else slo.tpot_s,
        cached_share=None if measured.tokens is None else measured.tokens.cached_share,
        tokens_per_event=None if measured.tokens is None else measured.tokens.tokens_per_event,
        client_cpu_share=None if measured.client is None else measured.client.cpu_share,
        batch=_batch(in_flight, *times),
        queue_s=server.queue_s,
        prefill_s=server.prefill_s,
        decode_s=server.decode_s or None,  # no request decodes in no time: the server does not count it
        preemptions=server.preemptions,
    )


def _share_within(served: Sequence[RequestRecord], slo: Slo) -> float:
    return sum(record.ttft_s <= slo.ttft_s and record.tpot_s <= slo.tpot_s for record in served) / len(served)


def _e2e_interactivity(served: Sequence[RequestRecord]) -> float:
    """1 / P90(request_latency / output tokens), ttft included, nearest rank."""
    ranked = sorted(record.request_latency_s / record.output_tokens for record in served)
    return 1 / ranked[max(0, math.ceil(_E2E_SHARE * len(ranked)) - 1)]


def _batch(in_flight: float, queue_s: float | None, prefill_s: float | None, decode_s: float | None) -> float | None:
    """The mean number of requests in decode: those in flight times the share of its time a request spends there."""
    if queue_s is None or prefill_s is None or not decode_s:
        return None
    return in_flight * decode_s / (queue_s + prefill_s + decode_s)
