"""The importers, one module each and one row here. The content of a file decides which of them reads it. Pure.

Input: text. Output: rows in the order of the file, or RecordedPointsError for an unknown format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_precgate.documents import Node
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.content import Objects, Table, content_of
from pytest_precgate.interop.formats import ObjectFormat, TableFormat
from pytest_precgate.interop.importers import (
    aiperf,
    aiperf_csv,
    aiperf_sweep,
    guidellm,
    inference_perf,
    inferencex_agentic,
    inferencex_agg,
    inferencex_api,
    inferencex_export,
    llmd,
    llmperf,
    own,
    sglang,
    trtllm_bench,
    vllm_bench,
)
from pytest_precgate.interop.rows import RecordedRow
from pytest_precgate.text import printable

OBJECT_FORMATS: tuple[ObjectFormat, ...] = (
    own.OBJECTS,
    vllm_bench.FORMAT,
    inferencex_agg.FORMAT,
    inferencex_agentic.FORMAT,
    inferencex_api.FORMAT,
    sglang.FORMAT,
    aiperf.FORMAT,
    aiperf_sweep.FORMAT,
    guidellm.FORMAT,
    trtllm_bench.FORMAT,
    inference_perf.FORMAT,
    llmd.FORMAT,
    llmperf.FORMAT,
)
TABLE_FORMATS: tuple[TableFormat, ...] = (own.TABLE, inferencex_export.FORMAT, aiperf_csv.FORMAT)

_NAMES_SHOWN = 8


@dataclass(frozen=True)
class Imported:
    """The contents of a file: its rows, the tools that wrote them, whether its last line has no end, and its
    comments."""

    rows: tuple[RecordedRow, ...]
    tools: tuple[str, ...]
    is_cut: bool = False
    comments: tuple[str, ...] = ()


def imported(text: str, source: str) -> Imported:
    """Return the rows of the text of file ``source``.

    Raises RecordedPointsError naming file, location, what was found and wanted: no points, an unknown format, a row
    that is not a point, a row without precision among rows that have one."""
    content = content_of(text, source)
    found = _of_table(content) if isinstance(content, Table) else _of_objects(content)
    if not found.rows:
        raise RecordedPointsError(source, "", "holds no points; wanted at least two rows of points")
    if any(row.precision for row in found.rows):
        for row in found.rows:
            if row.precision is None:
                row.node.child("precision", None).fail("required here: other rows of the file name theirs")
    return found


def _of_table(table: Table) -> Imported:
    if not table.lines:
        return Imported((), ())
    told = next((each for each in TABLE_FORMATS if each.told_by(table.head)), None)
    if told is None:
        known = _known(TABLE_FORMATS)
        table.node(0).fail(f"is not a known table of points; its columns: {_listed(table.head)}; {known}")
    return Imported(tuple(told.rows(table)), (told.tool,), table.is_cut, table.comments)


def _of_objects(content: Objects) -> Imported:
    rows: list[RecordedRow] = []
    tools: dict[str, None] = {}
    for node in content.nodes:
        each = _format_of(node)
        tools[each.tool] = None
        rows.extend(each.rows(node))
    return Imported(tuple(rows), tuple(tools), content.is_cut)


def _format_of(node: Node) -> ObjectFormat:
    names = tuple(node.mapping())
    told = (each for each in OBJECT_FORMATS if isinstance(node.value, Mapping) and each.told_by(node.value))
    found = next(told, None)
    if found is None:
        node.fail(f"is not a known result of a benchmark; its members: {_listed(names)}; {_known(OBJECT_FORMATS)}")
    return found


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(printable(name, 40) for name in names[:_NAMES_SHOWN])
    return (shown or "none") + (", ..." if len(names) > _NAMES_SHOWN else "")


def _known(formats: tuple[ObjectFormat, ...] | tuple[TableFormat, ...]) -> str:
    return f"known: {', '.join(each.tool for each in formats)}"
