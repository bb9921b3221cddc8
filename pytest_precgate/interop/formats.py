"""The interface of an importer: the name of its tool, how its files are recognised, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.documents import Node
from pytest_precgate.interop.content import Table
from pytest_precgate.interop.rows import RecordedRow


@dataclass(frozen=True)
class ObjectFormat:
    """A format of objects (JSON, JSON lines, YAML), recognised by the members of one, which may hold several points."""

    tool: str
    told_by: Callable[[Mapping[str, object]], bool]
    rows: Callable[[Node], Iterable[RecordedRow]]


@dataclass(frozen=True)
class TableFormat:
    """A format of CSV, recognised by the cells of its first line."""

    tool: str
    told_by: Callable[[Sequence[str]], bool]
    rows: Callable[[Table], Iterable[RecordedRow]]
