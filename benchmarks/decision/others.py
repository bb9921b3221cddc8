"""Other rules, written out: the one that was nearly chosen, the one before, and those that gates use elsewhere.

Each takes a draw and the drop of the candidate's first gate, and returns an outcome, as rules.Package does."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.special import erfc

from benchmarks.decision.rules import Flags, Outcome, Package, dropped
from benchmarks.decision.worlds import GATES, OUTLIER_RATE, Draw, Numbers
from pytest_precgate.analysis.gating.gates import TOLERANCE
from pytest_precgate.analysis.gating.power import FALSE_ALARM_RATE, Design

Rule = Callable[[Draw, float], Outcome]

_PACKAGE = Package()


def losses(draw: Draw, drop: float) -> tuple[Numbers, Numbers]:
    """Return the losses of three launches against the centre of the baseline (logarithms, worse is positive), and
    sigma, both by the package's estimate: what a rule here differs in is the rule."""
    noises = [[each.noise for each in gates if each.noise is not None] for gates in _PACKAGE.limits(draw)]
    centre = np.array([[noise.centre for noise in gates] for gates in noises])
    sigma = np.array([[noise.sigma for noise in gates] for gates in noises])
    return np.log(centre)[:, None] - np.log(dropped(draw.candidate[:, :3], drop)), sigma


def _log(share: float) -> float:
    return -math.log1p(-share)


def _outcome(
    regressed: Flags, launches: Numbers, inconclusive: Flags | None = None, refused: Flags | None = None
) -> Outcome:
    none = np.zeros_like(regressed)
    return Outcome(
        regressed, none if inconclusive is None else inconclusive, none if refused is None else refused, launches
    )


def always_three(draw: Draw, drop: float) -> Outcome:
    """The rule as built, but a loss far beyond its limit in two launches takes a third one as well."""
    loss, _ = losses(draw, drop)
    found = _PACKAGE.limits(draw)
    beyond = np.array([[_log(each.fails_beyond) for each in gates] for gates in found])
    refused = np.array([[each.too_noisy for each in gates] for gates in found])
    passes = np.minimum.accumulate(loss, axis=1) <= _log(TOLERANCE)
    regressed = ~passes[:, 2] & (loss.min(axis=1) > beyond) & ~refused
    open_gates = ~passes[:, :2] & ~refused[:, None]
    launches = 1.0 + open_gates.any(axis=2).sum(axis=1)
    return _outcome(regressed, launches, ~passes[:, 2] & ~regressed & ~refused, refused)


# --- best two of three ----------------------------------------------------------------------------------------------


def best_two(draw: Draw, drop: float) -> Outcome:
    """A launch inside the tolerance passes at first; after that the mean of the best two decides, in two and in three.

    The noise floor is its own, with the same false alarm rate by the same model."""
    loss, sigma = losses(draw, drop)
    tolerance = _log(TOLERANCE)
    low, middle = np.sort(loss, axis=1)[:, 0], np.sort(loss, axis=1)[:, 1]
    first = loss[:, 0] <= tolerance
    second = first | (loss[:, :2].mean(axis=1) <= tolerance)
    combined = (low + middle) / 2
    passes = second | (combined <= tolerance)
    regressed = ~passes & (combined > np.maximum(tolerance, best_two_line(draw.baseline.shape[1]) * sigma))
    launches = 1.0 + ~first.all(axis=1) + ~second.all(axis=1)
    return _outcome(regressed, launches, ~passes & ~regressed)


@lru_cache(maxsize=8)
def best_two_line(baseline: int, gates: int = GATES, runs: int = 400_000) -> float:
    """Return its noise floor, in estimated sigma, by simulation of the model of power.py."""
    random, design = np.random.default_rng(1), Design(3, 1, baseline, gates)
    launches = random.standard_normal((runs, 3))
    launches[random.random((runs, 3)) < OUTLIER_RATE] = 1e6
    estimate = np.sqrt(random.chisquare(design.freedom, runs) / design.freedom)
    best = np.sort(launches, axis=1)[:, :2].mean(axis=1) + design.centre_sigma * random.standard_normal(runs)
    per_gate = 1 - (1 - FALSE_ALARM_RATE) ** (1 / gates)
    return float(np.quantile(best / estimate, 1 - per_gate - np.mean(best > 1e5)))


# --- the rule before this one ---------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _hidden_lines(baseline: int, gates: int, power: float) -> tuple[float, float]:
    """The later critical value, in sigma, and the drop seen with ``power`` at it; the first limit is 1.3 times as
    far."""
    nodes = np.arange(-8, 9) / 2
    weights = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
    centre = math.sqrt(1.1 / baseline) * nodes

    def fails(line: float, drop: float) -> float:
        shares = [
            OUTLIER_RATE + (1 - OUTLIER_RATE) * erfc((each - drop - centre) / math.sqrt(2)) / 2
            for each in (1.3 * line, line, line)
        ]
        return float(weights @ np.prod(shares, axis=0))

    per_gate = 1 - (1 - FALSE_ALARM_RATE) ** (1 / gates) + OUTLIER_RATE**3
    line = _crossing(lambda x: per_gate - fails(x, 0.0))
    return line, _crossing(lambda x: fails(line, x) - power)


def _crossing(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 32.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high


def hidden_limits(tolerance: float) -> Rule:
    """Return the rule before: three launches beyond limits inside the tolerance, by what noise requires, fail; a
    tolerance smaller than the drop seen in 80% of runs is refused."""
    asked = _log(tolerance)

    def judge(draw: Draw, drop: float) -> Outcome:
        loss, sigma = losses(draw, drop)
        line, likely = _hidden_lines(draw.baseline.shape[1], draw.baseline.shape[2], 0.90)
        _, seen = _hidden_lines(draw.baseline.shape[1], draw.baseline.shape[2], 0.80)
        room = np.minimum(2.5 * sigma, asked / likely)
        first, later = (np.maximum(each * sigma, asked - (likely - each) * room) for each in (1.3 * line, line))
        low: Flags = loss > np.stack([first, later, later], axis=1)
        refused: Flags = seen * sigma > asked
        regressed, both = np.asarray(low.all(axis=1)), np.asarray(low[:, :2].all(axis=1))
        again, twice = low[:, 0].any(axis=1), both.any(axis=1)
        launches = 1.0 + again.astype(float) + twice
        return _outcome(regressed, launches, None, refused & ~regressed)

    return judge


# --- what gates use elsewhere: each is the change, on the log scale, below which a gate fails ------------------------


def fixed(draw: Draw, count: int, tolerance: float) -> Numbers:
    """The median of ``count`` launches against that of as many of the baseline, at a fixed tolerance."""
    baseline, candidate = (np.median(np.log(side[:, :count]), axis=1) for side in (draw.baseline, draw.candidate))
    return np.asarray(candidate - baseline - math.log(1 - tolerance))


def welch(draw: Draw) -> Numbers:
    """Welch's t, one-sided, five launches against five, at 5% for the suite by Bonferroni."""
    baseline, candidate = np.log(draw.baseline), np.log(draw.candidate)
    parts = [side.var(axis=1, ddof=1) / side.shape[1] for side in (baseline, candidate)]
    freedom = (parts[0] + parts[1]) ** 2 / sum(part**2 / 4 for part in parts)
    critical = stats.t.isf(0.05 / GATES, freedom)
    return np.asarray(candidate.mean(axis=1) - baseline.mean(axis=1) + critical * np.sqrt(parts[0] + parts[1]))


def mann_whitney(draw: Draw) -> Numbers:
    """Mann and Whitney's U, exact, five against five, at 5% for the suite by Bonferroni.

    Its p is 2 in 252 when one pair is the wrong way round, 4 in 252 when two are: at 5% / 6 one is allowed."""
    apart = np.log(draw.candidate)[:, :, None] - np.log(draw.baseline)[:, None]
    return np.asarray(np.sort(apart.reshape(len(apart), -1, apart.shape[-1]), axis=1)[:, -2])


def conventional(critical: Callable[[Draw], Numbers], count: int) -> Rule:
    """Return a rule of a fixed number of launches that fails below ``critical``."""

    def judge(draw: Draw, drop: float) -> Outcome:
        changed = Draw(draw.baseline, dropped(draw.candidate, drop), draw.old)
        return _outcome(critical(changed) < 0, np.full(len(draw.baseline), float(count)))

    return judge
