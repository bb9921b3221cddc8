"""The common part of InferenceX's formats: the name of a configuration, and deployments whose GPUs cannot be counted.

Source: SemiAnalysisAI/InferenceX, utils/process_result.py. Since 2026 a deployment has tp * pp * pcp_size GPUs; decode
context parallelism (dcp_size) and expert parallelism (ep) run on the same ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import counted, field, is_yes, number_at, optional, text_at, whole
from pytest_precgate.interop.figures import figure

_WIDTHS = {"tp": "tp", "pp": "pp", "pcp": "pcp_size", "dcp": "dcp_size", "ep": "ep"}
_SAID_ALWAYS = ("tp", "ep")


def widths(node: Node, names: Mapping[str, str] = _WIDTHS) -> dict[str, int]:
    """Return the width of each kind of parallelism the node names; ``names`` are the members that hold them."""
    found = {kind: optional(node, name) for kind, name in names.items()}
    return {kind: whole(member) for kind, member in found.items() if member is not None}


def gpus_of(parallel: Mapping[str, int]) -> int:
    """Return the GPUs of a deployment: tp * pp * pcp, each 1 when it is missing (before 2026)."""
    return parallel["tp"] * parallel.get("pp", 1) * parallel.get("pcp", 1)


def configuration(framework: str | None, parallel: Mapping[str, int], *, has_dpa: bool, speculation: str | None) -> str:
    """Return the configuration's name, unique within a precision: ``vllm-tp4-pp2-ep1-dpa-mtp``."""
    words = [] if framework is None else [framework]
    words += [
        f"{kind}{parallel[kind]}"
        for kind in _WIDTHS
        if kind in parallel and (kind in _SAID_ALWAYS or parallel[kind] > 1)
    ]
    words += ["dpa"] * has_dpa
    words += [speculation] if speculation not in (None, "none") else []
    return "-".join(words)


def energy(node: Node) -> dict[str, float]:
    """Return the power of a GPU and the energy of a token, input or output (utils/aggregate_power.py); on one node both
    are of all its GPUs."""
    power = figure("mean_power_w", optional(node, "avg_power_w"))
    return power | figure("joules_per_token", optional(node, "joules_per_total_token"))


def refuse_other_interactivity(node: Node) -> None:
    """Refuse a median_intvty that is not 1 / median_tpot, if the node has both."""
    interactivity, tpot = number_at(node, "median_intvty"), number_at(node, "median_tpot")
    if interactivity is not None and tpot is not None and not math.isclose(interactivity * tpot, 1.0, rel_tol=0.01):
        field(node, "median_intvty").fail(f"got {interactivity!r}, which is not 1 / median_tpot = 1 / {tpot!r}")


def refuse_disaggregated(node: Node) -> None:
    """Refuse disaggregated prefill and decode, and several nodes: their GPUs do not follow from the widths."""
    for name in ("disagg", "is_multinode"):
        flag = optional(node, name)
        if flag is not None and is_yes(flag):
            flag.fail("its GPU count is not tp; disaggregated and multi-node results cannot be read yet")


def single_node(node: Node) -> tuple[int, str]:
    """Return GPUs and configuration of an aggregated result on one node; refuse any other."""
    refuse_disaggregated(node)
    parallel = {"tp": counted(field(node, "tp")), **widths(node)}
    name = text_at(node, "configuration")  # of our own export
    before_2026 = "mtp" if is_yes(optional(node, "mtp")) else None
    speculation = text_at(node, "spec_decoding") or before_2026
    has_dpa = is_yes(optional(node, "dp_attention"))
    told = name or configuration(text_at(node, "framework"), parallel, has_dpa=has_dpa, speculation=speculation)
    return gpus_of(parallel), told
