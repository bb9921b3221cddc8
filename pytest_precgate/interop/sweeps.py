"""Builds a sweep of rows: those of one precision, workload, hardware and model, as one cloud. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from pytest_precgate.analysis.curves.sweep import Axis, Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.errors import InvalidValueError, RecordedPointsError
from pytest_precgate.interop.rows import FACTS, NOTHING, RecordedRow, Stated
from pytest_precgate.text import printable

COMPLETE = tuple(name for name in FACTS if name != "configuration")
"""The required values of a row by itself; a configuration without a name is the default one."""


def select(rows: Sequence[RecordedRow], precision: str) -> list[RecordedRow]:
    """Return the rows of one precision; a file that names no precision holds only one.

    Raises RecordedPointsError when the precision is missing, naming those of the file."""
    chosen = [row for row in rows if row.precision in (None, precision)]
    if not chosen:
        found = sorted({printable(row.precision) for row in rows if row.precision})
        raise RecordedPointsError(rows[0].node.source, "", f"holds no {precision} points; it holds {', '.join(found)}")
    return chosen


def sweep_of(
    rows: Sequence[RecordedRow], precision: str, workload: Workload, hardware: str, stated: Stated = NOTHING
) -> Sweep:
    """Return one cloud of every row of ``precision``, over all configurations.

    ``stated`` fills in missing values. Raises RecordedPointsError for a row of another workload, hardware or model, one
    that lacks its GPUs or is impossible, and for a repeated point."""
    chosen = select([row.filled(stated) for row in rows], precision)
    wanted = Stated(hardware=hardware, isl=workload.isl, osl=workload.osl)
    for row in chosen:
        row.refuse_other(stated)
        row.refuse_other(wanted, "the suite's")
    _refuse_models(chosen)
    points = [row.point(workload.isl, workload.osl) for row in chosen]
    _refuse_twice(chosen, points)
    try:
        return Sweep(precision, workload, hardware, points)
    except InvalidValueError as exc:
        raise RecordedPointsError(chosen[0].node.source, "", str(exc)) from exc


def on_axis(sweep: Sweep, axis: Axis) -> Sweep:
    """Return a sweep with its points at the interactivity of ``axis``; raise RecordedPointsError where a point lacks
    it."""
    if axis == sweep.axis:
        return sweep
    points = []
    for point in sweep.points:
        interactivity = point.figure("e2e_interactivity")
        if interactivity is None:
            raise RecordedPointsError(
                sweep.precision,
                "",
                f"the point at concurrency {point.concurrency} has no end-to-end interactivity (the P90 of request "
                'latency over output tokens), which axis = "e2e" reads; use axis = "tpot"',
            )
        points.append(replace(point, interactivity=interactivity))
    return replace(sweep, points=points, axis=axis)


def sweeps_of(rows: Iterable[RecordedRow], stated: Stated) -> list[Sweep]:
    """Return one sweep per precision, hardware and workload of ``rows``, each of which must have or be given all of
    them.

    Raises RecordedPointsError naming what a row lacks, and for what ``sweep_of`` refuses."""
    filled = [row.filled(stated) for row in rows]
    for row in filled:
        row.refuse_other(stated)
        row.refuse_lacking(COMPLETE)
    groups = groupby(sorted(filled, key=_group), key=_group)
    return [
        sweep_of(list(members), precision, Workload(isl, osl), hardware)
        for (precision, hardware, isl, osl), members in groups
    ]


def _group(row: RecordedRow) -> tuple[str, str, int, int]:
    assert row.precision is not None
    assert row.hardware is not None
    assert row.isl is not None
    assert row.osl is not None
    return row.precision, row.hardware, row.isl, row.osl


def _refuse_twice(rows: Sequence[RecordedRow], points: Sequence[SweepPoint]) -> None:
    first: dict[tuple[str, int, int], RecordedRow] = {}
    for row, point in zip(rows, points, strict=True):
        before = first.setdefault(point.key, row)
        if before is not row:
            row.node.fail(
                f"holds concurrency {point.concurrency} twice for configuration {printable(point.configuration)!r} on "
                f"{point.gpus} GPUs: it is also in {before.node.source} @ {before.node.spot}; keep one of them, or "
                "state the configuration of each"
            )


def _refuse_models(rows: Sequence[RecordedRow]) -> None:
    named = [row for row in rows if row.model is not None]
    for row in named:
        if row.model != named[0].model:
            row.node.fail(
                f"is of model {printable(str(row.model))}, other rows are of {printable(str(named[0].model))}; a curve "
                "is of one model, keep one file per model"
            )
