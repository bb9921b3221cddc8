"""The simulated engine: how fast it is, how its cost grows, and how far it is from the recorded points.

python benchmarks/simulation.py                 everything
python benchmarks/simulation.py --differences   only how the simulated comparison differs from the recorded one"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from pathlib import Path

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.engines.simulated.calibration import Calibration, point_errors, shipped, simulated_measurement
from pytest_precgate.engines.simulated.model import Limits
from pytest_precgate.engines.simulated.scheduler import draw_lengths, simulate
from pytest_precgate.interop.files import read_rows
from pytest_precgate.interop.sweeps import sweep_of

POINTS = Path(__file__).parents[1] / "examples" / "points" / "kimi_k2_b200_1k1k.csv"
CALIBRATIONS = {
    "fp4": ("kimi-k2.5-b200-fp4-tp4", "vllm-tp4-ep1"),
    "int4": ("kimi-k2.5-b200-int4-tp8", "vllm-tp8-ep1"),
}
# Published with InferenceX's comparison of early July 2026, tok/s/GPU at 55, 73 and 91 tok/s/user (docs/method.md).
TABLE = {"fp4": (1057.2, 712.9, 506.6), "int4": (344.4, 226.6, 157.8)}
TARGETS = (55, 73, 91)


def calibration(precision: str) -> Calibration:
    return shipped()[CALIBRATIONS[precision][0]]


def recorded(precision: str) -> Sweep:
    return sweep_of(read_rows(POINTS), precision, calibration(precision).workload, "b200")


def simulated(precision: str) -> Sweep:
    fitted = calibration(precision)
    points = [
        simulated_measurement(fitted.step_time, fitted.workload, concurrency, fitted.gpus).point()
        for concurrency in fitted.concurrency
    ]
    return Sweep(precision, fitted.workload, "b200", points, simulated=True)


def differences() -> None:
    """Throughput per GPU at matched interactivity: simulated against the recorded curve, and against the table."""
    print("SIMULATED throughput at matched interactivity, and how far it is from what was published")
    head = ("precision", "tok/s/user", "tok/s/GPU", "recorded", "difference", "table 7/2026", "difference")
    print("".join(f"{name:>14}" for name in head))
    start = time.perf_counter()
    for precision, table in TABLE.items():
        curves = [Curve(sweep, HARDWARE["b200"]) for sweep in (simulated(precision), recorded(precision))]
        for target, published in zip(TARGETS, table, strict=True):
            ours, theirs = (curve.at(target).throughput_per_gpu for curve in curves)
            print(
                f"{precision:>14}{target:>14}{ours:>14.1f}{theirs:>14.1f}{ours / theirs - 1:>14.1%}"
                f"{published:>14.1f}{ours / published - 1:>14.1%}"
            )
    print(f"both sweeps simulated and read in {time.perf_counter() - start:.1f} s\n")


def errors() -> None:
    """Every calibrated point against its recorded value."""
    print("simulated against recorded, each calibrated point")
    print(f"{'precision':>12}{'concurrency':>12}{'tpot':>10}{'throughput':>12}")
    tpot, throughput = [], []
    for precision, (_, configuration) in CALIBRATIONS.items():
        points = [point for point in recorded(precision).points if point.configuration == configuration]
        fitted = calibration(precision)
        for point, slower, higher in point_errors(fitted.step_time, fitted.workload, points):
            tpot.append(abs(math.expm1(slower)))
            throughput.append(abs(math.expm1(higher)))
            print(f"{precision:>12}{point.concurrency:>12}{math.expm1(slower):>+10.1%}{math.expm1(higher):>+12.1%}")
    print(f"{'median':>24}{statistics.median(tpot):>10.1%}{statistics.median(throughput):>12.1%}")
    print(f"{'worst':>24}{max(tpot):>10.1%}{max(throughput):>12.1%}\n")


def speed() -> None:
    """Simulated tokens per second of wall time, and the cost of 1 to 64 times the work."""
    print("cost of a simulated point (FP4, concurrency 32), median of 5")
    print(f"{'work':>8}{'requests':>10}{'tokens':>12}{'wall, s':>10}{'tokens/s':>14}{'cost / work':>13}")
    fitted = calibration("fp4")
    unit = 0.0
    for factor in (1, 2, 4, 8, 16, 32, 64):
        requests = draw_lengths(64 * factor, 1024, 1024, 0.8, random.Random(0))
        walls = []
        for _ in range(5):
            start = time.perf_counter()
            run = simulate(fitted.step_time, Limits(), requests, 32)
            walls.append(time.perf_counter() - start)
        wall = statistics.median(walls)
        unit = unit or wall
        tokens = sum(record.output_tokens for record in run.records)
        relative = wall / unit / factor
        print(f"{factor:>7}x{len(requests):>10}{tokens:>12}{wall:>10.3f}{tokens / wall:>14.0f}{relative:>13.2f}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--differences", action="store_true")
    if not parser.parse_args().differences:
        speed()
        errors()
    differences()


if __name__ == "__main__":
    main()
