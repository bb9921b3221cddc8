"""Recorded points of this project: a CSV with a head, or JSON objects with the same names.

Fields: the columns below; those of the details are the names of PointDetails. Every other column is refused by name, so
that a misspelt one is not ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

from pytest_precgate.analysis.curves.details import FIGURES
from pytest_precgate.documents import Node
from pytest_precgate.interop.content import Table
from pytest_precgate.interop.fields import text_at
from pytest_precgate.interop.figures import details_of
from pytest_precgate.interop.formats import ObjectFormat, TableFormat
from pytest_precgate.interop.rows import RecordedRow
from pytest_precgate.text import printable

REQUIRED_COLUMNS = ("concurrency", "gpus", "interactivity", "throughput_per_gpu")
OPTIONAL_COLUMNS = ("precision", "configuration", "hardware", "isl", "osl")
_WHOLE_COLUMNS = ("concurrency", "gpus", "isl", "osl")
_NUMBER_COLUMNS = ("interactivity", "throughput_per_gpu", *FIGURES)
_WRAPPER = "points"


def _rows_of_object(node: Node) -> Iterator[RecordedRow]:
    members = node.mapping()
    if _WRAPPER not in members:
        yield _row(node)
        return
    for point in node.table(required=[_WRAPPER])[_WRAPPER].items():
        yield _row(point)


def _rows_of_table(table: Table) -> Iterator[RecordedRow]:
    for node in table.rows():
        yield _row(replace(node, value={key: _cell(node, key, cell) for key, cell in node.mapping().items()}))


def _cell(row: Node, column: str, cell: Node) -> object:
    text = cell.text()
    if column not in (*_WHOLE_COLUMNS, *_NUMBER_COLUMNS):
        return text
    kind: type[int] | type[float] = int if column in _WHOLE_COLUMNS else float
    try:
        return kind(text.replace("_", "?"))  # Python reads 1_6 as 16, other readers do not
    except ValueError:
        _refuse(row.child(column, cell), text, kind)


def _refuse(node: Node, text: str, kind: type) -> NoReturn:
    node.fail(f"got {printable(repr(text), 60)}, wanted {'a whole number' if kind is int else 'a number'}")


def _row(node: Node) -> RecordedRow:
    members = node.table(required=REQUIRED_COLUMNS, optional=(*OPTIONAL_COLUMNS, *FIGURES))
    with node.building():
        return RecordedRow(
            node,
            concurrency=members["concurrency"].integer(),
            gpus=members["gpus"].integer(),
            interactivity=members["interactivity"].number(),
            throughput=members["throughput_per_gpu"].number(),
            precision=text_at(node, "precision"),
            hardware=text_at(node, "hardware"),
            isl=members["isl"].integer() if "isl" in members else None,
            osl=members["osl"].integer() if "osl" in members else None,
            configuration=text_at(node, "configuration"),
            details=details_of({name: members[name].number() for name in FIGURES if name in members}),
        )


def _is_object(members: Mapping[str, object]) -> bool:
    return _WRAPPER in members or any(column in members for column in ("interactivity", "throughput_per_gpu", "gpus"))


def _is_table(head: Sequence[str]) -> bool:
    return any(column in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS) for column in head)


OBJECTS = ObjectFormat("pytest-precgate points", _is_object, _rows_of_object)
TABLE = TableFormat("pytest-precgate points", _is_table, _rows_of_table)
