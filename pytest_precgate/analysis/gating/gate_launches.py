"""The values of one gate over several launches, oriented so that a higher value is better. Sigma is estimated from
them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES, GateNoise, suite_noise
from pytest_precgate.analysis.quantity import positive


@dataclass(frozen=True)
class GateLaunches:
    """A gate with its values on one side, one per launch, and its stretch (see noise.step_stretch).

    ``reading`` is the sigma that the points of a launch alone leave on it (see noise.reading_sigma).
    """

    key: GateKey
    values: Sequence[float]
    elasticity: float = 1.0
    reading: float = 0.0

    def __post_init__(self) -> None:
        values = tuple(positive("GateLaunches", "value", value, str(self.key)) for value in self.values)
        object.__setattr__(self, "values", values)

    @property
    def higher_is_better_values(self) -> list[float]:
        """The values turned so that more is better: a launch that strays is a slow one."""
        return [value if self.key.metric.higher_is_better else 1 / value for value in self.values]


def independent_gates(launches: Sequence[GateLaunches]) -> int:
    """Return how many of the gates scatter by themselves.

    A cost is the price over a throughput: the same measurement, and no further chance of a false alarm.
    """
    return len(
        {
            tuple(round(value / each.higher_is_better_values[0], 9) for value in each.higher_is_better_values)
            for each in launches
        }
    )


def noise_of(launches: Sequence[GateLaunches]) -> list[GateNoise]:
    """Return the noise of gates that all have LEAST_LAUNCHES values or more, centres in the gates' own units.

    Launches that happen to agree better than their points are known do not make sigma smaller than that. Where nothing
    tells how well a point is known, as of requests that are nearly as long as the window, their scatter is taken alone.
    """
    noises = suite_noise([each.higher_is_better_values for each in launches], [each.elasticity for each in launches])
    return [
        replace(
            noise,
            centre=noise.centre if each.key.metric.higher_is_better else 1 / noise.centre,
            sigma=max(noise.sigma, each.reading) if math.isfinite(each.reading) else noise.sigma,
            has_errors=math.isfinite(each.reading),
        )
        for each, noise in zip(launches, noises, strict=True)
    ]


@dataclass(frozen=True)
class SuiteNoise:
    """The gates of one suite with enough launches to tell their noise, which lend each other their launches.

    ``separate`` is how many of them scatter by themselves: they share the suite's false alarms.
    """

    gates: Mapping[GateKey, GateNoise]
    separate: int

    @staticmethod
    def of(launches: Sequence[GateLaunches]) -> SuiteNoise:
        """Return the noise of a suite from the launches of all its gates, whatever their order."""
        telling = [each for each in launches if len(each.values) >= LEAST_LAUNCHES]
        noises = {each.key: noise for each, noise in zip(telling, noise_of(telling), strict=True)}
        return SuiteNoise(noises, independent_gates(telling))
