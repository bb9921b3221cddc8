"""Writes sweeps as text: the CSV of this project, and InferenceX's aggregated JSON. Pure.

Input: sweeps. Output: text. Invariant: the importers ``own`` and ``inferencex_agg`` read the same points back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from pytest_precgate.analysis.curves.details import FIGURES
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.importers.own import OPTIONAL_COLUMNS, REQUIRED_COLUMNS
from pytest_precgate.text import printable

_COLUMNS = (*OPTIONAL_COLUMNS, *REQUIRED_COLUMNS)
_WORDS = {"mean": "mean", "p50": "median", "p90": "p90", "p99": "p99"}
_KINDS = {"ttft": "ttft", "tpot": "tpot", "request_latency": "e2el"}


def points_csv(sweeps: Sequence[Sweep], remarks: Iterable[str]) -> str:
    """Return the points as this project's CSV, below ``remarks`` as comments, one point per line.

    The details that a point has come last, a column for each that any point has; the cell of another point is empty."""
    lines = [f"# {printable(remark, limit=1000)}" for remark in remarks]
    details = [name for name in FIGURES if any(point.figure(name) is not None for _, point in _points(sweeps))]
    lines.append(",".join((*_COLUMNS, *details)))
    for sweep, point in _points(sweeps):
        known = {
            "precision": sweep.precision,
            "configuration": point.configuration,
            "hardware": sweep.hardware,
            "isl": sweep.workload.isl,
            "osl": sweep.workload.osl,
            **{column: getattr(point, column) for column in REQUIRED_COLUMNS},
        }
        cells = [_cell(known[column]) for column in _COLUMNS]
        lines.append(",".join([*cells, *(_figure_cell(point.figure(name)) for name in details)]))
    return "\n".join(lines) + "\n"


def _figure_cell(figure: float | None) -> str:
    return "" if figure is None else repr(float(figure))


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
    tpot = _median_tpot(sweep, point)
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
        "median_tpot": tpot,
        "median_intvty": point.interactivity if sweep.axis == "tpot" else 1 / tpot,
        **_aggregated_details(point),
    }


def _median_tpot(sweep: Sweep, point: SweepPoint) -> float:
    if sweep.axis == "tpot":
        return 1 / point.interactivity
    tpot = point.figure("tpot_p50_s")
    if tpot is None:
        raise RecordedPointsError(
            sweep.precision,
            "",
            f"the point at concurrency {point.concurrency} has an end-to-end interactivity and no median tpot, which "
            "InferenceX's format holds",
        )
    return tpot


def _aggregated_details(point: SweepPoint) -> dict[str, float]:
    """The details that the format has a name for. itl is none: readers differ in what they count."""
    found: dict[str, float | None] = {}
    for kind, theirs in _KINDS.items():
        for statistic, word in _WORDS.items():
            if (kind, statistic) != ("tpot", "p50"):
                found[f"{word}_{theirs}"] = point.figure(f"{kind}_{statistic}_s")
    output = point.figure("output_throughput_per_gpu")
    found |= {"output_tput_per_gpu": output, "avg_power_w": point.figure("mean_power_w")}
    found |= {"joules_per_total_token": point.figure("joules_per_token")}
    return {name: figure for name, figure in found.items() if figure is not None}


def _points(sweeps: Sequence[Sweep]) -> Iterator[tuple[Sweep, SweepPoint]]:
    for sweep in sweeps:
        for point in sweep.points:
            yield sweep, point
