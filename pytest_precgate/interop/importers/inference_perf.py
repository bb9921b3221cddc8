"""inference-perf's metrics of a stage or of a whole run, as of 2026: one JSON object. Always refused.

Source: kubernetes-sigs/inference-perf, inference_perf/reportgen and docs/config.md.

Recognised by load_summary. Requests are sent at a rate (requested_rate, achieved_rate), so the concurrency is not
constant and the file holds no point of a closed-loop sweep. A stage of the concurrent load (pull request 263) has
load_summary.concurrency too, but no version: before pull request 320 of January 2026 more requests were in flight than
that (issue 319). A summary of all stages has neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import field, optional
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow


def _rows(node: Node) -> Iterator[RecordedRow]:
    load = field(node, "load_summary")
    node.fail(
        f"is a result of inference-perf {_cause(load)}: it lacks a constant concurrency. Measure with a closed loop, "
        "for example `vllm bench serve --max-concurrency N`"
    )


def _cause(load: Node) -> str:
    concurrency = optional(load, "concurrency")
    if concurrency is not None:
        return (
            f"with a concurrency of {concurrency.shown}, which versions before February 2026 exceeded, and the file "
            "names no version"
        )
    if optional(load, "requested_rate") is not None:
        return "that sent requests at a rate"
    return "over all its stages, which may differ in load"


def _is_ours(members: Mapping[str, object]) -> bool:
    return "load_summary" in members


FORMAT = ObjectFormat("inference-perf", _is_ours, _rows)
