"""One check: launch until every gate has its verdict, and no longer.

The rule decides (analysis/rule, analysis/pairs); here are the launches it asks for. What a launch reads comes from the
points that serve its gates in the baseline (analysis/serving): where one of them is beyond its limit, that point is the
gate's value, and the launch is a low one. A gate that needs a launch which cannot be made is INCONCLUSIVE."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from pytest_precgate.analysis.accepted.matching import GateBaselines
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gate_launches import GateLaunches
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.launch_rule import GateRuling, SuiteRule, SuiteRuling
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.noise import reading_sigma, step_time_elasticity
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.serving import PointReading, ServedGate, ServedLimits
from pytest_precgate.analysis.gating.verdict import Absent, JudgedGate, Verdict, judge
from pytest_precgate.errors import InconclusivePointError, OutsideSweepError
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Suite

Value = float | Absent
_Value = TypeVar("_Value")
Read = Callable[[int, Mapping[str, Curve]], Value]
"""The value of a gate, by its number, from the curves of one launch."""
_DECIDED = Absent(Verdict.INCONCLUSIVE, "not measured again: the launches before have decided")


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
            if given == value:
                is_hole = judged.gate.gain(point.value, value) < -judged.gate.tolerance
                reason = f"{judged.reason}; {reason}" if is_hole else judged.reason
            evidence = replace(judged.evidence, lowest=point.value)
            return replace(judged, value=value, reason=reason, evidence=evidence)
        return judged


@dataclass(frozen=True)
class GateEvaluation:
    """The gates of one check of two precisions of ``suite``, and what launches them."""

    launches: Launches
    suite: Suite
    precisions: tuple[str, ...]
    gates: Sequence[Gate]

    def against(self, holding: GateBaselines, policy: LaunchPolicy) -> tuple[JudgedGate, ...]:
        """Return every gate judged by its baseline's launches."""
        if not any(self.launches.can_repeat(self.suite, precision) for precision in self.precisions):
            # recorded points are one launch, whatever the suite allows
            policy = LaunchPolicy("first-good", 1)
        rule = SuiteRule(holding.held, policy, holding.noise)
        points = _ServedValues(self.gates)

        def launch(number: int, wanted: Collection[int]) -> Sequence[Value]:
            def read(index: int, curves: Mapping[str, Curve]) -> Value:
                served, limits = holding.held[index].served, rule.gate_limits[index]
                if served is None or limits is None:
                    return self._on_curve(index, curves)
                limit = limits.per_launch[min(number, len(limits.per_launch)) - 1]
                served_limits = ServedLimits(
                    limits.centre, limit, limits.point_limit(served.deviation, len(served.points))
                )
                return points.value((number, index), served, curves, served_limits)

            return self._values(self.suite, number, wanted, read)

        def sigma(index: int, launches: int) -> float:
            served = holding.held[index].served
            return 0.0 if served is None else self._short_sigma(served, launches)

        return self._judged(rule.judge, launch, policy.launches, lambda value: value, points, sigma)

    def beside(self, side: Suite, policy: LaunchPolicy) -> tuple[JudgedGate, ...]:
        """Return every gate judged against fresh launches of ``side``, each launched in turn with one of the suite."""
        rule = PairedRule([(gate, self._elasticity(gate)) for gate in self.gates], policy)
        points = _ServedValues(self.gates)

        def pair(number: int, wanted: Collection[int]) -> Sequence[tuple[Value, Value]]:
            # Turned about from pair to pair: a machine that warms up slows neither side more than the other. The old
            # state is first of all: every other launch measures the points that serve its targets.
            order = (side, self.suite) if number % 2 else (self.suite, side)
            for precision in self._read_by(wanted):
                for suite in order:
                    if self._has(suite, precision, number):
                        self.launches.of(suite, precision, number)
            base = self._values(side, number, wanted, self._on_curve)

            def read(index: int, curves: Mapping[str, Curve]) -> Value:
                before, gate = base[index], self.gates[index]
                if isinstance(before, Absent):
                    return before
                names = gate.key.precisions
                first = ServedGate.of(gate.key, [[self._curve(side, name, 1)] for name in names])
                served = first.along([self._curve(side, name, number) for name in names])
                served_limits = ServedLimits(before, 1.0, 2 * gate.tolerance)
                return points.value((number, index), served, curves, served_limits)

            return tuple(zip(base, self._values(self.suite, number, wanted, read), strict=True))

        def sigma(index: int, launches: int) -> float:
            return self._reading(self.gates[index], launches)

        return self._judged(rule.judge, pair, policy.launches, _ratio, points, sigma)

    def recorded(self, holding: GateBaselines, policy: LaunchPolicy) -> tuple[JudgedGate, ...]:
        """Return every gate as it is about to be recorded, beside the value it had: every launch, and no rule."""
        most = [self._recordable(gate) for gate in self.gates]
        everything = range(len(self.gates))
        launches = [self._values(self.suite, 1, everything, self._on_curve)]
        if not any(isinstance(value, Absent) for value in launches[0]):  # else nothing is recorded, however often
            for number in range(2, max(most) + 1):
                wanted = [i for i in everything if most[i] >= number]
                launches.append(self._values(self.suite, number, wanted, self._on_curve))
        each = [[launch[i] for launch in launches[: most[i]]] for i in everything]
        whole = {i: values for i in everything if (values := _numbers(each[i])) is not None}
        all_gate_launches = [
            (gate, GateLaunches(gate.key, values, self._elasticity(gate), self._reading(gate, len(values))))
            for gate, values in ((self.gates[i], values) for i, values in whole.items())
        ]
        gate_limits = dict(zip(whole, suite_limits(all_gate_launches, policy), strict=True))
        before = SuiteRule(holding.held, policy, holding.noise).gate_limits
        judged = []
        for index, (gate, held, was) in enumerate(zip(self.gates, holding.held, before, strict=True)):
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

    def _judged(
        self,
        judge_all: Callable[[Sequence[Sequence[_Value]]], SuiteRuling],
        launch: Callable[[int, Collection[int]], Sequence[_Value]],
        most: int,
        figure: Callable[[_Value], Value],
        points: _ServedValues,
        sigma: Callable[[int, int], float],
    ) -> tuple[JudgedGate, ...]:
        """Launch while a gate wants it; of the precisions no such gate reads, none is launched again.

        ``figure`` turns what the rule judges into the one number a report shows of a launch; ``sigma`` is what points
        that ended early leave on a gate, by its number, in its first launches.
        """
        taken: list[Sequence[_Value]] = []
        ruling = SuiteRuling(tuple(GateRuling(None, None, 0) for _ in self.gates))
        while ruling.wants_launch and len(taken) < most:
            wanted = [index for index, gate in enumerate(ruling.gates) if gate.judged is None]
            taken.append(launch(len(taken) + 1, wanted))
            ruling = judge_all(taken)
        judged = []
        for index, gate in enumerate(ruling.gates):
            values = [figure(launch[index]) for launch in taken[: gate.launches]]
            told = _told(_doubted(gate, partial(sigma, index)), values)
            judged.append(points.named(index, told, gate.launches))
        return tuple(judged)

    # --- launches and what they read ------------------------------------------------------------------------------

    def _recordable(self, gate: Gate) -> int:
        """How many launches a baseline holds of the gate; what a file holds stands beside each."""
        repeated = [name for name in gate.key.precisions if self.launches.can_repeat(self.suite, name)]
        return min((self.launches.recordable(self.suite, name) for name in repeated), default=1)

    def _has(self, suite: Suite, precision: str, number: int) -> bool:
        """Whether there can be this launch: of a replayed run there are as many as it holds, and the first is asked for
        in any case, since a run that holds none says so."""
        held = self.launches.held(suite, precision)
        return held is None or number <= max(held, 1)

    def _read_by(self, wanted: Collection[int]) -> list[str]:
        names = {name for index in wanted for name in self.gates[index].key.precisions}
        return [name for name in self.precisions if name in names]

    def _values(self, suite: Suite, number: int, wanted: Collection[int], read: Read) -> Sequence[Value]:
        """The ``wanted`` gates' values in one launch, as ``read`` finds them in its curves."""
        names = [name for name in self._read_by(wanted) if self._has(suite, name, number)]
        curves: dict[str, Curve] = {}
        disturbed: dict[str, str] = {}
        for name in names:
            try:
                curves[name] = self._curve(suite, name, number)
            except InconclusivePointError as exc:  # other launches may still decide
                disturbed[name] = f"launch {number} of {name}: {exc}"

        def value(index: int) -> Value:
            gate = self.gates[index]
            for name in gate.key.precisions:
                if name in disturbed:
                    return Absent(Verdict.INCONCLUSIVE, disturbed[name])
            if not {*gate.key.precisions} <= {*curves}:
                return Absent(Verdict.INCONCLUSIVE, f"wants launch {number}, which the replayed run does not hold")
            try:
                return read(index, curves)
            except OutsideSweepError as exc:  # a point off the measured range is no measurement
                return Absent(Verdict.INCONCLUSIVE, str(exc))

        return [value(index) if index in wanted else _DECIDED for index in range(len(self.gates))]

    def _on_curve(self, index: int, curves: Mapping[str, Curve]) -> Value:
        """What a launch's own curves read: the value of a launch that is held against nothing."""
        key = self.gates[index].key
        return key.value({name: curves[name].at(key.point) for name in key.precisions})

    def _curve(self, suite: Suite, precision: str, number: int) -> Curve:
        launch = number if self.launches.can_repeat(suite, precision) else 1  # what a file holds stands beside each
        return self.launches.of(suite, precision, launch).curve(suite.hardware, suite.cost)

    def _reading(self, gate: Gate, launches: int) -> float:
        """The sigma that the points of the first launches leave on a gate; nothing where none reaches it."""
        numbers = range(1, launches + 1)
        try:
            return reading_sigma(
                [[self._curve(self.suite, name, number) for name in gate.key.precisions] for number in numbers],
                gate.key.point,
            )
        except OutsideSweepError:  # then it has no value either, and that decides
            return 0.0

    def _short_sigma(self, served: ServedGate, launches: int) -> float:
        """The sigma that points which ended early leave on a gate that has a value in each of its first launches."""
        names = served.key.precisions
        each = [{name: self._curve(self.suite, name, number) for name in names} for number in range(1, launches + 1)]
        return math.sqrt(statistics.fmean(served.short_sigma(curves) ** 2 for curves in each))

    def _elasticity(self, gate: Gate) -> float:
        try:
            return step_time_elasticity(
                [self._curve(self.suite, name, 1) for name in gate.key.precisions], gate.key.point
            )
        except OutsideSweepError:  # then it has no value either, and that decides
            return 1.0


def _doubted(ruling: GateRuling, sigma: Callable[[int], float]) -> GateRuling:
    """Make a pass INCONCLUSIVE where the error of its points is too large for the tolerance."""
    if ruling.limits is None or ruling.judged is None or not ruling.judged.verdict.passes:
        return ruling
    doubt = ruling.limits.doubt(sigma(ruling.launches))
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
