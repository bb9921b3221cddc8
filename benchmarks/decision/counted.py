"""What a rule did, counted: shares of runs, launches, and the smallest drop that it really catches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.decision.others import Rule
from benchmarks.decision.rules import Package, median_of
from benchmarks.decision.worlds import Draw

DROPS = (0.03, 0.05, 0.10)
_TRUE_OF = 4
"""The true MDD is searched for in one run of so many: it takes ten rulings."""


@dataclass(frozen=True)
class Seen:
    """What one rule did to every run; shares of runs.

    ``refused``: some gate is INCONCLUSIVE before any launch. ``inconclusive``: some is after the launches, and none is
    refused or REGRESSED. ``power``: the affected gate is REGRESSED, by the size of its drop. ``changed``: the suite
    would be ENVIRONMENT_CHANGED (see rules.Confirmed)."""

    refused: float
    alarms: float
    inconclusive: float
    changed: float
    power: tuple[float, ...]
    launches: float
    launches_dropped: float


def count(rule: Rule, draw: Draw, drops: Sequence[float] = DROPS) -> Seen:
    """Return what ``rule`` does to unchanged candidates, and to those whose first gate dropped; ``drops`` holds 5%."""
    unchanged = rule(draw, 0.0)
    changed = {drop: rule(draw, drop) for drop in drops}
    regressed, refused = unchanged.regressed.any(axis=1), unchanged.refused.any(axis=1)
    other = np.zeros_like(regressed) if unchanged.changed is None else unchanged.changed.any(axis=1)
    return Seen(
        refused=float(refused.mean()),
        alarms=float(regressed.mean()),
        inconclusive=float((unchanged.inconclusive.any(axis=1) & ~refused & ~regressed).mean()),
        changed=float((other & ~regressed).mean()),
        power=tuple(float(changed[drop].regressed[:, 0].mean()) for drop in drops),
        launches=float(unchanged.launches.mean()),
        launches_dropped=float(changed[0.05].launches.mean()),
    )


def true_drop(rule: Rule, draw: Draw) -> float:
    """Return the smallest drop of the first gate that fails it in 80% of the runs that are not refused; infinite when
    none does, or fewer than 20 runs are left."""
    part = draw.first(max(1, len(draw.baseline) // _TRUE_OF))
    taken = ~rule(part, 0.0).refused[:, 0]
    if taken.sum() < 20:
        return math.inf
    low, high = 0.0, 0.5
    while high - low > 0.0005:
        middle = (low + high) / 2
        caught = rule(part, middle).regressed[taken, 0].mean() >= 0.8
        low, high = (low, middle) if caught else (middle, high)
    return high if high < 0.4995 else math.inf


@dataclass(frozen=True)
class Printed:
    """The minimum detectable drop of the first gate as the product prints it: medians over the runs not refused."""

    drop: float
    upper: float

    @staticmethod
    def by(package: Package, draw: Draw) -> Printed | None:
        """Return the medians; None when every run is refused."""
        found = [gates[0] for gates in package.limits(draw) if not gates[0].too_noisy]
        if not found:
            return None
        return Printed(
            median_of([each.minimum_detectable_drop for each in found]),
            median_of([each.largest_detectable_drop for each in found]),
        )
