"""llm-d's benchmark report 0.2 and 0.2.1: YAML or JSON, one object per stage of load.

Source: llm-d/llm-d-benchmark, benchmark_report/schema_v0_2.py and schema_v0_2_components.py.

Fields: scenario.load.standardized.concurrency, rate_qps, input_seq_len and output_seq_len (fixed ones are isl and osl),
scenario.stack[].standardized.accelerator.count and model, results.request_performance.aggregate.throughput
.total_token_rate.mean and latency.time_per_output_token.p50 with their units, requests.total, .failures, .incomplete;
as details mean, p50, p90 and p99 of latency.time_to_first_token, .time_per_output_token and .request_latency, and
throughput.output_token_rate.mean, with their units.
Lacks the precision. An infinite concurrency, or a rate, is refused: the concurrency was not constant.
inter_token_latency is not tpot: its percentiles are of single tokens. A report made of GuideLLM's result is refused:
its time_per_output_token is GuideLLM's, which includes the ttft."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import (
    MS,
    device_hardware,
    field,
    held,
    number_at,
    optional,
    per_second,
    refuse_incomplete,
    refuse_unless_zero,
    text_at,
    tokens_per_second,
    whole,
)
from pytest_precgate.interop.figures import NUMPY, details_of, times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow

_LOAD = ("scenario", "load", "standardized")
_AGGREGATE = ("results", "request_performance", "aggregate")
_UNITS = {"s/token": 1.0, "ms/token": MS}
_TIMES = {
    "ttft": ("time_to_first_token", {"s": 1.0, "ms": MS}),
    "tpot": ("time_per_output_token", _UNITS),
    "request_latency": ("request_latency", {"s": 1.0, "ms": MS}),
}


def _rows(node: Node) -> Iterator[RecordedRow]:
    concurrency = _concurrency(field(node, *_LOAD), number_at(node, *_AGGREGATE, "requests", "total"))
    refuse_unless_zero(optional(node, *_AGGREGATE, "requests", "failures"), "requests failed")
    refuse_incomplete(optional(node, *_AGGREGATE, "requests", "incomplete"))
    if text_at(node, *_LOAD, "tool") == "guidellm":
        field(node, *_LOAD, "tool").fail(
            "is made of a result of GuideLLM, whose time_per_output_token includes the ttft; read GuideLLM's own file"
        )
    tpot = field(node, *_AGGREGATE, "latency", "time_per_output_token")
    total = field(node, *_AGGREGATE, "throughput", "total_token_rate")
    gpus, hardware, model = _stack(node)
    with node.building():
        yield RecordedRow(
            node,
            concurrency=concurrency,
            interactivity=per_second(field(tpot, "p50"), _UNITS[field(tpot, "units").choice(_UNITS)]),
            throughput=tokens_per_second(total, field(total, "mean")),
            counts="system",
            gpus=gpus,
            hardware=hardware,
            isl=_fixed(optional(node, *_LOAD, "input_seq_len")),
            osl=_fixed(optional(node, *_LOAD, "output_seq_len")),
            model=model,
            output_throughput=_output_throughput(optional(node, *_AGGREGATE, "throughput", "output_token_rate")),
            details=details_of(_details(field(node, *_AGGREGATE, "latency"))),
        )


def _output_throughput(rate: Node | None) -> float | None:
    mean = None if rate is None else optional(rate, "mean")
    return None if rate is None or mean is None else tokens_per_second(rate, mean)


def _details(latency: Node) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, (name, units) in _TIMES.items():
        metric = optional(latency, name)
        if metric is not None:
            found |= times(kind, metric, NUMPY, units[field(metric, "units").choice(units)])
    return found


def _concurrency(load: Node, requests: float | None) -> int:
    concurrency = optional(load, "concurrency")
    if concurrency is not None and concurrency.value == math.inf:
        concurrency.fail("got an infinite concurrency: requests were sent at a rate, so it was not constant")
    if optional(load, "rate_qps") is not None:
        field(load, "rate_qps").fail("requests were sent at a rate, so the concurrency was not constant")
    return held(field(load, "concurrency"), requests)


def _stack(node: Node) -> tuple[int | None, str | None, str | None]:
    """GPUs of all engines, their hardware if it is the same, and the model of the first."""
    stack = optional(node, "scenario", "stack")
    accelerators = [] if stack is None else [optional(part, "standardized", "accelerator") for part in stack.items()]
    found = [each for each in accelerators if each is not None]
    if stack is None or not found:
        return None, None, None
    hardware = {device_hardware(text_at(each, "model")) for each in found}
    models = [text_at(part, "standardized", "model", "name") for part in stack.items()]
    return (
        sum(field(each, "count").count() for each in found),
        hardware.pop() if len(hardware) == 1 else None,
        next((model for model in models if model is not None), None),
    )


def _fixed(length: Node | None) -> int | None:
    is_fixed = length is not None and text_at(length, "distribution") == "fixed"
    return whole(field(length, "value")) if length is not None and is_fixed else None


def _is_ours(members: Mapping[str, object]) -> bool:
    return "scenario" in members and "results" in members


FORMAT = ObjectFormat("llm-d report", _is_ours, _rows)
