"""AIPerf's summary of a sweep, profile_export_aiperf_sweep.json of 0.13: one JSON object, one entry per combination.

Source: ai-dynamo/aiperf, src/aiperf/exporters/aggregate/ (the sweep exporters).

Fields: per_combination_metrics[].parameters.concurrency, metrics.inter_token_latency.p50 with its unit,
metrics.total_token_throughput.mean where it is there, else metrics.output_token_throughput.mean, from which the total
follows by isl and osl; as details these, and no other metric: versions differ in how they name and nest them. Lacks
GPUs, precision, hardware, isl and osl. Sweeps with failed runs are refused, and so are sweeps of further parameters,
whose points could not be distinguished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import field, optional, refuse_unless_zero, tokens_per_second, whole
from pytest_precgate.interop.figures import details_of
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.importers.aiperf import output_throughput, tpot_in
from pytest_precgate.interop.rows import Counts, RecordedRow

_ENTRIES = "per_combination_metrics"
_CONCURRENCY = ("concurrency", "phases.profiling.concurrency")


def _rows(node: Node) -> Iterator[RecordedRow]:
    refuse_unless_zero(optional(node, "failed_runs"), "runs failed")
    for entry in field(node, _ENTRIES).items():
        yield _row(entry)


def _row(entry: Node) -> RecordedRow:
    parameters = field(entry, "parameters")
    for name, member in parameters.mapping().items():
        if name not in _CONCURRENCY:
            member.fail("is swept beside the concurrency; wanted a sweep of the concurrency alone")
    name = next((name for name in _CONCURRENCY if name in parameters.mapping()), _CONCURRENCY[0])
    latency = field(entry, "metrics", "inter_token_latency")
    counts: Counts = "output" if optional(entry, "metrics", "total_token_throughput") is None else "system"
    throughput = field(entry, "metrics", f"{'output' if counts == 'output' else 'total'}_token_throughput")
    interactivity = tpot_in(latency, field(latency, "p50"))
    with entry.building():
        return RecordedRow(
            entry,
            concurrency=whole(field(parameters, name)),
            interactivity=interactivity,
            throughput=tokens_per_second(throughput, field(throughput, "mean")),
            counts=counts,
            output_throughput=output_throughput(field(entry, "metrics"), "mean"),
            details=details_of({"tpot_p50_s": 1 / interactivity}),
        )


def _is_ours(members: Mapping[str, object]) -> bool:
    return _ENTRIES in members


FORMAT = ObjectFormat("AIPerf sweep", _is_ours, _rows)
