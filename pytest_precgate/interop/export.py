"""Writes sweeps as text: the CSV of this project, and InferenceX's aggregated JSON. Pure.

Input: sweeps. Output: text. Invariant: the importers ``own`` and ``inferencex_agg`` read the same points back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.interop.importers.own import OPTIONAL_COLUMNS, REQUIRED_COLUMNS
from pytest_precgate.text import printable

_COLUMNS = (*OPTIONAL_COLUMNS, *REQUIRED_COLUMNS)


def points_csv(sweeps: Sequence[Sweep], remarks: Iterable[str]) -> str:
    """Return the points as this project's CSV, below ``remarks`` as comments, one point per line."""
    lines = [f"# {printable(remark, limit=1000)}" for remark in remarks]
    lines.append(",".join(_COLUMNS))
    for sweep, point in _points(sweeps):
        known = {
            "precision": sweep.precision,
            "configuration": point.configuration,
            "hardware": sweep.hardware,
            "isl": sweep.workload.isl,
            "osl": sweep.workload.osl,
            **{column: getattr(point, column) for column in REQUIRED_COLUMNS},
        }
        lines.append(",".join(_cell(known[column]) for column in _COLUMNS))
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    special = any(character in text for character in ',"#\r')
    return '"' + text.replace('"', '""') + '"' if special else text


def inferencex_json(sweeps: Sequence[Sweep]) -> str:
    """Return the points in InferenceX's aggregated format: a list of one object per point, times in seconds.

    ``tp`` is the number of GPUs of the point, because readers of the format use it for that; ``configuration`` is ours.
    """
    return json.dumps([_aggregated(sweep, point) for sweep, point in _points(sweeps)], indent=1) + "\n"


def _aggregated(sweep: Sweep, point: SweepPoint) -> dict[str, object]:
    return {
        "hw": sweep.hardware,
        "conc": point.concurrency,
        "precision": sweep.precision,
        "configuration": point.configuration,
        "disagg": False,
        "isl": sweep.workload.isl,
        "osl": sweep.workload.osl,
        "is_multinode": False,
        "tp": point.gpus,
        "tput_per_gpu": point.throughput_per_gpu,
        "median_tpot": 1 / point.interactivity,
        "median_intvty": point.interactivity,
    }


def _points(sweeps: Sequence[Sweep]) -> Iterator[tuple[Sweep, SweepPoint]]:
    for sweep in sweeps:
        for point in sweep.points:
            yield sweep, point
