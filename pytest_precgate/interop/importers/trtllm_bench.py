"""The report of `trtllm-bench throughput --report_json` of TensorRT-LLM 1.3, with `--streaming`: one JSON object.

Source: NVIDIA/TensorRT-LLM, tensorrt_llm/bench/dataclasses/reporting.py.

Fields: request_info.avg_num_concurrent_requests (the average over the run, rounded), world_info.tp_size, pp_size,
performance.system_total_throughput_tok_s (input and output), system_output_throughput_tok_s and
output_throughput_per_gpu_tok_s (whose quotient must be the GPUs), streaming_metrics.tpot_percentiles.p50 (in
milliseconds), engine.quantization, engine.model, machine.name, request_info.avg_input_length, avg_output_length. Lacks
tpot without `--streaming`, and the date."""

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
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow


def _rows(node: Node) -> Iterator[RecordedRow]:
    if optional(node, "streaming_metrics") is None:
        node.fail("lacks tpot: run trtllm-bench with --streaming, without it the report has no streaming_metrics")
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
        )


def _width(node: Node, name: str) -> int:
    """A missing width is 1: the report leaves out no width that was set."""
    member = optional(node, "world_info", f"{name}_size")
    return 1 if member is None else whole(member)


def _gpus(node: Node) -> int:
    field(node, "world_info", "tp_size")
    gpus = _width(node, "tp") * _width(node, "pp")
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
