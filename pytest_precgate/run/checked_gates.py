"""The gates of one check, and the values that launches give for them.

Input: launches from ``Launches``. Output: gate values for the launch rule. Invariant: a gate whose launch cannot be
made, or whose target lies off the measured range, is INCONCLUSIVE."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.noise import gate_elasticity, reading_sigma
from pytest_precgate.analysis.gating.serving import ServedGate
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from pytest_precgate.errors import InconclusivePointError, NotMeasuredError, UnreadableCurveError
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Suite

Value = float | Absent
Read = Callable[[int, Mapping[str, Curve]], Value]
"""The value of a gate, by its number, from the curves of one launch."""
_DECIDED = Absent(Verdict.INCONCLUSIVE, "not measured again: the launches before have decided")


@dataclass(frozen=True)
class CheckedGates:
    """The gates of one check of two precisions of ``suite``, and what launches them."""

    launches: Launches
    suite: Suite
    precisions: tuple[str, ...]
    gates: Sequence[Gate]

    @property
    def is_repeatable(self) -> bool:
        """Whether a precision can be launched again: recorded points are one launch, however many the suite allows."""
        return any(self.launches.can_repeat(self.suite, precision) for precision in self.precisions)

    def recordable(self, gate: Gate) -> int:
        """Return how many launches a baseline holds of the gate; what a file holds stands beside each."""
        repeated = [name for name in gate.key.precisions if self.launches.can_repeat(self.suite, name)]
        return min((self.launches.recordable(self.suite, name) for name in repeated), default=1)

    def has(self, suite: Suite, precision: str, number: int) -> bool:
        """Return whether there can be this launch: of a replayed run there are as many as it holds, and the first is
        asked for in any case, since a run that holds none says so."""
        held = self.launches.held(suite, precision)
        return held is None or number <= max(held, 1)

    def read_by(self, wanted: Collection[int]) -> list[str]:
        """Return the precisions that the ``wanted`` gates read."""
        names = {name for index in wanted for name in self.gates[index].key.precisions}
        return [name for name in self.precisions if name in names]

    def values(self, suite: Suite, number: int, wanted: Collection[int], read: Read) -> Sequence[Value]:
        """Return the ``wanted`` gates' values in one launch, as ``read`` finds them in its curves."""
        names = [name for name in self.read_by(wanted) if self.has(suite, name, number)]
        curves: dict[str, Curve] = {}
        disturbed: dict[str, str] = {}
        for name in names:
            try:
                curves[name] = self.curve(suite, name, number)
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
            except NotMeasuredError as exc:
                return Absent(Verdict.INCONCLUSIVE, str(exc), "take its metric out of metrics, or measure it")
            except UnreadableCurveError as exc:  # a point off the measured range is no measurement
                return Absent(Verdict.INCONCLUSIVE, str(exc))

        return [value(index) if index in wanted else _DECIDED for index in range(len(self.gates))]

    def on_curve(self, index: int, curves: Mapping[str, Curve]) -> Value:
        """Return what a launch's own curves read: the value of a launch that is held against nothing."""
        key = self.gates[index].key
        return key.read(curves)

    def curve(self, suite: Suite, precision: str, number: int) -> Curve:
        """Return the curve of one launch of one precision, at the suite's price."""
        launch = number if self.launches.can_repeat(suite, precision) else 1  # what a file holds stands beside each
        return self.launches.of(suite, precision, launch).curve(suite.hardware, suite.cost)

    def reading(self, gate: Gate, launches: int, side: Suite | None = None) -> float:
        """Return the sigma that the points of the first launches leave on a gate; nothing where none reaches it.

        Of the suite's launches, or of those of another ``side``."""
        suite = self.suite if side is None else side
        numbers = range(1, launches + 1)
        try:
            return reading_sigma(
                [[self.curve(suite, name, number) for name in gate.key.precisions] for number in numbers],
                gate.key.point,
            )
        except UnreadableCurveError:  # then it has no value either, and that decides
            return 0.0

    def short_sigma(self, served: ServedGate, number: int) -> float:
        """Return the sigma that points which ended early leave on a gate in a launch that gives it a value."""
        return served.short_sigma({name: self.curve(self.suite, name, number) for name in served.key.precisions})

    def elasticity(self, gate: Gate) -> float:
        """Return the step time elasticity of a gate in the first launch."""
        try:
            return gate_elasticity(gate.key, [[self.curve(self.suite, name, 1) for name in gate.key.precisions]])
        except UnreadableCurveError:  # then it has no value either, and that decides
            return 1.0
