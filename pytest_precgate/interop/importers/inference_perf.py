"""inference-perf's metrics of a stage or of a whole run, as of 2026: one JSON object. Always refused.

Source: kubernetes-sigs/inference-perf, inference_perf/reportgen and docs/config.md.

Recognised by load_summary. Requests are sent at a rate (requested_rate, achieved_rate), so the concurrency is not
constant and the file holds no point of a closed-loop sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow


def _rows(node: Node) -> Iterator[RecordedRow]:
    node.fail(
        "is a result of inference-perf, which sends requests at a rate: it lacks a constant concurrency. Measure "
        "with a closed loop, for example `vllm bench serve --max-concurrency N`"
    )


def _is_ours(members: Mapping[str, object]) -> bool:
    return "load_summary" in members


FORMAT = ObjectFormat("inference-perf", _is_ours, _rows)
