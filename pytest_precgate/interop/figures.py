"""Reads the details of a point from a result: latencies, energy, in the units of its tool. Pure.

Input: nodes. Output: figures by their names in PointDetails, times in seconds, or a RecordedPointsError that names the
impossible figure. Invariant: a missing or null figure is left out; a figure that is there is read or refused."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_precgate.analysis.curves.details import FIGURES, PointDetails
from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import optional

Keys = Mapping[str, tuple[str, ...]]
"""Where a result holds a statistic (mean, p50, p90, p99) of a distribution."""

NUMPY: Keys = {"mean": ("mean",), "p50": ("p50",), "p90": ("p90",), "p99": ("p99",)}
AVERAGED: Keys = {**NUMPY, "mean": ("avg",)}
_FLAT = {"mean": "mean", "p50": "median", "p90": "p90", "p99": "p99"}


def above_zero(node: Node) -> float:
    """Return a number; refuse 0 and less."""
    number = node.number()
    if number <= 0:
        node.fail(f"got {number!r}, wanted a number above 0")
    return number


def figure(name: str, node: Node | None, unit: float = 1.0) -> dict[str, float]:
    """Return the figure of a node, ``unit`` of it in one of ours; nothing where there is no node."""
    return {} if node is None else {name: above_zero(node) / unit}


def times(kind: str, node: Node | None, keys: Keys, unit: float = 1.0) -> dict[str, float]:
    """Return the statistics of ``kind`` (ttft, tpot, ...) that a node holds at ``keys``, ``unit`` of them in a second.

    A gap of 0 is left out: it is of chunks that arrived together."""
    found: dict[str, float] = {}
    for statistic, path in keys.items():
        name = f"{kind}_{statistic}_s"
        member = optional(node, *path) if node is not None and name in FIGURES else None
        if member is not None and not (kind == "itl" and member.value == 0):
            found |= figure(name, member, unit)
    return found


def flat_times(node: Node, latency: str, suffix: str = "", unit: float = 1.0) -> dict[str, float]:
    """Return the times of a result with members like ``p90_ttft_ms``: ttft, tpot, and the request latency under its
    name there. Percentiles are numpy's, interpolated between two requests."""
    found: dict[str, float] = {}
    for kind, word in (("ttft", "ttft"), ("tpot", "tpot"), ("request_latency", latency)):
        keys = {ours: (f"{theirs}_{word}{suffix}",) for ours, theirs in _FLAT.items()}
        found |= times(kind, node, keys, unit)
    return found


def details_of(figures: Mapping[str, float]) -> PointDetails | None:
    """Return the details, None where there are none. Raises InvalidValueError for figures that contradict each
    other."""
    return PointDetails(**figures) if figures else None
