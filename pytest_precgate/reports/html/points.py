"""Sweeps as rows of the page: one column per quantity, a quantity that no point has left out.

Input: launches. Output: JSON-able tables. Invariant: what was not measured is None, never zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.curves.details import FIGURES
from pytest_precgate.analysis.curves.sweep import SweepPoint

DETAILS = tuple(name for name in FIGURES if name not in ("tpot_p50_s", "slo_ttft_s", "slo_tpot_s"))
"""What a point may hold beside its place on the curve; its median tpot is its interactivity."""

CORE = ("concurrency", "gpus", "configuration", "interactivity", "throughput_per_gpu")
_OPTIONAL = ("acceptance_length", "short_error")
_DRAWN = ("output_throughput_per_gpu", "e2e_interactivity", "joules_per_token", "ttft_p50_s", *_OPTIONAL)
TOLD = frozenset(
    (
        *(*CORE, *_DRAWN, "ttft_p99_s", "tpot_p99_s", "itl_p99_s"),
        *("request_latency_p50_s", "request_latency_p99_s"),
    )
)
"""What the picture draws and says of a point (tools/report/src/describe.mjs); the tables have the rest."""

_DIGITS = 5


def details_of(point: SweepPoint) -> Mapping[str, float]:
    """Return what was measured of a point beside its place on the curve, by name."""
    known = (
        {} if point.details is None else {name: each for name, each in point.details.known.items() if name in DETAILS}
    )
    known |= {name: value for name in _OPTIONAL if (value := getattr(point, name)) is not None}
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in known.items()}


def columns_of(launches: Sequence[Launch], *, drawn_only: bool = False) -> tuple[str, ...]:
    """Return the columns that the points of ``launches`` fill; ``drawn_only`` keeps those that a picture can show."""
    known = {name for launch in launches for point in launch.sweep.points for name in details_of(point)}
    names = _DRAWN if drawn_only else (*_OPTIONAL, *DETAILS)
    return (*CORE, *(name for name in names if name in known))


def rows_of(launch: Launch, columns: Sequence[str]) -> list[list[object]]:
    """Return a row per point of a launch, in the order of its sweep."""
    rows: list[list[object]] = []
    for point in launch.sweep.points:
        details = details_of(point)
        core = {name: getattr(point, name) for name in CORE}
        rows.append([core[name] if name in core else details.get(name) for name in columns])
    return rows
