"""The launch rule of a suite: after each launch every gate has a verdict or needs another launch.

Input: the values of the gates in all launches so far. Output: a ruling per gate. Invariants: the function is pure, and
a verdict that was reached does not change with further launches. A PASS comes only from verdict.decide; a gate whose
noise hides what it must detect is INCONCLUSIVE before any launch."""

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

# So many launches confirm a loss that is far beyond its limit.
_CONFIRMS = 2


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
        limits = self.limits
        if limits is None or limits.noise is None:
            return Evidence(None, None, self.launches)
        return Evidence(
            limits.noise.sigma,
            limits.minimum_detectable_drop,
            self.launches,
            limits.largest_detectable_drop,
            limits.noise_floor,
            limits.refusal,
            limits.noise.set_aside,
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
    if limits.refusal is not None:
        return refused(limits)
    return _first_good(limits, values) if policy.kind == "first-good" else _median(limits, values)


def refused(limits: GateLimits, value: float | None = None, launches: int = 0) -> GateRuling:
    """Return the ruling on a gate whose noise hides what it must detect: no ``value`` of any launch passes."""
    assert limits.refusal is not None
    remedy = limits.refusal.partition("; ")[2]
    judged = JudgedGate(limits.gate, Verdict.INCONCLUSIVE, value, limits.centre, limits.refusal, remedy=remedy)
    return GateRuling(judged, limits, launches)


def _first_good(limits: GateLimits, values: Sequence[float | Absent]) -> GateRuling:
    """The first launch inside the tolerance, and not implausibly good, passes; either other kind may be an outlier, of
    the candidate or of the reference. When there is none, the best launch decides; when one was implausibly good, that
    one."""
    doubted: list[tuple[float, JudgedGate]] = []
    for value in values:
        judged = judge(limits.gate, value, limits.centre, limits.fails_beyond)
        if isinstance(value, Absent) or judged.verdict.passes:
            return GateRuling(judged, limits, len(doubted) + 1)
        doubted.append((value, judged))
        if len(doubted) == limits.design.launches or _is_clear(limits, doubted):
            return GateRuling(_worst_case(limits, doubted), limits, len(doubted))
    return GateRuling(None, limits, len(doubted))


def _is_clear(limits: GateLimits, doubted: Sequence[tuple[float, JudgedGate]]) -> bool:
    """Whether two launches confirm a loss that a third one could only contradict as an outlier."""
    beyond = limits.clear_beyond
    return (
        beyond is not None
        and len(doubted) >= _CONFIRMS
        and all(limits.gate.gain(value, limits.centre) < -beyond for value, _ in doubted)
    )


def _worst_case(limits: GateLimits, doubted: Sequence[tuple[float, JudgedGate]]) -> JudgedGate:
    """The verdict when no launch passed: that of an implausible launch, else of the best."""
    launches = len(doubted)
    for _, judged in doubted:
        if judged.verdict is Verdict.IMPLAUSIBLE:
            every = f"no good one among {launches} launches; {judged.reason}" if launches > 1 else judged.reason
            return replace(judged, reason=every)
    _, best = max(doubted, key=lambda each: limits.gate.gain(each[0], limits.centre))
    every = f"worse in all {launches} launches; the best is {best.reason}" if launches > 1 else best.reason
    return with_remedies(limits, replace(best, reason=every))


def _median(limits: GateLimits, values: Sequence[float | Absent]) -> GateRuling:
    """The median of the launches decides, as soon as further launches cannot change the verdict."""
    seen: list[float] = []
    beyond_tolerance = beyond_limit = high = 0
    half = limits.design.launches // 2
    for value in values:
        judged = judge(limits.gate, value, limits.centre, limits.fails_beyond)
        if isinstance(value, Absent):
            return GateRuling(judged, limits, len(seen) + 1)
        seen.append(value)
        beyond_limit += judged.verdict is Verdict.REGRESSED
        beyond_tolerance += judged.verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE)
        high += judged.verdict is Verdict.IMPLAUSIBLE
        left = limits.design.launches - len(seen)
        if beyond_limit > half or high > half or max(beyond_tolerance, high) + left <= half or not left:
            # The worst median that is still possible, so that a slower launch is never told more mildly.
            ranked = sorted(seen, key=lambda value: limits.gate.gain(value, limits.centre))
            middle = statistics.median(seen) if high > half else ranked[half - left]
            judged = judge(limits.gate, middle, limits.centre, limits.fails_beyond)
            return GateRuling(with_remedies(limits, judged), limits, len(seen))
    return GateRuling(None, limits, len(seen))


def with_remedies(limits: GateLimits, judged: JudgedGate) -> JudgedGate:
    """Return a gate between its tolerance and its noise floor with what would settle it; any other as it is."""
    if judged.verdict is not Verdict.INCONCLUSIVE or limits.noise is None:
        return judged
    remedy = f"to settle it, {limits.remedies}"
    return replace(judged, reason=f"{judged.reason}; {remedy}", remedy=remedy)


def refuse_misshapen(launches: Sequence[Sequence[object]], gates: int, policy: LaunchPolicy) -> None:
    """Raise InvalidValueError for more launches than the policy takes, or other than one value per gate in one."""
    if len(launches) > policy.launches:
        raise InvalidValueError(f"judge: got {len(launches)} launches, the policy takes at most {policy.launches}")
    for number, launch in enumerate(launches, 1):
        if len(launch) != gates:
            raise InvalidValueError(
                f"judge: launch {number} has {len(launch)} values, wanted one for each of {gates} gates"
            )
