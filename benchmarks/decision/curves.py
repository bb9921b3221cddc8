"""Two tables that need curves: how the step time elasticity scatters, and the first launches on a real GPU."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from benchmarks.decision.tables import Options
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating import noise
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.noise_study import study

H200 = Path(__file__).with_name("h200_launches.csv")

# A searched sweep: neighbouring concurrencies around each target. A step takes FIXED_S and EACH_S for each request.
_CONCURRENCIES = (9, 10, 11, 12, 18, 19, 20, 21, 36, 38, 39, 41)
_FIXED_S, _EACH_S = 0.006, 0.00032
_POINT_SIGMA = 0.005


def elasticity(options: Options) -> None:
    """Print how the elasticity scatters by the span of the slope, from one launch and from the median of five."""
    print("step time elasticity, 0.5% of noise on both figures of a point; 5th to 95th percentile")
    print(f"{'slope over':<12}{'tok/s/user':>11}{'true':>7}{'one launch':>16}{'median of five':>18}")
    built = noise._SLOPE_SPAN
    for span in (0.005, built):
        noise._SLOPE_SPAN = span
        for target in (55.0, 80.0, 105.0):
            random = np.random.default_rng(options.seed)
            true = noise.step_time_elasticity([[_searched(np.zeros((len(_CONCURRENCIES), 2)))]], target)
            cells = []
            for launches in (1, 5):
                found = [
                    noise.step_time_elasticity(
                        [[_searched(random.standard_normal((len(_CONCURRENCIES), 2)))] for _ in range(launches)], target
                    )
                    for _ in range(max(10, options.runs // (4 * launches)))
                ]
                cells.append(" to ".join(f"{np.quantile(found, q):.2f}" for q in (0.05, 0.95)))
            print(f"{f'+-{100 * span:g}%':<12}{target:>11g}{true:>7.2f}{cells[0]:>16}{cells[1]:>18}", flush=True)
    noise._SLOPE_SPAN = built


def _searched(scatter: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Curve:
    """The curve of one launch, its points off by ``scatter`` sigma: (interactivity, throughput)."""
    points = []
    for number, factors in zip(_CONCURRENCIES, np.exp(_POINT_SIGMA * scatter), strict=True):
        step = _FIXED_S + _EACH_S * number
        points.append(SweepPoint(number, 4, float(factors[0] / step), float(factors[1] * number / step / 2)))
    return Curve(Sweep("fp4", Workload(1024, 1024, 0.8), "b200", points), hardware_named("b200"))


def h200(_: Options) -> None:
    """Print the gates of the first launches on a real GPU: too few to measure a rate, and an illustration."""
    print("one H200, vLLM 0.26.0, 2026-11-27: 7.2 billion parameters, isl 256, osl 128; launches minutes apart")
    print(f"{'gate':<38}{'launches':>9}{'sigma':>7}{'noise floor':>13}{'catches':>18}  each launch")
    for precision in ("int4", "fp4"):
        curves = _h200_curves(precision)
        gates = [Gate(GateKey(Metric.THROUGHPUT_PER_GPU, (precision,), point), 0.025) for point in (150, 200, 240)]
        for each in study(gates, {precision: curves}, LaunchPolicy()).gates:
            floor, drop, upper = (
                f"{100 * figure:.1f}%" if figure is not None else "-"
                for figure in (
                    each.limits.noise_floor,
                    each.limits.minimum_detectable_drop,
                    each.limits.largest_detectable_drop,
                )
            )
            changes = " ".join(f"{100 * change:+.1f}%" for change in each.changes)
            print(
                f"{each.gate.key!s:<38}{len(curves):>9}{100 * each.noise.sigma:>6.1f}%{floor:>13}"
                f"{f'{drop} (to {upper})':>18}  {changes}"
            )


def _h200_curves(precision: str) -> list[Curve]:
    launches: dict[str, list[SweepPoint]] = {}
    with H200.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(row for row in file if not row.startswith("#")):
            if line["precision"] == precision:
                point = SweepPoint(
                    configuration=precision,
                    gpus=1,
                    concurrency=int(line["concurrency"]),
                    interactivity=float(line["interactivity"]),
                    throughput_per_gpu=float(line["throughput_per_gpu"]),
                )
                launches.setdefault(line["launch"], []).append(point)
    hardware = hardware_named("h200")
    return [
        Curve(Sweep(precision, Workload(256, 128, 0.8), "h200", points), hardware)
        for points in launches.values()
        if len(points) >= 3
    ]
