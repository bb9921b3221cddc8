"""The limits of one gate: the tolerance, the noise floor, and the minimum detectable drop.

Input: the baseline's launches, sigma, tolerance and launch rule. Output: which loss passes, which fails, and which true
drop is caught. Invariant: a loss inside the tolerance passes and never fails; noise only adds the noise floor, below
which nothing fails either."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.losses import log_of, share_of
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES, GateNoise
from pytest_precgate.analysis.gating.power import Design, detectable_drop, largest_sigma, least_median, noise_line
from pytest_precgate.analysis.gating.serving import ServedGate, ServedLimits
from pytest_precgate.analysis.gating.verdict import LAST_BITS
from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError

MUST_DETECT = 0.10
"""The largest minimum detectable drop that a gate may have, if the suite does not say and it is more than twice the
tolerance."""

SCREENED = 0.8
"""The share of its limit that a gate may lose without being measured beside the old state, where that can be
started (benchmarks/decision_rule.py: docs/noise_derivation.md, Screening)."""

# The largest number of launches per verdict that a message advises.
_ADVISED = 21
# A loss this many sigma beyond the limit is confirmed by a second launch: a third one inside the tolerance would be an
# outlier itself.
_CLEAR_SIGMAS = 6
# A smaller sigma is rounding: the values are equal.
_NO_NOISE = 1e-9
# A point of an unknown noise may lose twice the tolerance, and not everything.
_MOST_OF_A_POINT = 0.99

Kind = Literal["first-good", "median", "pairs"]

MOST_LAUNCHES = 1_000
"""Of one precision, for one verdict or baseline; a larger number is a typing error."""


@dataclass(frozen=True)
class LaunchPolicy:
    """How many launches a verdict may take, and the drop that it must detect: a share, None for the default.

    ``first-good``: of up to ``launches``, one launch inside the tolerance passes; the best one decides otherwise.
    ``median``: the median of ``launches`` decides, and measuring ends when it can no longer change sides. ``pairs``:
    the median over ``launches`` pairs of a fresh baseline launch and a candidate launch. Raises InvalidValueError for
    an even number of the latter two, whose median is not a launch, and a drop that is no share."""

    kind: Kind = "first-good"
    launches: int = 3
    must_detect: float | None = None

    def __post_init__(self) -> None:
        count("LaunchPolicy", "max_launches", self.launches, "launches")
        if self.launches > MOST_LAUNCHES:
            raise InvalidValueError(f"max_launches: got {self.launches}, wanted at most {MOST_LAUNCHES} launches")
        if self.kind != "first-good" and self.launches % 2 == 0:
            raise InvalidValueError(
                f"max_launches: got {self.launches}, wanted an odd number for a median, such as {self.launches - 1} or "
                f"{self.launches + 1}"
            )
        if self.must_detect is None:
            return
        positive("LaunchPolicy", "must_detect", self.must_detect, "share of the baseline")
        if not self.must_detect < 1:
            raise InvalidValueError(f"must_detect: got {self.must_detect!r}, wanted a share below 1 (0.1 is 10%)")

    def __str__(self) -> str:
        number = f"{self.launches} launch{'es' * (self.launches != 1)}"
        return {"first-good": f"first good of {number}", "median": f"median of {number}"}.get(
            self.kind, f"median of {self.launches} pairs"
        )

    @property
    def takes_the_best(self) -> bool:
        """Whether the best launch decides when none is good."""
        return self.kind == "first-good"

    @property
    def pairs_up(self) -> bool:
        """Whether each launch has one of another state beside it."""
        return self.kind == "pairs"

    @property
    def good(self) -> int:
        """How many launches must be inside the tolerance for a pass."""
        return 1 if self.takes_the_best else (self.launches + 1) // 2

    def design(self, baseline: int, gates: int) -> Design:
        """Return the design of a gate with ``baseline`` launches, one of ``gates`` that scatter independently."""
        return Design(self.launches, self.good, baseline, gates, paired=self.pairs_up)

    def limits(self, gate: Gate, centre: float, design: Design, noise: GateNoise | None) -> GateLimits:
        """Return the limits of a gate; see GateLimits."""
        must_detect = max(MUST_DETECT, 2 * gate.tolerance) if self.must_detect is None else self.must_detect
        return GateLimits(gate, centre, design, noise, must_detect)


@dataclass(frozen=True)
class GateLimits:
    """One gate, its limits, and the noise they come from. All losses are shares of ``centre``.

    ``noise`` is None when the baseline has too few launches for an estimate (``centre`` is then their median): the
    limit is the tolerance alone, and no power is known. ``must_detect``: see LaunchPolicy."""

    gate: Gate
    centre: float
    design: Design
    noise: GateNoise | None = None
    must_detect: float = MUST_DETECT

    @cached_property
    def noise_floor(self) -> float | None:
        """The loss at which noise alone fails a suite once in a hundred unchanged runs; None when the noise is
        unknown."""
        return None if self.noise is None else self._share(self._floor)

    @cached_property
    def fails_beyond(self) -> float:
        """The loss beyond which a gate fails: the tolerance, or the noise floor if that is more."""
        return self.gate.tolerance if self.noise_floor is None else max(self.gate.tolerance, self.noise_floor)

    @property
    def screens_beyond(self) -> float:
        """The loss beyond which a gate is measured beside the old state, where that can be started: a slower day of the
        baseline may have hidden the rest. A share of what fails: of a noisy gate less would be found by chance."""
        return SCREENED * self.fails_beyond

    def is_screened(self, value: float) -> bool:
        """Whether a value lost more than that."""
        return self.gate.gain(value, self.centre) < -self.screens_beyond - LAST_BITS

    @cached_property
    def clear_beyond(self) -> float | None:
        """The loss that needs no third launch to be confirmed, only a second: so far beyond the limit that a launch
        inside it would be no part of the same noise. None when the noise is unknown."""
        if self.noise is None:
            return None
        return self._share(self._limit + _CLEAR_SIGMAS * self.noise.sigma)

    @cached_property
    def minimum_detectable_drop(self) -> float | None:
        """The smallest true drop that fails with the target power; None when the noise is unknown."""
        return None if self.noise is None else self._detectable(self.noise.sigma)

    @cached_property
    def largest_detectable_drop(self) -> float | None:
        """The upper end of the 90% interval of the minimum detectable drop, since sigma is an estimate of a few
        launches; None when the noise is unknown."""
        return None if self.noise is None else self._detectable(self.noise.sigma * largest_sigma(self.design))

    @property
    def too_noisy(self) -> bool:
        """Whether the noise is known and hides drops that must be detected; then no launch can pass."""
        return self.minimum_detectable_drop is not None and self.minimum_detectable_drop > self.must_detect + _NO_NOISE

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
            f"its points ended before they reached point_error, and leave a sigma of {reading:.1%} on its value: too "
            f"much to detect a drop of {self.must_detect * 100:g}% (must_detect); give them more time with "
            "window_limit_s"
        )

    def of_served(self, served: ServedGate) -> ServedLimits:
        """Return the limits of a launch that is read through the serving points of the gate."""
        return ServedLimits(self.centre, self.fails_beyond, self.point_limit(served.deviation, len(served.points)))

    def point_limit(self, deviation: float, points: int) -> float:
        """Return how much worse each of ``points`` serving points may be than the centre, as a share.

        Twice the tolerance, because one point scatters more than the value between two, and a suite must not fail
        inside its tolerance; or, if that is more, the noise floor of that many points, each of which scatters by
        ``deviation`` around a value that scatters itself."""
        least = min(2 * self.gate.tolerance, _MOST_OF_A_POINT)
        if self.noise is None:
            return least
        line = noise_line(replace(self.design, gates=self.design.gates * points))
        return max(least, self._share(line * math.hypot(self.noise.sigma, deviation)))

    @cached_property
    def refusal(self) -> str | None:
        """Why no launch can pass, and what would let one; None if one can pass."""
        if self.noise is None or self.minimum_detectable_drop is None or not self.too_noisy:
            return None
        seen = rounded_up(self.minimum_detectable_drop)
        why = (
            f"its launches scatter by {self.noise.sigma:.1%} (sigma, {self.noise.launches} launches), so the smallest "
            f"drop it catches is {seen * 100:g}%, more than the {self.must_detect * 100:g}% of must_detect; "
        )
        ways = [f"set must_detect = {seen:g}"] if seen < 1 else []
        return why + _either(
            ways + self._more_launches(lambda longer: longer.largest_detectable_drop, self.must_detect)
        )

    @property
    def remedies(self) -> str:
        """What would settle a loss between the tolerance and the noise floor."""
        floor, ways = rounded_up(self.fails_beyond), []
        if floor < self.gate.implausible:
            wider = replace(self, gate=replace(self.gate, tolerance=floor))
            seen = wider.minimum_detectable_drop
            more = f" and must_detect = {rounded_up(seen):g}" if seen is not None and wider.too_noisy else ""
            ways.append(f"set a tolerance of {floor * 100:g}%{more}")
        return _either(ways + self._more_launches(lambda longer: longer.noise_floor, self.gate.tolerance))

    def _more_launches(self, figure: Callable[[GateLimits], float | None], wanted: float) -> list[str]:
        """The advice to take so many launches that ``figure`` is at most ``wanted``; empty when too many are needed.

        Launches of one day share what differs between days, however many there are: pairs of launches cancel it."""
        if self.noise is not None and self.noise.differs_by_day:
            return ["judge in pairs with the old state (--precgate-paired-with), which share the day"]

        def suffices(design: Design) -> bool:
            found = figure(replace(self, design=design))
            return found is not None and found <= wanted

        needed = least_median(suffices, self.design, _ADVISED)
        if needed is None:
            return []
        longer = f'the median of {needed} launches (launch_rule = "median") against a baseline of {needed}'
        return [f"take {f'{needed} pairs' if self.design.paired else longer}"]

    def _detectable(self, sigma: float) -> float:
        """The smallest true drop that fails with the target power, if the noise is ``sigma``; the limit stays."""
        if sigma < _NO_NOISE:
            return self._share(self._limit)
        return self._share(sigma * detectable_drop(self.design, self._limit / sigma))

    @cached_property
    def _floor(self) -> float:
        """The noise floor on the scale of sigma: the logarithm of value over centre, oriented so that worse is
        positive."""
        assert self.noise is not None
        return 0.0 if self.noise.sigma < _NO_NOISE else noise_line(self.design) * self.noise.sigma

    @property
    def _limit(self) -> float:
        """The loss beyond which the gate fails, on the scale of sigma."""
        return max(log_of(self.gate.key, self.gate.tolerance), self._floor)

    def _share(self, log: float) -> float:
        return share_of(self.gate.key, log)


def rounded_up(share: float) -> float:
    """Return a share rounded up to 0.1%."""
    return math.ceil(share * 1000 - 1e-9) / 1000


def _either(ways: Sequence[str]) -> str:
    return " or ".join(ways) or "make the machine quieter: see docs/noise.md"


def suite_limits(
    gates: Sequence[tuple[Gate, GateLaunches]], policy: LaunchPolicy, suite: SuiteNoise | None = None
) -> list[GateLimits]:
    """Return the limits of each gate of a suite from its baseline's launches.

    ``suite`` is the noise of all its gates when some of them are not judged here: they share its false alarm rate, and
    their launches are pooled."""
    noise = SuiteNoise.of([launches for _, launches in gates]) if suite is None else suite
    gate_limits = []
    for gate, launches in gates:
        number, known = len(launches.values), None
        centre = statistics.median(launches.values)
        if number >= LEAST_LAUNCHES:
            known = noise.gates[gate.key]
            centre, number = known.centre, number if known.worth is None else known.worth
        design = policy.design(number, max(1, noise.independent))
        gate_limits.append(policy.limits(gate, centre, design, known))
    return gate_limits
