"""What launches of several days tell of the scatter between days: the true sigmas beside those that are estimated.

Six gates whose noise is shared by 70% (a launch that is slow is slow at every point), sigma of a launch within a day
1%, up to three launches a day. Uses pytest_precgate.analysis.gating.days. Run it with

    python benchmarks/days.py [--runs 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import statistics
from random import Random

from pytest_precgate.analysis.gating.days import GroupSigmas, group_sigmas

GATES = 6
SHARED = 0.7
SIGMA = 0.01
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


if __name__ == "__main__":
    main()
