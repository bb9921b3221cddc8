"""What an unchanged engine with padded steps looks like to the gates: the search and the reading here, and before.

    python benchmarks/padded_steps.py [--cases 400]

A server with CUDA graphs captured for powers of two runs a decode step as if its batch were the next of them, so that
throughput and interactivity jump behind every power of two: one more request may slow every user and deliver less.
The calibrated simulation of Kimi K2.5 on B200 in virtual time, FP4 and INT4, with 0, 50 and 100% of the extra time.
A case is three targets at random: a baseline is searched for, then one launch of the same engine, whose requests have
other lengths, is judged by the throughput gate at each target.

Before (commit e19db26): a search until the neighbouring concurrencies around each target are found, and the curve
through a launch's own points. Now: gaps of the frontier are closed around the targets, a later launch first measures
the points that serve the targets in the baseline, and each is held against its like. Moved: by more than 3%. Named: a
gate that is INCONCLUSIVE since a point is missing, or a target is off the curve."""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from pytest_precgate.analysis.accepted.baseline import targets_beside
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.frontier import frontier
from pytest_precgate.analysis.curves.search import Grid, Search, SweepTargets, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.serving import GateReading, ServedGate, ServedLimits
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.stopping import DEFAULT
from pytest_precgate.engines.load import SweepSettings
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.engines.simulated.model import Limits, Noise
from pytest_precgate.errors import InvalidValueError, OutsideSweepError

CALIBRATIONS = {"fp4": "kimi-k2.5-b200-fp4-tp4", "int4": "kimi-k2.5-b200-int4-tp8"}
TARGETS = {"fp4": (45.0, 110.0), "int4": (45.0, 95.0)}
PADDED = (0.0, 0.5, 1.0)
LOWEST, HIGHEST = 1, 128
MOVED = 0.03
TOLERANCE = 0.05
B200 = HARDWARE["b200"]

Measure = Callable[[int], SweepPoint]


@dataclass(frozen=True)
class SearchBefore(Search):
    """The search of commit e19db26: it knows nothing of the frontier around a target, nor of points to be held."""

    def _across(self, points: Sequence[SweepPoint]) -> int | None:
        del points
        return None

    def _beyond(self, points: Sequence[SweepPoint]) -> int | None:
        """One point a quarter further on where the curve would end before a target, and no more."""
        speed = {point.concurrency: point.interactivity for point in points}
        bracketed = [target for target in self.sweep_targets.targets if target > min(speed.values())]
        if not bracketed or frontier(points)[0].interactivity <= min(bracketed):
            return None
        below = min(concurrency for concurrency, measured in speed.items() if measured < min(bracketed))
        further = min(self.highest, math.ceil(1.25 * below))
        return further if further > max(speed) else None


@dataclass
class Tally:
    """What the gates of all cases read: how far each moved, and how often there was nothing to read."""

    moves: list[float] = field(default_factory=list)
    named: int = 0
    regressed: int = 0
    points: list[int] = field(default_factory=list)
    first_points: list[int] = field(default_factory=list)

    def row(self) -> str:
        gates = len(self.moves) + self.named
        moved = sum(abs(move) > MOVED for move in self.moves)
        worst = max((abs(move) for move in self.moves), default=0.0)
        return (
            f"{moved / gates:>8.1%}{worst:>9.1%}{self.regressed / gates:>11.1%}{self.named / gates:>8.1%}"
            f"{sum(self.first_points) / len(self.first_points):>10.1f}{sum(self.points) / len(self.points):>9.1f}"
        )


@cache
def point(precision: str, padded: float, seed: int, concurrency: int) -> SweepPoint:
    """One point of the engine whose requests ``seed`` draws, as an undisturbed launch measures it."""
    name = CALIBRATIONS[precision]
    calibration = shipped()[name]
    engine = SimulatedEngine(
        name,
        replace(calibration, step_time=replace(calibration.step_time, padded_steps=padded)),
        "default",
        SweepSettings(Grid([concurrency]), "steady", DEFAULT),
        seed,
        Noise(),
        Limits(),
    )
    finished: list[MeasuredPoint] = []
    engine.sweep(precision, calibration.workload, calibration.hardware, on_measured=finished.append)
    return finished[0].point


def sweep(precision: str, points: Sequence[SweepPoint]) -> Sweep:
    return Sweep(precision, shipped()[CALIBRATIONS[precision]].workload, "b200", points, simulated=True)


def gate(precision: str, target: float) -> Gate:
    return Gate(GateKey(Metric.THROUGHPUT_PER_GPU, (precision,), target), TOLERANCE)


def before(precision: str, targets: Sequence[float], engines: tuple[Measure, Measure], tally: Tally) -> None:
    first = follow(SearchBefore(SweepTargets(targets), LOWEST, HIGHEST), engines[0])
    again = follow(SearchBefore(SweepTargets(targets, first), LOWEST, HIGHEST), engines[1])
    tally.first_points.append(len(first))
    tally.points.append(len(again))
    for target in targets:
        try:
            old, new = (Curve(sweep(precision, points), B200).throughput(target) for points in (first, again))
        except (OutsideSweepError, InvalidValueError):
            tally.named += 1
            continue
        tally.moves.append(new / old - 1)
        tally.regressed += new / old - 1 < -TOLERANCE


def now(precision: str, targets: Sequence[float], engines: tuple[Measure, Measure], tally: Tally) -> None:
    first = follow(Search(SweepTargets(targets), LOWEST, HIGHEST), engines[0])
    sweep_targets = targets_beside(targets, [sweep(precision, first)], B200)
    again = follow(Search(sweep_targets, LOWEST, HIGHEST), engines[1])
    tally.first_points.append(len(first))
    tally.points.append(len(again))
    for target in targets:
        held = gate(precision, target)
        try:
            curves = [Curve(sweep(precision, points), B200) for points in (first, again)]
            found = ServedGate.of(held.key, [curves[:1]]).read({precision: curves[1]})
            old = curves[0].throughput(target)
        except (OutsideSweepError, InvalidValueError):
            tally.named += 1
            continue
        if not isinstance(found, GateReading):
            tally.named += 1
            continue
        value = found.held_to(held, ServedLimits(old, TOLERANCE, 2 * TOLERANCE))
        tally.moves.append(value / old - 1)
        tally.regressed += value / old - 1 < -TOLERANCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=400, help="of each precision and each padding")
    options = parser.parse_args()
    print(f"SIMULATED: Kimi K2.5 on B200, unchanged, {options.cases} cases of three targets a precision and padding")
    print(f"moved: by more than {MOVED:.0%}; REGRESSED: by more than {TOLERANCE:.0%} in one launch\n")
    print(f"{'padded':>6}  {'precision':10}{'search':8}{'moved':>8}{'at most':>9}{'REGRESSED':>11}{'named':>8}", end="")
    print(f"{'baseline':>10}{'launch':>9}  (points)")
    for padded in PADDED:
        for precision in CALIBRATIONS:
            rng = random.Random(f"{precision}/{padded}")
            cases = [sorted(rng.uniform(*TARGETS[precision]) for _ in range(3)) for _ in range(options.cases)]
            for name, recipe in (("e19db26", before), ("now", now)):
                tally = Tally()
                for case, targets in enumerate(cases):
                    old, new = (2 * (case % 2), 2 * (case % 2) + 1)
                    engines = (_engine(precision, padded, old), _engine(precision, padded, new))
                    recipe(precision, targets, engines, tally)
                print(f"{padded:>6.0%}  {precision:10}{name:8}{tally.row()}", flush=True)


def _engine(precision: str, padded: float, seed: int) -> Measure:
    return lambda concurrency: point(precision, padded, seed, concurrency)


if __name__ == "__main__":
    main()
