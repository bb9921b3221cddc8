"""A sweep from files somebody else wrote: our own CSV or JSON columns, or InferenceX's aggregated JSON.

Rows of other precisions are left aside; a row of another workload or hardware is refused, since nobody can see
whether it was meant."""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from pytest_precgate.analysis.fingerprint import Fact
from pytest_precgate.analysis.finished import FinishedPoint
from pytest_precgate.analysis.schedule import UNAIMED, Aim
from pytest_precgate.analysis.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.documents import Node
from pytest_precgate.engines.base import OnFinished, untold
from pytest_precgate.errors import InvalidValueError, RecordedPointsError

REQUIRED_COLUMNS = ("concurrency", "gpus", "interactivity", "throughput_per_gpu")
OPTIONAL_COLUMNS = ("precision", "configuration", "hardware", "isl", "osl")
_WHOLE_COLUMNS = ("concurrency", "gpus", "isl", "osl")
_NUMBER_COLUMNS = ("interactivity", "throughput_per_gpu")


@dataclass(frozen=True)
class RecordedRow:
    """One point of a file with what the file says of its origin; None where it is silent."""

    point: SweepPoint
    node: Node
    precision: str | None
    hardware: str | None
    isl: int | None
    osl: int | None


def read_rows(path: Path) -> list[RecordedRow]:
    """Read every point of one file. Raises RecordedPointsError naming file, place, what was found and wanted."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise RecordedPointsError(str(path), "", f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise RecordedPointsError(str(path), "", "is not UTF-8 text") from exc
    nodes = _json_nodes(path, text) if path.suffix == ".json" else list(_csv_nodes(path, text))
    if not nodes:
        raise RecordedPointsError(str(path), "", "holds no points; wanted at least two rows of points")
    rows = [_agg_row(node) if _is_agg(node) else _own_row(node) for node in nodes]
    if any(row.precision for row in rows):
        for row in rows:
            if row.precision is None:
                row.node.child("precision", None).fail("required here: other rows of the file name theirs")
    return rows


def _json_nodes(path: Path, text: str) -> list[Node]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as exc:
        raise RecordedPointsError(str(path), f"line {exc.lineno}", f"is not JSON: {exc.msg}") from exc
    root = Node(document, str(path), "$", RecordedPointsError)
    if isinstance(document, dict):
        return root.table(required=["points"])["points"].items() if "points" in document else [root]
    return root.items()


def _csv_nodes(path: Path, text: str) -> Iterator[Node]:
    """One node per row, its cells turned into numbers; lines that begin with # are comments."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    reader = csv.reader((line for _, line in lines), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            row = Node(cells, str(path), f"line {lines[reader.line_num - 1][0]}", RecordedPointsError)
            if header is None:
                header = [cell.strip() for cell in cells]
                if len(set(header)) != len(header):
                    row.fail("a column stands twice in the head")
                continue
            if len(cells) != len(header):
                row.fail(f"got {len(cells)} cells, wanted {len(header)} as in the head")
            named = zip(header, (cell.strip() for cell in cells), strict=True)
            yield replace(row, value={key: _cell(row, key, cell) for key, cell in named if cell})
    except csv.Error as exc:
        raise RecordedPointsError(str(path), f"line {lines[reader.line_num - 1][0]}", f"is not CSV: {exc}") from exc


def _cell(row: Node, column: str, cell: str) -> object:
    kind: type[int] | type[float] = int if column in _WHOLE_COLUMNS else float
    if column not in (*_WHOLE_COLUMNS, *_NUMBER_COLUMNS):
        return cell
    try:
        return kind(cell.replace("_", "?"))  # Python reads 1_6 as 16, nobody else does
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        row.child(column, cell).fail(f"got {cell!r}, wanted {wanted}")


def _own_row(node: Node) -> RecordedRow:
    members = node.table(required=REQUIRED_COLUMNS, optional=OPTIONAL_COLUMNS)
    configuration = members["configuration"].text() if "configuration" in members else "default"
    with node.building():
        point = SweepPoint(
            concurrency=members["concurrency"].integer(),
            gpus=members["gpus"].integer(),
            interactivity=members["interactivity"].number(),
            throughput_per_gpu=members["throughput_per_gpu"].number(),
            configuration=configuration,
        )
    return RecordedRow(
        point,
        node,
        precision=members["precision"].text() if "precision" in members else None,
        hardware=members["hardware"].text() if "hardware" in members else None,
        isl=members["isl"].integer() if "isl" in members else None,
        osl=members["osl"].integer() if "osl" in members else None,
    )


def _is_agg(node: Node) -> bool:
    return isinstance(node.value, Mapping) and "tput_per_gpu" in node.value


def _agg_row(node: Node) -> RecordedRow:
    """InferenceX's aggregated JSON: one object per point, seconds, ``dp_attention`` as the text "false"."""
    members = node.mapping()

    def member(key: str) -> Node:
        if key not in members:
            node.child(key, None).fail("required field missing in an InferenceX aggregated result")
        return members[key]

    for key in ("disagg", "is_multinode"):
        if key in members and members[key].value not in (False, "false"):
            members[key].fail("its GPU count is not tp; disaggregated and multi-node results cannot be read yet")
    tpot_s = member("median_tpot").number()
    if tpot_s <= 0:
        member("median_tpot").fail(f"got {tpot_s!r}, wanted a time above 0 s")
    with node.building():
        point = SweepPoint(
            concurrency=member("conc").integer(),
            gpus=member("tp").integer(),
            interactivity=1 / tpot_s,
            throughput_per_gpu=member("tput_per_gpu").number(),
            configuration=_agg_configuration(members),
        )
    return RecordedRow(
        point,
        node,
        precision=member("precision").text(),
        hardware=member("hw").text(),
        isl=member("isl").integer(),
        osl=member("osl").integer(),
    )


def _agg_configuration(members: Mapping[str, Node]) -> str:
    """What tells two configurations of one precision apart: framework, parallelism, attention, speculation."""
    words = [str(members["framework"].value)] if "framework" in members else []
    words += [f"{key}{members[key].value}" for key in ("tp", "ep") if key in members]
    if "dp_attention" in members and members["dp_attention"].value not in (False, "false"):
        words.append("dpa")
    if "spec_decoding" in members and members["spec_decoding"].value not in (None, "none"):
        words.append(str(members["spec_decoding"].value))
    return "-".join(words)


def select(rows: Sequence[RecordedRow], precision: str) -> list[RecordedRow]:
    """Return the rows of one precision; a file that names no precision holds one alone.

    Raises RecordedPointsError when the precision is not there, naming those that are.
    """
    chosen = [row for row in rows if row.precision in (None, precision)]
    if not chosen:
        found = sorted({row.precision for row in rows if row.precision})
        raise RecordedPointsError(rows[0].node.source, "", f"holds no {precision} points; it holds {', '.join(found)}")
    return chosen


def _refuse_stranger(row: RecordedRow, workload: Workload, hardware: str) -> None:
    for what, got, wanted in (
        ("hardware", row.hardware, hardware),
        ("isl", row.isl, workload.isl),
        ("osl", row.osl, workload.osl),
    ):
        if got is not None and got != wanted:
            row.node.fail(f"{what} is {got}, the suite's is {wanted}; keep one file per hardware and workload")


def sweep_of(rows: Sequence[RecordedRow], precision: str, workload: Workload, hardware: str) -> Sweep:
    """Return one cloud of every row of ``precision``, whatever its configuration.

    Raises RecordedPointsError for a row of another workload or hardware, and for a point that stands twice.
    """
    chosen = select(rows, precision)
    for row in chosen:
        _refuse_stranger(row, workload, hardware)
    try:
        return Sweep(precision, workload, hardware, [row.point for row in chosen])
    except InvalidValueError as exc:
        raise RecordedPointsError(chosen[0].node.source, "", str(exc)) from exc


@dataclass(frozen=True)
class RecordedSpec:
    """Where the points lie: paths or glob patterns, relative ones starting at ``base``."""

    patterns: tuple[str, ...]
    base: Path

    @staticmethod
    def read(table: Node, base: Path) -> RecordedSpec:
        """Read ``path`` (a text or a list of texts) from a precision's table."""
        node = table.table(required=["engine", "path"])["path"]
        patterns = [member.text() for member in node.items()] if isinstance(node.value, list) else [node.text()]
        if not patterns:
            node.fail("got an empty list, wanted at least one file")
        return RecordedSpec(tuple(patterns), base)

    def open(self) -> RecordedEngine:
        """Return the engine that reads these files."""
        return RecordedEngine(self)

    def files(self) -> list[Path]:
        """Return the files, in a fixed order. Raises RecordedPointsError for a pattern that matches none."""
        found: list[Path] = []
        for pattern in self.patterns:
            path = self.base / pattern
            if path.is_file() or not re.search(r"[*?\[]", pattern):
                found.append(path)
                continue
            whole = pattern if Path(pattern).is_absolute() else str(Path(glob.escape(str(self.base))) / pattern)
            matches = sorted(glob.glob(whole, recursive=True))  # noqa: PTH207  # Path.glob refuses absolute patterns
            if not matches:
                _no_match(pattern, self.base)
            found += [Path(match) for match in matches]
        return list(dict.fromkeys(found))


def _no_match(pattern: str, base: Path) -> NoReturn:
    raise RecordedPointsError(pattern, "", f"matches no file below {base}")


@dataclass(frozen=True)
class RecordedEngine:
    """Stands where a server would: its sweep was measured elsewhere."""

    spec: RecordedSpec
    kind: str = "recorded"

    def identity(self) -> Mapping[str, Fact]:
        """Return nothing: hardware and workload say what a recording must agree in."""
        return {}

    def facts(self) -> Mapping[str, Fact]:
        """Return the files and the hash of their bytes: a changed recording is told, not a mismatch."""
        digest = hashlib.sha256()
        files = self.spec.files()
        for path in files:
            try:
                digest.update(path.read_bytes())
            except OSError as exc:
                raise RecordedPointsError(str(path), "", f"cannot be read: {exc.strerror}") from exc
        return {"source": ", ".join(self.spec.patterns), "sha256": digest.hexdigest()[:16]}

    def fresh(self, attempt: int) -> RecordedEngine:
        """Return itself: a recording is what was measured, once. Raises InvalidValueError for a second launch."""
        if attempt != 1:
            raise InvalidValueError(f"{self.spec.patterns[0]}: a recording is one launch, it has no number {attempt}")
        return self

    def sweep(
        self,
        precision: str,
        workload: Workload,
        hardware: str,
        known: Sequence[FinishedPoint] = (),  # noqa: ARG002  # nothing is measured here
        on_finished: OnFinished = untold,  # noqa: ARG002
        aim: Aim = UNAIMED,  # noqa: ARG002
    ) -> Sweep:
        """Return all points of ``precision`` in the files, as one cloud, whatever they are for."""
        rows = [row for path in self.spec.files() for row in read_rows(path)]
        return sweep_of(rows, precision, workload, hardware)
