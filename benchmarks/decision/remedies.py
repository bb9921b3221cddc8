"""What a noisy suite is told, followed: the sentence of the verdict is read, the settings are changed as it says, and
fresh launches are judged.

A suite that is refused may raise must_detect, or take the median of more launches; one that is between its tolerance
and its noise floor may raise its tolerance."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.decision.rules import Package, dropped, gate
from benchmarks.decision.worlds import Numbers, World
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, GateRuling, SuiteRule, SuiteRuling
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.verdict import Verdict

_DROP = re.compile(r"must_detect = ([\d.]+)")
_MEDIAN = re.compile(r"the median of (\d+) launches")
_TOLERANCE = re.compile(r"a tolerance of ([\d.]+)%")


@dataclass(frozen=True)
class Followed:
    """A remedy after it was followed; all but ``told`` are shares of the suites that were told it, or means over them.

    ``refused``: still INCONCLUSIVE before any launch. ``still``: INCONCLUSIVE after the launches though nothing
    changed; ``alarms``: REGRESSED. ``catches``: the drop that the affected gate claims then, ``power``: REGRESSED
    after a drop of that size."""

    told: int
    refused: float
    still: float
    alarms: float
    launches: float
    catches: float
    power: float


@dataclass(frozen=True)
class _Suite:
    """A suite as it is now, and a source of fresh launches: of the number asked for, shape (launches, gates)."""

    rule: SuiteRule
    fresh: Callable[[int], Numbers]

    def judge(self, drop: float = 0.0) -> SuiteRuling:
        """Return the ruling on fresh launches."""
        return self.rule.judge(dropped(self.fresh(self.rule.policy.launches), drop).tolist())

    def with_must_detect(self, drop: float) -> _Suite:
        """Return the suite with another must_detect."""
        return replace(self, rule=SuiteRule(self.rule.held, replace(self.rule.policy, must_detect=drop)))

    def with_median(self, launches: int) -> _Suite:
        """Return the suite with a longer rule and a baseline of as many launches."""
        values = self.fresh(launches)
        held = [GateBaseline(each.gate, values[:, index].tolist()) for index, each in enumerate(self.rule.held)]
        return replace(self, rule=SuiteRule(held, LaunchPolicy("median", launches)))

    def with_tolerance(self, tolerance: float) -> _Suite:
        """Return the suite with another tolerance for all gates."""
        held = [replace(each, gate=gate(index, tolerance)) for index, each in enumerate(self.rule.held)]
        return replace(self, rule=SuiteRule(held, self.rule.policy))


def follow(world: World, sigma: float, runs: int, seed: int) -> dict[str, Followed]:
    """Return what each remedy does to the suites that are told it, by its name."""
    package, draw = Package(), world.draw(seed, runs, sigma)
    pool = iter(world.draw(seed + 1, 16 * runs, sigma, baseline=25).baseline)
    told: dict[str, list[_Suite]] = {}
    for run, rule in enumerate(package.rules(draw)):
        suite = _Suite(rule, lambda launches: next(pool)[:launches])
        ruling = rule.judge(draw.candidate[run, :3].tolist())
        if any(_is_refused(each) for each in ruling.gates):
            if drops := _numbers(_DROP, ruling):
                told.setdefault("must_detect", []).append(suite.with_must_detect(max(drops)))
                raised = told["must_detect"][-1]
                told.setdefault("must_detect, then tolerance", []).append(_told_tolerance(raised) or raised)
            for more in (0, 4) if (medians := _numbers(_MEDIAN, ruling)) else ():
                name = f"median of n{f' + {more}' * (more > 0)}, baseline as long"
                told.setdefault(name, []).append(suite.with_median(int(max(medians)) + more))
        elif wider := _by_tolerance(suite, ruling):
            told.setdefault("tolerance", []).append(wider)
    return {name: _followed(suites) for name, suites in told.items()}


def _told_tolerance(suite: _Suite) -> _Suite | None:
    """The suite after the first of three runs that tells it a tolerance; None when none does."""
    return next((wider for _ in range(3) if (wider := _by_tolerance(suite, suite.judge()))), None)


def _by_tolerance(suite: _Suite, ruling: SuiteRuling) -> _Suite | None:
    """The suite with the tolerance that a ruling prints; None when it prints none."""
    tolerances = _numbers(_TOLERANCE, ruling)
    return suite.with_tolerance(max(tolerances) / 100) if tolerances else None


def _followed(suites: Sequence[_Suite]) -> Followed:
    refused, still, alarms, launches, catches, power = [], [], [], [], [], []
    for suite in suites:
        ruling = suite.judge()
        alarms.append(_has(ruling, Verdict.REGRESSED))
        refused.append(any(_is_refused(each) for each in ruling.gates))
        still.append(_has(ruling, Verdict.INCONCLUSIVE) and not alarms[-1] and not refused[-1])
        launches.append(max(1, *(each.launches for each in ruling.gates)))
        first = ruling.gates[0].limits
        drop = None if first is None else first.minimum_detectable_drop
        assert drop is not None
        catches.append(drop)
        after = suite.judge(drop).gates[0].judged
        power.append(after is not None and after.verdict is Verdict.REGRESSED)
    return Followed(len(suites), *(float(np.mean(each)) for each in (refused, still, alarms, launches, catches, power)))


def _numbers(pattern: re.Pattern[str], ruling: SuiteRuling) -> list[float]:
    """What the reasons of the gates that are INCONCLUSIVE say."""
    judged = [each.judged for each in ruling.gates]
    reasons = [each.reason for each in judged if each is not None and each.verdict is Verdict.INCONCLUSIVE]
    return [float(found.group(1)) for reason in reasons if (found := pattern.search(reason))]


def _is_refused(ruling: GateRuling) -> bool:
    return ruling.limits is not None and ruling.limits.too_noisy


def _has(ruling: SuiteRuling, verdict: Verdict) -> bool:
    return any(each.judged is not None and each.judged.verdict is verdict for each in ruling.gates)
