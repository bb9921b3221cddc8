"""Computes a new baseline and the changes it would make.

Input: the old baseline and new launches. Output: the new baseline and the changes of each gate. No file is written.
Invariants: an update that makes a gate easier to pass by more than noise explains is marked as such, and so is one that
makes its noise clearly larger or unknown; no update moves an anchor by itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from pytest_precgate.analysis.accepted.anchor import (
    ALLOWED_FALL,
    STANDARD_ERRORS,
    KeptAnchors,
    anchor_value,
    centre_error,
    kept_anchors,
)
from pytest_precgate.analysis.accepted.baseline import (
    SIGNIFICANT_DIGITS,
    AnchorState,
    Baseline,
    Launch,
    Provenance,
    RecordedGate,
    priced_for,
)
from pytest_precgate.analysis.curves.comparison import CostMode
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.losses import log_loss
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.verdict import LAST_BITS, Absent
from pytest_precgate.errors import InvalidValueError, UnreadableCurveError

LOUDER = 2.5
"""A sigma that grew by more than this factor is not the same noise: see GateChange.is_louder."""

ASKED_UNCHANGED = 0.05
"""The share of updates with nothing changed that a fall of some gate asks a reason for."""

_SHOWN = 3  # gates that a message lists
_ROUNDING = 10.0 ** (1 - SIGNIFICANT_DIGITS)
_NO_NOISE = 1e-9
_FREEDOM = 16  # of a gate's sigma: four of its own five launches, and twelve of the suite's (gating/noise.py)


@dataclass(frozen=True)
class GateChange:
    """One gate before and after an update; None when no test checked it or it could not be read.

    ``explained`` is the largest fall of its logarithm that noise explains (see standard_errors), 0 where no noise is
    known; ``sigmas`` the noise of a launch before and after. ``anchor`` is the value it is anchored at, ``since`` says
    which state that is. Without ``holds`` it is only recorded, and no value of it makes anything easier."""

    gate: RecordedGate
    before: float | None
    after: float | None
    explained: float = 0.0
    sigmas: tuple[float | None, float | None] = (None, None)
    anchor: float | None = None
    since: str = ""
    holds: bool = True

    @property
    def sigma(self) -> float | None:
        """The noise of a launch in the new state; None when it is not known."""
        return self.sigmas[1]

    @property
    def change(self) -> float | None:
        """The relative change as a share; None for a new or removed gate."""
        if self.before is None or self.after is None:
            return None
        return self.after / self.before - 1

    @property
    def is_easier(self) -> bool:
        """Whether the gate becomes easier to pass: no value, or one that is worse by more than noise explains.

        Without noise, as with recorded points, worse by more than rounding."""
        if self.before is None or not self.holds:
            return False
        if self.after is None:
            return True
        return log_loss(self.gate.key, self.after, self.before) > max(self.explained, _ROUNDING)

    @property
    def is_louder(self) -> bool:
        """Whether its noise grew so that its limits clearly widen, or is no longer known.

        Sigma by more than LOUDER: the F test at 5% of two states of five launches, F(0.95; 4, 4) = 6.39, a ratio of
        sigmas of 2.53. The gates of a suite add no degree of freedom: a launch that is slow is slow at all of them."""
        before, after = self.sigmas
        if self.before is None or self.after is None or before is None:
            return False
        return after is None or after > max(LOUDER * before, _NO_NOISE)

    @property
    def below_anchor(self) -> float | None:
        """By which share it is worse than its anchor; negative where it is better, None without a value."""
        if self.after is None or self.anchor is None:
            return None
        return -self.gate.key.gain(self.after, self.anchor)

    @property
    def is_sunk(self) -> bool:
        """Whether it is worse than its anchor by more than accepted states may fall.

        A latency or an energy scatters by more than that: a check tells when it has drifted, by its own tolerance."""
        if not self.gate.key.metric.follows_steps or not self.holds:
            return False
        below = self.below_anchor
        return below is not None and below > ALLOWED_FALL + LAST_BITS


@dataclass(frozen=True)
class PlannedUpdate:
    """The baseline to write and all gates with their changes, unchanged ones included.

    ``renewed`` says of the gates whose anchor begins anew which fact differs; ``lowered_anchors`` are the gates whose
    anchor was lowered because that was asked for; ``notes`` say what else a reader must know."""

    baseline: Baseline
    changes: tuple[GateChange, ...]
    is_change: bool
    renewed: Mapping[GateKey, str]
    lowered_anchors: tuple[GateKey, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def lowered(self) -> tuple[GateChange, ...]:
        """The changes that need a reason, including a gate that is dropped with its test."""
        return tuple(change for change in self.changes if change.is_easier or change.is_louder)

    @property
    def needs_reason(self) -> str:
        """What the update would do that a reason is asked for, as the end of a sentence; empty when nothing."""
        easier = list(dict.fromkeys(str(change.gate.key) for change in self.changes if change.is_easier))
        louder = {
            f"{change.gate.key} ({_sigma_text(change.sigmas[0])} to {_sigma_text(change.sigmas[1])})": None
            for change in self.changes
            if change.is_louder and not change.is_easier
        }
        anew = [f"{key} ({line})" for key, line in self.renewed.items()]
        parts = (
            f"make {_listed(easier)} easier to pass" if easier else "",
            f"raise the noise of {_listed(list(louder))}, which widens its limits" if louder else "",
            f"anchor {_listed(anew)} anew" if anew else "",
        )
        return ", and ".join(part for part in parts if part)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the update must know: of its anchors, and its notes."""
        lowered = [f"anchor lowered to this state: {_listed([str(key) for key in self.lowered_anchors])}"]
        anew = [f"anchored anew: {_listed([f'{key} ({line})' for key, line in self.renewed.items()])}"]
        return (*(lowered if self.lowered_anchors else ()), *(anew if self.renewed else ()), *self.notes)

    @property
    def sunk_listed(self) -> str:
        """The gates that would lie too far below their anchor, as text."""
        each = {
            f"{change.gate.key} {below:.1%} worse than its anchor, the state accepted {change.since}": None
            for change in self.sunk
            if (below := change.below_anchor) is not None
        }
        return _listed(list(each))

    @property
    def sunk(self) -> tuple[GateChange, ...]:
        """The gates that would lie too far below their anchor."""
        return tuple(change for change in self.changes if change.is_sunk)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")


def _sigma_text(sigma: float | None) -> str:
    return "not known" if sigma is None else f"sigma {sigma:.2%}"


@dataclass(frozen=True)
class Measured:
    """The measurements and checks of this run for one suite: launches by precision, gates by test, and the pricing.

    ``lower_anchor`` says that gates which would lie too far below their anchor are anchored anew; ``adds`` that the
    launches join those of the baseline. ``recorded`` are the gates that hold nothing: no reason is asked for them,
    unless another test holds the same."""

    suite: str
    launches: Mapping[str, Sequence[Launch]]
    checked: Mapping[str, Sequence[GateKey]]
    hardware: Hardware
    cost: CostMode
    lower_anchor: bool = False
    adds: bool = False
    recorded: frozenset[RecordedGate] = frozenset()


def plan_rewrite(
    old: Baseline | None, measured: Measured, recorded: Provenance, stale_tests: Collection[str]
) -> PlannedUpdate:
    """Return the update that replaces the points of every measured precision and the gates of every checked test.

    Gates of other tests are kept, except those of ``stale_tests``, which were selected and no longer check any gate.
    Raises UnreadableCurveError when a kept gate cannot be read from the new points, InvalidValueError when kept and new
    launches do not belong together."""
    launches = [launch.rounded() for each in measured.launches.values() for launch in each]
    gates = [RecordedGate(test, key) for test, keys in measured.checked.items() for key in keys]
    if old is not None:
        launches += [launch for launch in old.launches if launch.sweep.precision not in measured.launches]
        gone = {*measured.checked, *stale_tests}
        gates += [gate for gate in old.gates if gate.test not in gone]
    needed = {precision for gate in gates for precision in gate.key.precisions}
    launches = [launch for launch in launches if launch.sweep.precision in needed]
    return planned(old, measured, recorded, launches, gates)


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
    return planned(old, measured, recorded, launches, gates)


def planned(
    old: Baseline | None,
    measured: Measured,
    recorded: Provenance,
    launches: Sequence[Launch],
    gates: Sequence[RecordedGate],
) -> PlannedUpdate:
    """Return the update to ``launches`` and ``gates``, with the anchors and the history of ``old``."""
    history = () if old is None else (*old.history, old.recorded)
    unique, price = tuple(dict.fromkeys(gates)), (measured.hardware, measured.cost)
    kept = kept_anchors(old, launches, dict.fromkeys(gate.key for gate in unique), *price)

    def anchored(anchors: Sequence[AnchorState]) -> Baseline:
        return Baseline(measured.suite, launches, unique, recorded, *price, history, anchors)

    new = anchored(kept.states)
    changes = _changes(old, new, measured)
    sunk = tuple(dict.fromkeys(change.gate.key for change in changes if change.is_sunk))
    lowered = sunk if measured.lower_anchor else ()
    if lowered:
        new = anchored(kept.without(lowered))
        changes = _changes(old, new, measured)
    is_change = old is None or _state(old) != _state(new)
    return PlannedUpdate(new, changes, is_change, _renewed(kept, new), lowered)


def _renewed(kept: KeptAnchors, new: Baseline) -> Mapping[GateKey, str]:
    return {key: line for key, line in kept.renewed.items() if new.tests_of(key)}


def _changes(old: Baseline | None, new: Baseline, measured: Measured) -> tuple[GateChange, ...]:
    price = measured.hardware, measured.cost
    after = new.values([gate.key for gate in new.gates], *price)
    before = {} if old is None else {gate: _value(old, gate, measured) for gate in old.gates}
    told = {key: _told(old, new, key, measured) for key in after}
    changes = [replace(told[gate.key], gate=gate, before=before.get(gate), after=after[gate.key]) for gate in new.gates]
    if old is not None:
        # A gate that another test now checks was moved, not dropped: only its value can make it easier to pass.
        now = {change.gate.key: change for change in changes if not old.holds(change.gate)}
        for gate in old.gates:
            if not new.holds(gate):
                moved = now.get(gate.key)
                gone = GateChange(gate, before[gate], None)
                changes.append(gone if moved is None else replace(moved, gate=gate, before=before[gate]))
    return tuple(changes)


def _told(old: Baseline | None, new: Baseline, key: GateKey, measured: Measured) -> GateChange:
    """What is known of a gate's noise and anchor, the same for each test that checks it."""
    price = measured.hardware, measured.cost
    anchor = anchor_value(new, key, *price)
    assert anchor is not None, "a baseline anchors each of its gates"
    if isinstance(anchor, Absent):
        raise InvalidValueError(anchor.reason)
    blank = GateChange(RecordedGate("-", key), None, None, anchor=anchor.value, since=anchor.since)
    sigma = _sigma(new.noises(*price).get(key))
    if old is None or not old.tests_of(key):
        return replace(blank, sigmas=(None, sigma))
    if all(RecordedGate(test, key) in measured.recorded for test in new.tests_of(key)):
        return replace(blank, sigmas=(None, sigma), holds=False)
    then = priced_for(old.launches, measured.hardware), measured.cost
    sigmas = _sigma(old.noises(*then).get(key)), sigma
    error, gates = _error(old, new, key, measured), max(1, new.at(*price).noise.independent)
    # An unknown noise explains nothing: any fall asks for a reason.
    explained = 0.0 if error is None else standard_errors(gates) * error
    return replace(blank, explained=explained, sigmas=sigmas)


def standard_errors(gates: int) -> float:
    """Return how many standard errors a gate's value must fall by before a reason is asked for: two, or more.

    Of ``gates`` that scatter independently one falls by two standard errors in every sixth update with nothing changed.
    So that only ASKED_UNCHANGED of these updates are asked, the level is shared out (Sidak 1967, JASA 62, 626); the
    quantile is Student's, by its expansion (Abramowitz and Stegun 26.7.5, first term), because sigma is an estimate."""
    normal = NormalDist().inv_cdf((1 - ASKED_UNCHANGED) ** (1 / gates))
    return max(STANDARD_ERRORS, normal + (normal**3 + normal) / (4 * _FREEDOM))


def _sigma(noise: GateNoise | None) -> float | None:
    return None if noise is None else noise.sigma


def _error(old: Baseline, new: Baseline, key: GateKey, measured: Measured) -> float | None:
    """The standard error of the change of a gate's logarithm; None where neither state knows its noise."""
    now = measured.hardware, measured.cost
    then = priced_for(old.launches, measured.hardware), measured.cost
    noises = old.noises(*then).get(key), new.noises(*now).get(key)
    try:
        counts = [len(state.at(*price).gate_launches(key).values) for state, price in ((old, then), (new, now))]
    except UnreadableCurveError:
        return None
    before, after = centre_error(noises[0], counts[0], noises[1]), centre_error(noises[1], counts[1], noises[0])
    if before is None or after is None:
        return None
    if measured.adds:  # what both states hold does not scatter between them
        return before * math.sqrt(1 - counts[0] / counts[1])
    return math.hypot(before, after)


def _state(baseline: Baseline) -> object:
    """Everything that makes two baselines equal, without the provenance, the costs and the origins of launches."""
    anchors = [(state.keys, [_facts(launch) for launch in state.launches]) for state in baseline.anchors]
    return [_facts(launch) for launch in baseline.launches], baseline.gates, baseline.hardware, baseline.cost, anchors


def _facts(launch: Launch) -> object:
    details = [point.details for point in launch.sweep.points]
    return launch.sweep, details, dict(launch.fingerprint.hard), dict(launch.fingerprint.soft)


def _value(old: Baseline, gate: RecordedGate, measured: Measured) -> float | None:
    """The value of a gate before, at today's price, because a change of price makes no gate easier. None for one that
    cannot be read."""
    hardware = priced_for(old.launches, measured.hardware)
    try:
        return old.value(gate.key, hardware, measured.cost)
    except UnreadableCurveError:
        return None
