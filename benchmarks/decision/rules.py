"""The package's own rule on drawn launches: SuiteRule and PairedRule, asked as a gate run asks them.

Input: a draw, and by how much the first gate of the candidate dropped. Output: an outcome per run and gate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.worlds import Draw, Numbers
from pytest_precgate.analysis.gating import limits as limits_module
from pytest_precgate.analysis.gating.gates import TOLERANCE, Gate, GateKey, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule, SuiteRuling
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy
from pytest_precgate.analysis.gating.old_state import beside_old_state, is_settled, wants_old_state
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.power import TARGET_POWER, Design, detectable_drop
from pytest_precgate.analysis.gating.verdict import Verdict

Flags = NDArray[np.bool_]

FIRST_GOOD, MEDIAN, PAIRS = LaunchPolicy(), LaunchPolicy("median", 5), LaunchPolicy("pairs", 5)
_LINE = 4.0


@dataclass(frozen=True)
class Outcome:
    """What a rule made of every run: shape (runs, gates), launches (runs).

    ``refused``: INCONCLUSIVE before any launch. ``changed``: the drop was not confirmed against the old state."""

    regressed: Flags
    inconclusive: Flags
    refused: Flags
    launches: Numbers
    changed: Flags | None = None


@contextmanager
def fast() -> Iterator[None]:
    """Let the rule look its minimum detectable drops up: a limit's distance to its drop depends on the design alone.

    tests/test_decision_rule.py compares both."""
    limits_module.detectable_drop = drop_of  # type: ignore[attr-defined]
    try:
        yield
    finally:
        limits_module.detectable_drop = detectable_drop  # type: ignore[attr-defined]


@contextmanager
def screened_at(share: float) -> Iterator[None]:
    """Let the rule screen what lost more than another share of its limit."""
    kept = limits_module.SCREENED
    limits_module.SCREENED = share
    try:
        yield
    finally:
        limits_module.SCREENED = kept


def drop_of(design: Design, line: float, share: float = TARGET_POWER) -> float:
    """Return what power.detectable_drop does."""
    return max(0.0, line + _distance(design, share))


@lru_cache(maxsize=4096)
def _distance(design: Design, share: float) -> float:
    return detectable_drop(design, _LINE, share) - _LINE


def gate(index: int, tolerance: float = TOLERANCE) -> Gate:
    """Return one of the gates: the same throughput at another interactivity."""
    return Gate(GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 50 + index), tolerance, max(0.25, 1.5 * tolerance))


def dropped(values: Numbers, drop: float) -> Numbers:
    """Return launches with the first gate lower by ``drop``; the last axis is the gate."""
    return np.concatenate([values[..., :1] * (1 - drop), values[..., 1:]], axis=-1)


@dataclass
class Package:
    """The rule as built, under ``policy``, with one tolerance."""

    policy: LaunchPolicy = FIRST_GOOD
    tolerance: float = TOLERANCE
    elasticities: Sequence[float] | None = None
    screens: bool = False
    _held: tuple[Draw | None, list[SuiteRule]] = field(default=(None, []), repr=False)

    def __call__(self, draw: Draw, drop: float) -> Outcome:
        """Return what becomes of every run whose first gate dropped by ``drop``."""
        return outcome([self.judge(draw, run, dropped(draw.candidate[run], drop)) for run in range(len(draw.baseline))])

    def judge(self, draw: Draw, run: int, candidate: Numbers) -> SuiteRuling:
        """Return the ruling on one run's candidate, shape (launches, gates)."""
        wanted = candidate[: self.policy.launches].tolist()
        if self.policy.kind != "pairs":
            return self.rules(draw)[run].judge(wanted)
        old = draw.old[run, : self.policy.launches].tolist()
        rule = PairedRule([(gate(g, self.tolerance), 1.0) for g in range(candidate.shape[1])], self.policy)
        return rule.judge([list(zip(*pair, strict=True)) for pair in zip(old, wanted, strict=True)])

    def rules(self, draw: Draw) -> list[SuiteRule]:
        """Return the rule of every run, kept for the next drop."""
        if self._held[0] is not draw:
            self._held = draw, [self.rule(baseline) for baseline in draw.baseline]
        return self._held[1]

    def rule(self, baseline: Numbers) -> SuiteRule:
        """Return the rule against one baseline, shape (launches, gates)."""
        elasticities = self.elasticities or (1.0,) * baseline.shape[1]
        held = [
            GateBaseline(gate(g, self.tolerance), baseline[:, g].tolist(), each) for g, each in enumerate(elasticities)
        ]
        return SuiteRule(held, self.policy, screens=self.screens)

    def limits(self, draw: Draw) -> list[list[GateLimits]]:
        """Return the limits of every gate of every run."""
        return [[each for each in rule.gate_limits if each is not None] for rule in self.rules(draw)]


def outcome(rulings: Sequence[SuiteRuling]) -> Outcome:
    """Return the rulings as arrays; a run takes as many launches as its slowest gate, and at least one."""
    words = [[None if gate.judged is None else gate.judged.verdict for gate in ruling.gates] for ruling in rulings]
    refused = np.array(
        [[gate.limits is not None and gate.limits.too_noisy for gate in ruling.gates] for ruling in rulings]
    )
    verdicts = np.array(words)
    sides = 2 if any(each.limits is not None and each.limits.design.paired for each in rulings[0].gates) else 1
    return Outcome(
        verdicts == Verdict.REGRESSED,
        (verdicts == Verdict.INCONCLUSIVE) & ~refused,
        refused,
        sides * np.array([max(1, *(gate.launches for gate in ruling.gates)) for ruling in rulings], dtype=float),
    )


@dataclass
class Confirmed:
    """As `confirm_with` does (run/confirmation.py), by its own rule (gating/old_state.py): what regressed, and what is
    screened if the package's rule screens, is measured beside the old state on the same day.

    Up to three launches of the old state, while a gate is not settled beside it. Launches of both sides are counted."""

    package: Package = field(default_factory=Package)

    def __call__(self, draw: Draw, drop: float) -> Outcome:
        """Return what becomes of every run."""
        rulings = [
            self.package.judge(draw, run, dropped(draw.candidate[run], drop)) for run in range(len(draw.baseline))
        ]
        plain = outcome(rulings)
        verdicts = [
            self._beside(ruling, draw.old[run, : self.package.policy.launches]) for run, ruling in enumerate(rulings)
        ]
        words = np.array([each for each, _ in verdicts])
        return Outcome(
            words == Verdict.REGRESSED,
            (words == Verdict.INCONCLUSIVE) & ~plain.refused,
            plain.refused,
            plain.launches + np.array([used for _, used in verdicts]),
            words == Verdict.ENVIRONMENT_CHANGED,
        )

    def _beside(self, ruling: SuiteRuling, old: Numbers) -> tuple[list[Verdict], int]:
        """The verdicts of the gates, and how many launches of the old state they took."""
        judged = [gate.verdict for gate in ruling.gates]
        first = {g: each for g, each in enumerate(judged) if each is not None}
        limits = {g: gate.limits for g, gate in enumerate(ruling.gates)}
        waiting = {g for g, each in first.items() if wants_old_state(each, limits[g], screens=self.package.screens)}
        found, used = dict(first), 0
        while waiting and used < len(old):
            used += 1
            for g in sorted(waiting):
                held = limits[g]
                assert held is not None
                found[g] = beside_old_state(first[g], held, old[:used, g].tolist(), "old")
                if is_settled(first[g], found[g], old[:used, g].tolist()):
                    waiting.discard(g)
        return [found[g].verdict for g in range(len(judged))], used


def true_power(limits: GateLimits, candidates: Numbers, drop: float) -> float:
    """Return the share of ``candidates`` (first-good, values of one gate, shape (runs, 3)) that fail with ``drop``."""
    losses = 1 - (1 - drop) * candidates / limits.centre
    clear = np.inf if limits.clear_beyond is None else limits.clear_beyond
    fails = (losses.min(axis=1) > limits.fails_beyond) | (losses[:, :2].min(axis=1) > clear)
    return float(np.mean(fails))


def median_of(values: Sequence[float | None]) -> float:
    """Return the median of figures that are all known."""
    return statistics.median(value for value in values if value is not None)
