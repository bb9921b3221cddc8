"""Computes a new baseline and the changes it would make.

Input: the old baseline and new launches. Output: the new baseline and the changes of each gate. No file is written.
Invariant: an update that makes a gate easier to pass by any amount is marked as such."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.curves.comparison import CostMode
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.errors import OutsideSweepError


@dataclass(frozen=True)
class GateChange:
    """One gate before and after an update; None when no test checked it or it could not be read."""

    gate: RecordedGate
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """The relative change as a share; None for a new or removed gate."""
        if self.before is None or self.after is None:
            return None
        return self.after / self.before - 1

    @property
    def is_easier(self) -> bool:
        """Whether the gate becomes easier to pass: a worse value, or none."""
        if self.before is None:
            return False
        if self.after is None:
            return True
        return self.after < self.before if self.gate.key.metric.higher_is_better else self.after > self.before


@dataclass(frozen=True)
class PlannedUpdate:
    """The baseline to write and all gates with their changes, unchanged ones included."""

    baseline: Baseline
    changes: tuple[GateChange, ...]
    is_change: bool

    @property
    def lowered(self) -> tuple[GateChange, ...]:
        """The changes that need a reason, including a gate that is dropped with its test."""
        return tuple(change for change in self.changes if change.is_easier)


@dataclass(frozen=True)
class Measured:
    """The measurements and checks of this run for one suite: launches by precision, gates by test, and the pricing."""

    suite: str
    launches: Mapping[str, Sequence[Launch]]
    checked: Mapping[str, Sequence[GateKey]]
    hardware: Hardware
    cost: CostMode


def plan_rewrite(
    old: Baseline | None, measured: Measured, recorded: Provenance, stale_tests: Collection[str]
) -> PlannedUpdate:
    """Return the update that replaces the points of every measured precision and the gates of every checked test.

    Gates of other tests are kept, except those of ``stale_tests``, which were selected and no longer check any gate.
    Raises OutsideSweepError when a kept gate cannot be read from the new points, InvalidValueError when kept and new
    launches do not belong together."""
    launches = [launch.rounded() for each in measured.launches.values() for launch in each]
    gates = [RecordedGate(test, key) for test, keys in measured.checked.items() for key in keys]
    if old is not None:
        launches += [launch for launch in old.launches if launch.sweep.precision not in measured.launches]
        gone = {*measured.checked, *stale_tests}
        gates += [gate for gate in old.gates if gate.test not in gone]
    needed = {precision for gate in gates for precision in gate.key.precisions}
    launches = [launch for launch in launches if launch.sweep.precision in needed]
    return _planned(old, measured, recorded, launches, gates)


def plan_additions(old: Baseline | None, measured: Measured, recorded: Provenance) -> PlannedUpdate:
    """Return the update that adds the gates missing in ``old`` and keeps everything else.

    Points of a precision that ``old`` has are kept: a renamed test or a further target inside the measured range needs
    no new measurement. ``measured.checked`` holds the new gates only."""
    kept = [] if old is None else list(old.launches)
    known = {launch.sweep.precision for launch in kept}
    launches = kept + [
        launch.rounded() for name, each in measured.launches.items() if name not in known for launch in each
    ]
    gates = [] if old is None else list(old.gates)
    gates += [RecordedGate(test, key) for test, keys in measured.checked.items() for key in keys]
    return _planned(old, measured, recorded, launches, gates)


def _planned(
    old: Baseline | None,
    measured: Measured,
    recorded: Provenance,
    launches: Sequence[Launch],
    gates: Sequence[RecordedGate],
) -> PlannedUpdate:
    history = () if old is None else (*old.history, old.recorded)
    unique = tuple(dict.fromkeys(gates))
    new = Baseline(measured.suite, launches, unique, recorded, measured.hardware, measured.cost, history)
    after = new.values([gate.key for gate in new.gates], measured.hardware, measured.cost)
    changes = [GateChange(gate, _value(old, gate, measured), after[gate.key]) for gate in new.gates]
    if old is not None:
        # A gate that another test now checks was moved, not dropped: only its value can make it easier to pass.
        now = {change.gate.key: change.after for change in changes if not old.holds(change.gate)}
        dropped = [gate for gate in old.gates if not new.holds(gate)]
        changes += [GateChange(gate, _value(old, gate, measured), now.get(gate.key)) for gate in dropped]
    return PlannedUpdate(new, tuple(changes), old is None or _state(old) != _state(new))


def _state(baseline: Baseline) -> object:
    """Everything that makes two baselines equal, without the provenance."""
    launches = [
        (launch.sweep, dict(launch.fingerprint.hard), dict(launch.fingerprint.soft)) for launch in baseline.launches
    ]
    return launches, baseline.gates, baseline.hardware, baseline.cost


def _value(old: Baseline | None, gate: RecordedGate, measured: Measured) -> float | None:
    """The value of a gate before, at today's price, because a change of price makes no gate easier. None for a gate
    that ``old`` does not have."""
    if old is None or not old.holds(gate):
        return None
    hardware = replace(measured.hardware, name=old.launches[0].sweep.hardware)
    try:
        return old.value(gate.key, hardware, measured.cost)
    except OutsideSweepError:
        return None
