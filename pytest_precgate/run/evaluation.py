"""One check: launches until every gate has its verdict, and no longer. One strategy for each way to be judged.

``AgainstBaseline`` and ``InPairs`` ask a rule (analysis/gating/launch_rule, paired_rule) which launches it needs, and
``Recording`` takes all of them. The values of a launch come from the serving points of its gates
(analysis/gating/serving): when one of them is beyond its limit, that point is the gate's value, and the launch counts
as low."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pytest_precgate.analysis.accepted.matching import GateBaselines
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gate_launches import GateLaunches
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.launch_rule import GateRuling, Launched, SuiteRule, SuiteRuling, Unsure
from pytest_precgate.analysis.gating.launch_rule import number as as_number
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.serving import PointReading, ServedGate, ServedLimits
from pytest_precgate.analysis.gating.verdict import Absent, JudgedGate, Verdict, judge
from pytest_precgate.run.checked_gates import CheckedGates, Value
from pytest_precgate.settings import Suite

_Value = TypeVar("_Value")

# How much worse a serving point of a pair may be at least, as a share: its noise is not known before the last pair.
_POINT_OF_A_PAIR = 0.10


@dataclass(frozen=True)
class AgainstBaseline:
    """Gates held against the launches of a baseline, ``matched`` to them; ``screens`` as in SuiteRule."""

    checked: CheckedGates
    matched: GateBaselines
    policy: LaunchPolicy
    screens: bool = False

    def judge(self) -> tuple[JudgedGate, ...]:
        """Return every gate judged by its baseline's launches."""
        policy = self.policy if self.checked.is_repeatable else replace(self.policy, kind="first-good", launches=1)
        screens = self.screens and self.checked.is_repeatable
        rule = SuiteRule(self.matched.held, policy, self.matched.noise, screens)
        points = _ServedValues(self.checked.gates)

        def launch(number: int, wanted: Collection[int]) -> Sequence[Launched]:
            def read(index: int, curves: Mapping[str, Curve]) -> Value:
                served, limits = self.matched.held[index].served, rule.gate_limits[index]
                if served is None or limits is None:
                    return self.checked.on_curve(index, curves)
                return points.value((number, index), served, curves, limits.of_served(served))

            values = self.checked.values(self.checked.suite, number, wanted, read)
            return [self._known(rule.gate_limits[index], index, number, value) for index, value in enumerate(values)]

        return _judged(rule.judge, launch, policy.launches, as_number, points, lambda _, ruling: ruling)

    def _known(self, limits: GateLimits | None, index: int, number: int, value: Value) -> Launched:
        """The value of a launch, and whether its points are known well enough for it to pass."""
        served = self.matched.held[index].served
        if served is None or limits is None or isinstance(value, Absent):
            return value
        doubt = limits.doubt(self.checked.short_sigma(served, number))
        return value if doubt is None else Unsure(value, doubt)


@dataclass(frozen=True)
class InPairs:
    """Gates held against fresh launches of ``side``, each launched in turn with one of the suite."""

    checked: CheckedGates
    side: Suite
    policy: LaunchPolicy

    def judge(self) -> tuple[JudgedGate, ...]:
        """Return every gate judged by its pairs."""
        rule = PairedRule([(gate, self.checked.elasticity(gate)) for gate in self.checked.gates], self.policy)
        points = _ServedValues(self.checked.gates)

        def pair(number: int, wanted: Collection[int]) -> Sequence[tuple[Value, Value]]:
            # Turned about from pair to pair: a machine that warms up slows neither side more than the other. The old
            # state is first of all: every other launch measures the points that serve its targets.
            order = (self.side, self.checked.suite) if number % 2 else (self.checked.suite, self.side)
            for precision in self.checked.read_by(wanted):
                for suite in order:
                    if self.checked.has(suite, precision, number):
                        self.checked.launches.of(suite, precision, number)
            base = self.checked.values(self.side, number, wanted, self.checked.on_curve)

            def read(index: int, curves: Mapping[str, Curve]) -> Value:
                before, gate = base[index], self.checked.gates[index]
                if isinstance(before, Absent):
                    return before
                names = gate.key.precisions
                first = ServedGate.of(gate.key, [[self.checked.curve(self.side, name, 1)] for name in names])
                served = first.along([self.checked.curve(self.side, name, number) for name in names])
                served_limits = ServedLimits(before, 1.0, max(2 * gate.tolerance, _POINT_OF_A_PAIR))
                return points.value((number, index), served, curves, served_limits)

            return tuple(zip(base, self.checked.values(self.checked.suite, number, wanted, read), strict=True))

        def doubted(index: int, ruling: GateRuling) -> GateRuling:
            gate, launches = self.checked.gates[index], ruling.launches
            # A side that reads low by its own error hides a regression as well as one that reads high.
            readings = (self.checked.reading(gate, launches, side) for side in (self.checked.suite, self.side))
            return _doubted(ruling, math.hypot(*readings))

        return _judged(rule.judge, pair, self.policy.launches, _ratio, points, doubted)


@dataclass(frozen=True)
class Recording:
    """Gates about to be recorded; ``matched`` is what they were held against so far."""

    checked: CheckedGates
    matched: GateBaselines
    policy: LaunchPolicy

    def judge(self) -> tuple[JudgedGate, ...]:
        """Return every gate beside the value it had: every launch, and no rule."""
        most = [self.checked.recordable(gate) for gate in self.checked.gates]
        everything = range(len(self.checked.gates))
        launches = [self.checked.values(self.checked.suite, 1, everything, self.checked.on_curve)]
        first = zip(self.checked.gates, launches[0], strict=True)
        # Where a gate that holds has no value nothing is recorded, however often it is launched.
        if not any(isinstance(value, Absent) and not gate.record_only for gate, value in first):
            for number in range(2, max(most) + 1):
                wanted = [i for i in everything if most[i] >= number]
                launches.append(self.checked.values(self.checked.suite, number, wanted, self.checked.on_curve))
        each = [[launch[i] for launch in launches[: most[i]]] for i in everything]
        whole = {i: values for i in everything if (values := _numbers(each[i])) is not None}
        all_gate_launches = [
            (
                gate,
                GateLaunches(gate.key, values, self.checked.elasticity(gate), self.checked.reading(gate, len(values))),
            )
            for gate, values in ((self.checked.gates[i], values) for i, values in whole.items())
        ]
        gate_limits = dict(zip(whole, suite_limits(all_gate_launches, self.policy), strict=True))
        before = SuiteRule(self.matched.held, self.policy, self.matched.noise).gate_limits
        judged = []
        for index, (gate, held, was) in enumerate(zip(self.checked.gates, self.matched.held, before, strict=True)):
            old = held.baseline if isinstance(held.baseline, Absent) else _centre(was)
            if index in gate_limits:
                ruling = GateRuling(
                    judge(gate_limits[index].gate, gate_limits[index].centre, old), gate_limits[index], len(each[index])
                )
            else:
                absent = next(value for value in each[index] if isinstance(value, Absent))
                ruling = GateRuling(judge(gate, absent, old), None, len(each[index]))
            judged.append(_told(ruling, each[index]))
        return tuple(judged)


GateEvaluation = AgainstBaseline | InPairs | Recording


@dataclass(frozen=True)
class _ServedValues:
    """What launches read through the points that serve their gates.

    ``beyond`` holds, by launch and gate, where a point is beyond its limit: the value the rule was given, what the
    launch really read, and the point.
    """

    gates: Sequence[Gate]
    beyond: dict[tuple[int, int], tuple[float, float, PointReading]] = field(default_factory=dict)

    def value(
        self, launch: tuple[int, int], served: ServedGate, curves: Mapping[str, Curve], served_limits: ServedLimits
    ) -> Value:
        """Return what ``curves`` read of a gate; ``launch`` is its number and the gate's."""
        found, gate = served.read(curves), self.gates[launch[1]]
        if isinstance(found, Absent):
            return found
        value = found.held_to(gate, served_limits)
        point = found.beyond(gate, served_limits)
        if point is not None:
            self.beyond[launch] = value, found.value, point
        return value

    def named(self, index: int, judged: JudgedGate, launches: int) -> JudgedGate:
        """Return the gate with the value as read, and the point that made it fail in its reason."""
        if judged.verdict is not Verdict.REGRESSED or judged.evidence is None:
            return judged
        for number in range(1, launches + 1):
            if (number, index) not in self.beyond or self.beyond[number, index][0] != judged.value:
                continue
            given, value, point = self.beyond[number, index]
            reason = f"{point}{f', in launch {number} of {launches}' * (launches > 1)}"
            assert judged.baseline is not None, "a gate without a baseline is not REGRESSED"
            loss, tolerance = -judged.gate.gain(value, judged.baseline), judged.gate.tolerance
            if given == value:  # worse than the point
                reason = judged.reason
            elif loss > tolerance:
                reason = f"{loss:.1%} worse than its baseline, beyond the tolerance ({tolerance * 100:g}%); {reason}"
            evidence = replace(judged.evidence, lowest=point.value)
            return replace(judged, value=value, reason=reason, evidence=evidence)
        return judged


def _judged(
    judge_all: Callable[[Sequence[Sequence[_Value]]], SuiteRuling],
    launch: Callable[[int, Collection[int]], Sequence[_Value]],
    most: int,
    figure: Callable[[_Value], Value],
    points: _ServedValues,
    doubted: Callable[[int, GateRuling], GateRuling],
) -> tuple[JudgedGate, ...]:
    """Launch while a gate wants it; of the precisions no such gate reads, none is launched again.

    ``figure`` turns what the rule judges into the one number a report shows of a launch; ``doubted`` takes a pass from
    a gate, by its number, that all of its launches together do not know well enough.
    """
    taken: list[Sequence[_Value]] = []
    ruling = judge_all(taken)
    while ruling.wants_launch and len(taken) < most:
        wanted = [index for index, gate in enumerate(ruling.gates) if gate.judged is None]
        taken.append(launch(len(taken) + 1, wanted))
        ruling = judge_all(taken)
    judged = []
    for index, gate in enumerate(ruling.gates):
        values = [figure(launch[index]) for launch in taken[: gate.launches]]
        told = _told(doubted(index, gate), values)
        judged.append(points.named(index, told, gate.launches))
    return tuple(judged)


def _doubted(ruling: GateRuling, reading: float) -> GateRuling:
    """Make a pass INCONCLUSIVE where the error of its points leaves a sigma of ``reading``, too much to detect what it
    must."""
    if ruling.limits is None or ruling.judged is None or not ruling.judged.verdict.passes:
        return ruling
    doubt = ruling.limits.doubt(reading)
    if doubt is None:
        return ruling
    return replace(ruling, judged=replace(ruling.judged, verdict=Verdict.INCONCLUSIVE, reason=doubt))


def _told(ruling: GateRuling, values: Sequence[Value]) -> JudgedGate:
    """The gate as judged, with what every launch read."""
    judged = ruling.verdict
    assert judged is not None, "the rule decides by the last launch it allows"
    assert judged.evidence is not None
    numbers = tuple(value for value in values if not isinstance(value, Absent))
    return replace(judged, evidence=replace(judged.evidence, values=numbers))


def _ratio(pair: tuple[Value, Value]) -> Value:
    base, value = pair
    if isinstance(base, Absent):
        return base
    return value if isinstance(value, Absent) else value / base


def _numbers(values: Sequence[Value]) -> list[float] | None:
    found = [value for value in values if not isinstance(value, Absent)]
    return found if len(found) == len(values) else None


def _centre(limits: GateLimits | None) -> float:
    assert limits is not None
    return limits.centre
