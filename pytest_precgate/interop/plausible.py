"""Checks whether a point is possible: a closed loop delivers no more tokens than its streams carry.

Input: a point and the tokens per output token. Output: the reason why it is impossible, or None. Each of
``concurrency`` streams delivers at most ``interactivity`` output tokens a second, and each output token accounts for
its share of the prompt. So ``throughput_per_gpu * gpus <= concurrency * interactivity * (isl + osl) / osl``. The slack
accounts for interactivity from the median tpot and throughput from all requests: published rows of InferenceX reach
1.04. A lower throughput is possible (a long prompt, a queue), except for a tpot of microseconds: both together indicate
seconds read as milliseconds. Details are checked too: against the point, and against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pytest_precgate.analysis.curves.sweep import SweepPoint

SLACK = 1.15
_MS_PER_S = 1000.0
_FASTEST = 5000.0
"""Above any stream of a language model on GPUs (tok/s/user): the fastest published ones reach hundreds."""

_ROUNDED = 0.01
"""How far figures may differ that are the same but for rounding, or for medians over launches."""
_ENERGY = 1.25
"""How far energy times throughput may be from the power: the two may be of slightly different times."""
_UNIT = 30.0
"""Figures differ by more only if one is in another unit: about the middle of 1 and 1000."""


def excess(point: SweepPoint, tokens_per_output: float) -> float:
    """Return the throughput of the system over the maximum its streams can carry; a real point is below ``SLACK``.

    ``tokens_per_output`` is (isl + osl) / osl."""
    most = point.concurrency * point.interactivity * tokens_per_output
    return point.throughput_per_gpu * point.gpus / most


def why_impossible(point: SweepPoint, tokens_per_output: float) -> str | None:
    """Return why ``point`` is impossible, with the likelier of the usual causes, or None."""
    over = excess(point, tokens_per_output)
    if over * _MS_PER_S <= SLACK and point.interactivity > _FASTEST:
        return (
            f"impossible: {point.interactivity:.4g} tok/s/user, which {point.concurrency} requests used to {over:.2g}; "
            "a thousandth of the interactivity is possible: were seconds read as milliseconds?"
        )
    if over <= SLACK:
        return None
    most = point.concurrency * point.interactivity * tokens_per_output
    return (
        f"impossible: {point.concurrency} requests at {point.interactivity:.4g} tok/s/user carry at most {most:.4g} "
        f"tok/s of input and output, the row says {point.throughput_per_gpu * point.gpus:.4g} "
        f"({point.throughput_per_gpu:.4g} tok/s/GPU on {point.gpus} GPUs); {_cause(point, over)}"
    )


def _cause(point: SweepPoint, over: float) -> str:
    if point.gpus > 1 and over <= point.gpus * SLACK:
        return f"divided by {point.gpus} it is possible: is it the whole system's throughput in the column per GPU?"
    if point.interactivity < 1 and over <= _MS_PER_S * SLACK:
        return "1000 times the interactivity is possible: were milliseconds read as seconds?"
    if point.gpus > 1:
        return (
            f"is it the throughput of the whole system in the column per GPU? Divided by {point.gpus} it is still too "
            "much, so check concurrency and the lengths of input and output too"
        )
    return "check concurrency, GPUs, and the lengths of input and output"


def why_contradictory(point: SweepPoint, isl: float, osl: float) -> str | None:
    """Return which detail contradicts the point or another detail, or None. ``isl`` and ``osl`` are mean lengths."""
    known = {} if point.details is None else point.details.known
    reasons = (
        _other_tpot(point, known.get("tpot_p50_s")),
        *(_shorter_than_ttft(known, statistic) for statistic in ("mean", "p50", "p90", "p99")),
        _too_much_output(point, known.get("output_throughput_per_gpu")),
        _other_energy(point, known.get("mean_power_w"), known.get("joules_per_token")),
        _faster_end_to_end(point, known.get("e2e_interactivity")),
        _other_unit(point, known.get("request_latency_mean_s", known.get("request_latency_p50_s")), isl, osl),
    )
    return next((reason for reason in reasons if reason is not None), None)


def _other_tpot(point: SweepPoint, tpot_s: float | None) -> str | None:
    if tpot_s is None or math.isclose(tpot_s * point.interactivity, 1.0, rel_tol=_ROUNDED):
        return None
    return (
        f"its median tpot is {tpot_s:.4g} s, which is {1 / tpot_s:.4g} tok/s/user; its interactivity is "
        f"{point.interactivity:.4g}"
    )


def _shorter_than_ttft(known: Mapping[str, float], statistic: str) -> str | None:
    """No request is shorter than its ttft, so no statistic of the latency is below that of the ttft."""
    ttft, latency = known.get(f"ttft_{statistic}_s"), known.get(f"request_latency_{statistic}_s")
    if ttft is None or latency is None or latency >= ttft * (1 - _ROUNDED):
        return None
    return f"its {statistic} request latency is {latency:.4g} s, shorter than its {statistic} ttft of {ttft:.4g} s"


def _too_much_output(point: SweepPoint, output: float | None) -> str | None:
    if output is None or output <= point.throughput_per_gpu * (1 + _ROUNDED):
        return None
    return (
        f"its output throughput is {output:.4g} tok/s/GPU, that of input and output {point.throughput_per_gpu:.4g}: "
        "was one of them of the whole system?"
    )


def _other_energy(point: SweepPoint, power_w: float | None, joules: float | None) -> str | None:
    if power_w is None or joules is None:
        return None
    if 1 / _ENERGY <= joules * point.throughput_per_gpu / power_w <= _ENERGY:
        return None
    return (
        f"{joules:.4g} J a token at {point.throughput_per_gpu:.4g} tok/s/GPU are "
        f"{joules * point.throughput_per_gpu:.4g} W, its mean power is {power_w:.4g} W: is that of one GPU?"
    )


def _faster_end_to_end(point: SweepPoint, e2e: float | None) -> str | None:
    """Latency over n output tokens is at least tpot * (n - 1) / n, and n is at least 2 where there is a tpot."""
    if e2e is None or e2e <= 2 * point.interactivity * (1 + _ROUNDED):
        return None
    return (
        f"its end-to-end interactivity, ttft included, is {e2e:.4g} tok/s/user, and {point.interactivity:.4g} without "
        "the ttft"
    )


def _other_unit(point: SweepPoint, latency_s: float | None, isl: float, osl: float) -> str | None:
    """Requests in flight are those per second times their latency (Little's law), and a request lasts as long as its
    output tokens; both only to tell milliseconds from seconds."""
    if latency_s is None:
        return None
    in_flight = point.throughput_per_gpu * point.gpus / (isl + osl) * latency_s
    if in_flight > _UNIT * point.concurrency:
        return (
            f"with its request latency of {latency_s:.4g} s, {in_flight:.4g} requests are in flight, and its "
            f"concurrency is {point.concurrency}: were milliseconds read as seconds?"
        )
    decode_s = (osl - 1) / point.interactivity
    if decode_s > _UNIT * latency_s:
        return (
            f"{osl:.4g} output tokens last {decode_s:.4g} s at {point.interactivity:.4g} tok/s/user, its request "
            f"latency is {latency_s:.4g} s: were seconds read as milliseconds?"
        )
    return None
