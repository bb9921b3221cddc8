"""Hypothesis strategies: clouds of points as a sweep could have measured them."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from tests.published import WORKLOAD

interactivities = st.floats(1.0, 500.0)
throughputs = st.floats(1.0, 50_000.0)


@st.composite
def points(draw: st.DrawFn, min_size: int = 1, max_size: int = 12) -> list[SweepPoint]:
    """Points in any order; some share an interactivity or a throughput."""
    pairs = draw(st.lists(st.tuples(interactivities, throughputs), min_size=min_size, max_size=max_size))
    return [SweepPoint(number, 4, x, y) for number, (x, y) in enumerate(pairs, 1)]


@st.composite
def falling(draw: st.DrawFn, min_size: int = 2, max_size: int = 9) -> list[tuple[float, float]]:
    """Knots of a frontier: interactivity rises and throughput falls, both strictly and by visible steps."""
    count = draw(st.integers(min_size, max_size))
    steps = st.floats(0.1, 60.0)
    drops = st.floats(0.1, 4_000.0)
    x, y = draw(st.floats(1.0, 100.0)), draw(st.floats(1.0, 200.0))
    knots = [(x, y)]
    for _ in range(count - 1):
        x += draw(steps)
        y += draw(drops)
        knots.append((x, y))
    highest = [y for _, y in reversed(knots)]
    return [(x, y) for (x, _), y in zip(knots, highest, strict=True)]


@st.composite
def sweeps(draw: st.DrawFn, precision: str) -> Sweep:
    """A sweep whose frontier is all of its points, around 20 to 120 tok/s/user so that two of them overlap."""
    knots = draw(falling(min_size=3))
    low, high = draw(st.floats(10.0, 30.0)), draw(st.floats(100.0, 150.0))
    first, last = knots[0][0], knots[-1][0]
    scaled = [(low + (x - first) / (last - first) * (high - low), y) for x, y in knots]
    return Sweep(precision, WORKLOAD, "b200", [SweepPoint(n, 4, x, y) for n, (x, y) in enumerate(scaled, 1)])
