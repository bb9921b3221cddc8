"""InferenceX's aggregated result of an agentic scenario, version 3 of 2026-09: one JSON object per point.

Source: SemiAnalysisAI/InferenceX, utils/agentic/aggregation/process_agentic_result.py and request_metrics.py.

Fields: conc, num_gpus, request_metrics.throughput.per_gpu.total_tput_tps (input and output tokens),
request_metrics.latency.tpot.p50 (seconds), hw, precision, tp and the other widths, framework, spec_decoding, disagg,
is_multinode, model; as details request_metrics.latency.ttft, .tpot, .e2el (mean, p50, p90, seconds),
.e2e_norm_intvty.p90 (1 / P90 of request latency over output tokens, tok/s/user), throughput.per_gpu.output_tput_tps,
avg_power_w, joules_per_total_token. Lacks isl and osl: its requests are turns of conversations. Version 2 lacks the
total throughput per GPU and is refused. Not read: itl, which is tpot here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import field, number_at, optional, per_second, runner_hardware, text_at, whole
from pytest_precgate.interop.figures import NUMPY, details_of, figure, times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.importers.inferencex import energy, single_node
from pytest_precgate.interop.rows import RecordedRow

_METRICS = "request_metrics"


def _rows(node: Node) -> Iterator[RecordedRow]:
    if _METRICS not in node.mapping():
        node.fail(
            "is an agentic result without request_metrics: it lacks the throughput of input and output tokens per GPU "
            "(output tokens alone are not enough). Aggregate it again with InferenceX of 2026-09 or later"
        )
    counted, configuration = single_node(node)
    gpus = whole(field(node, "num_gpus"))
    if counted != gpus:
        field(node, "num_gpus").fail(f"got {gpus} GPUs, tp * pp * pcp_size is {counted}")
    with node.building():
        yield RecordedRow(
            node,
            concurrency=whole(field(node, "conc")),
            interactivity=per_second(field(node, _METRICS, "latency", "tpot", "p50")),
            throughput=field(node, _METRICS, "throughput", "per_gpu", "total_tput_tps").number(),
            gpus=gpus,
            precision=field(node, "precision").text(),
            hardware=runner_hardware(field(node, "hw").text()),
            configuration=configuration,
            model=text_at(node, "model"),
            output_throughput=number_at(node, _METRICS, "throughput", "per_gpu", "output_tput_tps"),
            details=details_of(_latencies(field(node, _METRICS, "latency")) | energy(node)),
        )


def _latencies(node: Node) -> dict[str, float]:
    found = figure("e2e_interactivity", optional(node, "e2e_norm_intvty", "p90"))
    for kind, word in (("ttft", "ttft"), ("tpot", "tpot"), ("request_latency", "e2el")):
        found |= times(kind, optional(node, word), NUMPY)
    return found


def _is_ours(members: Mapping[str, object]) -> bool:
    return _METRICS in members or ("scenario_type" in members and "tput_per_gpu" not in members)


FORMAT = ObjectFormat("InferenceX agentic", _is_ours, _rows)
