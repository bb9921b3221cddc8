"""Scatter within a day and between days (or nodes), from launches that carry a label of their group.

Input: the values of a suite's gates, one per launch, and the group of each launch. Output: the sigmas of the logarithm
of one launch within a group and between groups, with their degrees of freedom. Invariant: what the groups cannot tell
is None, never 0.

One-way random effects with unequal group sizes, by the analysis of variance: Searle, Casella and McCulloch, Variance
Components (Wiley 1992), section 3.6. The mean squares are pooled over the gates, then taken apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class GroupSigmas:
    """The scatter of launches in ``groups`` groups, of a gate of elasticity 1: shares, of the logarithm of one launch.

    ``within`` is None when no group has two launches, ``between`` when that or a single group leaves it unknown; 0 is
    an estimate (groups differ no more than launches do). ``total`` is the sigma of a launch of a new group; with one
    launch in each group it is all that is known. ``freedom_within`` and ``freedom_between`` are those of one gate: the
    gates of a launch share its noise, so more gates are hardly more evidence."""

    groups: int
    launches: int
    within: float | None
    between: float | None
    total: float | None
    freedom_within: int
    freedom_between: int


def group_sigmas(
    values: Sequence[Sequence[float]], groups: Sequence[str], elasticities: Sequence[float] | None = None
) -> GroupSigmas:
    """Return the scatter within and between groups, pooled over the gates.

    ``values[g][i]`` is the value of gate g in launch i, ``groups[i]`` the label of that launch (its day, its node).
    ``elasticities[g]`` is the factor by which gate g scatters more than one of elasticity 1 (see
    noise.step_time_elasticity); a sigma times that factor is the gate's. The order of launches does not matter.

    Raises InvalidValueError without a gate, for a gate with another number of values than there are labels, or a value
    that is not finite and above zero."""
    factors = [1.0] * len(values) if elasticities is None else list(elasticities)
    if not values or len(factors) != len(values):
        raise InvalidValueError(f"group_sigmas: got {len(values)} gates and {len(factors)} elasticities, wanted 1 each")
    sizes = [groups.count(label) for label in dict.fromkeys(groups)]
    launches, number = len(groups), len(sizes)
    squares = [_squares(gate, groups, factor) for gate, factor in zip(values, factors, strict=True)]
    within_squares, between_squares = (statistics.fmean(each) for each in zip(*squares, strict=True))
    freedom_within, freedom_between = launches - number, number - 1
    within = within_squares / freedom_within if freedom_within > 0 else None
    between_mean = between_squares / freedom_between if freedom_between > 0 else None
    between = total = None
    if within is None:
        total = between_mean  # one launch in each group: only the sum of both is seen
    elif between_mean is not None:
        # The launches that a group's mean square counts for: the size of a group where all are equal.
        weight = (launches - sum(size * size for size in sizes) / launches) / freedom_between
        between = max(0.0, (between_mean - within) / weight)
        total = within + between
    return GroupSigmas(number, launches, _root(within), _root(between), _root(total), freedom_within, freedom_between)


def _squares(gate: Sequence[float], groups: Sequence[str], elasticity: float) -> tuple[float, float]:
    """The sums of squares of one gate's logarithms within and between groups, in units of elasticity 1."""
    if len(gate) != len(groups) or not gate:
        raise InvalidValueError(f"group_sigmas: a gate has {len(gate)} values, wanted one per label ({len(groups)})")
    scale = positive("group_sigmas", "elasticity", elasticity, "ratio")
    logs = [math.log(positive("group_sigmas", "value", value, "the gate's unit")) / scale for value in gate]
    by_group: dict[str, list[float]] = {}
    for label, log in zip(groups, logs, strict=True):
        by_group.setdefault(label, []).append(log)
    centre = statistics.fmean(logs)
    means = {label: statistics.fmean(each) for label, each in by_group.items()}
    within = math.fsum((log - means[label]) ** 2 for label, each in by_group.items() for log in each)
    between = math.fsum(len(each) * (means[label] - centre) ** 2 for label, each in by_group.items())
    return within, between


def _root(variance: float | None) -> float | None:
    return None if variance is None else math.sqrt(variance)
