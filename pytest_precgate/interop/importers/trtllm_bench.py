"""The report of `trtllm-bench throughput --report_json` of TensorRT-LLM 1.3, with `--streaming`: one JSON object.

Source: NVIDIA/TensorRT-LLM, tensorrt_llm/bench/dataclasses/reporting.py.

Fields: request_info.avg_num_concurrent_requests (the average over the run, rounded; the limit set by --concurrency is
not in the report), request_info.num_requests, world_info.tp_size, pp_size, world_size, issue_rate (nanoseconds per
request, times 1e9: the time of the last request over their number), performance.total_latency_ms,
performance.system_total_throughput_tok_s (input and output), system_output_throughput_tok_s and
output_throughput_per_gpu_tok_s (whose quotient must be the GPUs), streaming_metrics.tpot_percentiles.p50 (in
milliseconds), engine.quantization, engine.model, machine.name, request_info.avg_input_length, avg_output_length; as
details streaming_metrics.avg_ttft_ms, avg_tpot_ms, ttft_percentiles, tpot_percentiles (p50, p90, p99, milliseconds),
performance.avg_request_latency_ms, request_latency_percentiles_ms, system_output_throughput_tok_s. Lacks
tpot without `--streaming`, and the date. Without --concurrency all requests are sent at once, and the number in flight
falls from the first to the last: refused where issue_rate shows it and fewer than nine tenths were in flight on
average."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import (
    MS,
    device_hardware,
    field,
    number_at,
    optional,
    per_second,
    precision_named,
    text_at,
    whole,
)
from pytest_precgate.interop.figures import details_of, times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow

_ISSUE_PER_S = 1e18
"""What issue_rate is in a second: it is nanoseconds times 1e9."""
_MOST_IDLE = 0.1
_TIMES = (
    ("ttft", "streaming_metrics", "avg_ttft_ms", "ttft_percentiles"),
    ("tpot", "streaming_metrics", "avg_tpot_ms", "tpot_percentiles"),
    ("request_latency", "performance", "avg_request_latency_ms", "request_latency_percentiles_ms"),
)


def _rows(node: Node) -> Iterator[RecordedRow]:
    if optional(node, "streaming_metrics") is None:
        node.fail("lacks tpot: run trtllm-bench with --streaming, without it the report has no streaming_metrics")
    _refuse_all_at_once(node)
    gpus = _gpus(node)
    with node.building():
        yield RecordedRow(
            node,
            concurrency=round(field(node, "request_info", "avg_num_concurrent_requests").number()),
            interactivity=per_second(field(node, "streaming_metrics", "tpot_percentiles", "p50"), MS),
            throughput=field(node, "performance", "system_total_throughput_tok_s").number(),
            counts="system",
            gpus=gpus,
            precision=precision_named(text_at(node, "engine", "quantization")),
            hardware=device_hardware(text_at(node, "machine", "name")),
            mean_isl=number_at(node, "request_info", "avg_input_length"),
            mean_osl=number_at(node, "request_info", "avg_output_length"),
            configuration=_configuration(node),
            model=text_at(node, "engine", "model"),
            output_throughput=field(node, "performance", "system_output_throughput_tok_s").number(),
            details=details_of(_details(node)),
        )


def _details(node: Node) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, section, average, percentiles in _TIMES:
        keys = {"mean": (average,), **{statistic: (percentiles, statistic) for statistic in ("p50", "p90", "p99")}}
        found |= times(kind, field(node, section), keys, MS)
    return found


def _refuse_all_at_once(node: Node) -> None:
    """Refuse a run without a limit of the concurrency, if the report has the figures that show it.

    Under a limit a request starts when another ends, so the share of the run before the last start is about
    1 - limit / requests, and the average is at most the limit; one half of that allows for different lengths."""
    issue, requests = number_at(node, "world_info", "issue_rate"), number_at(node, "request_info", "num_requests")
    total = number_at(node, "performance", "total_latency_ms")
    if issue is None or requests is None or total is None or min(requests, total) <= 0:
        return
    average = field(node, "request_info", "avg_num_concurrent_requests")
    share = issue / _ISSUE_PER_S * requests / (total / MS)
    idle = 1 - average.number() / requests
    if idle > _MOST_IDLE and share < idle / 2:
        average.fail(
            f"got an average of {average.number():g} in flight, and {requests:g} requests that were all sent in the "
            f"first {share:.0%} of the run, so the concurrency was not constant; run trtllm-bench with --concurrency N"
        )


def _width(node: Node, name: str) -> int:
    """A missing width is 1: the report leaves out no width that was set."""
    member = optional(node, "world_info", f"{name}_size")
    return 1 if member is None else whole(member)


def _gpus(node: Node) -> int:
    field(node, "world_info", "tp_size")
    gpus = _width(node, "tp") * _width(node, "pp")
    world = optional(node, "world_info", "world_size")
    if world is not None and whole(world) != gpus:
        world.fail(f"got {whole(world)} GPUs, tp * pp is {gpus}; other kinds of parallelism cannot be read yet")
    system = field(node, "performance", "system_output_throughput_tok_s").number()
    each = number_at(node, "performance", "output_throughput_per_gpu_tok_s")
    if each is not None and not math.isclose(each * gpus, system, rel_tol=0.01):
        field(node, "performance", "output_throughput_per_gpu_tok_s").fail(
            f"got {each:g} tok/s/GPU of {system:g} tok/s, which is not on tp * pp = {gpus} GPUs"
        )
    return gpus


def _configuration(node: Node) -> str:
    words = [f"{name}{_width(node, name)}" for name in ("tp", "pp", "ep") if name == "tp" or _width(node, name) > 1]
    return "-".join(["trtllm", *words])


def _is_ours(members: Mapping[str, object]) -> bool:
    return "world_info" in members and "performance" in members


FORMAT = ObjectFormat("trtllm-bench", _is_ours, _rows)
