"""How often the decision rule cries wolf, what it sees, and what it costs, beside the rules gates use today.

    python benchmarks/decision_rule.py [--runs 4000] [--seed 0]

Every run draws a baseline and a candidate of a suite of six gates: launches scatter log-normally, one in twenty lands
10% low, in baseline and candidate alike. "independent": every gate scatters by itself; "shared": 70% of the variance is
the launch's. A false alarm is a suite of which a gate is REGRESSED though nothing
changed; power the share of runs in which one gate that dropped is. The rule is the package's own code; the others are
written out below."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pytest_precgate.analysis.gating import noise
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule, SuiteRuling
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.verdict import Verdict

Numbers = NDArray[np.float64]

GATES = 6
BASELINE = 5
OUTLIER_RATE, OUTLIER_DROP = 0.05, 0.10
SIGMAS = (0.005, 0.01, 0.02, 0.03)
DROPS = (0.03, 0.05, 0.10)
# The share of the variance that all gates of a launch have in common, and whether they stray together.
NOISES = {"independent": (0.0, True), "shared": (0.7, True), "apart": (0.0, False)}
FIRST_GOOD, MEDIAN, PAIRS = LaunchPolicy(), LaunchPolicy("median", 5), LaunchPolicy("pairs", 5)
UNIT = 1000.0  # tok/s/GPU; the rule does not care


@dataclass(frozen=True)
class Draw:
    """Values of baseline and candidate launches, shape (runs, launches, gates)."""

    baseline: Numbers
    candidate: Numbers


@dataclass(frozen=True)
class Seen:
    """What one rule did to every run; shares are fractions of runs."""

    alarms: float
    power: tuple[float, ...]
    launches: float
    launches_dropped: float
    minimum_detectable_drop: float
    refused: float | None = None


def launches(random: np.random.Generator, shape: tuple[int, int, int], sigma: Numbers | float, kind: str) -> Numbers:
    """Return values of unchanged launches, shape (runs, launches, gates)."""
    share, together = NOISES[kind]
    each = (shape[0], shape[1], 1)
    gate_launches = math.sqrt(share) * random.standard_normal(each) + math.sqrt(1 - share) * random.standard_normal(
        shape
    )
    strays = random.random(each if together else shape) < OUTLIER_RATE
    values: Numbers = UNIT * np.exp(sigma * gate_launches) * np.where(strays, 1 - OUTLIER_DROP, 1.0)
    return values


def draw(seed: int, runs: int, sigma: Numbers | float, kind: str, baseline: int = BASELINE, gates: int = GATES) -> Draw:
    """Return seeded runs; every rule is shown the same ones."""
    random = np.random.default_rng(seed)
    return Draw(launches(random, (runs, baseline, gates), sigma, kind), launches(random, (runs, 5, gates), sigma, kind))


# --- the package's rule ---------------------------------------------------------------------------------------------


def gate(index: int, tolerance: float) -> Gate:
    """Return one of the gates: the same throughput at another interactivity."""
    return Gate(GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 50 + index), tolerance, max(0.25, 1.5 * tolerance))


Ruling = Callable[[Numbers], SuiteRuling]
"""Values of a candidate's launches, shape (launches, gates), to what becomes of the suite."""


def first_good(
    baseline: Numbers, tolerance: float | None, policy: LaunchPolicy, elasticities: Sequence[float]
) -> SuiteRule:
    """Return the rule for one run; without a tolerance, at the one its own baseline advises."""
    if tolerance is None:
        gate_limits = first_good(baseline, 0.05, policy, elasticities).gate_limits
        tolerance = max(limits.honest_tolerance or 0.0 for limits in gate_limits if limits is not None)
    return SuiteRule(
        [
            GateBaseline(gate(g, tolerance), baseline[:, g].tolist(), elasticity)
            for g, elasticity in enumerate(elasticities)
        ],
        policy,
    )


def rulings(
    run: Draw, index: int, tolerance: float | None, policy: LaunchPolicy, elasticities: Sequence[float]
) -> Ruling:
    """Return what the package does with candidates of one run."""
    baseline = run.baseline[index]
    if policy.kind == "pairs":
        paired = PairedRule(
            [(gate(g, tolerance or 0.05), elasticity) for g, elasticity in enumerate(elasticities)], policy
        )
        return lambda values: paired.judge(
            [
                list(zip(base, value, strict=True))
                for base, value in zip(baseline.tolist(), values.tolist(), strict=True)
            ]
        )
    rule = first_good(baseline, tolerance, policy, elasticities)
    return lambda values: rule.judge(values[: policy.launches].tolist())


def fails(ruling: SuiteRuling, gate_index: int | None = None) -> bool:
    """Whether some gate, or the one named, is REGRESSED."""
    gates = ruling.gates if gate_index is None else ruling.gates[gate_index : gate_index + 1]
    return any(each.judged is not None and each.judged.verdict is Verdict.REGRESSED for each in gates)


def taken(ruling: SuiteRuling) -> int:
    return max(each.launches for each in ruling.gates)


def dropped(values: Numbers, drop: float) -> Numbers:
    """Return the launches with the first gate lower by ``drop``."""
    return np.concatenate([values[:, :1] * (1 - drop), values[:, 1:]], axis=1)


def smallest_failing(ruling: Ruling, values: Numbers) -> float:
    """Return the smallest drop of the first gate that fails it, by bisection."""
    low, high = 0.0, 0.5
    if fails(ruling(values), 0):
        return 0.0
    while high - low > 0.0005:
        middle = (low + high) / 2
        low, high = (low, middle) if fails(ruling(dropped(values, middle)), 0) else (middle, high)
    return high


def package(
    run: Draw,
    tolerance: float | None,
    policy: LaunchPolicy = FIRST_GOOD,
    elasticities: Sequence[float] = (1.0,) * GATES,
) -> Seen:
    """Return what the package's rule does; ``tolerance`` None is the one each baseline advises."""
    alarms, refused = [], []
    power: dict[float, list[bool]] = {drop: [] for drop in DROPS}
    costs, costs_dropped, smallest = [], [], []
    for index, values in enumerate(run.candidate):
        ruling = rulings(run, index, tolerance, policy, elasticities)
        unchanged = ruling(values)
        alarms.append(fails(unchanged))
        refused.append(any(each.limits is not None and each.limits.too_noisy for each in unchanged.gates))
        costs.append(taken(unchanged))
        for drop in DROPS:
            changed = ruling(dropped(values, drop))
            power[drop].append(fails(changed, 0))
            if drop == 0.05:
                costs_dropped.append(taken(changed))
        if index % 4 == 0:
            smallest.append(smallest_failing(ruling, values))
    sides = 2 if policy.kind == "pairs" else 1
    return Seen(
        float(np.mean(alarms)),
        tuple(float(np.mean(power[drop])) for drop in DROPS),
        sides * float(np.mean(costs)),
        sides * float(np.mean(costs_dropped)),
        float(np.quantile(smallest, 0.8)),
        float(np.mean(refused)),
    )


# --- the others: each is the drop, on the log scale, beyond which a gate fails; shape (runs, gates) -----------------


def fixed(run: Draw, count: int, tolerance: float = 0.05) -> Numbers:
    """The median of ``count`` launches against that of as many of the baseline, at a fixed tolerance."""
    baseline, candidate = (np.median(np.log(side[:, :count]), axis=1) for side in (run.baseline, run.candidate))
    return np.asarray(candidate - baseline - math.log(1 - tolerance))


def welch(run: Draw) -> Numbers:
    """Welch's t, one-sided, five launches against five, at 5% for the suite by Bonferroni."""
    baseline, candidate = np.log(run.baseline), np.log(run.candidate)
    parts = [side.var(axis=1, ddof=1) / side.shape[1] for side in (baseline, candidate)]
    freedom = (parts[0] + parts[1]) ** 2 / sum(part**2 / 4 for part in parts)
    critical = stats.t.isf(0.05 / GATES, freedom)
    return np.asarray(candidate.mean(axis=1) - baseline.mean(axis=1) + critical * np.sqrt(parts[0] + parts[1]))


def mann_whitney(run: Draw) -> Numbers:
    """Mann and Whitney's U, exact, five against five, at 5% for the suite by Bonferroni.

    Its p is 2 in 252 when one pair is the wrong way round, 4 in 252 when two are: at 5% / 6 one is allowed.
    """
    apart = np.log(run.candidate)[:, :, None] - np.log(run.baseline)[:, None]
    return np.asarray(np.sort(apart.reshape(len(apart), -1, apart.shape[-1]), axis=1)[:, -2])


def conventional(critical: Numbers, count: int) -> Seen:
    """Return what a rule of a fixed number of launches does."""
    power = tuple(float(np.mean(critical[:, 0] < -math.log(1 - drop))) for drop in DROPS)
    smallest = -math.expm1(-float(np.quantile(critical[:, 0], 0.8)))
    return Seen(float(np.mean((critical < 0).any(axis=1))), power, count, count, smallest)


def three_low(run: Draw, factor: float) -> Seen:
    """What this rule started from: up to three launches, each max(2%, factor * 1.4826 * MAD) below the median.

    1.6 was its factor; 4 brings its alarms at sigma 2% down to where ours are.
    """
    centre = np.median(run.baseline, axis=1, keepdims=True)
    sigma = 1.4826 * np.median(np.abs(run.baseline / centre - 1), axis=1)
    line = np.log(1 - np.clip(factor * sigma, 0.02, 0.9))[:, None]
    above = np.log(run.candidate[:, :3] / centre) - line
    cost = []
    for shift in (0.0, -math.log(0.95)):
        low = above - shift * np.eye(1, above.shape[-1]) < 0
        twice = np.any(np.all(low[:, :2], axis=1), axis=1)
        cost.append(1 + float(np.mean(np.any(low[:, 0], axis=1)) + np.mean(twice)))
    seen = conventional(above.max(axis=1), 3)
    return Seen(seen.alarms, seen.power, cost[0], cost[1], seen.minimum_detectable_drop)


# --- tables ---------------------------------------------------------------------------------------------------------

RULES: dict[str, Callable[[Draw], Seen]] = {
    "precgate, tolerance 5%": lambda run: package(run, 0.05),
    "precgate, tolerance 3%": lambda run: package(run, 0.03),
    "precgate, tolerance as advised": lambda run: package(run, None),
    "precgate, 5%, median of 5": lambda run: package(run, 0.05, MEDIAN),
    "precgate, 5%, 5 pairs": lambda run: package(run, 0.05, PAIRS),
    "3 in a row below max(2%, 1.6 MAD)": lambda run: three_low(run, 1.6),
    "3 in a row below max(2%, 4 MAD)": lambda run: three_low(run, 4.0),
    "one launch, fixed 5%": lambda run: conventional(fixed(run, 1), 1),
    "median of 5, fixed 5%": lambda run: conventional(fixed(run, 5), 5),
    "Welch, 5 against 5": lambda run: conventional(welch(run), 5),
    "Mann-Whitney, 5 against 5": lambda run: conventional(mann_whitney(run), 5),
}


def row(name: str, seen: Seen) -> str:
    power = "/".join(f"{100 * share:.1f}" for share in seen.power)
    refused = "" if seen.refused is None else f"{100 * seen.refused:.1f}"
    drop = 100 * seen.minimum_detectable_drop
    cost = f"{seen.launches:.2f} -> {seen.launches_dropped:.2f}"
    return f"{name:<36}{refused:>9}{100 * seen.alarms:>9.2f}{power:>18}{cost:>16}{drop:>9.1f}"


HEAD = f"{'rule':<36}{'refused':>9}{'alarms':>9}{'power 3/5/10%':>18}{'launches':>16}{'drop':>9}"


def error(share: float, runs: int) -> str:
    return f"{100 * share:g}% +- {200 * math.sqrt(share * (1 - share) / runs):.2f}"


def table(runs: int, seed: int) -> None:
    print(f"{GATES} gates, {BASELINE} baseline launches, {runs} runs of each line, seed {seed}; percent")
    print(f"two standard errors: {error(0.01, runs)}, {error(0.5, runs)}, {error(0.95, runs)}")
    print("refused: the noise found does not support the tolerance (INCONCLUSIVE, known before any launch)")
    print("launches: of the candidate (and of the baseline side, for pairs), nothing changed -> one gate 5% down")
    print("drop: the smallest that is stopped in 80% of runs (from every fourth run for precgate)")
    for kind in ("independent", "shared"):
        for sigma in SIGMAS:
            print(f"\n{kind} noise, sigma {100 * sigma:g}%\n{HEAD}")
            run = draw(seed, runs, sigma, kind)
            for name, rule in RULES.items():
                print(row(name, rule(run)), flush=True)


def weak(runs: int, seed: int) -> None:
    """Print where the rule is weak, each in figures."""
    print(f"\nwhere it is weak: {runs} runs of each line, shared noise, tolerance 5% unless said; percent\n{HEAD}")
    suites: dict[str, tuple[Draw, float | None]] = {
        "each gate strays by itself, sigma 1%": (draw(seed, runs, 0.01, "apart"), 0.05)
    }
    for count in (1, 3, 4, 10):
        for sigma in (0.01, 0.02):
            suites[f"{count} baseline launches, sigma {100 * sigma:g}%"] = (
                draw(seed, runs, sigma, "shared", count),
                0.05,
            )
    suites["3 baseline launches, 2%, as advised"] = draw(seed, runs, 0.02, "shared", 3), None
    suites["18 gates, sigma 1%"] = draw(seed, runs, 0.01, "shared", gates=18), 0.05
    suites["1 gate, sigma 1%"] = draw(seed, runs, 0.01, "shared", gates=1), 0.05
    suites["1 gate, sigma 2%"] = draw(seed, runs, 0.02, "shared", gates=1), 0.05
    suites["1 gate, sigma 2%, as advised"] = draw(seed, runs, 0.02, "shared", gates=1), None
    for name, (run, tolerance) in suites.items():
        elasticities = (1.0,) * run.baseline.shape[2]
        print(row(name, package(run, tolerance, FIRST_GOOD, elasticities)), flush=True)
    print(row("at most 1 launch, 1%", package(draw(seed, runs, 0.01, "shared"), 0.05, LaunchPolicy("first-good", 1))))
    pooling(runs, seed)
    half_slow(runs, seed)
    drift(runs, seed)
    unlucky(runs, seed)


def pooling(runs: int, seed: int) -> None:
    """Print what it is worth that gates lend each other launches, where they scatter alike and where they do not."""
    print(f"\nsigma of each gate from its own launches, pooled, or between the two as built (weight 12)\n{HEAD}")
    built = noise._POOL_FREEDOM
    for name, sigma, elasticities in (
        ("alike, 2%", 0.02, (1.0,) * GATES),
        ("0.5 to 2%, not told", np.array([0.5, 0.5, 1, 1, 2, 2]) / 100, (1.0,) * GATES),
        ("0.5 to 2%, told", np.array([0.5, 0.5, 1, 1, 2, 2]) / 100, (1.0, 1.0, 2.0, 2.0, 4.0, 4.0)),
    ):
        for weight in (0, built, 10**6):
            noise._POOL_FREEDOM = weight
            seen = package(draw(seed, runs, sigma, "shared"), 0.05, FIRST_GOOD, elasticities)
            print(row(f"{name}, weight {weight}", seen), flush=True)
    noise._POOL_FREEDOM = built


def half_slow(runs: int, seed: int) -> None:
    print("\na change that slows each launch of one gate with chance 1/2, sigma 1%: stopped in percent of runs")
    run = draw(seed, runs, 0.01, "shared")
    slow = np.random.default_rng(seed + 1).random((runs, 5)) < 0.5
    for drop in (0.05, 0.10):
        candidate = run.candidate.copy()
        candidate[:, :, 0] *= np.where(slow, 1 - drop, 1.0)
        for policy in (FIRST_GOOD, MEDIAN):
            stopped = [
                fails(rulings(run, i, 0.05, policy, (1.0,) * GATES)(values), 0) for i, values in enumerate(candidate)
            ]
            print(f"{drop:.0%} slower, {policy.kind} of {policy.launches}: {100 * np.mean(stopped):.1f}")


def drift(runs: int, seed: int) -> None:
    print("\nthe machine got 3% slower since the baseline, nothing else changed: suites that fail, percent")
    for sigma in (0.005, 0.01, 0.02):
        run = draw(seed, runs, sigma, "shared")
        slower = Draw(run.baseline * 0.97, run.candidate * 0.97)
        for tolerance in (0.03, 0.05):
            stored, paired = (
                np.mean(
                    [
                        fails(rulings(held, i, tolerance, policy, (1.0,) * GATES)(slower.candidate[i]))
                        for i in range(runs)
                    ]
                )
                for held, policy in ((run, FIRST_GOOD), (slower, PAIRS))
            )
            print(
                f"sigma {100 * sigma:g}%, tolerance {tolerance:.0%}: {100 * stored:.1f} against the stored baseline, "
                f"{100 * paired:.1f} in pairs"
            )


def unlucky(runs: int, seed: int, baselines: int = 200) -> None:
    """Print how the alarm rate varies between single baselines."""
    print(
        f"\nalarms of single baselines ({baselines} of them, {runs // 8} suites each): median, 95th percentile, largest"
    )
    for sigma in (0.01, 0.02):
        run = draw(seed, baselines, sigma, "shared")
        candidates = launches(np.random.default_rng(seed + 1), (runs // 8, 3, GATES), sigma, "shared")
        shares = []
        for index in range(baselines):
            ruling = rulings(run, index, 0.05, FIRST_GOOD, (1.0,) * GATES)
            shares.append(np.mean([fails(ruling(values)) for values in candidates]))
        quantiles = " ".join(f"{100 * np.quantile(shares, q):.1f}" for q in (0.5, 0.95, 1.0))
        print(f"sigma {100 * sigma:g}%: {quantiles}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4000, help="runs of each line of the tables")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table(options.runs, options.seed)
    weak(options.runs, options.seed)


if __name__ == "__main__":
    main()
