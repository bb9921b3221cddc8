"""The launch rule of a suite: after each launch every gate has a verdict or needs another launch.

Input: the values of the gates in all launches so far. Output: a ruling per gate. Invariants: the function is pure, and
a verdict that was reached does not change with further launches. A PASS comes only from verdict.decide; a gate whose
noise hides what it must detect is INCONCLUSIVE before any launch. A launch that is worse, or less well known, never
makes a verdict better: a launch that does not pass takes another one, for any cause."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.serving import ServedGate
from pytest_precgate.analysis.gating.verdict import LAST_BITS, Absent, Evidence, JudgedGate, Verdict, judge
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError

# So many launches confirm a loss that is far beyond its limit.
_CONFIRMS = 2


@dataclass(frozen=True)
class GateBaseline:
    """A gate and its baseline: one value per launch, or the reason why there is none.

    ``elasticity`` and ``reading``: see gate_launches.GateLaunches. ``served`` holds the serving points of the value,
    None when there is no baseline, or values do not come from points. ``drifts_beyond`` is the value from which on a
    launch is too far below the gate's anchor, None without one."""

    gate: Gate
    baseline: Sequence[float] | Absent
    elasticity: float = 1.0
    reading: float = 0.0
    served: ServedGate | None = None
    drifts_beyond: float | None = None

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
class Unsure:
    """The value of a launch that is not known well enough to pass a gate, and why. It may fail one."""

    value: float
    reason: str


Launched = float | Absent | Unsure
"""What a launch reads of a gate."""


def number(value: Launched) -> float | Absent:
    """Return what was read, however well it is known."""
    return value.value if isinstance(value, Unsure) else value


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
    their launches are pooled. ``screens`` says that what lost a good part of its limit is measured beside the old
    state (see GateLimits.screens_beyond): no launch of it passes by itself."""

    held: Sequence[GateBaseline]
    policy: LaunchPolicy
    noise: SuiteNoise | None = None
    screens: bool = False

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

    def judge(self, launches: Sequence[Sequence[Launched]]) -> SuiteRuling:
        """Return the ruling after ``launches``: launches[i][g] is the value of gate g in launch i, in the order of the
        gates.

        Raises InvalidValueError for more launches than the policy has, a launch with other than one value per gate, or
        a value that is not finite and above zero."""
        refuse_misshapen(launches, len(self.held), self.policy)
        return SuiteRuling(
            tuple(
                self._ruling(held, limits, [launch[index] for launch in launches])
                for index, (held, limits) in enumerate(zip(self.held, self.gate_limits, strict=True))
            )
        )

    def _ruling(self, held: GateBaseline, limits: GateLimits | None, values: Sequence[Launched]) -> GateRuling:
        if held.gate.record_only:  # the first launch is recorded, and asks for no other
            before = held.baseline if isinstance(held.baseline, Absent) else statistics.median(held.baseline)
            recorded = judge(held.gate, number(values[0]), before) if values else None
            return GateRuling(recorded, None, min(len(values), 1))
        if limits is None:
            missing = held.baseline
            assert isinstance(missing, Absent)
            judged = judge(held.gate, number(values[0]), missing) if values else None
            return GateRuling(judged, None, min(len(values), 1))
        if limits.refusal is not None:
            return refused(limits)
        judges = _LaunchJudge(limits, held.drifts_beyond, self.screens)
        return _first_good(judges, values) if self.policy.kind == "first-good" else _median(judges, values)


@dataclass(frozen=True)
class _JudgedLaunch:
    """One launch held against the limits; ``is_good`` when it passes by itself. ``is_unsure``: it would, were it better
    known."""

    value: float
    judged: JudgedGate
    is_good: bool
    is_unsure: bool


@dataclass(frozen=True)
class _LaunchJudge:
    """Holds single launches of a gate against its limits, its anchor, and the bound of what is screened."""

    limits: GateLimits
    drifts_beyond: float | None
    screens: bool

    def of(self, launched: float | Unsure) -> _JudgedLaunch:
        limits, value = self.limits, launched.value if isinstance(launched, Unsure) else launched
        judged = judge(limits.gate, value, limits.centre, limits.fails_beyond)
        passes = judged.verdict.passes
        if passes and isinstance(launched, Unsure):
            unsure = replace(judged, verdict=Verdict.INCONCLUSIVE, reason=launched.reason)
            return _JudgedLaunch(value, unsure, is_good=False, is_unsure=True)
        drifts = self.drifts_beyond is not None and limits.gate.gain(value, self.drifts_beyond) < -LAST_BITS
        is_good = passes and not drifts and not (self.screens and limits.is_screened(value))
        return _JudgedLaunch(value, judged, is_good, is_unsure=False)

    def gain(self, launch: _JudgedLaunch) -> float:
        return self.limits.gate.gain(launch.value, self.limits.centre)


def refused(limits: GateLimits, value: float | None = None, launches: int = 0) -> GateRuling:
    """Return the ruling on a gate whose noise hides what it must detect: no ``value`` of any launch passes."""
    assert limits.refusal is not None
    remedy = limits.refusal.partition("; ")[2]
    judged = JudgedGate(limits.gate, Verdict.INCONCLUSIVE, value, limits.centre, limits.refusal, remedy=remedy)
    return GateRuling(judged, limits, launches)


def _first_good(judges: _LaunchJudge, values: Sequence[Launched]) -> GateRuling:
    """The first good launch passes. Any other may be an outlier, of the candidate or of the reference. When there is no
    good one, the best launch decides; when none passes and one was implausibly good, that one."""
    limits, doubted = judges.limits, list[_JudgedLaunch]()
    for value in values:
        if isinstance(value, Absent):
            return GateRuling(judge(limits.gate, value, limits.centre), limits, len(doubted) + 1)
        launch = judges.of(value)
        if launch.is_good:
            return GateRuling(launch.judged, limits, len(doubted) + 1)
        doubted.append(launch)
        if len(doubted) == limits.design.launches or _is_clear(judges, doubted):
            return GateRuling(_best_of(judges, doubted), limits, len(doubted))
    return GateRuling(None, limits, len(doubted))


def _is_clear(judges: _LaunchJudge, doubted: Sequence[_JudgedLaunch]) -> bool:
    """Whether two launches confirm a loss that a third one could only contradict as an outlier."""
    beyond = judges.limits.clear_beyond
    return beyond is not None and len(doubted) >= _CONFIRMS and all(judges.gain(launch) < -beyond for launch in doubted)


def _best_of(judges: _LaunchJudge, doubted: Sequence[_JudgedLaunch]) -> JudgedGate:
    """The verdict when no launch was good: that of the best one that passes, else of an implausible one, else of the
    best."""
    launches, limits = len(doubted), judges.limits
    passing = [launch for launch in doubted if launch.judged.verdict.passes]
    if passing:  # it drifted, or is to be measured beside the old state
        return max(passing, key=judges.gain).judged
    for launch in doubted:
        if launch.judged.verdict is Verdict.IMPLAUSIBLE:
            reason = launch.judged.reason
            every = f"no good one among {launches} launches; {reason}" if launches > 1 else reason
            return replace(launch.judged, reason=every)
    best = max(doubted, key=judges.gain)
    if best.is_unsure:
        return best.judged
    reason = best.judged.reason
    every = f"worse in all {launches} launches; the best is {reason}" if launches > 1 else reason
    return with_remedies(limits, replace(best.judged, reason=every))


def _median(judges: _LaunchJudge, values: Sequence[Launched]) -> GateRuling:
    """The median of the launches decides, as soon as further launches cannot change the verdict."""
    limits, seen = judges.limits, list[_JudgedLaunch]()
    half = limits.design.launches // 2
    for value in values:
        if isinstance(value, Absent):
            return GateRuling(judge(limits.gate, value, limits.centre), limits, len(seen) + 1)
        seen.append(judges.of(value))
        verdicts = [launch.judged.verdict for launch in seen]
        beyond_limit, high = verdicts.count(Verdict.REGRESSED), verdicts.count(Verdict.IMPLAUSIBLE)
        bad = sum(not launch.is_good for launch in seen) - high
        left = limits.design.launches - len(seen)
        if beyond_limit > half or high > half or max(bad, high) + left <= half or not left:
            if high > half:
                middle = statistics.median(launch.value for launch in seen)
                return GateRuling(judge(limits.gate, middle, limits.centre, limits.fails_beyond), limits, len(seen))
            # The worst median that is still possible, so that a slower launch is never told more mildly.
            found = sorted(seen, key=lambda launch: (_rank(launch), judges.gain(launch)))[half - left]
            judged = found.judged if found.is_unsure else with_remedies(limits, found.judged)
            return GateRuling(judged, limits, len(seen))
    return GateRuling(None, limits, len(seen))


def _rank(launch: _JudgedLaunch) -> int:
    """Launches that fail come before those that are not known well enough, and these before those that pass."""
    if launch.is_unsure:
        return 1
    return 0 if launch.judged.verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE) else 2


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
