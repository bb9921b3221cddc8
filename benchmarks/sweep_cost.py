"""What a sweep costs and how far it is from the truth: the published recipe against the default here, in virtual time.

    python benchmarks/sweep_cost.py [--seeds 40]

The calibrated simulation of Kimi K2.5 on B200 (FP4 on 4 GPUs, INT4 on 8), read at 55, 73 and 91 tok/s/user. A launch
costs 15 minutes. Published: a launch per point, concurrency doubling over the calibrated range, 2 warm-up and 10
measured requests per slot, the whole window. Truth: every concurrency around the targets, thousands of random requests
each, no noise.

A launch that is slow as a whole is slow however long it is measured, so the noise of launches is varied; where it is 0,
as in the example suite, the table shows what the measuring itself is worth. The last column holds the default against
its bounds: a quarter of the GPU-minutes, half of those under load, a third of either median error."""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.accepted.baseline import targets_beside
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.search import NO_TARGETS, Grid, Range, SweepTargets
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.stopping import DEFAULT, PUBLISHED, StopRule
from pytest_precgate.engines.load import SweepSettings
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.engines.simulated.model import Limits, Noise
from pytest_precgate.engines.simulated.scheduler import draw_lengths, simulate
from pytest_precgate.loadgen.plan import DRAINED_PER_SLOT

TARGETS = (55.0, 73.0, 91.0)
CALIBRATIONS = {"fp4": "kimi-k2.5-b200-fp4-tp4", "int4": "kimi-k2.5-b200-int4-tp8"}
# The concurrencies whose interactivity spans the targets, with some to spare on both sides.
AROUND = {"fp4": range(7, 49), "int4": range(4, 34)}
START_S = 15 * 60
STEP_SIGMA = 0.01
LAUNCH_SIGMAS = (0.0, 0.0005, 0.0025, 0.005)
# What the default may take of the published recipe's costs and median errors.
BOUNDS = {"GPU-minutes": 1 / 4, "under load": 1 / 2, "throughput error": 1 / 3, "ratio error": 1 / 3}


@dataclass(frozen=True)
class Measured:
    """What one recipe gave for one precision: its points, launches, and GPU seconds under load."""

    points: Sequence[SweepPoint]
    launches: int
    load_gpu_s: float


Recipe = Callable[[str, int, Noise], Measured]


def engine(precision: str, seed: int, noise: Noise, load: SweepSettings) -> SimulatedEngine:
    name = CALIBRATIONS[precision]
    return SimulatedEngine(name, shipped()[name], "default", load, seed, noise, Limits())


def launched(engine: SimulatedEngine, precision: str, sweep_targets: SweepTargets = NO_TARGETS) -> Measured:
    """One launch, as the engine sweeps it."""
    calibration, finished = engine.calibration, list[MeasuredPoint]()
    engine.sweep(
        precision, calibration.workload, calibration.hardware, on_measured=finished.append, sweep_targets=sweep_targets
    )
    return Measured([one.point for one in finished], 1, sum(one.gpu_seconds for one in finished))


def published(precision: str, seed: int, noise: Noise) -> Measured:
    """A launch per point, each with noise of its own, and a warm-up that is waited for."""
    points: list[SweepPoint] = []
    gpu_s = 0.0
    for number, concurrency in enumerate(shipped()[CALIBRATIONS[precision]].concurrency):
        load = SweepSettings(Grid([concurrency]), "whole", PUBLISHED)
        warm_up = replace(load, stop_rule=StopRule(requests_per_slot=DRAINED_PER_SLOT))
        before, found = (
            launched(engine(precision, 1000 * seed + number, noise, each), precision) for each in (warm_up, load)
        )
        gpu_s += before.load_gpu_s + found.load_gpu_s
        points += found.points
    return Measured(points, len(points), gpu_s)


def default(precision: str, seed: int, noise: Noise, sweep_targets: SweepTargets | None = None) -> Measured:
    """One launch, searched for the targets, each point as long as its figures need."""
    calibration = shipped()[CALIBRATIONS[precision]]
    load = SweepSettings(Range(min(calibration.concurrency), max(calibration.concurrency)), "steady", DEFAULT)
    return launched(
        engine(precision, seed, noise, load),
        precision,
        SweepTargets(TARGETS) if sweep_targets is None else sweep_targets,
    )


def with_baseline(precision: str, seed: int, noise: Noise) -> Measured:
    """The same, held against a baseline of another launch."""
    before = curve(precision, default(precision, -1 - seed, noise).points)
    return default(precision, seed, noise, targets_beside(TARGETS, [before.sweep], before.hardware))


def curve(precision: str, points: Sequence[SweepPoint]) -> Curve:
    workload = shipped()[CALIBRATIONS[precision]].workload
    return Curve(Sweep(precision, workload, "b200", points, simulated=True), HARDWARE["b200"])


def truth(precision: str, requests: int) -> Curve:
    """Every concurrency around the targets, long, without noise, with lengths drawn as the workload says."""
    calibration = shipped()[CALIBRATIONS[precision]]
    work = calibration.workload
    points = []
    for concurrency in AROUND[precision]:
        rng = random.Random(f"truth/{precision}/{concurrency}")
        lengths = draw_lengths(requests + 3 * concurrency, work.isl, work.osl, work.range_ratio, rng)
        run = simulate(calibration.step_time, Limits(), lengths, concurrency)
        points.append(measure(run, calibration.gpus).point())
    return curve(precision, points)


@dataclass(frozen=True)
class Row:
    """One recipe over all seeds: means of its costs, and the sizes of its relative errors, per target and seed."""

    launches: int
    points: float
    start_gpu_minutes: float
    load_gpu_minutes: float
    throughput: Sequence[float]
    ratio: Sequence[float]

    @property
    def gpu_minutes(self) -> float:
        return self.start_gpu_minutes + self.load_gpu_minutes

    def shares_of(self, other: Row) -> Mapping[str, float]:
        """Costs and median errors as shares of another recipe's, by the names of BOUNDS."""
        return {
            "GPU-minutes": self.gpu_minutes / other.gpu_minutes,
            "under load": self.load_gpu_minutes / other.load_gpu_minutes,
            "throughput error": statistics.median(self.throughput) / statistics.median(other.throughput),
            "ratio error": statistics.median(self.ratio) / statistics.median(other.ratio),
        }


def row(recipe: Recipe, seeds: int, noise: Noise, true: Mapping[str, Curve]) -> Row:
    """Run ``recipe`` for both precisions and every seed."""
    runs = [{precision: recipe(precision, seed, noise) for precision in CALIBRATIONS} for seed in range(seeds)]
    throughput, ratio = [], []
    for found in runs:
        curves = {precision: curve(precision, measured.points) for precision, measured in found.items()}
        for target in TARGETS:
            of = {p: curves[p].at(target).throughput_per_gpu / true[p].at(target).throughput_per_gpu for p in curves}
            throughput += [abs(share - 1) for share in of.values()]
            ratio.append(abs(of["fp4"] / of["int4"] - 1))
    every = [(shipped()[CALIBRATIONS[p]].gpus, measured) for found in runs for p, measured in found.items()]
    return Row(
        launches=sum(measured.launches for measured in runs[0].values()),
        points=sum(len(measured.points) for _, measured in every) / seeds,
        start_gpu_minutes=sum(gpus * measured.launches * START_S / 60 for gpus, measured in every) / seeds,
        load_gpu_minutes=sum(measured.load_gpu_s / 60 for _, measured in every) / seeds,
        throughput=throughput,
        ratio=ratio,
    )


def ninetieth(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]


RECIPES: dict[str, Recipe] = {"published": published, "default": default, "default, baseline": with_baseline}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--truth-requests", type=int, default=10000, help="per concurrency")
    options = parser.parse_args()
    true = {precision: truth(precision, options.truth_requests) for precision in CALIBRATIONS}
    print(f"SIMULATED: Kimi K2.5 on B200, both precisions, {options.seeds} seeds, noise of a step {STEP_SIGMA:.1%}")
    print("error: its size against the truth at 55, 73 and 91 tok/s/user, median and 90th percentile")
    print("share: of what the published recipe has at the same noise of a launch\n")
    print(f"{'noise of':>8}{'':35}{'GPU-':>9}{'':>6}{'under':>9}{'':>6}{'throughput error':>24}{'ratio error':>24}")
    print(f"{'a launch':>8}  {'recipe':18}{'launches':>9}{'points':>8}", end="")
    print(
        f"{'minutes':>8}{'share':>6}{'load':>9}{'share':>6}" + f"{'median':>9}{'share':>7}{'90%':>8}" * 2 + "  bounds"
    )
    for sigma in LAUNCH_SIGMAS:
        noise = Noise(launch_sigma=sigma, step_sigma=STEP_SIGMA)
        rows = {name: row(recipe, options.seeds, noise, true) for name, recipe in RECIPES.items()}
        for name, one in rows.items():
            shares = one.shares_of(rows["published"])
            print(f"{sigma:>8.2%}  {name:18}{one.launches:>9}{one.points:>8.1f}{shown(one, shares)}", end="")
            print("" if name == "published" else f"  {judged(shares)}", flush=True)


def shown(one: Row, shares: Mapping[str, float]) -> str:
    """The costs and errors of one recipe, each with its share of the published one's."""
    gpu_minutes, load, *errors = shares.values()
    line = f"{one.gpu_minutes:>8.0f}{gpu_minutes:>6.0%}{one.load_gpu_minutes:>9.0f}{load:>6.0%}"
    for values, share in zip((one.throughput, one.ratio), errors, strict=True):
        line += f"{statistics.median(values):>9.2%}{share:>7.0%}{ninetieth(values):>8.2%}"
    return line


def judged(shares: Mapping[str, float]) -> str:
    """Which bounds are missed."""
    missed = [name for name, bound in BOUNDS.items() if shares[name] > bound]
    return f"missed: {', '.join(missed)}" if missed else "met"


if __name__ == "__main__":
    main()
