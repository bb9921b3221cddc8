"""What the verdicts of a suite took, and what the full rule would have taken.

Input: the launches of a run. Output: a VerdictCost. Invariant: nothing is launched to know it."""

from __future__ import annotations

from collections.abc import Collection

from pytest_precgate.analysis.cost import VerdictCost, verdict_cost
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Suite


def cost_of_verdicts(
    launches: Launches, suite: Suite, precisions: Collection[str], policy: LaunchPolicy, side: str | None
) -> VerdictCost | None:
    """Return what the verdicts on gates of ``precisions`` took; None where none of them can be launched again.

    ``side`` is the other state that the rule may launch: the old one, or the other of each pair."""
    live = [name for name in precisions if launches.can_repeat(suite, name)]
    if not live:
        return None
    states = [suite] if side is None else [suite, suite.beside(side)]
    each = [launches.measured(state.name).get(name, ())[: policy.launches] for state in states for name in live]
    taken = [(len(state), [cost for launch in state for cost in launch.costs]) for state in each]
    rule = f"{policy}{'' if side is None or policy.pairs_up else f', and as many of {side}'}"
    simulated = any(launch.sweep.simulated for state in each for launch in state)
    return verdict_cost(taken, policy.launches, rule, simulated=simulated)
