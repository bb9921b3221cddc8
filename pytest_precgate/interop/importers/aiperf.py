"""AIPerf's profile export 0.10 and 0.13 as JSON: one object per run.

Source: ai-dynamo/aiperf, src/aiperf/exporters/metrics_json_exporter.py and the models of its configuration.

Fields: concurrency of the phase "profiling" in input_config.phases, total_token_throughput.avg (tok/s of the system),
inter_token_latency.p50 (milliseconds; per request it is (latency - ttft) / (output tokens - 1), which is tpot),
input_sequence_length and output_sequence_length (isl and osl if all are equal, else their averages are stated),
was_cancelled, error_summary, request_error_rate, request_count, input_config.models. Lacks GPUs, precision and
hardware. A load at a request rate, or without streaming, is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import (
    MS,
    field,
    fixed_length,
    held,
    is_yes,
    number_at,
    optional,
    per_second,
    refuse_unless_zero,
    text_at,
    tokens_per_second,
)
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow

_UNITS = {"ms": MS, "sec": 1.0, "s": 1.0}


def tpot_in(metric: Node, value: Node) -> float:
    """Return the interactivity of a tpot in the unit its metric names."""
    return per_second(value, _UNITS[field(metric, "unit").choice(_UNITS)])


def _rows(node: Node) -> Iterator[RecordedRow]:
    cancelled = optional(node, "was_cancelled")
    if is_yes(cancelled):
        field(node, "was_cancelled").fail("the run was cancelled; wanted a complete one")
    refuse_unless_zero(optional(node, "error_summary"), "requests failed")
    refuse_unless_zero(optional(node, "request_error_rate", "avg"), "requests failed")
    latency = field(node, "inter_token_latency")
    isl, osl = field(node, "input_sequence_length"), field(node, "output_sequence_length")
    total = field(node, "total_token_throughput")
    models = optional(node, "input_config", "models", "items")
    with node.building():
        yield RecordedRow(
            node,
            concurrency=_concurrency(node),
            interactivity=tpot_in(latency, field(latency, "p50")),
            throughput=tokens_per_second(total, field(total, "avg")),
            counts="system",
            isl=fixed_length(optional(isl, "min"), optional(isl, "max")),
            osl=fixed_length(optional(osl, "min"), optional(osl, "max")),
            mean_isl=field(isl, "avg").number(),
            mean_osl=field(osl, "avg").number(),
            model=None if models is None or not models.items() else text_at(models.items()[0], "name"),
        )


def _concurrency(node: Node) -> int:
    phases = field(node, "input_config", "phases")
    phase = next((phase for phase in phases.items() if text_at(phase, "name") == "profiling"), None)
    if phase is None:
        phases.fail("holds no phase called profiling, whose concurrency is wanted")
    if text_at(phase, "type") != "concurrency":
        field(phase, "type").fail("requests were sent at a rate, so the concurrency was not constant")
    return held(field(phase, "concurrency"), number_at(node, "request_count", "avg"))


def _is_ours(members: Mapping[str, object]) -> bool:
    return "aiperf_version" in members and "per_combination_metrics" not in members


FORMAT = ObjectFormat("AIPerf JSON", _is_ours, _rows)
