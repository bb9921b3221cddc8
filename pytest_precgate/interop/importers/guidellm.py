"""GuideLLM's report of benchmarks, 0.3 and 0.8: one JSON object that lists one benchmark per strategy.

Source: vllm-project/guidellm, src/guidellm/benchmark/schemas (0.8), src/guidellm/benchmark/output.py (0.3).

Fields of a benchmark: args.strategy (0.3) or config.strategy (0.8) with its streams,
metrics.tokens_per_second.successful.mean (tok/s of the system, input and output),
metrics.inter_token_latency_ms.successful.median, metrics.prompt_token_count and output_token_count,
run_stats or scheduler_metrics.requests_made.errored, .incomplete and .successful, worker.backend_model or
config.backend.model; as details the mean, median, p90 and p99 of time_to_first_token_ms, inter_token_latency_ms (tpot)
and request_latency (seconds), and output_tokens_per_second.successful.mean.
time_per_output_token_ms is not tpot: it includes the ttft. Version 0.8 weights inter_token_latency_ms by output tokens,
so of its tpot only the median is read where outputs differ in length.
Lacks GPUs, precision and hardware. A rate is refused: the concurrency was not constant. Errored requests lower the
throughput (vllm-project/guidellm issue 444), and so do those that the end of a timed run cut off (issue 529): both are
refused. So one such benchmark of a sweep refuses the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import (
    MS,
    field,
    fixed_length,
    held,
    number_at,
    optional,
    per_second,
    refuse_incomplete,
    refuse_unless_zero,
    text_at,
)
from pytest_precgate.interop.figures import Keys, details_of, times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow

_MADE = ("run_stats", "scheduler_metrics")
"""The members in which 0.3 and 0.8 count requests."""
_MEDIAN: Keys = {"p50": ("median",)}
_ALL: Keys = {**_MEDIAN, "mean": ("mean",), "p90": ("percentiles", "p90"), "p99": ("percentiles", "p99")}


def _rows(node: Node) -> Iterator[RecordedRow]:
    for benchmark in field(node, "benchmarks").items():
        yield _row(benchmark)


def _row(node: Node) -> RecordedRow:
    made = _requests_made(node)
    concurrency = _streams(node, field(made, "successful").number())
    refuse_unless_zero(field(made, "errored"), "requests failed")
    refuse_incomplete(field(made, "incomplete"))
    isl, osl = (field(node, "metrics", f"{word}_token_count", "successful") for word in ("prompt", "output"))
    fixed_osl = fixed_length(optional(osl, "min"), optional(osl, "max"))
    with node.building():
        return RecordedRow(
            node,
            concurrency=concurrency,
            interactivity=per_second(field(node, "metrics", "inter_token_latency_ms", "successful", "median"), MS),
            throughput=field(node, "metrics", "tokens_per_second", "successful", "mean").number(),
            counts="system",
            isl=fixed_length(optional(isl, "min"), optional(isl, "max")),
            osl=fixed_osl,
            mean_isl=field(isl, "mean").number(),
            mean_osl=field(osl, "mean").number(),
            model=text_at(node, "worker", "backend_model") or text_at(node, "config", "backend", "model"),
            output_throughput=number_at(node, "metrics", "output_tokens_per_second", "successful", "mean"),
            details=details_of(_details(node, is_weighted=fixed_osl is None and optional(node, _MADE[0]) is None)),
        )


def _details(node: Node, *, is_weighted: bool) -> dict[str, float]:
    ttft, tpot, latency = (
        optional(node, "metrics", name, "successful")
        for name in ("time_to_first_token_ms", "inter_token_latency_ms", "request_latency")
    )
    found = times("ttft", ttft, _ALL, MS) | times("tpot", tpot, _MEDIAN if is_weighted else _ALL, MS)
    return found | times("request_latency", latency, _ALL)


def _requests_made(node: Node) -> Node:
    section = _MADE[0] if optional(node, _MADE[0]) is not None else _MADE[1]
    return field(node, section, "requests_made")


def _streams(node: Node, successful: float) -> int:
    section = "config" if optional(node, "config", "strategy") is not None else "args"
    strategy = field(node, section, "strategy")
    kind = field(strategy, "type_").text()
    if kind == "synchronous":
        return 1
    if kind != "concurrent":
        field(strategy, "type_").fail(
            f"got {kind!r}: requests were sent {'all at once' if kind == 'throughput' else 'at a rate'}, so the "
            "concurrency was not constant; wanted concurrent or synchronous"
        )
    return held(field(strategy, "streams"), successful)


def _is_ours(members: Mapping[str, object]) -> bool:
    benchmarks = members.get("benchmarks")
    return isinstance(benchmarks, list) and all(isinstance(each, Mapping) and "metrics" in each for each in benchmarks)


FORMAT = ObjectFormat("GuideLLM", _is_ours, _rows)
