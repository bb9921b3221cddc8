"""llmperf's summary, version 2023-08-31, its list of single requests, and the summary by concurrency that llmperf-bench
2.0.1 makes of several: JSON objects. Always refused.

Source: ray-project/llmperf, token_benchmark_ray.py and src/llmperf/ray_clients/openai_chat_completions_client.py.

Recognised by members named results_*, by request_output_throughput_token_per_s of a request, or by entries with
latency_ms_per_token. All lack tpot:
results_inter_token_latency_s is the sum of the times between tokens, the ttft among them, over the output tokens, which
is request latency per token; read as tpot it makes interactivity too low by the share of the ttft. llmperf-bench keeps
only its mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow

_PREFIX = "results_"
_BENCH = "latency_ms_per_token"
_REQUEST = "request_output_throughput_token_per_s"


def _rows(node: Node) -> Iterator[RecordedRow]:
    what = "a single request" if _REQUEST in node.mapping() else "a summary"
    node.fail(
        f"is {what} of llmperf, which lacks tpot: its inter-token latency is request latency / output tokens, ttft "
        "included. Measure with a tool that separates ttft, for example `vllm bench serve`"
    )


def _is_ours(members: Mapping[str, object]) -> bool:
    if any(isinstance(name, str) and (name == _REQUEST or name.startswith(_PREFIX)) for name in members):
        return True
    return bool(members) and all(isinstance(entry, Mapping) and _BENCH in entry for entry in members.values())


FORMAT = ObjectFormat("llmperf", _is_ours, _rows)
