"""The decision rule of a suite, launch by launch: each gate has its verdict or wants another launch. Pure and without
memory: the same launches give the same ruling, and what is decided stays decided however many launches follow.

A pass comes from verdict.decide alone; here it is only taken away, where the noise does not support the tolerance."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pytest_precgate.analysis.bar import Bar, LaunchPolicy, suite_bars
from pytest_precgate.analysis.gates import Gate
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.analysis.scatter import GateLaunches, SuiteNoise
from pytest_precgate.analysis.serving import ServedGate
from pytest_precgate.analysis.verdict import Absent, Evidence, JudgedGate, Verdict, judge
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class Held:
    """A gate and its baseline: one value per launch, or why there is none.

    ``stretch`` and ``reading``: see scatter.GateLaunches. ``served`` says which of the baseline's points the value
    rests on, None where there is no baseline, or values come from elsewhere than points.
    """

    gate: Gate
    baseline: Sequence[float] | Absent
    stretch: float = 1.0
    reading: float = 0.0
    served: ServedGate | None = None

    def __post_init__(self) -> None:
        if isinstance(self.baseline, Absent):
            return
        if not self.baseline:
            raise InvalidValueError(f"Held: {self.gate.key} has no baseline launch; say why with Absent")
        values = tuple(positive("Held", "baseline", value, str(self.gate.key)) for value in self.baseline)
        object.__setattr__(self, "baseline", values)


@dataclass(frozen=True)
class GateRuling:
    """One gate after some launches. ``judged`` is None while it wants another; ``bar`` is None without a baseline.

    ``launches`` is how many it took to decide, or has taken so far.
    """

    judged: JudgedGate | None
    bar: Bar | None
    launches: int

    @property
    def verdict(self) -> JudgedGate | None:
        """The gate as judged, with what stands behind it."""
        return None if self.judged is None else replace(self.judged, evidence=self.evidence)

    @property
    def evidence(self) -> Evidence:
        """What the verdict rests on."""
        if self.bar is None or self.bar.noise is None:
            return Evidence(None, None, self.launches)
        limits = self.bar.limits
        limit = limits[max(0, min(self.launches, len(limits)) - 1)]
        noise = self.bar.noise
        return Evidence(
            noise.sigma, self.bar.smallest_drop, self.launches, limit, self.bar.refusal, set_aside=noise.set_aside
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

    ``noise`` is that of all gates of the suite where some are judged elsewhere: they share its false alarms and lend
    their launches.
    """

    held: Sequence[Held]
    policy: LaunchPolicy
    noise: SuiteNoise | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", tuple(self.held))
        if not self.held:
            raise InvalidValueError("SuiteRule: no gate, so nothing would be judged")
        if self.policy.kind == "pairs":
            raise InvalidValueError("SuiteRule: pairs bring their own baseline launches; use PairedRule")

    @cached_property
    def bars(self) -> tuple[Bar | None, ...]:
        """What each gate is held against; None for a gate without baseline. Known before any launch."""
        recorded = {
            index: (held.gate, GateLaunches(held.gate.key, held.baseline, held.stretch, held.reading))
            for index, held in enumerate(self.held)
            if not isinstance(held.baseline, Absent)
        }
        bars = dict(zip(recorded, suite_bars(list(recorded.values()), self.policy, self.noise), strict=True))
        return tuple(bars.get(index) for index in range(len(self.held)))

    def judge(self, launches: Sequence[Sequence[float | Absent]]) -> SuiteRuling:
        """Return the ruling after ``launches``: launches[i][g] is the value of gate g in launch i, in the order held.

        Raises InvalidValueError for more launches than the policy has, a launch with other than one value per gate, or
        a value that is not finite and above zero.
        """
        refuse_misshapen(launches, len(self.held), self.policy)
        return SuiteRuling(
            tuple(
                _ruling(held, bar, [launch[index] for launch in launches], self.policy)
                for index, (held, bar) in enumerate(zip(self.held, self.bars, strict=True))
            )
        )


def _ruling(held: Held, bar: Bar | None, values: Sequence[float | Absent], policy: LaunchPolicy) -> GateRuling:
    if bar is None:
        missing = held.baseline
        assert isinstance(missing, Absent)
        return GateRuling(judge(held.gate, values[0], missing) if values else None, None, min(len(values), 1))
    return _first_good(bar, values) if policy.kind == "first-good" else _median(bar, values)


def _first_good(bar: Bar, values: Sequence[float | Absent]) -> GateRuling:
    """The first launch decides that is neither low nor too good to be true: either may be a stray, of one's own or of
    the reference. Where every launch is low, the best of them is the value; where one was too good, that is."""
    doubted: list[tuple[float, JudgedGate]] = []
    for value, limit in zip(values, bar.limits, strict=False):
        judged = held_to(bar, value, bar.centre, limit)
        if isinstance(value, Absent) or judged.verdict not in (Verdict.REGRESSED, Verdict.IMPLAUSIBLE):
            return GateRuling(judged, bar, len(doubted) + 1)
        doubted.append((value, judged))
    if len(doubted) < len(bar.limits):
        return GateRuling(None, bar, len(doubted))
    launches = len(doubted)
    for _, judged in doubted:
        if judged.verdict is Verdict.IMPLAUSIBLE:
            every = f"no good one among {launches} launches; {judged.reason}" if launches > 1 else judged.reason
            return GateRuling(replace(judged, reason=every), bar, launches)
    best = max((value for value, _ in doubted), key=lambda value: bar.gate.gain(value, bar.centre))
    judged = held_to(bar, best, bar.centre, bar.limits[-1])
    every = f"low in all {launches} launches; the best is {judged.reason}" if launches > 1 else judged.reason
    return GateRuling(replace(judged, reason=every), bar, launches)


def _median(bar: Bar, values: Sequence[float | Absent]) -> GateRuling:
    """The median of the launches decides, as soon as those to come cannot make it another verdict."""
    seen: list[float] = []
    low = high = 0
    half = len(bar.limits) // 2
    for value, limit in zip(values, bar.limits, strict=False):
        judged = held_to(bar, value, bar.centre, limit)
        if isinstance(value, Absent):
            return GateRuling(judged, bar, len(seen) + 1)
        seen.append(value)
        low += judged.verdict is Verdict.REGRESSED
        high += judged.verdict is Verdict.IMPLAUSIBLE
        left = len(bar.limits) - len(seen)
        if low > half or high > half or max(low, high) + left <= half:
            return GateRuling(held_to(bar, statistics.median(seen), bar.centre, limit), bar, len(seen))
    return GateRuling(None, bar, len(seen))


def held_to(bar: Bar, value: float | Absent, baseline: float, limit: float) -> JudgedGate:
    """Judge one value against a bar. What would let the merge through does not where the bar is too noisy."""
    judged = judge(bar.gate, value, baseline, None if bar.noise is None else limit)
    if judged.verdict.passes and bar.refusal is not None:
        return replace(judged, verdict=Verdict.INCONCLUSIVE, reason=bar.refusal)
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
