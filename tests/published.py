"""Figures published by others, transcribed with their source, and the recorded points they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.interop.files import read_rows
from pytest_precgate.interop.sweeps import sweep_of

ROOT = Path(__file__).parents[1]
POINTS = ROOT / "examples" / "points" / "kimi_k2_b200_1k1k.csv"
WORKLOAD = Workload(isl=1024, osl=1024, range_ratio=0.8)


@cache
def kimi(precision: str) -> Sweep:
    """The recorded Kimi K2.5 cloud of one precision on B200."""
    return sweep_of(read_rows(POINTS), precision, WORKLOAD, "b200")


@dataclass(frozen=True)
class PublishedRow:
    """One row of the comparison published with InferenceX for Kimi K2.5 1T, B200, 1k/1k, early July 2026.

    The single runs behind it are not public; the wording was computed from these rounded figures.
    """

    interactivity: float
    throughput: tuple[float, float]
    cost: tuple[float, float]
    tokens_per_megawatt: tuple[float, float]
    concurrency: tuple[int, int]
    cheaper: int
    more: int


PUBLISHED = (
    PublishedRow(55, (1057.2, 344.4), (0.509, 1.569), (487171, 158708), (41, 25), 208, 207),
    PublishedRow(73, (712.9, 226.6), (0.756, 2.367), (328507, 104410), (20, 12), 213, 215),
    PublishedRow(91, (506.6, 157.8), (1.058, 3.449), (233471, 72714), (11, 7), 226, 221),
)
PUBLISHED_BAND = (37.0, 109.0)
