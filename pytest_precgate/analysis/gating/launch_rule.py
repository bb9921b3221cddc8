"""The launch rule of a suite: after each launch every gate has a verdict or needs another launch.

Input: the values of the gates in all launches so far. Output: a ruling per gate. Invariant: the function is pure, and a
verdict that was reached does not change with further launches. A PASS comes only from verdict.decide; this module can
only withdraw it, when the noise does not support the tolerance."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.serving import ServedGate
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, JudgedGate, Verdict, judge
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class GateBaseline:
    """A gate and its baseline: one value per launch, or the reason why there is none.

    ``elasticity`` and ``reading``: see gate_launches.GateLaunches. ``served`` holds the serving points of the value,
    None when there is no baseline, or values do not come from points."""

    gate: Gate
    baseline: Sequence[float] | Absent
    elasticity: float = 1.0
    reading: float = 0.0
    served: ServedGate | None = None

    def __post_init__(self) -> None:
        if isinstance(self.baseline, Absent):
            return
        if not self.baseline:
            raise InvalidValueError(
                f"GateBaseline: {self.gate.key} has no baseline launch; give the reason with Absent"
            )
        values = tuple(positive("GateBaseline", "baseline", value, str(self.gate.key)) for value in self.baseline)
        object.__setattr__(self, "baseline", values)


@dataclass(frozen=True)
class GateRuling:
    """One gate after some launches. ``judged`` is None while it needs another one; ``limits`` is None without a
    baseline.

    ``launches`` is the number of launches that decided, or so far."""

    judged: JudgedGate | None
    limits: GateLimits | None
    launches: int

    @property
    def verdict(self) -> JudgedGate | None:
        """The judged gate with its evidence."""
        return None if self.judged is None else replace(self.judged, evidence=self.evidence)

    @property
    def evidence(self) -> Evidence:
        """The evidence of the verdict."""
        if self.limits is None or self.limits.noise is None:
            return Evidence(None, None, self.launches)
        shares = self.limits.per_launch
        limit = shares[max(0, min(self.launches, len(shares)) - 1)]
        noise = self.limits.noise
        return Evidence(
            noise.sigma,
            self.limits.minimum_detectable_drop,
            self.launches,
            limit,
            self.limits.refusal,
            set_aside=noise.set_aside,
        )


@dataclass(frozen=True)
class SuiteRuling:
    """Every gate of a suite after some launches, in the order given."""

    gates: tuple[GateRuling, ...]

    @property
    def wants_launch(self) -> bool:
        """Whether some gate has no verdict yet."""
        return any(gate.judged is None for gate in self.gates)


@dataclass(frozen=True)
class SuiteRule:
    """The gates of one suite with their baselines, judged by a policy other than ``pairs``.

    ``noise`` is that of all gates of the suite when some are judged elsewhere: they share its false alarm rate, and
    their launches are pooled."""

    held: Sequence[GateBaseline]
    policy: LaunchPolicy
    noise: SuiteNoise | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", tuple(self.held))
        if not self.held:
            raise InvalidValueError("SuiteRule: no gate, so nothing would be judged")
        if self.policy.kind == "pairs":
            raise InvalidValueError("SuiteRule: pairs bring their own baseline launches; use PairedRule")

    @cached_property
    def gate_limits(self) -> tuple[GateLimits | None, ...]:
        """The limits of each gate; None for a gate without baseline. Known before any launch."""
        recorded = {
            index: (held.gate, GateLaunches(held.gate.key, held.baseline, held.elasticity, held.reading))
            for index, held in enumerate(self.held)
            if not isinstance(held.baseline, Absent)
        }
        gate_limits = dict(zip(recorded, suite_limits(list(recorded.values()), self.policy, self.noise), strict=True))
        return tuple(gate_limits.get(index) for index in range(len(self.held)))

    def judge(self, launches: Sequence[Sequence[float | Absent]]) -> SuiteRuling:
        """Return the ruling after ``launches``: launches[i][g] is the value of gate g in launch i, in the order of the
        gates.

        Raises InvalidValueError for more launches than the policy has, a launch with other than one value per gate, or
        a value that is not finite and above zero."""
        refuse_misshapen(launches, len(self.held), self.policy)
        return SuiteRuling(
            tuple(
                _ruling(held, limits, [launch[index] for launch in launches], self.policy)
                for index, (held, limits) in enumerate(zip(self.held, self.gate_limits, strict=True))
            )
        )


def _ruling(
    held: GateBaseline, limits: GateLimits | None, values: Sequence[float | Absent], policy: LaunchPolicy
) -> GateRuling:
    if limits is None:
        missing = held.baseline
        assert isinstance(missing, Absent)
        return GateRuling(judge(held.gate, values[0], missing) if values else None, None, min(len(values), 1))
    return _first_good(limits, values) if policy.kind == "first-good" else _median(limits, values)


def _first_good(limits: GateLimits, values: Sequence[float | Absent]) -> GateRuling:
    """The first launch that is neither low nor implausibly good decides; either may be an outlier, of the candidate or
    of the reference. When every launch is low, the best one is the value; when one was implausibly good, that one."""
    doubted: list[tuple[float, JudgedGate]] = []
    for value, limit in zip(values, limits.per_launch, strict=False):
        judged = held_to(limits, value, limits.centre, limit)
        if isinstance(value, Absent) or judged.verdict not in (Verdict.REGRESSED, Verdict.IMPLAUSIBLE):
            return GateRuling(judged, limits, len(doubted) + 1)
        doubted.append((value, judged))
    if len(doubted) < len(limits.per_launch):
        return GateRuling(None, limits, len(doubted))
    launches = len(doubted)
    for _, judged in doubted:
        if judged.verdict is Verdict.IMPLAUSIBLE:
            every = f"no good one among {launches} launches; {judged.reason}" if launches > 1 else judged.reason
            return GateRuling(replace(judged, reason=every), limits, launches)
    best = max((value for value, _ in doubted), key=lambda value: limits.gate.gain(value, limits.centre))
    judged = held_to(limits, best, limits.centre, limits.per_launch[-1])
    every = f"worse in all {launches} launches; the best is {judged.reason}" if launches > 1 else judged.reason
    return GateRuling(replace(judged, reason=every), limits, launches)


def _median(limits: GateLimits, values: Sequence[float | Absent]) -> GateRuling:
    """The median of the launches decides, as soon as further launches cannot change the verdict."""
    seen: list[float] = []
    low = high = 0
    half = len(limits.per_launch) // 2
    for value, limit in zip(values, limits.per_launch, strict=False):
        judged = held_to(limits, value, limits.centre, limit)
        if isinstance(value, Absent):
            return GateRuling(judged, limits, len(seen) + 1)
        seen.append(value)
        low += judged.verdict is Verdict.REGRESSED
        high += judged.verdict is Verdict.IMPLAUSIBLE
        left = len(limits.per_launch) - len(seen)
        if low > half or high > half or max(low, high) + left <= half:
            return GateRuling(held_to(limits, statistics.median(seen), limits.centre, limit), limits, len(seen))
    return GateRuling(None, limits, len(seen))


def held_to(limits: GateLimits, value: float | Absent, baseline: float, limit: float) -> JudgedGate:
    """Judge one value against its limits. A passing verdict is withdrawn when the noise is too large."""
    judged = judge(limits.gate, value, baseline, None if limits.noise is None else limit)
    if judged.verdict.passes and limits.refusal is not None:
        return replace(judged, verdict=Verdict.INCONCLUSIVE, reason=limits.refusal)
    return judged


def refuse_misshapen(launches: Sequence[Sequence[object]], gates: int, policy: LaunchPolicy) -> None:
    """Raise InvalidValueError for more launches than the policy takes, or other than one value per gate in one."""
    if len(launches) > policy.launches:
        raise InvalidValueError(f"judge: got {len(launches)} launches, the policy takes at most {policy.launches}")
    for number, launch in enumerate(launches, 1):
        if len(launch) != gates:
            raise InvalidValueError(
                f"judge: launch {number} has {len(launch)} values, wanted one for each of {gates} gates"
            )
