"""Launches of an unchanged suite whose pace scatters, for what is said of their noise."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.analysis.gating.gates import THROUGHPUT, Gate, Metric, Tolerance, gates_of
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from tests.published import kimi

POINTS = (55.0, 91.0)
OF_THROUGHPUT = [metric for metric in Metric if metric.figure == THROUGHPUT]
POLICY = LaunchPolicy()
sigmas = st.floats(0.0005, 0.04)
seeds = st.integers(0, 10_000)
asked = st.dictionaries(st.sampled_from(OF_THROUGHPUT), st.none() | st.floats(0.01, 0.2), min_size=1)


@cache
def paced(precision: str, pace: float) -> Curve:
    """The recorded curve of a launch whose every step takes ``pace`` times as long."""
    sweep = kimi(precision)
    points = [
        replace(point, interactivity=point.interactivity / pace, throughput_per_gpu=point.throughput_per_gpu / pace)
        for point in sweep.points
    ]
    return Curve(replace(sweep, points=points), hardware_named("b200"))


def launched(seed: int, sigma: float, number: int = 5) -> Mapping[str, Sequence[Curve]]:
    """Launches of both precisions whose pace scatters by ``sigma``."""
    draw = random.Random(seed)
    return {name: [paced(name, math.exp(draw.gauss(0, sigma))) for _ in range(number)] for name in ("fp4", "int4")}


def gates(tolerances: Mapping[Metric, float | None] | None = None, points: Sequence[float] = POINTS) -> list[Gate]:
    each = dict.fromkeys(OF_THROUGHPUT) if tolerances is None else tolerances
    held = {metric: Tolerance() if share is None else Tolerance(share) for metric, share in each.items()}
    return list(gates_of("fp4", "int4", points, held, 0.5))
