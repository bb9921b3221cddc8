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
    """A gate with its values, one per launch, and its ``elasticity`` (see noise.step_time_elasticity).

    ``reading`` is the sigma that the measurement error of the points leaves on it (see noise.reading_sigma)."""

    key: GateKey
    values: Sequence[float]
    elasticity: float = 1.0
    reading: float = 0.0

    def __post_init__(self) -> None:
        values = tuple(positive("GateLaunches", "value", value, str(self.key)) for value in self.values)
        object.__setattr__(self, "values", values)

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
    of a point is unknown, as with requests nearly as long as the window, only the scatter counts."""
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
    """The gates of one suite with enough launches to estimate their noise; their launches are pooled.

    ``independent`` is how many of them scatter independently: they share the suite's false alarm rate."""

    gates: Mapping[GateKey, GateNoise]
    independent: int

    @staticmethod
    def of(launches: Sequence[GateLaunches]) -> SuiteNoise:
        """Return the noise of a suite from the launches of all its gates, in any order."""
        telling = [each for each in launches if len(each.values) >= LEAST_LAUNCHES]
        noises = {each.key: noise for each, noise in zip(telling, noise_of(telling), strict=True)}
        return SuiteNoise(noises, independent_gates(telling))
