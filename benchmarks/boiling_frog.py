"""Small losses, each accepted: when the anchor refuses the update, when the history warns, and what both cost in peace.

Six gates whose launches scatter normally, 70% of it shared by the gates of a launch, one launch in twenty 10% slow;
five launches a state, an update after every merge, each with a reason. Every state is planned by the product's own code
(analysis/accepted: update, anchor, cusum). Run it with

    python benchmarks/boiling_frog.py [--runs 200] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance
from pytest_precgate.analysis.accepted.cusum import AcceptedState, sinking
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, plan_rewrite
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import GateKey, Metric

PRECISIONS = ("fp4", "int4")
TARGETS = (55.0, 73.0, 91.0)
KEYS = [GateKey(Metric.THROUGHPUT_PER_GPU, (name,), target) for name in PRECISIONS for target in TARGETS]
TEST = "test_frog.py::test_frog"
B200 = HARDWARE["b200"]
WORKLOAD = Workload(1024, 1024, 1.0)
SHARED = 0.7
STRAYS = 0.05
LAUNCHES = 5


@dataclass
class World:
    """Draws accepted states: ``sigma`` is the scatter of a launch, ``day`` that of a day, in sigma."""

    draw: Random
    sigma: float
    day: float = 0.0
    strays: float = STRAYS

    def state(self, loss: float) -> dict[str, list[Launch]]:
        """Return the launches of a state that truly lost ``loss``, a share, at every gate."""
        today = self.draw.gauss(0, self.day * self.sigma)
        found: dict[str, list[Launch]] = {name: [] for name in PRECISIONS}
        for _ in range(LAUNCHES):
            common = self.draw.gauss(0, self.sigma * math.sqrt(SHARED)) + today + math.log1p(-loss)
            common += math.log(0.9) if self.draw.random() < self.strays else 0.0
            for name in PRECISIONS:
                own = self.sigma * math.sqrt(1 - SHARED)
                values = [1000 * math.exp(common + self.draw.gauss(0, own)) * (1 - target / 200) for target in TARGETS]
                points = [
                    SweepPoint(round(400 / target), 4, target, value, "tp4")
                    for target, value in zip(TARGETS, values, strict=True)
                ]
                sweep = Sweep(name, WORKLOAD, "b200", points)
                found[name].append(Launch(sweep, Fingerprint.of(sweep, ("vllm",), {})))
        return found


def updated(old: Baseline | None, launches: dict[str, list[Launch]], merge: int) -> PlannedUpdate:
    """Return the update that replaces ``old`` by a state, as --precgate-update plans it."""
    measured = Measured("frog", launches, {TEST: KEYS}, B200, "derived")
    return plan_rewrite(old, measured, Provenance(f"c{merge}", "2026-11-24T06:00:00Z", "0.1.0", ""), ())


@dataclass
class Frog:
    """What became of one series of merges: the first merge that was refused, and the first that the history warned."""

    refused: int | None = None
    warned: int | None = None
    asked: list[bool] = field(default_factory=list)


def series(world: World, loss: float, merges: int) -> Frog:
    """Accept ``merges`` states after a first, each ``loss`` worse than the one before, whatever is asked for.

    To see when the history would warn, the series goes on after a refusal as if the old anchor still held."""
    frog, baseline = Frog(), updated(None, world.state(0.0), 0).baseline
    states: dict[GateKey, list[AcceptedState]] = {key: [] for key in KEYS}
    for merge in range(1, merges + 1):
        plan = updated(baseline, world.state(1 - (1 - loss) ** merge), merge)
        frog.asked.append(bool(plan.needs_reason))
        if plan.sunk and frog.refused is None:
            frog.refused = merge
        for change in plan.changes:
            assert change.after is not None
            assert change.anchor is not None
            states[change.gate.key].append(
                AcceptedState(f"merge {merge}", f"c{merge}", change.after, change.anchor, change.sigma, change.since)
            )
        if frog.warned is None and any(sinking(key, each) is not None for key, each in states.items()):
            frog.warned = merge
        baseline = plan.baseline
    return frog


def share(found: Sequence[Frog], holds: Callable[[Frog], bool]) -> str:
    return f"{100 * sum(map(holds, found)) / len(found):.1f}"


def ramp(world: World, runs: int) -> str:
    """Return a line of -1% a merge: refused by merge 3, 4, 5 and 6, warned by merge 5 and 6; percent of runs."""
    found = [series(world, 0.01, 6) for _ in range(runs)]

    def by(merge: int, of: Callable[[Frog], int | None]) -> str:
        return share(found, lambda frog: (at := of(frog)) is not None and at <= merge)

    refused = "/".join(by(merge, lambda frog: frog.refused) for merge in (3, 4, 5, 6))
    warned = "/".join(by(merge, lambda frog: frog.warned) for merge in (4, 5, 6))
    return f"{100 * world.sigma:>6.1f}%{world.day:>6g}{refused:>28}{warned:>22}"


def flat(world: World, runs: int) -> str:
    """Return a line of merges that change nothing: updates that ask, and series refused or warned within twenty."""
    found = [series(world, 0.0, 20) for _ in range(runs)]
    asked = [each for frog in found for each in frog.asked]
    refused, warned = (
        share(found, holds) for holds in (lambda f: f.refused is not None, lambda f: f.warned is not None)
    )
    return f"{100 * world.sigma:>6.1f}%{world.day:>6g}{100 * sum(asked) / len(asked):>28.1f}{refused:>22}{warned:>12}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="series of each line")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{len(KEYS)} gates, {LAUNCHES} launches a state, {options.runs} series of each line, seed {options.seed}")
    worlds = [(0.003, 0.0), (0.005, 0.0), (0.005, 1.0), (0.01, 0.0), (0.01, 1.0)]
    print("\n-1% a merge, an update after each; percent of series")
    print(f"{'sigma':>7}{'day':>6}{'refused by 3/4/5/6':>28}{'warned by 4/5/6':>22}")
    for sigma, day in worlds:
        print(ramp(World(Random(f"{options.seed}/{sigma}/{day}"), sigma, day), options.runs), flush=True)
    print("\nnothing changed, an update after each of 20 merges; percent")
    print(f"{'sigma':>7}{'day':>6}{'updates that ask a reason':>28}{'refused within 20':>22}{'warned':>12}")
    for sigma, day in worlds:
        world = World(Random(f"{options.seed}/{sigma}/{day}"), sigma, day)
        print(flat(world, max(1, options.runs // 2)), flush=True)
        if day == 0:
            quiet = replace(world, strays=0.0)
            print(f"{flat(quiet, max(1, options.runs // 2))}  (no strays)", flush=True)


if __name__ == "__main__":
    main()
