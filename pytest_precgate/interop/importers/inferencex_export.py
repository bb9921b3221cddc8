"""The CSV that InferenceX's site exports, of 2026: one line per point below a licence in comments.

Source: SemiAnalysisAI/InferenceX-app, csv export of the inference chart (inferenceChartToCsv).

Fields: Concurrency, Throughput/GPU (tok/s) (input and output tokens), Median Interactivity (tok/s/user), Median TPOT
(ms), Hardware, Precision, TP, EP, DP Attention, Spec Decoding, Framework, Disaggregated, Is Multinode, Num Decode GPUs,
ISL, OSL, Model; as details Output Throughput/GPU (tok/s), Mean, Median, P90 and P99 of TTFT (ms), TPOT (ms) and E2E
Latency (ms), where there is such a column. The column headed "Median TPOT (ms)" holds seconds: the interactivity is
read, and the tpot must be its inverse in seconds or in milliseconds; the other times are in the same unit. Not read:
ITL, which counts chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_precgate.documents import Node
from pytest_precgate.interop.content import Table
from pytest_precgate.interop.fields import MS, field, is_yes, optional, text_at
from pytest_precgate.interop.figures import details_of
from pytest_precgate.interop.formats import TableFormat
from pytest_precgate.interop.importers.inferencex import configuration, gpus_of
from pytest_precgate.interop.rows import RecordedRow
from pytest_precgate.text import printable

_INTERACTIVITY = "Median Interactivity (tok/s/user)"
_TPOT = "Median TPOT (ms)"
_THROUGHPUT = "Throughput/GPU (tok/s)"
_OUTPUT = "Output Throughput/GPU (tok/s)"
_KINDS = {"ttft": "TTFT (ms)", "tpot": "TPOT (ms)", "request_latency": "E2E Latency (ms)"}
_STATISTICS = {"mean": "Mean", "p50": "Median", "p90": "P90", "p99": "P99"}


def _rows(table: Table) -> Iterator[RecordedRow]:
    for node in table.rows():
        yield _row(node)


def _row(node: Node) -> RecordedRow:
    for flag in ("Disaggregated", "Is Multinode"):
        if is_yes(optional(node, flag)):
            field(node, flag).fail("its GPU count is not TP; disaggregated and multi-node results cannot be read yet")
    parallel = {"tp": _whole(field(node, "TP")), "ep": _whole(field(node, "EP"))}
    name = configuration(
        text_at(node, "Framework"),
        parallel,
        has_dpa=is_yes(optional(node, "DP Attention")),
        speculation=text_at(node, "Spec Decoding"),
    )
    interactivity, unit = _interactivity(node)
    output = optional(node, _OUTPUT)
    with node.building():
        return RecordedRow(
            node,
            concurrency=_whole(field(node, "Concurrency")),
            interactivity=interactivity,
            throughput=_number(field(node, _THROUGHPUT)),
            gpus=_gpus(node, parallel),
            precision=field(node, "Precision").text(),
            hardware=field(node, "Hardware").text(),
            isl=_whole(field(node, "ISL")),
            osl=_whole(field(node, "OSL")),
            configuration=name,
            model=text_at(node, "Model"),
            output_throughput=None if output is None else _number(output),
            details=details_of(_times(node, unit)),
        )


def _interactivity(node: Node) -> tuple[float, float]:
    """The interactivity, and how many of the row's units of time are a second."""
    read, tpot = _number(field(node, _INTERACTIVITY)), _number(field(node, _TPOT))
    unit = next((one for one in (1.0, MS) if math.isclose(read * tpot, one, rel_tol=0.01)), None)
    if unit is None:
        field(node, _TPOT).fail(f"got {tpot!r}, which is 1 / {read!r} tok/s/user neither in s nor in ms")
    return read, unit


def _times(node: Node, unit: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, words in _KINDS.items():
        for statistic, word in _STATISTICS.items():
            cell = optional(node, f"{word} {words}")
            if cell is not None:
                found[f"{kind}_{statistic}_s"] = _number(cell) / unit
    return found


def _gpus(node: Node, parallel: Mapping[str, int]) -> int | None:
    told = optional(node, "Num Decode GPUs")
    agrees = told is None or _whole(told) in (gpus_of(parallel), parallel["tp"] * parallel["ep"])
    return gpus_of(parallel) if agrees else None


def _number(cell: Node) -> float:
    try:
        return float(cell.text())
    except ValueError:
        cell.fail(f"got {printable(repr(cell.value), 60)}, wanted a number")


def _whole(cell: Node) -> int:
    number = _number(cell)
    if not number.is_integer():
        cell.fail(f"got {number!r}, wanted a whole number")
    return int(number)


def _is_ours(head: Sequence[str]) -> bool:
    return _THROUGHPUT in head and "Concurrency" in head


FORMAT = TableFormat("InferenceX site export", _is_ours, _rows)
