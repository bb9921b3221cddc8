"""Limits of one gate: a centre, how much worse each launch may be, and the minimum detectable drop.

Input: the baseline's launches, sigma, tolerance and launch rule. Output: the limit of each launch. Invariant: a true
drop of the size of the tolerance is detected with the target power, so the limits lie inside the tolerance by the
amount that the noise requires."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES, GateNoise
from pytest_precgate.analysis.gating.power import (
    POWER_AT_TOLERANCE,
    Design,
    critical_values,
    detectable_drop,
    least_detectable_drop,
    least_median,
    sigma_inflation,
)
from pytest_precgate.analysis.quantity import count
from pytest_precgate.errors import InvalidValueError

# A limit lies inside the tolerance by sigma times this, if there is room: sigma is an estimate, and often too small by
# half. Without noise the limit is the tolerance.
_ROOM = 2.5
# The largest number of launches per verdict that a message advises.
_ADVISED = 21
# A default tolerance grows with the noise up to a tenth of the throughput, which is a ninth of the cost. A wider one
# must be set.
WIDEST = 0.10
# A smaller sigma is rounding: the values are equal.
_NO_NOISE = 1e-9

Kind = Literal["first-good", "median", "pairs"]

MOST_LAUNCHES = 1_000
"""Of one precision, for one verdict or baseline; a larger number is a typing error."""


@dataclass(frozen=True)
class LaunchPolicy:
    """How many launches a verdict may take.

    ``first-good``: of up to ``launches``, one good launch passes; the gate fails when all are low. ``median``: the
    median of ``launches`` decides, and measuring ends when it can no longer change sides. ``pairs``: the median over
    ``launches`` pairs of a fresh baseline launch and a candidate launch. Raises InvalidValueError for an even number of
    the latter two, whose median is not a launch."""

    kind: Kind = "first-good"
    launches: int = 3

    def __post_init__(self) -> None:
        count("LaunchPolicy", "max_launches", self.launches, "launches")
        if self.launches > MOST_LAUNCHES:
            raise InvalidValueError(f"max_launches: got {self.launches}, wanted at most {MOST_LAUNCHES} launches")
        if self.kind != "first-good" and self.launches % 2 == 0:
            raise InvalidValueError(
                f"max_launches: got {self.launches}, wanted an odd number for a median, such as {self.launches - 1} or "
                f"{self.launches + 1}"
            )

    def __str__(self) -> str:
        number = f"{self.launches} launch{'es' * (self.launches != 1)}"
        return {"first-good": f"first good of {number}", "median": f"median of {number}"}.get(
            self.kind, f"median of {self.launches} pairs"
        )

    @property
    def good(self) -> int:
        """How many launches must be good for a pass."""
        return 1 if self.kind == "first-good" else (self.launches + 1) // 2

    def design(self, baseline: int, gates: int) -> Design:
        """Return the design of a gate with ``baseline`` launches, one of ``gates`` that scatter independently."""
        return Design(self.launches, self.good, baseline, gates, paired=self.kind == "pairs")


@dataclass(frozen=True)
class GateLimits:
    """One gate, the limits of its launches, and the noise that determines them.

    ``noise`` is None when the baseline has too few launches for an estimate (``centre`` is then their median): the
    limit of each launch is the tolerance, and no detection rate is guaranteed."""

    gate: Gate
    centre: float
    design: Design
    noise: GateNoise | None = None

    @cached_property
    def too_noisy(self) -> bool:
        """Whether the noise is known and too large for the tolerance; then no launch can pass."""
        return self.noise is not None and least_detectable_drop(self.design) * self.noise.sigma > self._asked * (
            1 + 1e-12
        )

    def doubt(self, reading: float) -> str | None:
        """Return why launches whose points leave a sigma of ``reading`` cannot pass; None when they can."""
        if self.noise is None or reading <= self.noise.sigma:
            return None
        if math.isinf(reading):
            if not self.noise.has_errors:
                return None
            return (
                "its points ended before their error could be estimated, and the baseline's points have an estimate; "
                "give them more time with window_limit_s"
            )
        if not replace(self, noise=replace(self.noise, sigma=reading)).too_noisy:
            return None
        return (
            f"its points ended before they reached point_error, and leave a sigma of {reading:.1%} "
            f"on its value: too much to keep a tolerance of {self.gate.tolerance * 100:g}%; give them more time with "
            "window_limit_s"
        )

    @cached_property
    def per_launch(self) -> tuple[float, ...]:
        """How much worse each launch may be than the centre, as a share; one per launch of the design."""
        if self.noise is None:
            return (self.gate.tolerance,) * self.design.launches
        return tuple(self._share(line) for line in self._lines)

    @cached_property
    def minimum_detectable_drop(self) -> float | None:
        """The smallest true drop detected with the target power, as a share; None when the noise is unknown."""
        if self.noise is None:
            return None
        sigma = self.noise.sigma
        if sigma < _NO_NOISE:
            return self._share(max(self._lines))
        return self._share(sigma * detectable_drop(self.design, [line / sigma for line in self._lines]))

    @cached_property
    def honest_tolerance(self) -> float | None:
        """The tolerance to ask for with this noise and design, as a share rounded up to 0.1%; None when unknown.

        A little more than the smallest supported one, because sigma from the same launches may be too small."""
        return None if self._honest is None else math.ceil(self._share(self._honest) * 1000 - 1e-9) / 1000

    @cached_property
    def launches_needed(self) -> int | None:
        """The n for which the median of n launches against a baseline of n (or n pairs) keeps the tolerance.

        Advice for a tolerance that the noise does not support; None if n is too large, or the noise is unknown."""
        if self.noise is None:
            return None
        if self.noise.sigma < _NO_NOISE:
            return self.design.launches
        return least_median(self._asked / self.noise.sigma, self.design)

    def point_limit(self, deviation: float, points: int) -> float:
        """Return how much worse each of ``points`` serving points may be than the centre, as a share.

        The tolerance; or, if that is more, the limit that noise requires for that many points, each of which scatters
        by ``deviation`` around a value that scatters itself. When the noise is unknown, twice the tolerance: one point
        scatters more than the value between two, and a suite must not fail inside its tolerance."""
        if self.noise is None:
            return min(2 * self.gate.tolerance, 0.99)
        lines = critical_values(replace(self.design, gates=self.design.gates * points))
        return max(self.gate.tolerance, self._share(max(lines) * math.hypot(self.noise.sigma, deviation)))

    @property
    def refusal(self) -> str | None:
        """Why no launch can pass, which tolerance the noise supports, and what keeps the present one; None if one can
        pass."""
        if self.noise is None or self.honest_tolerance is None or not self.too_noisy:
            return None
        why = (
            f"its launches scatter by {self.noise.sigma:.1%} (sigma, {self.noise.launches} launches): too much to keep "
            f"a tolerance of {self.gate.tolerance * 100:g}%; "
        )
        ways = []
        if self.honest_tolerance < self.gate.implausible:
            ways.append(f"ask for {self.honest_tolerance:.1%}")
        needed = self.launches_needed
        if needed is not None and needed <= _ADVISED:
            longer = f"the median of {needed} launches against a baseline of {needed}"
            ways.append(f"take {f'{needed} pairs' if self.design.paired else longer}")
        nothing = f"no tolerance below implausible ({self.gate.implausible:.0%}) is supported"
        return why + (" or ".join(ways) or nothing)

    def supported(self) -> GateLimits:
        """Return the limits with a tolerance that the noise supports, when the default applies and that tolerance is
        usable."""
        honest, log = self.honest_tolerance, self._honest
        if self.gate.asked or not self.too_noisy or honest is None or log is None:
            return self
        if log > -math.log1p(-WIDEST) or honest > 0.99 * self.gate.implausible:
            return self
        return replace(self, gate=replace(self.gate, tolerance=honest))

    @property
    def _honest(self) -> float | None:
        """The supported tolerance on the scale of sigma, not rounded."""
        return (
            None
            if self.noise is None
            else least_detectable_drop(self.design) * self.noise.sigma * sigma_inflation(self.design)
        )

    @property
    def _asked(self) -> float:
        """The tolerance on the scale of sigma: the logarithm of value over centre, oriented so that worse is
        positive."""
        tolerance = self.gate.tolerance
        return -math.log1p(-tolerance) if self.gate.key.metric.higher_is_better else math.log1p(tolerance)

    @cached_property
    def _lines(self) -> tuple[float, ...]:
        """The limits on the scale of sigma: inside the tolerance by what noise requires, and beyond the reach of
        noise."""
        assert self.noise is not None
        sigma, likely = self.noise.sigma, least_detectable_drop(self.design, POWER_AT_TOLERANCE)
        room = min(_ROOM * sigma, self._asked / likely)
        return tuple(max(line * sigma, self._asked - (likely - line) * room) for line in critical_values(self.design))

    def _share(self, log: float) -> float:
        return -math.expm1(-log) if self.gate.key.metric.higher_is_better else math.expm1(log)


def suite_limits(
    gates: Sequence[tuple[Gate, GateLaunches]], policy: LaunchPolicy, suite: SuiteNoise | None = None
) -> list[GateLimits]:
    """Return the limits of each gate of a suite from its baseline's launches.

    ``suite`` is the noise of all its gates when some of them are not judged here: they share its false alarm rate, and
    their launches are pooled."""
    noise = SuiteNoise.of([launches for _, launches in gates]) if suite is None else suite
    gate_limits = []
    for gate, launches in gates:
        design = policy.design(len(launches.values), max(1, noise.independent))
        if len(launches.values) < LEAST_LAUNCHES:
            gate_limits.append(GateLimits(gate, statistics.median(launches.values), design))
        else:
            known = noise.gates[gate.key]
            gate_limits.append(GateLimits(gate, known.centre, design, known).supported())
    return gate_limits
