"""The values of one gate over several launches, oriented so that a higher value is better. Sigma is estimated from
them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.days import GroupSigmas, group_sigmas
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.gating.noise import (
    FAR,
    LEAST_LAUNCHES,
    GateNoise,
    gate_elasticity,
    reading_sigma,
    suite_noise,
)
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class GateLaunches:
    """A gate with its values, one per launch, and its ``elasticity`` (see noise.step_time_elasticity).

    ``reading`` is the sigma that the measurement error of the points leaves on it (see noise.reading_sigma).
    ``groups`` tells launches of one day and node from those of others, one label each; None when one is not known."""

    key: GateKey
    values: Sequence[float]
    elasticity: float = 1.0
    reading: float = 0.0
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        values = tuple(positive("GateLaunches", "value", value, str(self.key)) for value in self.values)
        object.__setattr__(self, "values", values)
        if self.groups is not None and len(self.groups) != len(values):
            raise InvalidValueError(
                f"GateLaunches.groups: {self.key} has {len(self.groups)} labels for {len(values)} launches"
            )

    @staticmethod
    def read(key: GateKey, launches: Sequence[Sequence[Curve]], groups: tuple[str, ...] | None = None) -> GateLaunches:
        """Return the gate as ``launches`` read it, each the curves of the precisions of its key.

        Raises UnreadableCurveError when a launch does not reach the gate's target, or lacks its figure."""
        values = [key.read({curve.sweep.precision: curve for curve in launch}) for launch in launches]
        elasticity, reading = gate_elasticity(key, launches), reading_sigma(launches, key.point)
        return GateLaunches(key, values, elasticity, reading, groups)

    @property
    def higher_is_better_values(self) -> list[float]:
        """The values oriented so that more is better: an outlier launch is a slow one."""
        return [value if self.key.metric.higher_is_better else 1 / value for value in self.values]


def independent_gates(launches: Sequence[GateLaunches]) -> int:
    """Return how many of the gates scatter independently.

    A cost is the price over a throughput: the same measurement, and no further chance of a false alarm."""
    return len(
        {
            tuple(round(value / each.higher_is_better_values[0], 9) for value in each.higher_is_better_values)
            for each in launches
        }
    )


def noise_of(launches: Sequence[GateLaunches]) -> list[GateNoise]:
    """Return the noise of gates that all have LEAST_LAUNCHES values or more, centres in the gates' own units.

    Sigma is at least the measurement error of the points, also when the launches agree better by chance. When the error
    of a point is unknown, as with requests nearly as long as the window, only the scatter counts. Where the launches
    are of several days or nodes, sigma holds what differs between those. Only gates of one family are pooled: a latency
    scatters by several times as much as a throughput."""
    families: dict[str, list[int]] = {}
    for index, each in enumerate(launches):
        families.setdefault(each.key.metric.family, []).append(index)
    found: dict[int, GateNoise] = {}
    for indices in families.values():
        found |= dict(zip(indices, _noise_of_family([launches[index] for index in indices]), strict=True))
    return [found[index] for index in range(len(launches))]


def _noise_of_family(launches: Sequence[GateLaunches]) -> list[GateNoise]:
    noises = suite_noise([each.higher_is_better_values for each in launches], [each.elasticity for each in launches])
    between = _between_groups(launches, noises)
    return [
        replace(
            found,
            centre=noise.centre if each.key.metric.higher_is_better else 1 / noise.centre,
            sigma=max(found.sigma, each.reading) if math.isfinite(each.reading) else found.sigma,
            has_errors=math.isfinite(each.reading),
        )
        for each, noise in zip(launches, noises, strict=True)
        for found in [_with_groups(noise, each, between)]
    ]


def _between_groups(
    launches: Sequence[GateLaunches], noises: Sequence[GateNoise]
) -> Mapping[tuple[int, ...], GroupSigmas]:
    """The scatter within and between groups, pooled over the gates whose launches are grouped alike.

    A launch that is an outlier of half of these gates, and among the launches of its own group, does not count."""
    alike: dict[tuple[int, ...], list[tuple[GateLaunches, GateNoise]]] = {}
    for each, noise in zip(launches, noises, strict=True):
        if (partition := _partition(each)) is not None:
            alike.setdefault(partition, []).append((each, noise))
    found = {}
    for partition, gates in alike.items():
        strays = Counter(index for each, noise in gates for index in _strays(each, noise, partition))
        kept = [index for index in range(len(partition)) if 2 * strays[index] < len(gates)]
        found[partition] = group_sigmas(
            [[each.higher_is_better_values[index] for index in kept] for each, _ in gates],
            [str(partition[index]) for index in kept],
            [each.elasticity for each, _ in gates],
        )
    return found


def _strays(launches: GateLaunches, noise: GateNoise, partition: Sequence[int]) -> list[int]:
    """The outliers that are far from the other launches of their own group; an only launch is its group."""
    logs = [math.log(value) for value in launches.higher_is_better_values]
    found = []
    for index in noise.outliers:
        others = [logs[i] for i, group in enumerate(partition) if group == partition[index] and i != index]
        if others and abs(logs[index] - statistics.fmean(others)) > FAR * noise.sigma:
            found.append(index)
    return found


def _partition(launches: GateLaunches) -> tuple[int, ...] | None:
    """The groups by order of appearance; None when they are not known, or there is one."""
    if launches.groups is None or len(set(launches.groups)) == 1:
        return None
    order = list(dict.fromkeys(launches.groups))
    return tuple(order.index(group) for group in launches.groups)


def _with_groups(noise: GateNoise, launches: GateLaunches, between: Mapping[tuple[int, ...], GroupSigmas]) -> GateNoise:
    """The noise of a launch of another day: that within a day, and that between days.

    The centre of n launches of D days has the variance between / D + within / n, which is that of fewer independent
    launches."""
    partition = _partition(launches)
    found = None if partition is None else between[partition]
    if found is None or found.total is None:
        return noise
    sigma = max(noise.sigma, found.total * launches.elasticity)
    if found.within is None or found.between is None:
        return replace(noise, sigma=sigma, differs_by_day=True)
    centre = found.between**2 / found.groups + found.within**2 / found.launches
    worth = max(1, min(noise.launches, int(found.total**2 / centre))) if centre > 0 else noise.launches
    return replace(noise, sigma=sigma, worth=worth, differs_by_day=found.between > 0)


@dataclass(frozen=True)
class SuiteNoise:
    """The gates of one suite with enough launches to estimate their noise; their launches are pooled.

    ``independent`` is how many of them scatter independently: they share the suite's false alarm rate. ``telling`` are
    their launches."""

    gates: Mapping[GateKey, GateNoise]
    independent: int
    telling: Sequence[GateLaunches] = field(default=(), compare=False, repr=False)

    @staticmethod
    def of(launches: Sequence[GateLaunches]) -> SuiteNoise:
        """Return the noise of a suite from the launches of all its gates, in any order."""
        telling = [each for each in launches if len(each.values) >= LEAST_LAUNCHES]
        noises = {each.key: noise for each, noise in zip(telling, noise_of(telling), strict=True)}
        return SuiteNoise(noises, independent_gates(telling), telling)

    def without(self, recorded: Collection[Metric]) -> SuiteNoise:
        """Return the same noise where the gates of ``recorded`` metrics hold nothing and raise no false alarm."""
        held = [each for each in self.telling if each.key.metric not in recorded]
        return replace(self, independent=independent_gates(held))
