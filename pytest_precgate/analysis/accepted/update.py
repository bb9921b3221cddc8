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
    """One gate before and after an update; None where no test held it or it could not be read."""

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
        """Whether the gate is easier to pass afterwards: a worse value, or none at all."""
        if self.before is None:
            return False
        if self.after is None:
            return True
        return self.after < self.before if self.gate.key.metric.higher_is_better else self.after > self.before


@dataclass(frozen=True)
class PlannedUpdate:
    """The baseline to write and every gate it touches, unchanged ones included."""

    baseline: Baseline
    changes: tuple[GateChange, ...]
    is_change: bool

    @property
    def lowered(self) -> tuple[GateChange, ...]:
        """The changes that need a reason. A gate dropped with its test is one of them."""
        return tuple(change for change in self.changes if change.is_easier)


@dataclass(frozen=True)
class Measured:
    """What this run measured and checked for one suite: every launch by precision, gates by test, and the pricing."""

    suite: str
    launches: Mapping[str, Sequence[Launch]]
    checked: Mapping[str, Sequence[GateKey]]
    hardware: Hardware
    cost: CostMode


def plan_rewrite(
    old: Baseline | None, measured: Measured, recorded: Provenance, stale_tests: Collection[str]
) -> PlannedUpdate:
    """Return the update that replaces the points of every measured precision and the gates of every checked test.

    Gates of other tests are kept, but for those of ``stale_tests``, which were selected and no longer gate anything.
    Raises OutsideSweepError when a kept gate cannot be read from the new points, InvalidValueError when kept and new
    launches do not belong together.
    """
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
    """Return the update that adds the gates ``old`` does not know and touches nothing it does.

    Points of a precision ``old`` holds are kept: a renamed test or a further point inside the measured range needs no
    new measurement. ``measured.checked`` holds the new gates only.
    """
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
        # A gate that a test new to it holds was moved, not dropped: only its value can make it easier to pass.
        now = {change.gate.key: change.after for change in changes if not old.holds(change.gate)}
        dropped = [gate for gate in old.gates if not new.holds(gate)]
        changes += [GateChange(gate, _value(old, gate, measured), now.get(gate.key)) for gate in dropped]
    return PlannedUpdate(new, tuple(changes), old is None or _state(old) != _state(new))


def _state(baseline: Baseline) -> object:
    """What makes two baselines the same: everything but who recorded them and when."""
    launches = [
        (launch.sweep, dict(launch.fingerprint.hard), dict(launch.fingerprint.soft)) for launch in baseline.launches
    ]
    return launches, baseline.gates, baseline.hardware, baseline.cost


def _value(old: Baseline | None, gate: RecordedGate, measured: Measured) -> float | None:
    """The value a gate had, at today's price: a change of price makes no gate easier. None for a gate ``old`` did not
    know."""
    if old is None or not old.holds(gate):
        return None
    hardware = replace(measured.hardware, name=old.launches[0].sweep.hardware)
    try:
        return old.value(gate.key, hardware, measured.cost)
    except OutsideSweepError:
        return None
