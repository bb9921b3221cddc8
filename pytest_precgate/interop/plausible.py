"""Checks whether a point is possible: a closed loop delivers no more tokens than its streams carry.

Input: a point and the tokens per output token. Output: the reason why it is impossible, or None. Each of
``concurrency`` streams delivers at most ``interactivity`` output tokens a second, and each output token accounts for
its share of the prompt. So ``throughput_per_gpu * gpus <= concurrency * interactivity * (isl + osl) / osl``. The slack
accounts for interactivity from the median tpot and throughput from all requests: published rows of InferenceX reach
1.04. A lower throughput is possible (a long prompt, a queue), except for a tpot of microseconds: both together indicate
seconds read as milliseconds."""

from __future__ import annotations

from pytest_precgate.analysis.curves.sweep import SweepPoint

SLACK = 1.15
_MS_PER_S = 1000.0
_FASTEST = 5000.0
"""Above any stream of a language model on GPUs (tok/s/user): the fastest published ones reach hundreds."""


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
