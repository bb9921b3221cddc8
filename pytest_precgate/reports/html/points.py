"""Sweeps as rows of the page: one column per quantity, a quantity that no point has left out.

Input: launches. Output: JSON-able tables. Invariant: what was not measured is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.curves.sweep import SweepPoint

DETAILS = (
    *("ttft_mean_s", "ttft_p50_s", "ttft_p90_s", "ttft_p99_s", "tpot_mean_s", "tpot_p90_s", "tpot_p99_s"),
    *("itl_mean_s", "itl_p50_s", "itl_p99_s"),
    *("request_latency_mean_s", "request_latency_p50_s", "request_latency_p90_s", "request_latency_p99_s"),
    *("output_throughput_per_gpu", "e2e_interactivity", "goodput", "joules_per_token", "mean_power_w", "sm_clock_mhz"),
    *("cached_share", "tokens_per_event", "client_cpu_share", "batch", "queue_s", "prefill_s", "decode_s"),
    "preemptions",
)
"""What a point may hold beside its place on the curve."""

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
    """Return what was measured of a point beside its place on the curve, by name; what is no finite number was not."""
    found = getattr(point, "details", None)
    values = {name: getattr(found, name, None) for name in DETAILS}
    values |= {name: getattr(point, name) for name in _OPTIONAL}
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
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
