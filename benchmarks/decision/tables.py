"""One table per question. Every function prints one, from its own seeded draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.decision import remedies
from benchmarks.decision.counted import Printed, Seen, count, true_drop
from benchmarks.decision.others import (
    Rule,
    always_three,
    best_two,
    conventional,
    fixed,
    hidden_limits,
    mann_whitney,
    welch,
)
from benchmarks.decision.rules import MEDIAN, PAIRS, Confirmed, Package, screened_at, true_power
from benchmarks.decision.worlds import APART, DAY, DAY_APART, PLAIN, QUIET, World
from pytest_precgate.analysis.gating.limits import LaunchPolicy

SIGMAS = (0.003, 0.005, 0.01, 0.02, 0.04)


@dataclass(frozen=True)
class Options:
    """What the tables are made from."""

    runs: int
    seed: int
    worlds: Sequence[World]


HEAD = f"{'refused':>9}{'alarms':>8}{'inconcl.':>10}{'power 3/5/10%':>18}{'launches':>16}"


def cells(seen: Seen) -> str:
    """Return the columns of HEAD, in percent and launches."""
    power = "/".join(f"{100 * share:.1f}" for share in seen.power)
    cost = f"{seen.launches:.2f} -> {seen.launches_dropped:.2f}"
    return f"{100 * seen.refused:>9.1f}{100 * seen.alarms:>8.2f}{100 * seen.inconclusive:>10.1f}{power:>18}{cost:>16}"


def percent(share: float | None) -> str:
    """Return a share in percent, a dash for none."""
    return "-" if share is None or math.isinf(share) else f"{100 * share:.1f}"


def worlds(options: Options) -> None:
    """Print the rule as built in every world."""
    print(f"{'world':<36}{'sigma':>7}{HEAD}{'MDD printed':>14}{'true':>6}")
    for world in options.worlds:
        for sigma in SIGMAS[:1] if world.is_measured else SIGMAS:
            rule, draw = Package(), world.draw(options.seed, options.runs, sigma)
            found, seen = Printed.by(rule, draw), count(rule, draw)
            printed = "-" if found is None else f"{percent(found.drop)} to {percent(found.upper)}"
            shown = "" if world.is_measured else f"{100 * sigma:g}%"
            print(
                f"{world.name:<36}{shown:>7}{cells(seen)}{printed:>14}{percent(true_drop(rule, draw)):>6}", flush=True
            )


RULES: dict[str, Callable[[], Rule]] = {
    "first good of 3, as built": Package,
    "first good, never ended by two": lambda: always_three,
    "best two of 3": lambda: best_two,
    "median of 5, as built": lambda: Package(MEDIAN),
    "5 pairs, as built": lambda: Package(PAIRS),
    "before: limits inside 5%": lambda: hidden_limits(0.05),
    "one launch, fixed 2.5%": lambda: conventional(lambda draw: fixed(draw, 1, 0.025), 1),
    "one launch, fixed 5%": lambda: conventional(lambda draw: fixed(draw, 1, 0.05), 1),
    "Welch, 5 against 5": lambda: conventional(welch, 5),
    "Mann-Whitney, 5 against 5": lambda: conventional(mann_whitney, 5),
    "confirmed beside the old state": Confirmed,
}


def rules(options: Options) -> None:
    """Print other rules in the same runs."""
    for world in (PLAIN, APART, DAY, DAY_APART):
        for sigma in SIGMAS[1:4]:
            draw = world.draw(options.seed, options.runs, sigma)
            print(f"\n{world.name}, sigma {100 * sigma:g}%\n{'rule':<36}{HEAD}{'true':>6}")
            for name, rule in RULES.items():
                made = rule()
                print(f"{name:<36}{cells(count(made, draw))}{percent(true_drop(made, draw)):>6}", flush=True)


def printed(options: Options) -> None:
    """Print how the printed minimum detectable drop (MDD) and its upper end hold, baseline by baseline."""
    print(
        "MDD: 5th percentile, median, 95th of what baselines print; power: of the same baselines, at the drop printed"
    )
    print(
        f"{'world':<36}{'sigma':>7}{'launches':>10}{'MDD 5/50/95':>18}{'upper':>7}{'true':>6}{'power at it':>13}"
        f"{'below 60%':>11}{'at upper':>10}{'>= 75%':>8}"
    )
    for world in (QUIET, PLAIN, APART, DAY):
        for launches in (5, 10) if world is PLAIN else (5,):
            for sigma in SIGMAS[1:]:
                _printed_row(options, world, sigma, launches)


def _printed_row(options: Options, world: World, sigma: float, launches: int) -> None:
    rule, draw = Package(), world.draw(options.seed, options.runs, sigma, launches)
    kept = [gates[0] for gates in rule.limits(draw) if not gates[0].too_noisy]
    head = f"{world.name:<36}{f'{100 * sigma:g}%':>7}{launches:>10}"
    if len(kept) < 20:
        print(f"{head}   {len(kept)} of {options.runs} baselines are not refused")
        return
    drops, uppers = (
        np.array([figure for each in kept if (figure := getattr(each, name)) is not None])
        for name in ("minimum_detectable_drop", "largest_detectable_drop")
    )
    candidates = draw.candidate[:, :3, 0]
    at, above = (
        np.array([true_power(each, candidates, drop) for each, drop in zip(kept, given, strict=True)])
        for given in (drops, uppers)
    )
    spread = "/".join(percent(float(np.quantile(drops, q))) for q in (0.05, 0.5, 0.95))
    print(
        f"{head}{spread:>18}{percent(float(np.median(uppers))):>7}{percent(true_drop(rule, draw)):>6}"
        f"{percent(at.mean()):>13}{percent((at < 0.6).mean()):>11}{percent(above.mean()):>10}"
        f"{percent((above >= 0.75).mean()):>8}",
        flush=True,
    )


@dataclass(frozen=True)
class Goal:
    """A row of the goals: the most false alarms, the least power at 5%, the most launches, in percent."""

    world: World
    sigma: float
    rule: str
    alarms: float
    power: float
    launches: float


GOAL_RULES: dict[str, Callable[[], Rule]] = {
    "as built": Package,
    "confirmed": Confirmed,
    "confirmed, tolerance 2%": lambda: Confirmed(Package(tolerance=0.02)),
}
GOALS = (
    Goal(DAY, 0.005, "as built", 0.5, 97, 1.2),
    Goal(DAY_APART, 0.005, "as built", 0.5, 97, 1.2),
    Goal(PLAIN, 0.01, "as built", 0.6, 95, 1.3),
    Goal(APART, 0.01, "as built", 0.6, 95, 1.3),
    *(
        Goal(world, 0.01, rule, 1.5, 88, launches)
        for rule in GOAL_RULES
        for world, launches in ((DAY, 2.0), (DAY_APART, 2.7))
    ),
)


def goals(options: Options) -> None:
    """Print the goals beside what is reached."""
    print(
        f"{'world':<36}{'sigma':>7}{'rule':>24}{'alarms':>8}{'goal':>7}{'power 5%':>10}{'goal':>6}{'launches':>10}"
        f"{'goal':>6}{'env. changed':>14}"
    )
    for goal in GOALS:
        draw = goal.world.draw(options.seed, options.runs, goal.sigma)
        seen = count(GOAL_RULES[goal.rule](), draw, (0.05,))
        print(
            f"{goal.world.name:<36}{100 * goal.sigma:>6g}%{goal.rule:>24}{100 * seen.alarms:>8.2f}{goal.alarms:>7}"
            f"{100 * seen.power[0]:>10.1f}{goal.power:>6}{seen.launches:>10.2f}{goal.launches:>6}"
            f"{100 * seen.changed:>14.2f}",
            flush=True,
        )


SHARES = (1.0, 0.8)
SCREENED_WORLDS = ((DAY, 0.01), (DAY_APART, 0.01), (APART, 0.01), (PLAIN, 0.01), (PLAIN, 0.02), (DAY_APART, 0.005))


def screening(options: Options) -> None:
    """Print what screening does at a share of the limit; 1: what regressed alone is confirmed."""
    print(
        f"{'world':<36}{'sigma':>7}{'share':>7}{'refused':>9}{'alarms':>8}{'inconcl.':>10}{'power 5%':>10}"
        f"{'launches':>16}{'env. changed':>14}"
    )
    for world, sigma in SCREENED_WORLDS:
        draw = world.draw(options.seed, options.runs, sigma)
        for share in SHARES:
            with screened_at(share):
                seen = count(Confirmed(Package(screens=share < 1)), draw, (0.05,))
            cost = f"{seen.launches:.2f} -> {seen.launches_dropped:.2f}"
            print(
                f"{world.name:<36}{100 * sigma:>6g}%{share:>7}{100 * seen.refused:>9.1f}{100 * seen.alarms:>8.2f}"
                f"{100 * seen.inconclusive:>10.1f}{100 * seen.power[0]:>10.1f}{cost:>16}{100 * seen.changed:>14.2f}",
                flush=True,
            )


def followed(options: Options) -> None:
    """Print what following the printed remedy gives a noisy suite."""
    print("told: percent of suites that are told so; then of those, after they did as told, with fresh launches")
    print(
        f"{'world':<36}{'sigma':>7}  {'remedy':<36}{'told':>7}{'refused':>9}{'alarms':>8}{'inconcl.':>10}"
        f"{'launches':>10}{'catches':>9}{'power at it':>13}"
    )
    for world in (PLAIN, APART):
        for sigma in (0.02, 0.03, 0.04):
            for name, found in remedies.follow(world, sigma, options.runs, options.seed).items():
                told = 100 * found.told / options.runs
                print(
                    f"{world.name:<36}{f'{100 * sigma:g}%':>7}  {name:<36}{told:>7.1f}{100 * found.refused:>9.1f}"
                    f"{100 * found.alarms:>8.2f}{100 * found.still:>10.1f}{found.launches:>10.2f}"
                    f"{percent(found.catches):>9}{percent(found.power):>13}",
                    flush=True,
                )


def designs(options: Options) -> None:
    """Print tolerances, numbers of gates and of launches."""
    print(f"{'sigma 1% and 2%, ' + PLAIN.name:<50}{HEAD}{'MDD printed':>14}")
    rows: dict[str, tuple[Package, int, int]] = {
        **{f"tolerance {100 * t:g}%": (Package(tolerance=t), 5, 6) for t in (0.02, 0.025, 0.03, 0.05)},
        **{f"{n} gates": (Package(), 5, n) for n in (1, 9, 18)},
        **{f"{n} baseline launches": (Package(), n, 6) for n in (2, 3, 4, 7, 10)},
        "at most 1 launch": (Package(LaunchPolicy("first-good", 1)), 5, 6),
        "at most 5 launches": (Package(LaunchPolicy("first-good", 5)), 5, 6),
    }
    for name, (rule, baseline, gates) in rows.items():
        for sigma in (0.01, 0.02):
            draw = PLAIN.draw(options.seed, options.runs, sigma, baseline, gates)
            found = None if baseline < 3 else Printed.by(rule, draw)
            shown = "-" if found is None else f"{percent(found.drop)} to {percent(found.upper)}"
            print(f"{f'{name}, sigma {100 * sigma:g}%':<50}{cells(count(rule, draw))}{shown:>14}", flush=True)
