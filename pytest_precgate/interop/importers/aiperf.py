"""AIPerf's profile export as JSON, 0.5, 0.10 and 0.13: one object per run.

Source: ai-dynamo/aiperf, src/aiperf/exporters/metrics_json_exporter.py and the models of its configuration.

Fields: concurrency of the phase of kind (else name) "profiling" in input_config.phases (0.10), or before it
input_config.loadgen.concurrency, total_token_throughput.avg (tok/s of the system),
inter_token_latency.p50 (milliseconds; per request it is (latency - ttft) / (output tokens - 1), which is tpot),
input_sequence_length and output_sequence_length (isl and osl if all are equal, else their averages are stated),
was_cancelled, is_complete, error_summary, error_request_count, request_error_rate, request_count, input_config.models
or .endpoint.model_names; as details avg, p50, p90 and p99 of time_to_first_token, inter_token_latency (tpot),
request_latency and inter_chunk_latency (itl: the gaps between chunks of all requests), output_token_throughput.avg, and
e2e_output_token_throughput.p10 (docs/metrics-reference.md: output tokens over request latency, per request; its p10 is
1 / P90 of the inverse). Lacks GPUs, precision and hardware. A load at a request rate, or without streaming, is
refused, and so are several profiling phases: the metrics are those of the last, the counts those of all
(ai-dynamo/aiperf pull request 1150). GenAI-Perf and AIPerf 0.1 name no version and lack the total throughput (issue
340)."""

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
from pytest_precgate.interop.figures import AVERAGED, details_of, figure, times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow

_RATES = ("request_rate", "user_centric_rate")
_UNITS = {"ms": MS, "sec": 1.0, "s": 1.0}
_OUTPUT = "output_token_throughput"
_E2E = "e2e_output_token_throughput"
_PER_USER = ("tokens/sec/user", "tokens/sec", "tokens/s")
_KINDS = {
    "ttft": "time_to_first_token",
    "tpot": "inter_token_latency",
    "request_latency": "request_latency",
    "itl": "inter_chunk_latency",
}


def tpot_in(metric: Node, value: Node) -> float:
    """Return the interactivity of a tpot in the unit its metric names."""
    return per_second(value, _UNITS[field(metric, "unit").choice(_UNITS)])


def output_throughput(node: Node, statistic: str) -> float | None:
    """Return the output tokens per second of the system, None where the metric is missing."""
    metric, value = optional(node, _OUTPUT), optional(node, _OUTPUT, statistic)
    return None if metric is None or value is None else tokens_per_second(metric, value)


def _details(node: Node) -> dict[str, float]:
    end_to_end, slowest = optional(node, _E2E), optional(node, _E2E, "p10")
    if end_to_end is not None:
        field(end_to_end, "unit").choice(_PER_USER)
    found = figure("e2e_interactivity", slowest)
    for kind, name in _KINDS.items():
        metric = optional(node, name)
        if metric is not None:
            found |= times(kind, metric, AVERAGED, _UNITS[field(metric, "unit").choice(_UNITS)])
    return found


def _rows(node: Node) -> Iterator[RecordedRow]:
    cancelled = optional(node, "was_cancelled")
    if is_yes(cancelled):
        field(node, "was_cancelled").fail("the run was cancelled; wanted a complete one")
    complete = optional(node, "is_complete")
    if complete is not None and not is_yes(complete):
        complete.fail("the result is not complete; wanted one of a run that ended")
    refuse_unless_zero(optional(node, "error_summary"), "requests failed")
    for name in ("request_error_rate", "error_request_count"):
        refuse_unless_zero(optional(node, name, "avg"), "requests failed")
    latency = field(node, "inter_token_latency")
    isl, osl = field(node, "input_sequence_length"), field(node, "output_sequence_length")
    total = field(node, "total_token_throughput")
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
            model=_model(node),
            output_throughput=output_throughput(node, "avg"),
            details=details_of(_details(node)),
        )


def _model(node: Node) -> str | None:
    models = optional(node, "input_config", "models", "items")
    if models is not None:
        return text_at(models.items()[0], "name") if models.items() else None
    names = optional(node, "input_config", "endpoint", "model_names")
    return None if names is None or not names.items() else names.items()[0].text()


def _concurrency(node: Node) -> int:
    load = optional(node, "input_config", "loadgen")
    return _phase_concurrency(node) if load is None else _loadgen_concurrency(node, load)


def _loadgen_concurrency(node: Node, load: Node) -> int:
    for name in _RATES:
        if optional(load, name) is not None:
            field(load, name).fail("requests were sent at a rate, so the concurrency was not constant")
    schedule = optional(node, "input_config", "input", "fixed_schedule")
    if schedule is not None and is_yes(schedule):
        schedule.fail("requests were sent at fixed times, so the concurrency was not constant")
    return held(field(load, "concurrency"), number_at(node, "request_count", "avg"))


def _phase_concurrency(node: Node) -> int:
    phases = field(node, "input_config", "phases")
    profiling = [each for each in phases.items() if (text_at(each, "kind") or text_at(each, "name")) == "profiling"]
    if not profiling:
        phases.fail("holds no phase called profiling, whose concurrency is wanted")
    if len(profiling) > 1:
        profiling[1].fail("is a second phase of kind profiling; the metrics do not say whose they are, wanted one")
    phase = profiling[0]
    if text_at(phase, "type") != "concurrency":
        field(phase, "type").fail("requests were sent at a rate, so the concurrency was not constant")
    return held(field(phase, "concurrency"), number_at(node, "request_count", "avg"))


def _is_ours(members: Mapping[str, object]) -> bool:
    if "per_combination_metrics" in members:
        return False
    return "aiperf_version" in members or ("input_config" in members and "output_token_throughput" in members)


FORMAT = ObjectFormat("AIPerf JSON", _is_ours, _rows)
