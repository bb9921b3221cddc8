"""Change points of a gate's history: false alarms, changes found, and the time for 200 and 10,000 runs.

Values are normal in their logarithm unless a row says otherwise. A change is found when a change point lies within five
runs of it; every other change point is counted as extra. Run it with

    python benchmarks/change_points.py [--series 1000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from random import Random

from pytest_precgate.analysis.gating.change_points import change_points

SIGMA = 0.01
LENGTH, CHANGED = 100, 60
NEAR = 5
DROPS = (0.5, 1.0, 1.5, 2.0, 3.0)

Noise = Callable[[Random, int], list[float]]


def normal(draw: Random, length: int) -> list[float]:
    return [draw.gauss(0, SIGMA) for _ in range(length)]


def strays(draw: Random, length: int) -> list[float]:
    """One run in twenty is 10% slow."""
    return [each + (math.log(0.9) if draw.random() < 0.05 else 0.0) for each in normal(draw, length)]


def days(draw: Random, length: int) -> list[float]:
    """Five runs of a day share a shift as large as the noise of a run."""
    shifts = [draw.gauss(0, SIGMA) for _ in range(length // 5 + 1)]
    return [each + shifts[number // 5] for number, each in enumerate(normal(draw, length))]


def figures(logs: Sequence[float], drop: float = 0.0) -> list[float]:
    """The series in tok/s/GPU; from run CHANGED on it is lower by ``drop`` sigma."""
    return [1000 * math.exp(log - (drop * SIGMA if place >= CHANGED else 0)) for place, log in enumerate(logs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = Random(options.seed)
    print(f"{options.series} series of {LENGTH} runs without a change | with a false alarm")
    worlds: list[tuple[str, Noise]] = [("normal", normal), ("5% strays", strays), ("days of 5 runs", days)]
    for name, noise in worlds:
        alarms = sum(bool(change_points(figures(noise(draw, LENGTH)))) for _ in range(options.series))
        print(f"  {name:<16} {alarms:>5}  {alarms / options.series:6.1%}")
    print(f"{options.series} series with a drop at run {CHANGED} | found within {NEAR} | series with an extra one")
    for drop in DROPS:
        found = extra = 0
        for _ in range(options.series):
            places = [each.index for each in change_points(figures(normal(draw, LENGTH), drop))]
            near = [place for place in places if abs(place - CHANGED) <= NEAR]
            found += bool(near)
            extra += len(places) > bool(near)
        shares = f"{found / options.series:6.1%}   {extra:>5}  {extra / options.series:6.1%}"
        print(f"  {drop:>4} sigma       {found:>5}  {shares}")
    for length in (200, 10_000):
        values = figures(normal(draw, length), 3.0)
        times = []
        for _ in range(5):
            start = time.process_time()
            change_points(values)
            times.append(time.process_time() - start)
        print(f"{length:>6} runs: {1000 * statistics.median(times):.1f} ms of CPU")


if __name__ == "__main__":
    main()
