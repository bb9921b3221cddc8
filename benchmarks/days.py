"""What launches of several days tell of the scatter between days: the true sigmas beside those that are estimated.

Six gates whose noise is shared by 70% (a launch that is slow is slow at every point), sigma of a launch within a day
1%, up to three launches a day. Uses pytest_precgate.analysis.gating.days. Then what that is worth: how many unchanged
suites the launch rule fails on another day, with baselines of six launches of one to six days. Run it with

    python benchmarks/days.py [--runs 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import statistics
from random import Random

from pytest_precgate.analysis.gating.days import GroupSigmas, group_sigmas
from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import TOLERANCE, Gate, GateKey, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.verdict import Verdict

GATES = 6
SHARED = 0.7
SIGMA = 0.01
SIX = ((6,), (3, 3), (2, 2, 2), (1,) * 6)
"""Baselines of six launches, by the number of each day's."""
SIZES = {2: (3, 2), 3: (2, 2, 1), 5: (2, 2, 2, 2, 2)}
"""How many launches each day has, by the number of days."""


def drawn(draw: Random, sizes: tuple[int, ...], effect: float) -> GroupSigmas:
    """Estimate from launches whose days differ by ``effect`` times the scatter within a day, alike for all gates."""
    groups = [str(day) for day, size in enumerate(sizes) for _ in range(size)]
    days = [draw.gauss(0, effect * SIGMA) for _ in sizes]
    common = [draw.gauss(0, SIGMA * math.sqrt(SHARED)) + days[int(day)] for day in groups]
    own = SIGMA * math.sqrt(1 - SHARED)
    values = [[100 * math.exp(shared + draw.gauss(0, own)) for shared in common] for _ in range(GATES)]
    return group_sigmas(values, groups)


def row(draw: Random, days: int, effect: float, runs: int) -> str:
    """Return one line: the root mean square of the estimates, and how often nothing is seen between days."""
    found = [drawn(draw, SIZES[days], effect) for _ in range(runs)]
    parts = {
        name: [value for each in found if (value := getattr(each, name)) is not None]
        for name in ("within", "between", "total")
    }
    means = {name: math.sqrt(statistics.fmean(value**2 for value in values)) for name, values in parts.items()}
    middle = statistics.quantiles(parts["between"], n=20)
    none = sum(value == 0 for value in parts["between"]) / runs
    true = math.hypot(SIGMA, effect * SIGMA)
    launches = "+".join(map(str, SIZES[days]))
    return (
        f"{days:>4}{launches:>12}{effect:>8g}{100 * SIGMA:>8.2f}{100 * means['within']:>8.2f}"
        f"{100 * effect * SIGMA:>8.2f}{100 * means['between']:>8.2f}"
        f"{100 * middle[0]:>8.2f} to {100 * middle[-1]:.2f}{100 * none:>8.0f}%"
        f"{100 * true:>8.2f}{100 * means['total']:>8.2f}"
    )


def launch(draw: Random, day: float) -> list[float]:
    """Return the value of every gate in a launch of a day that is faster by ``day``, a share."""
    common = draw.gauss(0, SIGMA * math.sqrt(SHARED)) + day
    own = SIGMA * math.sqrt(1 - SHARED)
    return [100 * math.exp(common + draw.gauss(0, own)) for _ in range(GATES)]


def verdicts(draw: Random, sizes: tuple[int, ...], effect: float, drop: float) -> tuple[bool, bool]:
    """Return whether some gate of a suite is REGRESSED whose first gate lost ``drop``, and whether that one is."""
    groups = tuple(str(day) for day, size in enumerate(sizes) for _ in range(size))
    days = [draw.gauss(0, effect * SIGMA) for _ in sizes]
    recorded = [launch(draw, days[int(day)]) for day in groups]
    keys = [GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 50 + index) for index in range(GATES)]
    each = [GateLaunches(key, [row[g] for row in recorded], groups=groups) for g, key in enumerate(keys)]
    held = [GateBaseline(Gate(one.key, TOLERANCE), one.values) for one in each]
    rule = SuiteRule(held, LaunchPolicy(), SuiteNoise.of(each))
    today = draw.gauss(0, effect * SIGMA)
    fresh = [launch(draw, today) for _ in range(3)]
    gates = rule.judge([[first * (1 - drop), *others] for first, *others in fresh]).gates
    failed = [gate.judged is not None and gate.judged.verdict is Verdict.REGRESSED for gate in gates]
    return any(failed), failed[0]


def on_another_day(runs: int, seed: int) -> None:
    """Print what a baseline of several days is worth to the launch rule."""
    print("\nbaselines of six launches judged on another day, a day effect of 1, no outliers; percent")
    print(f"{'launches':>14}{'alarms':>9}{'power at 5%':>13}{'at 10%':>9}")
    for sizes in SIX:
        draw = Random(seed)
        shares = [
            100 * statistics.fmean(verdicts(draw, sizes, 1.0, drop)[index] for _ in range(runs))
            for drop, index in ((0.0, 0), (0.05, 1), (0.10, 1))
        ]
        print(f"{'+'.join(map(str, sizes)):>14}{shares[0]:>9.2f}{shares[1]:>13.1f}{shares[2]:>9.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="baselines of each line")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = Random(options.seed)
    print(f"{GATES} gates, {options.runs} baselines of each line, seed {options.seed}; sigmas in percent, true | found")
    head = f"{'days':>4}{'launches':>12}{'effect':>8}{'within':>8}{'':>8}{'between':>8}{'':>8}{'90% of them':>16}"
    print(f"{head}{'none':>9}{'total':>8}")
    for days in SIZES:
        for effect in (0.0, 0.5, 1.0, 2.0):
            print(row(draw, days, effect, options.runs), flush=True)
    on_another_day(options.runs, options.seed)


if __name__ == "__main__":
    main()
