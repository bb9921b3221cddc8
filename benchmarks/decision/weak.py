"""Where the rule is weak, and what its pooling of gates is worth: one small table each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.decision.counted import count
from benchmarks.decision.rules import FIRST_GOOD, MEDIAN, PAIRS, Package
from benchmarks.decision.tables import HEAD, Options, cells
from benchmarks.decision.worlds import PLAIN, Draw, World
from pytest_precgate.analysis.gating import noise
from pytest_precgate.analysis.gating.launch_rule import SuiteRuling
from pytest_precgate.analysis.gating.verdict import Verdict


def half_slow(options: Options) -> None:
    """Print a change that slows each launch of one gate with chance one half."""
    print("a change that slows each launch of one gate with chance 1/2, sigma 1%: REGRESSED in percent of runs")
    draw = PLAIN.draw(options.seed, options.runs, 0.01)
    slow = np.random.default_rng(options.seed + 1).random(draw.candidate.shape[:2]) < 0.5
    for drop in (0.05, 0.10):
        candidate = draw.candidate.copy()
        candidate[:, :, 0] *= np.where(slow, 1 - drop, 1.0)
        for policy in (FIRST_GOOD, MEDIAN):
            caught = Package(policy)(replace(draw, candidate=candidate), 0.0).regressed[:, 0].mean()
            print(f"{drop:.0%} slower, {policy}: {100 * caught:.1f}")


def drift(options: Options) -> None:
    """Print a machine that got slower since the baseline, and what pairs make of it."""
    print("the machine got 3% slower since the baseline, nothing else changed: suites that fail, percent")
    for sigma in (0.005, 0.01, 0.02):
        draw = PLAIN.draw(options.seed, options.runs, sigma)
        slower = Draw(draw.baseline, draw.candidate * 0.97, draw.old * 0.97)
        stored, paired = (
            100 * Package(policy)(slower, 0.0).regressed.any(axis=1).mean() for policy in (FIRST_GOOD, PAIRS)
        )
        print(f"sigma {100 * sigma:g}%: {stored:.1f} against the stored baseline, {paired:.1f} in pairs")


def common(options: Options) -> None:
    """Print pairs whose sides suffer the same noise."""
    print(f"pairs, own noise of a side 0.5% and 1%, noise common to both sides of a pair\n{'':<36}{HEAD}")
    for own in (0.005, 0.01):
        for shared in (0.0, 0.01, 0.02):
            draw = PLAIN.draw(options.seed, options.runs, own)
            noise_of_pair = np.exp(
                shared * np.random.default_rng(options.seed + 2).standard_normal((*draw.candidate.shape[:2], 1))
            )
            both = Draw(draw.baseline, draw.candidate * noise_of_pair, draw.old * noise_of_pair)
            name = f"own {100 * own:g}%, common {100 * shared:g}%"
            print(f"{name:<36}{cells(count(Package(PAIRS), both))}", flush=True)


def single(options: Options, baselines: int = 200) -> None:
    """Print how the alarm rate varies between single baselines."""
    each = max(1, options.runs // 4)
    print(f"alarms of single baselines ({baselines} of them, {each} suites each): median, 95th percentile, largest")
    for sigma in (0.01, 0.02):
        draw = PLAIN.draw(options.seed, baselines, sigma)
        candidates = PLAIN.draw(options.seed + 1, each, sigma).candidate[:, :3]
        shares = [
            np.mean([_has_alarm(rule.judge(values.tolist())) for values in candidates])
            for rule in Package().rules(draw)
        ]
        quantiles = " ".join(f"{100 * np.quantile(shares, q):.1f}" for q in (0.5, 0.95, 1.0))
        print(f"sigma {100 * sigma:g}%: {quantiles}", flush=True)


def _has_alarm(ruling: SuiteRuling) -> bool:
    return any(gate.judged is not None and gate.judged.verdict is Verdict.REGRESSED for gate in ruling.gates)


def pooling(options: Options) -> None:
    """Print what it is worth that gates lend each other launches."""
    print(f"sigma of a gate from its own launches, pooled, or between the two as built (weight 12)\n{'':<36}{HEAD}")
    built = noise._POOL_FREEDOM
    wide = World("", spread=4.0)
    told = tuple(float(each) for each in np.roll(np.geomspace(1.0, 4.0, 6), -3))
    for name, world, elasticities in (
        ("gates alike", PLAIN, None),
        ("1 to 4 times as noisy, not known", wide, None),
        ("1 to 4 times as noisy, known", wide, told),
    ):
        for weight in (0, built, 10**6):
            noise._POOL_FREEDOM = weight
            seen = count(Package(elasticities=elasticities), world.draw(options.seed, options.runs, 0.015))
            print(f"{f'{name}, {weight}':<36}{cells(seen)}", flush=True)
    noise._POOL_FREEDOM = built
