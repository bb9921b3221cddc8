"""The counters of a server: tokens, cache hits, drafts. Pure.

Input: the Prometheus text of vLLM, SGLang, TensorRT-LLM or llama-server. Output: counters of the whole server; the
difference of two readings describes the interval between them. Invariant: a counter that is missing or whose value is
not a count is None, never zero."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pytest_precgate.errors import InvalidValueError

# The counters of each figure; the first one on the page is used, with all its label sets added up.
_METRICS: Mapping[str, tuple[str, ...]] = {
    # llama-server's counter covers only the tokens it computed, and is read below.
    "prompt_tokens": ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "trtllm_prompt_tokens_total"),
    # vLLM's prefix_cache_hits are another figure: counted when a request is scheduled, only of the GPU's own cache.
    # This one is counted with prompt_tokens, once for each request, and includes hits of external caches.
    "cached_tokens": (
        *("vllm:prompt_tokens_cached_total", "sglang:cached_tokens_total", "trtllm_prompt_cached_tokens_total"),
        "llamacpp:prompt_tokens_cached_total",
    ),
    "cache_hits": ("vllm:prefix_cache_hits_total",),
    "cache_queries": ("vllm:prefix_cache_queries_total",),
    "generation_tokens": (
        *("vllm:generation_tokens_total", "sglang:generation_tokens_total", "trtllm_generation_tokens_total"),
        "llamacpp:tokens_predicted_total",
    ),
    "drafts": ("vllm:spec_decode_num_drafts_total", "llamacpp:spec_decode_num_drafts_total"),
    "draft_tokens": (
        *("vllm:spec_decode_num_draft_tokens_total", "llamacpp:spec_decode_num_draft_tokens_total"),
        *("trtllm_spec_decode_drafted_tokens_total", "trtllm_spec_decode_num_draft_tokens_total"),
    ),
    "accepted_tokens": (
        *("vllm:spec_decode_num_accepted_tokens_total", "llamacpp:spec_decode_num_accepted_tokens_total"),
        *("trtllm_spec_decode_accepted_tokens_total", "trtllm_spec_decode_num_accepted_tokens_total"),
    ),
    "verify_calls": ("sglang:spec_verify_calls_total",),
    "preemptions": ("vllm:num_preemptions_total", "sglang:num_retracted_requests_total"),
    # Sums over requests that ended, in seconds, and how many there were: histograms of each server.
    "queue_s": (
        *("vllm:request_queue_time_seconds_sum", "sglang:queue_time_seconds_sum"),
        "trtllm_request_queue_time_seconds_sum",
    ),
    "queued": (
        *("vllm:request_queue_time_seconds_count", "sglang:queue_time_seconds_count"),
        "trtllm_request_queue_time_seconds_count",
    ),
    "prefill_s": ("vllm:request_prefill_time_seconds_sum", "trtllm_request_prefill_time_seconds_sum"),
    "prefilled": ("vllm:request_prefill_time_seconds_count", "trtllm_request_prefill_time_seconds_count"),
    "decode_s": ("vllm:request_decode_time_seconds_sum", "trtllm_request_decode_time_seconds_sum"),
    "decoded": ("vllm:request_decode_time_seconds_count", "trtllm_request_decode_time_seconds_count"),
}
_LLAMA_COMPUTED = "llamacpp:prompt_tokens_total"
_LLAMA_CACHED = "llamacpp:prompt_tokens_cached_total"
# TensorRT-LLM counts by position when a request ends, and by iteration where enable_iter_perf_stats is on. The first is
# preferred: each draft has one token at the first position, so that series counts the drafts.
_TRTLLM_DRAFTED = "trtllm_spec_decode_drafted_tokens_total"
_TRTLLM_BY_ITERATION = ("trtllm_spec_decode_num_draft_tokens_total", "trtllm_spec_decode_num_accepted_tokens_total")
_FIRST_POSITION = re.compile(r'\btoken_position="0"')
_FIRST_DRAFTED = f'{_TRTLLM_DRAFTED}{{token_position="0"}}'
_WANTED = frozenset({*(name for names in _METRICS.values() for name in names), _LLAMA_COMPUTED})

# NAME{LABELS} VALUE, and what may follow: a time, an exemplar. A label's text may hold braces and escaped quotes.
_NAME = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)")
_REST = re.compile(r'\s*(?P<labels>\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(?P<value>\S+)')
_GAUGE = re.compile(r"sglang:spec_accept_length(?:\{[^}]*\})? (?P<value>[0-9]+\.?[0-9]*(?:e[+-]?[0-9]+)?)(?: |$)")
_NO_SPECULATION = 1.02
_NUMBER = re.compile(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class ServerCounters:
    """The counters of a server since its start, or between two readings. Unknown is None.

    ``prompt_tokens`` include cached ones. ``cache_queries`` and ``cache_hits`` are tokens looked up and found in the
    GPU's prefix cache. ``drafts`` are verification steps of one request each, ``draft_tokens`` the proposed tokens and
    ``accepted_tokens`` the accepted ones, without the bonus token. ``verify_calls`` are SGLang's verification steps of
    one request each. ``queue_s``, ``prefill_s`` and ``decode_s`` are seconds summed over the ``queued``, ``prefilled``
    and ``decoded`` requests that ended. ``metrics`` names the counter of each figure, also of those without a usable
    value; ``decreased`` the figures that went down between the readings, because the server was restarted.

    Raises InvalidValueError for a figure that is not a finite number of at least 0."""

    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    cache_hits: float | None = None
    cache_queries: float | None = None
    generation_tokens: float | None = None
    drafts: float | None = None
    draft_tokens: float | None = None
    accepted_tokens: float | None = None
    verify_calls: float | None = None
    preemptions: float | None = None
    queue_s: float | None = None
    queued: float | None = None
    prefill_s: float | None = None
    prefilled: float | None = None
    decode_s: float | None = None
    decoded: float | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    decreased: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in FIGURES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InvalidValueError(f"ServerCounters.{name}: got {value!r}, wanted a finite number of at least 0")


FIGURES = tuple(each.name for each in fields(ServerCounters) if each.name not in ("metrics", "decreased"))


def parse_metrics(text: str) -> ServerCounters:
    """Return the counters of a page of Prometheus metrics, added up over models, ranks and sources.

    Unknown lines are skipped. A counter with one value that is not a count (NaN, infinite, negative) is None as a
    whole, because the sum of the others would be too low."""
    sums: dict[str, float | None] = {}
    for name, value in _samples(text):
        before = sums.get(name, 0.0)
        total = None if before is None or value is None else before + value
        sums[name] = total if total is not None and math.isfinite(total) else None
    if _TRTLLM_DRAFTED in sums:  # accepted tokens must be counted at the same time as drafts
        sums = {name: total for name, total in sums.items() if name not in _TRTLLM_BY_ITERATION}
    values: dict[str, Any] = {}
    metrics: dict[str, str] = {}
    for figure, names in _METRICS.items():
        found = next((name for name in names if name in sums), None)
        if found is not None:
            metrics[figure], values[figure] = found, sums[found]
    if metrics.get("draft_tokens") == _TRTLLM_DRAFTED and _FIRST_DRAFTED in sums:
        metrics["drafts"], values["drafts"] = _FIRST_DRAFTED, sums[_FIRST_DRAFTED]
    if "prompt_tokens" not in metrics and {_LLAMA_COMPUTED, _LLAMA_CACHED} <= sums.keys():
        computed, cached = sums[_LLAMA_COMPUTED], sums[_LLAMA_CACHED]
        metrics["prompt_tokens"] = f"{_LLAMA_COMPUTED} + {_LLAMA_CACHED}"
        values["prompt_tokens"] = None if computed is None or cached is None else computed + cached
    return ServerCounters(**values, metrics=metrics)


def _samples(text: str) -> Iterator[tuple[str, float | None]]:
    """The wanted samples of a page, by name; the value is None when it is not a count."""
    for line in text.split("\n"):
        name = _NAME.match(line)
        if name is None or name[1] not in _WANTED:
            continue
        rest = _REST.match(line, name.end())
        value = float(rest["value"]) if rest is not None and _NUMBER.fullmatch(rest["value"]) else None
        yield name[1], value
        if name[1] == _TRTLLM_DRAFTED and rest is not None and _FIRST_POSITION.search(rest["labels"] or ""):
            yield _FIRST_DRAFTED, value


def between(before: ServerCounters, after: ServerCounters) -> ServerCounters:
    """Return the counts between two readings of one server.

    A figure that went down is None and named in ``decreased``. One that only ``after`` has counts from zero if
    ``before`` was read at all, because many servers show a counter only after its first increment. One that was read
    from another counter than before is None."""
    values: dict[str, float | None] = {}
    decreased = []
    for name in FIGURES:
        first, last = _starting(name, before), getattr(after, name)
        same = name not in before.metrics or before.metrics[name] == after.metrics.get(name)
        if first is None or last is None or not same:
            values[name] = None
        elif last < first:
            values[name] = None
            decreased.append(name)
        else:
            values[name] = last - first
    return ServerCounters(**values, metrics=after.metrics, decreased=tuple(decreased))


def _starting(name: str, before: ServerCounters) -> float | None:
    value: float | None = getattr(before, name)
    is_new = value is None and name not in before.metrics and bool(before.metrics)
    return 0.0 if is_new else value


def lost_between(before: ServerCounters, after: ServerCounters) -> list[str]:
    """Return the counters that only one of two readings of a server shows with a value.

    A counter that only ``after`` has is not lost: see :func:`between`."""
    lost = [name for figure, name in before.metrics.items() if getattr(after, figure) is None]
    return lost + [
        name
        for figure, name in after.metrics.items()
        if figure in before.metrics and getattr(before, figure) is None and name not in lost
    ]


def mean_s(total_s: float | None, requests: float | None) -> float | None:
    """Return the mean of a time over the requests that ended in an interval; None when it is unknown or none ended."""
    return None if total_s is None or not requests else total_s / requests


def speculates(delta: ServerCounters, page: str) -> bool:
    """Whether a server counted drafts in an interval, or the ``page`` after it has SGLang's gauge at more than one.

    SGLang before 0.5.7 has no counter of its verification steps; the gauge holds the mean of the last few.
    """
    drafted = (delta.drafts, delta.draft_tokens, delta.accepted_tokens, delta.verify_calls)
    return any(drafted) or any(
        match is not None and float(match["value"]) > _NO_SPECULATION for match in map(_GAUGE.match, page.split("\n"))
    )


def cached_tokens(delta: ServerCounters) -> float | None:
    """Return the cached prompt tokens of an interval; vLLM's hits when only they are known."""
    return delta.cache_hits if delta.cached_tokens is None else delta.cached_tokens


def acceptance_length(delta: ServerCounters, max_draft_len: int | None = None) -> float | None:
    """Return the tokens a request gained per verification step in an interval, the bonus token included.

    1 + accepted / drafts. SGLang counts no drafts: generated tokens / verification steps, which includes the first
    token of each request. TensorRT-LLM may count only tokens: the drafts are then draft tokens / ``max_draft_len``,
    assuming drafts of full length. None when nothing was drafted or one of the counts is unknown."""
    drafts = delta.drafts
    if drafts is None and delta.draft_tokens is not None and max_draft_len:
        drafts = delta.draft_tokens / max_draft_len
    if drafts is not None:
        return None if delta.accepted_tokens is None or drafts == 0 else 1 + delta.accepted_tokens / drafts
    if delta.verify_calls and delta.generation_tokens is not None:
        return delta.generation_tokens / delta.verify_calls
    return None
