"""The raw result of `vllm bench serve` of 2026, which is InferenceX's raw result too: one JSON object, or one per line
of a file that was appended to.

Source: vllm-project/vllm, vllm/benchmarks/serve.py; SemiAnalysisAI/InferenceX,
utils/bench_serving/benchmark_serving.py.

Fields: max_concurrency, total_token_throughput (tok/s of the system), median_tpot_ms, num_prompts, completed, failed,
request_rate, total_input_tokens, total_output_tokens, model_id. Lacks GPUs, precision, hardware and the nominal
lengths: tokens over requests are their averages. A request rate with a limit is refused: the concurrency was not held
then."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import MS, counted, field, optional, per_second, refuse_unless_zero, text_at, whole
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow


def refuse_rate(node: Node) -> None:
    """Refuse requests that came at a rate: a text or a number; ``inf`` is none."""
    rate = optional(node, "request_rate")
    if rate is not None and rate.value not in ("inf", math.inf):
        rate.fail("requests came at a rate, so the concurrency was not held; wanted request_rate inf")


def _rows(node: Node) -> Iterator[RecordedRow]:
    refuse_rate(node)
    refuse_unless_zero(optional(node, "failed"), "requests failed")
    completed, wanted = counted(field(node, "completed")), counted(field(node, "num_prompts"))
    if completed != wanted:
        field(node, "completed").fail(f"got {completed} of {wanted} requests; a point with failed requests is no point")
    with node.building():
        yield RecordedRow(
            node,
            concurrency=whole(field(node, "max_concurrency")),
            interactivity=per_second(field(node, "median_tpot_ms"), MS),
            throughput=field(node, "total_token_throughput").number(),
            counts="system",
            mean_isl=field(node, "total_input_tokens").number() / completed,
            mean_osl=field(node, "total_output_tokens").number() / completed,
            model=text_at(node, "model_id"),
        )


def _is_ours(members: Mapping[str, object]) -> bool:
    return "max_concurrency" in members and "total_token_throughput" in members


FORMAT = ObjectFormat("vllm bench serve (InferenceX raw)", _is_ours, _rows)
