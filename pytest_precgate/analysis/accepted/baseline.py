"""The baseline of a suite: the raw points of the accepted launches and the gates that are compared with them.

Input: launches and gate entries. Output: frozen values. Invariant: gate values are computed from the points when they
are needed, so targets, prices and tolerances can change without a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.launch_curves import LaunchCurves
from pytest_precgate.analysis.accepted.origin import UNKNOWN, UTC_FORMAT, LaunchOrigin, days_of
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.comparison import CostMode, Curve
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets
from pytest_precgate.analysis.curves.sweep import PointKey, Sweep
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.serving import ServedTarget
from pytest_precgate.analysis.quantity import one_line
from pytest_precgate.errors import InvalidValueError, UnreadableCurveError

SIGNIFICANT_DIGITS = 6

Points = tuple[float, ...] | None
"""The interactivity targets of a test, tok/s/user; None for the quartiles of the band."""


@dataclass(frozen=True)
class Launch:
    """One sweep of one precision and the facts under which it was measured.

    ``costs`` holds the cost of each of its configurations, in order; empty when unknown. Gates ignore it, and
    ``origin``: when and where it was measured. ``is_repeatable`` is false where there can be no second launch, as of
    recorded points."""

    sweep: Sweep
    fingerprint: Fingerprint
    costs: tuple[LaunchCost, ...] = ()
    origin: LaunchOrigin = UNKNOWN
    is_repeatable: bool = True

    def rounded(self) -> Launch:
        """Return the launch with its figures rounded to the digits that a baseline keeps."""
        points = [
            replace(
                point,
                interactivity=_rounded(point.interactivity),
                throughput_per_gpu=_rounded(point.throughput_per_gpu),
                acceptance_length=None if point.acceptance_length is None else _rounded(point.acceptance_length),
                short_error=None if point.short_error is None else _rounded(point.short_error),
                details=None if point.details is None else point.details.mapped(_shortened),
            )
            for point in self.sweep.points
        ]
        costs = tuple(cost.rounded() for cost in self.costs)
        return replace(self, sweep=replace(self.sweep, points=points), costs=costs)

    def curve(self, hardware: Hardware, cost: CostMode) -> Curve:
        """Return its curve at a price, computed on first use."""
        if (hardware, cost) not in self._curves:
            self._curves[hardware, cost] = Curve(self.sweep, hardware, cost)
        return self._curves[hardware, cost]

    @cached_property
    def _curves(self) -> dict[tuple[Hardware, CostMode], Curve]:
        return {}


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _shortened(value: float) -> float:
    """Four digits: launches differ in the second or third."""
    return float(f"{value:.4g}")


@dataclass(frozen=True)
class RecordedGate:
    """A gate and the test that checks it: the gate of a renamed test has no baseline."""

    test: str
    key: GateKey

    def __post_init__(self) -> None:
        one_line("RecordedGate", "test", self.test)

    @property
    def order(self) -> tuple[object, ...]:
        """A fixed order for files and reports."""
        return (self.test, *self.key.order)


@dataclass(frozen=True)
class Provenance:
    """The origin of a baseline: commit, UTC time, tool version, and the reason given."""

    commit: str
    utc: str
    tool_version: str
    reason: str

    def __post_init__(self) -> None:
        for field in ("commit", "utc", "tool_version"):
            one_line("Provenance", field, getattr(self, field))
        if not isinstance(self.reason, str) or "\n" in self.reason:
            raise InvalidValueError(f"Provenance.reason: got {self.reason!r}, wanted one line")

    def age_days(self, now: datetime) -> float | None:
        """Return the age; None when its time is not written in this tool's format."""
        try:
            then = datetime.strptime(self.utc, UTC_FORMAT).replace(tzinfo=timezone.utc)
        except ValueError:
            return None
        return (now - then).total_seconds() / 86400


@dataclass(frozen=True)
class AnchorState:
    """The accepted state that some gates are anchored at: its launches, without their costs, and those gates.

    One without gates is kept for gates to come. Raises InvalidValueError when it, or a gate, has no launch."""

    recorded: Provenance
    launches: Sequence[Launch]
    keys: Sequence[GateKey]

    def __post_init__(self) -> None:
        keys = tuple(sorted(dict.fromkeys(self.keys), key=lambda key: key.order))
        every = {launch.sweep.precision for launch in self.launches}
        needed = {precision for key in keys for precision in key.precisions} if keys else every
        launches = [
            replace(each, costs=()) if each.costs else each for each in self.launches if each.sweep.precision in needed
        ]
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "launches", tuple(sorted(launches, key=lambda launch: launch.sweep.precision)))
        if not needed or needed - every:
            without = ", ".join(sorted(needed - every)) or "any precision"
            raise InvalidValueError(f"AnchorState of {self.recorded.utc}: has no launch of {without}")

    def at(self, hardware: Hardware, cost: CostMode) -> LaunchCurves:
        """Return the launches' curves at a price, computed on first use."""
        if (hardware, cost) not in self._curves:
            self._curves[hardware, cost] = curves_of(self.launches, self.keys, hardware, cost)
        return self._curves[hardware, cost]

    @cached_property
    def _curves(self) -> dict[tuple[Hardware, CostMode], LaunchCurves]:
        return {}


def priced_for(launches: Sequence[Launch], hardware: Hardware) -> Hardware:
    """Return the present price under the name of the launches' hardware, which differs only when a mismatch is
    ignored."""
    return replace(hardware, name=launches[0].sweep.hardware)


def curves_of(launches: Sequence[Launch], keys: Sequence[GateKey], hardware: Hardware, cost: CostMode) -> LaunchCurves:
    """Return the curves of one state's launches at a price; its gates are ``keys``."""
    by_precision: dict[str, list[Launch]] = {}
    for launch in launches:
        by_precision.setdefault(launch.sweep.precision, []).append(launch)
    # An only launch that cannot be repeated is paired with every launch of the other precision.
    read_once = {name for name, each in by_precision.items() if [one.is_repeatable for one in each] == [False]}
    curves = {name: [launch.curve(hardware, cost) for launch in each] for name, each in by_precision.items()}
    # A label that launches of one day and one node share.
    groups: dict[str, list[str | None]] = {}
    for launch, day in zip(launches, days_of([each.origin for each in launches]), strict=True):
        label = None if day is None else f"{day} {launch.origin.node}"
        groups.setdefault(launch.sweep.precision, []).append(label)
    return LaunchCurves(curves, read_once, keys, groups)


@dataclass(frozen=True)
class Baseline:
    """The accepted state of one suite. ``hardware`` and ``cost`` are those of the day of the record.

    ``history`` holds the provenance of every earlier state, oldest first. ``anchors`` are the oldest accepted states,
    each with the gates that may not fall far below it; a gate of none is anchored at this state, and one that is gone
    leaves its state, which stays while its precisions do. Raises InvalidValueError when there is no launch, no gate, a
    gate twice or without launch, launches of different hardware or workload, or a gate with two anchors."""

    suite: str
    launches: Sequence[Launch]
    gates: Sequence[RecordedGate]
    recorded: Provenance
    hardware: Hardware
    cost: CostMode = "derived"
    history: Sequence[Provenance] = ()
    anchors: Sequence[AnchorState] = ()

    def __post_init__(self) -> None:
        one_line("Baseline", "suite", self.suite)
        gates = tuple(sorted(self.gates, key=lambda gate: gate.order))
        object.__setattr__(self, "gates", gates)
        launches = sorted(self.launches, key=lambda launch: launch.sweep.precision)
        object.__setattr__(self, "launches", tuple(launches))
        object.__setattr__(self, "history", tuple(self.history))
        if not self.launches or not gates:
            raise InvalidValueError(f"Baseline {self.suite}: holds no launch or no gate, so it would gate nothing")
        if len(set(gates)) != len(gates):
            raise InvalidValueError(f"Baseline {self.suite}: a gate of one test is listed twice")
        first = self.launches[0].sweep
        for launch in self.launches:
            if (launch.sweep.hardware, launch.sweep.workload) != (first.hardware, first.workload):
                raise InvalidValueError(
                    f"Baseline {self.suite}: its launches differ in hardware or workload: {launch.sweep.hardware}, "
                    f"{launch.sweep.workload} beside {first.hardware}, {first.workload}"
                )
        launched = self.precisions
        for gate in gates:
            for precision in gate.key.precisions:
                if precision not in launched:
                    raise InvalidValueError(f"Baseline {self.suite}: gate {gate.key} has no {precision} launch")
        object.__setattr__(self, "anchors", self._anchored())

    def _anchored(self) -> tuple[AnchorState, ...]:
        """Every gate's anchor: those given, this state for the others."""
        gated = dict.fromkeys(gate.key for gate in self.gates)
        states = []
        for state in self.anchors:
            keys = [key for key in state.keys if key in gated]
            own = [launch for launch in state.launches if launch.sweep.precision in self.precisions]
            states += [AnchorState(state.recorded, own, keys)] if own else []
        anchored = [key for state in states for key in state.keys]
        if len(anchored) != len({*anchored}):
            raise InvalidValueError(f"Baseline {self.suite}: a gate has two anchors")
        free = gated.keys() - anchored
        return (*states, *([AnchorState(self.recorded, self.launches, [*free])] if free else []))

    def anchor_of(self, key: GateKey) -> AnchorState:
        """Return the state that a gate of this baseline is anchored at."""
        return self._anchor_by_key[key]

    @cached_property
    def _anchor_by_key(self) -> Mapping[GateKey, AnchorState]:
        return {key: state for state in self.anchors for key in state.keys}

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions with launches, each once, in order of first appearance."""
        return tuple(dict.fromkeys(launch.sweep.precision for launch in self.launches))

    @property
    def only_day(self) -> str | None:
        """The day of its measured launches (see origin.days_of); None when they are of several, or one is not known.

        Recorded points and a simulation have no day."""
        measured = [each for each in self.launches if not each.sweep.simulated and each.is_repeatable]
        days = {*days_of([launch.origin for launch in measured])}
        return days.pop() if len(days) == 1 else None

    def launches_of(self, precision: str) -> tuple[Launch, ...]:
        """Return the launches of one precision."""
        return tuple(launch for launch in self.launches if launch.sweep.precision == precision)

    def at(self, hardware: Hardware, cost: CostMode) -> LaunchCurves:
        """Return the launches' curves at a price, computed on first use."""
        if (hardware, cost) not in self._curves:
            keys = tuple(dict.fromkeys(gate.key for gate in self.gates))
            self._curves[hardware, cost] = curves_of(self.launches, keys, hardware, cost)
        return self._curves[hardware, cost]

    def noises(self, hardware: Hardware, cost: CostMode) -> Mapping[GateKey, GateNoise]:
        """Return the noise of every gate with enough launches for an estimate."""
        return self.at(hardware, cost).noise.gates

    def value(self, key: GateKey, hardware: Hardware, cost: CostMode) -> float:
        """Return the baseline value of a gate, computed from the points at today's price: see LaunchCurves.values."""
        return self.values([key], hardware, cost)[key]

    def values(self, keys: Iterable[GateKey], hardware: Hardware, cost: CostMode) -> Mapping[GateKey, float]:
        """Return :meth:`value` of several gates."""
        return self.at(hardware, cost).values(keys)

    @cached_property
    def _curves(self) -> dict[tuple[Hardware, CostMode], LaunchCurves]:
        return {}

    def holds(self, gate: RecordedGate) -> bool:
        """Whether a gate is among those recorded."""
        return gate in self._known

    def tests_of(self, key: GateKey) -> Sequence[str]:
        """Return the tests that check a gate, in order."""
        return self._tests.get(key, ())

    @cached_property
    def _known(self) -> frozenset[RecordedGate]:
        return frozenset(self.gates)

    @cached_property
    def _tests(self) -> Mapping[GateKey, Sequence[str]]:
        found: dict[GateKey, list[str]] = {}
        for gate in self.gates:
            found.setdefault(gate.key, []).append(gate.test)
        return found

    def mismatches(self, now: Mapping[str, Fingerprint], precisions: Sequence[str]) -> tuple[str, ...]:
        """Return every hard fact of ``precisions`` that differs between ``now`` and this baseline."""
        return tuple(
            f"{precision}: {line}"
            for precision in precisions
            for launch in self.launches_of(precision)[:1]
            for line in now[precision].mismatches(launch.fingerprint)
        )

    def repeated(self, now: Mapping[str, Launch]) -> tuple[str, ...]:
        """Return a line for each precision whose launches in ``now`` have exactly the points of a launch here.

        Then nothing new was measured: the recorded file is unchanged, or the recorded run is replayed. A simulation
        repeats its points by design."""
        return tuple(
            f"{precision}: these are the baseline's own points, so the comparison is with itself: measure again, or "
            "record the points of the state under test"
            for precision, launch in now.items()
            if not launch.sweep.simulated
            and any(known.sweep.points == launch.sweep.points for known in self.launches_of(precision))
        )

    def drifts(self, now: Mapping[str, Fingerprint]) -> tuple[str, ...]:
        """Return every soft fact that differs between ``now`` and this baseline."""
        return tuple(
            f"{precision}: {line}"
            for precision, fingerprint in now.items()
            for launch in self.launches_of(precision)[:1]
            for line in fingerprint.drifts(launch.fingerprint)
        )


def targets_at(points: Iterable[Points], baseline: Baseline | None, precision: str) -> SweepTargets:
    """Return the targets of a sweep of ``precision``: all of ``points`` and those of every gate of ``baseline``.

    The search starts from the baseline's positions, at the serving points of the targets.

    Gates of tests that this run leaves out count too, because a sweep must not depend on the selected tests. With
    quartiles there are no targets: they are unknown before a first sweep, and later sweeps must be comparable with it.
    """
    readers = tuple(points)
    if None in readers:
        return NO_TARGETS
    targets = {target for named in readers if named is not None for target in named}
    if baseline is None:
        return SweepTargets(targets)
    gated = {gate.key.point for gate in baseline.gates if precision in gate.key.precisions}
    sweeps = [launch.sweep for launch in baseline.launches_of(precision)]
    return replace(targets_beside(gated, sweeps, baseline.hardware), targets=targets | gated)


def targets_beside(targets: Collection[float], earlier: Sequence[Sweep], hardware: Hardware) -> SweepTargets:
    """Return the targets of a sweep that is compared at all ``targets`` with ``earlier`` ones of its precision.

    The serving points of the targets are measured in any case, because a missing one makes a gate INCONCLUSIVE."""
    if not earlier:
        return SweepTargets(targets)
    curves, held = [Curve(sweep, hardware) for sweep in earlier], dict[float, list[PointKey]]()
    for target in targets:
        with contextlib.suppress(UnreadableCurveError):  # the gate then has no baseline value there
            held[target] = [point.key for point in ServedTarget.of(curves, target).points]
    return SweepTargets(targets, earlier[0].points, held)
