"""The CSV that InferenceX's site exports, of 2026: one line per point below a licence in comments.

Source: SemiAnalysisAI/InferenceX-app, csv export of the inference chart (inferenceChartToCsv).

Fields: Concurrency, Throughput/GPU (tok/s) (input and output tokens), Median Interactivity (tok/s/user), Median TPOT
(ms), Hardware, Precision, TP, EP, DP Attention, Spec Decoding, Framework, Disaggregated, Is Multinode, Num Decode GPUs,
ISL, OSL, Model. The column headed "Median TPOT (ms)" holds seconds: the interactivity is read, and the tpot must be
its inverse in seconds or in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_precgate.documents import Node
from pytest_precgate.interop.content import Table
from pytest_precgate.interop.fields import MS, field, is_yes, optional, text_at
from pytest_precgate.interop.formats import TableFormat
from pytest_precgate.interop.importers.inferencex import configuration, gpus_of
from pytest_precgate.interop.rows import RecordedRow
from pytest_precgate.text import printable

_INTERACTIVITY = "Median Interactivity (tok/s/user)"
_TPOT = "Median TPOT (ms)"
_THROUGHPUT = "Throughput/GPU (tok/s)"


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
    with node.building():
        return RecordedRow(
            node,
            concurrency=_whole(field(node, "Concurrency")),
            interactivity=_interactivity(node),
            throughput=_number(field(node, _THROUGHPUT)),
            gpus=_gpus(node, parallel),
            precision=field(node, "Precision").text(),
            hardware=field(node, "Hardware").text(),
            isl=_whole(field(node, "ISL")),
            osl=_whole(field(node, "OSL")),
            configuration=name,
            model=text_at(node, "Model"),
        )


def _interactivity(node: Node) -> float:
    read, tpot = _number(field(node, _INTERACTIVITY)), _number(field(node, _TPOT))
    if not any(math.isclose(read * tpot, one, rel_tol=0.01) for one in (1.0, MS)):
        field(node, _TPOT).fail(f"got {tpot!r}, which is 1 / {read!r} tok/s/user neither in s nor in ms")
    return read


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
