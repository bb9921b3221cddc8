"""InferenceX's aggregated result ("agg") of 2025-10 and 2026: one JSON object per point, or a list of them.

Source: SemiAnalysisAI/InferenceX, utils/process_result.py and utils/collect_results.py.

Fields: conc, tput_per_gpu (input and output tokens), median_tpot (seconds), hw, precision, tp, pp, pcp_size, dcp_size,
ep, dp_attention (the text "false"), spec_decoding, framework, disagg, is_multinode, isl, osl, model; as details mean,
median, p90 and p99 of ttft, tpot and e2el (seconds), output_tput_per_gpu, avg_power_w (of one GPU),
joules_per_total_token. Files of 2025-10 lack isl and osl. Not read: itl, which counts chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import field, number_at, optional, per_second, runner_hardware, text_at, whole
from pytest_precgate.interop.figures import details_of, flat_times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.importers.inferencex import energy, refuse_other_interactivity, single_node
from pytest_precgate.interop.rows import RecordedRow


def _rows(node: Node) -> Iterator[RecordedRow]:
    gpus, configuration = single_node(node)
    isl, osl = optional(node, "isl"), optional(node, "osl")
    interactivity = per_second(field(node, "median_tpot"))
    refuse_other_interactivity(node)
    with node.building():
        yield RecordedRow(
            node,
            concurrency=whole(field(node, "conc")),
            interactivity=interactivity,
            throughput=field(node, "tput_per_gpu").number(),
            gpus=gpus,
            precision=field(node, "precision").text(),
            hardware=runner_hardware(field(node, "hw").text()),
            isl=None if isl is None else isl.integer(),
            osl=None if osl is None else osl.integer(),
            configuration=configuration,
            model=text_at(node, "model"),
            output_throughput=number_at(node, "output_tput_per_gpu"),
            details=details_of(flat_times(node, "e2el") | energy(node)),
        )


def _is_ours(members: Mapping[str, object]) -> bool:
    return "tput_per_gpu" in members


FORMAT = ObjectFormat("InferenceX aggregated", _is_ours, _rows)
