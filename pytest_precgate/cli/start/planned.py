"""The plan of a suite that is not written yet.

Input: the suite, its test. Output: a plan. Invariant: nothing is started, loaded or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_precgate.analysis.accepted.baseline import targets_at
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.plan import Asked, SuitePlan
from pytest_precgate.run.planning import plans_of
from pytest_precgate.settings import Policy, Suite


def plan(suite: Suite, test: str, root: Path) -> Sequence[SuitePlan]:
    """Return what recording the first baseline would launch."""
    return plans_of(Policy(update=True), [(suite, Asked(test, compares=True))], None, root, _targets)


def _targets(suite: Suite, precision: str) -> SweepTargets:
    return targets_at([suite.points], None, precision)
