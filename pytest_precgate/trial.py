"""One check: launch until every gate has its verdict, and no longer.

The rule decides (analysis/rule, analysis/pairs); here are the launches it asks for. A gate that waits for a launch
nobody can make is INCONCLUSIVE."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pytest_precgate.analysis.bar import Bar, LaunchPolicy, suite_bars
from pytest_precgate.analysis.comparison import Curve
from pytest_precgate.analysis.gates import Gate
from pytest_precgate.analysis.held import Holding
from pytest_precgate.analysis.noise import reading_sigma, step_stretch
from pytest_precgate.analysis.pairs import PairedRule
from pytest_precgate.analysis.rule import GateRuling, SuiteRule, SuiteRuling
from pytest_precgate.analysis.scatter import GateLaunches
from pytest_precgate.analysis.verdict import Absent, JudgedGate, Verdict, judge
from pytest_precgate.errors import InconclusivePointError, OutsideSweepError
from pytest_precgate.live.launches import Launches
from pytest_precgate.settings import Suite

Value = float | Absent
_Value = TypeVar("_Value")
_DECIDED = Absent(Verdict.INCONCLUSIVE, "not measured again: the launches before have decided")


@dataclass(frozen=True)
class Trial:
    """The gates of one check of two precisions of ``suite``, and what launches them."""

    launches: Launches
    suite: Suite
    precisions: tuple[str, ...]
    gates: Sequence[Gate]

    def against(self, holding: Holding, policy: LaunchPolicy) -> tuple[JudgedGate, ...]:
        """Return every gate judged by its baseline's launches."""
        if not any(self.launches.can_repeat(self.suite, precision) for precision in self.precisions):
            # recorded points are one launch, whatever the suite allows
            policy = LaunchPolicy("first-good", 1)
        rule = SuiteRule(holding.held, policy, holding.beside)

        def launch(number: int, wanted: Collection[int]) -> Sequence[Value]:
            return self._values(self.suite, number, wanted)

        return self._judged(rule.judge, launch, policy.launches, lambda value: value)

    def beside(self, side: Suite, policy: LaunchPolicy) -> tuple[JudgedGate, ...]:
        """Return every gate judged against fresh launches of ``side``, each launched in turn with one of the suite."""
        rule = PairedRule([(gate, self._stretch(gate)) for gate in self.gates], policy)

        def pair(number: int, wanted: Collection[int]) -> Sequence[tuple[Value, Value]]:
            # Turned about from pair to pair: a machine that warms up slows neither side more than the other.
            order = (self.suite, side) if number % 2 else (side, self.suite)
            for precision in self._read_by(wanted):
                for suite in order:
                    if self._has(suite, precision, number):
                        self.launches.of(suite, precision, number)
            base, values = (self._values(suite, number, wanted) for suite in (side, self.suite))
            return tuple(zip(base, values, strict=True))

        return self._judged(rule.judge, pair, policy.launches, _ratio)

    def recorded(self, holding: Holding, policy: LaunchPolicy) -> tuple[JudgedGate, ...]:
        """Return every gate as it is about to be recorded, beside the value it had: every launch, and no rule."""
        most = [self._recordable(gate) for gate in self.gates]
        everything = range(len(self.gates))
        launches = [self._values(self.suite, 1, everything)]
        if not any(isinstance(value, Absent) for value in launches[0]):  # else nothing is recorded, however often
            for number in range(2, max(most) + 1):
                launches.append(self._values(self.suite, number, [i for i in everything if most[i] >= number]))
        each = [[launch[i] for launch in launches[: most[i]]] for i in everything]
        whole = {i: values for i in everything if (values := _numbers(each[i])) is not None}
        scatters = [
            (gate, GateLaunches(gate.key, values, self._stretch(gate), self._reading(gate, len(values))))
            for gate, values in ((self.gates[i], values) for i, values in whole.items())
        ]
        bars = dict(zip(whole, suite_bars(scatters, policy), strict=True))
        before = SuiteRule(holding.held, policy, holding.beside).bars
        judged = []
        for index, (gate, held, was) in enumerate(zip(self.gates, holding.held, before, strict=True)):
            old = held.baseline if isinstance(held.baseline, Absent) else _centre(was)
            if index in bars:
                ruling = GateRuling(judge(bars[index].gate, bars[index].centre, old), bars[index], len(each[index]))
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
    ) -> tuple[JudgedGate, ...]:
        """Launch while a gate wants it; of the precisions no such gate reads, none is launched again.

        ``figure`` turns what the rule judges into the one number a report shows of a launch.
        """
        taken: list[Sequence[_Value]] = []
        ruling = SuiteRuling(tuple(GateRuling(None, None, 0) for _ in self.gates))
        while ruling.wants_launch and len(taken) < most:
            wanted = [index for index, gate in enumerate(ruling.gates) if gate.judged is None]
            taken.append(launch(len(taken) + 1, wanted))
            ruling = judge_all(taken)
        return tuple(
            _told(self._doubted(self.gates[index], gate), [figure(launch[index]) for launch in taken[: gate.launches]])
            for index, gate in enumerate(ruling.gates)
        )

    def _doubted(self, gate: Gate, ruling: GateRuling) -> GateRuling:
        """Make a pass INCONCLUSIVE that rests on points which are not known well enough."""
        if ruling.bar is None or ruling.judged is None or not ruling.judged.verdict.passes:
            return ruling
        doubt = ruling.bar.doubt(self._reading(gate, ruling.launches))
        if doubt is None:
            return ruling
        return replace(ruling, judged=replace(ruling.judged, verdict=Verdict.INCONCLUSIVE, reason=doubt))

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

    def _values(self, suite: Suite, number: int, wanted: Collection[int]) -> Sequence[Value]:
        """The ``wanted`` gates' values in one launch."""
        names = [name for name in self._read_by(wanted) if self._has(suite, name, number)]
        curves: dict[str, Curve] = {}
        disturbed: dict[str, str] = {}
        for name in names:
            try:
                curves[name] = self._curve(suite, name, number)
            except InconclusivePointError as exc:  # other launches may still decide
                disturbed[name] = f"launch {number} of {name}: {exc}"

        def value(gate: Gate) -> Value:
            for name in gate.key.precisions:
                if name in disturbed:
                    return Absent(Verdict.INCONCLUSIVE, disturbed[name])
            if not {*gate.key.precisions} <= {*curves}:
                return Absent(Verdict.INCONCLUSIVE, f"wants launch {number}, which the replayed run does not hold")
            try:
                return gate.key.value({name: curves[name].at(gate.key.point) for name in gate.key.precisions})
            except OutsideSweepError as exc:  # a point off the measured range is no measurement
                return Absent(Verdict.INCONCLUSIVE, str(exc))

        return [value(gate) if index in wanted else _DECIDED for index, gate in enumerate(self.gates)]

    def _curve(self, suite: Suite, precision: str, number: int) -> Curve:
        launch = number if self.launches.can_repeat(suite, precision) else 1  # what a file holds stands beside each
        return Curve(self.launches.of(suite, precision, launch).sweep, suite.hardware, suite.cost)

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

    def _stretch(self, gate: Gate) -> float:
        try:
            return step_stretch([self._curve(self.suite, name, 1) for name in gate.key.precisions], gate.key.point)
        except OutsideSweepError:  # then it has no value either, and that decides
            return 1.0


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


def _centre(bar: Bar | None) -> float:
    assert bar is not None
    return bar.centre
