"""Rows of InferenceX's public interface, /api/v1/benchmarks, of 2026: a JSON list with one object per point.

Source: SemiAnalysisAI/InferenceX-app, the type BenchmarkRow and its transformation for charts
(benchmark-transform.ts).

Fields: conc, hardware, framework, precision, spec_method, model, isl, osl, disagg, is_multinode, decode_tp, decode_ep,
decode_dp_attention, metrics.tput_per_gpu (input and output tokens), metrics.median_tpot (seconds), metrics.decode_pp,
metrics.pcp_size, metrics.dcp_size; as details the same members of metrics as of the aggregated result. num_decode_gpu
is tp * ep in a quarter of the rows: GPUs are computed from the widths; when neither reading of num_decode_gpu agrees
with them, the row lacks its GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import counted, field, is_yes, number_at, optional, per_second, text_at, whole
from pytest_precgate.interop.figures import details_of, flat_times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.importers.inferencex import (
    configuration,
    energy,
    gpus_of,
    refuse_disaggregated,
    refuse_other_interactivity,
    widths,
)
from pytest_precgate.interop.rows import RecordedRow


def _rows(node: Node) -> Iterator[RecordedRow]:
    refuse_disaggregated(node)
    parallel = {"tp": counted(field(node, "decode_tp")), **widths(node, {"ep": "decode_ep"})}
    metrics = field(node, "metrics")
    parallel |= widths(metrics, {"pp": "decode_pp", "pcp": "pcp_size", "dcp": "dcp_size"})
    name = configuration(
        text_at(node, "framework"),
        parallel,
        has_dpa=is_yes(optional(node, "decode_dp_attention")),
        speculation=text_at(node, "spec_method"),
    )
    interactivity = per_second(field(metrics, "median_tpot"))
    refuse_other_interactivity(metrics)
    with node.building():
        yield RecordedRow(
            node,
            concurrency=whole(field(node, "conc")),
            interactivity=interactivity,
            throughput=field(node, "metrics", "tput_per_gpu").number(),
            gpus=_gpus(node, parallel),
            precision=field(node, "precision").text(),
            hardware=field(node, "hardware").text(),
            isl=field(node, "isl").integer(),
            osl=field(node, "osl").integer(),
            configuration=name,
            model=text_at(node, "model"),
            output_throughput=number_at(metrics, "output_tput_per_gpu"),
            details=details_of(flat_times(metrics, "e2el") | energy(metrics)),
        )


def _gpus(node: Node, parallel: Mapping[str, int]) -> int | None:
    counted = gpus_of(parallel)
    told = optional(node, "num_decode_gpu")
    agrees = told is None or whole(told) in (counted, parallel["tp"] * parallel.get("ep", 1))
    return counted if agrees else None


def _is_ours(members: Mapping[str, object]) -> bool:
    return "decode_tp" in members and "metrics" in members


FORMAT = ObjectFormat("InferenceX API", _is_ours, _rows)
