"""What the selected tests of a suite would launch: how often, on which sides, and the cost of each launch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_precgate.analysis.accepted.baseline import Baseline, targets_beside
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.plan import Asked, SuitePlan, plan
from pytest_precgate.run.forecast import candidates
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Policy, Suite
from pytest_precgate.settings.suite import BESIDE


def plans_of(
    policy: Policy,
    tests: Sequence[tuple[Suite, Asked]],
    baseline: Baseline | None,
    root: Path,
    sweep_targets: Callable[[Suite, str], SweepTargets],
) -> list[SuitePlan]:
    """Return the plan of a suite, and of its other side where verdicts are reached in pairs.

    ``tests`` are its tests, each with the suite as its mark has it; ``root`` is where relative paths start,
    ``sweep_targets`` says what a launch of a precision is for. Raises InvalidValueError for launches a rule cannot use.
    """
    suite, _ = tests[0]
    asked = [test for _, test in tests]
    each = [launches_of(policy, marked, baseline, checks=test.compares) for marked, test in tests]
    launches = {
        precision: (max(one[precision][0] for one in each), max(one[precision][1] for one in each))
        for precision in suite.engines
    }
    sides: list[tuple[Suite, Mapping[str, tuple[int, int]]]] = [(suite, launches)]
    if any(test.compares for test in asked):
        sides += _other_sides(policy, suite, launches, baseline)
    return [
        plan(side.name, side.hardware, asked, list(candidates(side, baseline, root, sweep_targets)), each, baseline)
        for side, each in sides
    ]


def _other_sides(
    policy: Policy, suite: Suite, launches: Mapping[str, tuple[int, int]], baseline: Baseline | None
) -> list[tuple[Suite, Mapping[str, tuple[int, int]]]]:
    """Return the side that is launched in turn with the suite, or the one that would confirm a regression.

    The latter is launched only for a gate that fails, as often as its verdict may take, and none without a baseline."""
    if policy.paired_with is not None:
        return [(suite.beside(policy.paired_with), launches)]
    if suite.confirm_with is None or suite.is_confirmed_by_itself or policy.update or baseline is None:
        return []
    most = policy.launches(suite).launches
    held = {name: (0, most if name in baseline.precisions else 0) for name in suite.engines}
    return [(suite.beside(suite.confirm_with), held)]


def launch_side(launches: Launches, suite: Suite, side: str, precision: str) -> None:
    """Launch the ``side`` that ``suite`` is paired with, once both could start.

    It comes first: every other launch measures the points that serve the targets in this one (:func:`targets_of`).
    """
    beside = suite.beside(side)
    for each in (suite, beside):
        launches.preflight(each)
    launches.of(beside, precision)


def targets_of(
    launches: Launches, suite: Suite, precision: str, side: str | None, sweep_targets: SweepTargets
) -> SweepTargets:
    """Return what a launch of ``suite``, or of the ``side`` it is paired with, is for; ``sweep_targets`` is that of a
    baseline.

    Without a baseline to be held against, the points that serve the targets are those of a first launch: of the side in
    pairs, else of the suite, whose other launches become a baseline with it.
    """
    if side is None and sweep_targets.earlier:
        return sweep_targets
    old = suite.name if side is None else f"{suite.base_name}{BESIDE}{side}"
    first = launches.measured(old).get(precision, ())[:1]
    if not first or not sweep_targets.targets:
        return replace(sweep_targets, held={})
    return targets_beside(sweep_targets.targets, [launch.sweep for launch in first], suite.hardware)


def launches_of(
    policy: Policy, suite: Suite, baseline: Baseline | None, *, checks: bool
) -> Mapping[str, tuple[int, int]]:
    """Return how many launches a sweep of each precision takes, at least and at most.

    A test that ``checks`` takes as many as its verdict may want, or as a baseline is made of where one is recorded; a
    sweep without a check is one launch.
    """
    records = policy.update or policy.update_new_only or (policy.missing == "create" and not policy.in_ci)
    known = () if baseline is None or policy.update else baseline.precisions
    rule = policy.launches(suite)

    def of(precision: str) -> tuple[int, int]:
        if not checks:
            return 1, 1
        if policy.paired_with is not None:
            return rule.launches, rule.launches
        if precision in known:
            return rule.good, rule.launches
        # Without a baseline the first launch decides: MISSING.
        number = policy.recorded_launches(suite) if records else 1
        return number, number

    return {precision: of(precision) for precision in suite.engines}
