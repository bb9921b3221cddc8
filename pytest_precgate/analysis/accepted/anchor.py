"""The anchor of a gate: the oldest accepted state, below which many small accepted losses must not carry it unnoticed.

Input: a baseline, judged gates, a price. Output: gates that pass against their baseline and lie far below their anchor
as DRIFTED; the anchors that a new baseline keeps. Invariant: an anchor moves only where a person asked for it, where
hard facts make the old one another measurement."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.accepted.baseline import AnchorState, Baseline, Launch, priced_for
from pytest_precgate.analysis.curves.comparison import CostMode
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.losses import log_of, share_of
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.verdict import LAST_BITS, Absent, Evidence, JudgedGate, Verdict
from pytest_precgate.errors import UnreadableCurveError

ALLOWED_FALL = 0.03
"""How far accepted states may fall below their anchor, as a share, before a person has to say that it is meant."""

_LOWER = (
    "look for them in the history of the baseline, or accept them for good with pytest --precgate-update "
    "--precgate-lower-anchor --precgate-reason TEXT"
)

STANDARD_ERRORS = 2.0
"""What noise explains: this many standard errors."""


@dataclass(frozen=True)
class AnchorValue:
    """A gate's value at its anchor, ``error`` its standard error (of the logarithm; None where no noise is known).

    ``since`` says which state it is: its UTC and commit."""

    value: float
    error: float | None
    since: str


def anchor_value(baseline: Baseline, key: GateKey, hardware: Hardware, cost: CostMode) -> AnchorValue | Absent | None:
    """Return the anchor of a gate at a price; None for a gate the baseline does not hold, Absent where its launches do
    not reach it.

    With too few launches of its own its noise is that of the baseline."""
    if not baseline.tests_of(key):
        return None
    state = baseline.anchor_of(key)
    curves = state.at(hardware, cost)
    try:
        value = curves.values([key])[key]
        launches = len(curves.gate_launches(key).values)
    except UnreadableCurveError as exc:
        since = f"the state accepted {state.recorded.utc} (commit {state.recorded.commit})"
        return Absent(
            Verdict.INCONCLUSIVE,
            f"its anchor, {since}, cannot be read: {exc}; restore the baseline file from version control",
        )
    own = curves.noise.gates.get(key)
    error = centre_error(own, launches, baseline.noises(hardware, cost).get(key))
    return AnchorValue(value, error, f"{state.recorded.utc} (commit {state.recorded.commit})")


def centre_error(own: GateNoise | None, launches: int, other: GateNoise | None = None) -> float | None:
    """Return the standard error of the centre of ``launches`` launches, of the logarithm; None where no noise is known.

    The noise is their ``own``, else that of an ``other`` state of the same gate."""
    if own is not None:
        return own.sigma / math.sqrt(own.launches - own.set_aside if own.worth is None else own.worth)
    return None if other is None else other.sigma / math.sqrt(launches)


def held_to_anchors(
    judged: Sequence[JudgedGate], baseline: Baseline | None, hardware: Hardware, cost: CostMode
) -> list[JudgedGate]:
    """Return gates that were judged against ``baseline``, those that drifted from their anchor with that verdict."""
    if baseline is None:
        return list(judged)
    priced = priced_for(baseline.launches, hardware)
    return [drifted(each, anchor_value(baseline, each.gate.key, priced, cost)) for each in judged]


def drifted(judged: JudgedGate, anchor: AnchorValue | Absent | None) -> JudgedGate:
    """Return a gate as DRIFTED when it passes against its baseline and is much worse than its anchor, else as it is.

    Either way with the loss that a waiver has to cover. Where its anchor cannot be read, it does not pass.

    Too far is ALLOWED_FALL, or its tolerance where that is more (a gate at its anchor must not fail inside its
    tolerance), and STANDARD_ERRORS of the difference: of one launch and of the anchor."""
    if anchor is None or judged.value is None or judged.gate.record_only:
        return judged
    if isinstance(anchor, Absent):
        return replace(judged, verdict=anchor.verdict, reason=anchor.reason) if judged.verdict.passes else judged
    share, allowed = _allowed(judged.gate, anchor, None if judged.evidence is None else judged.evidence.sigma)
    loss = -judged.gate.gain(judged.value, anchor.value)
    if judged.gate.gain(judged.value, _value_at(judged.gate, anchor, allowed)) >= -LAST_BITS:
        return judged
    evidence = Evidence(None, None, 1) if judged.evidence is None else judged.evidence
    judged = replace(judged, evidence=replace(evidence, anchor_loss=loss))
    if not judged.verdict.passes:  # a waiver has to cover this loss too
        return judged
    why = f"passes against its baseline and is {loss:.1%} worse than its anchor, the state accepted {anchor.since}"
    explained = f" and {allowed - share:.1%} that noise explains" if allowed > share else ""
    reason = f"{why}; allowed are {share:.1%}{explained}. Small accepted losses have added up; {_LOWER}"
    return replace(judged, verdict=Verdict.DRIFTED, reason=reason, remedy=_LOWER)


def drifts_beyond(gate: Gate, anchor: AnchorValue | Absent | None, sigma: float | None) -> float | None:
    """Return the value from which on a gate whose launches scatter by ``sigma`` is too far below its anchor; None
    without an anchor that can be read."""
    if not isinstance(anchor, AnchorValue):
        return None
    return _value_at(gate, anchor, _allowed(gate, anchor, sigma)[1])


def _allowed(gate: Gate, anchor: AnchorValue, sigma: float | None) -> tuple[float, float]:
    """The share that a gate may lose from its anchor, and the same with what noise explains.

    An unknown noise explains nothing: the gate is held to the share alone."""
    share = max(ALLOWED_FALL, gate.tolerance)
    if sigma is None or anchor.error is None:
        return share, share
    noise = STANDARD_ERRORS * math.hypot(sigma, anchor.error)
    return share, share_of(gate.key, log_of(gate.key, share) + noise)


def _value_at(gate: Gate, anchor: AnchorValue, loss: float) -> float:
    return anchor.value * (1 - loss if gate.key.metric.higher_is_better else 1 + loss)


@dataclass(frozen=True)
class KeptAnchors:
    """The anchors that a new baseline takes over, and the gates whose anchor begins anew with the facts that differ."""

    states: tuple[AnchorState, ...]
    renewed: dict[GateKey, str]

    def without(self, keys: Collection[GateKey]) -> tuple[AnchorState, ...]:
        """Return the states without the gates that are anchored anew."""
        return tuple(_restricted(self.states, {*keys}))


def kept_anchors(
    old: Baseline | None, launches: Sequence[Launch], keys: Collection[GateKey], hardware: Hardware, cost: CostMode
) -> KeptAnchors:
    """Return what the anchors of ``old`` are to a new baseline of ``launches`` with the gates ``keys``.

    A gate keeps its anchor. A new gate (another target, or the cost where the throughput was) has the oldest state that
    reaches it: see _oldest. Where a hard fact of a precision differs, the values are no longer of one measurement, and
    the gate is anchored anew. A state whose gates are all gone is kept for those to come. ``hardware`` and ``cost`` are
    today's price."""
    if old is None:
        return KeptAnchors((), {})
    renewed: dict[GateKey, str] = {}
    # The last accepted state is older than the new launches, and reaches some targets that the anchors do not.
    states = [*old.anchors, AnchorState(old.recorded, old.launches, ())]
    holders = {key: number for number, state in enumerate(old.anchors) for key in state.keys}
    held: dict[int, list[GateKey]] = {}
    for key in keys:
        own = holders.get(key)
        older = _oldest(states, holders, key, hardware, cost) if own is None else [own]
        differing = {number: _differing(states[number], launches, key) for number in older}
        number = next((each for each in older if not differing[each]), None)
        if number is not None:
            held.setdefault(number, []).append(key)
        elif older:
            renewed[key] = differing[older[0]][0]
    kept = []
    for number, state in enumerate(states):
        if number in held:
            kept.append(AnchorState(state.recorded, state.launches, held[number]))
        elif number < len(old.anchors) and not any(key in renewed for key in state.keys):
            kept += _spare(state, launches)
    return KeptAnchors(tuple(kept), renewed)


def _oldest(
    states: Sequence[AnchorState], holders: Mapping[GateKey, int], key: GateKey, hardware: Hardware, cost: CostMode
) -> list[int]:
    """The states that reach a new gate, oldest first, by their number.

    Cost and throughput of the same precisions are the same measurement. Left out are states that were given up for its
    nearest neighbour: they reach the neighbour, which is anchored at a later one (see --precgate-lower-anchor)."""
    same = [each for each in holders if each.precisions == key.precisions]
    nearest = min(same, key=lambda each: (abs(math.log(each.point / key.point)), holders[each]), default=None)
    return [
        number
        for number, state in enumerate(states)
        if _reaches(state, key, hardware, cost)
        and (nearest is None or number >= holders[nearest] or not _reaches(state, nearest, hardware, cost))
    ]


def _spare(state: AnchorState, launches: Sequence[Launch]) -> list[AnchorState]:
    """The state without gates, of the precisions that are measured under the same hard facts; none when none is."""
    now = {launch.sweep.precision: launch.fingerprint for launch in launches}
    same = [
        each
        for each in state.launches
        if each.sweep.precision in now and not now[each.sweep.precision].mismatches(each.fingerprint)
    ]
    return [AnchorState(state.recorded, same, ())] if same else []


def _differing(state: AnchorState, launches: Sequence[Launch], key: GateKey) -> list[str]:
    """The hard facts in which new launches of a gate's precisions differ from its anchor's; of goodput its objective
    too."""
    now = {launch.sweep.precision: launch for launch in reversed(launches)}
    then = {launch.sweep.precision: launch for launch in reversed(state.launches)}
    pairs = [(name, now[name], then[name]) for name in key.precisions]
    lines = [f"{name}: {line}" for name, new, old in pairs for line in new.fingerprint.mismatches(old.fingerprint)]
    return lines + [f"{name}: {line}" for name, new, old in pairs for line in differing_objective(key, new, old)]


def differing_objective(key: GateKey, now: Launch, then: Launch) -> list[str]:
    """The line of a goodput that was counted under another objective than ``then``; none for any other metric."""
    if key.metric is not Metric.GOODPUT or now.sweep.objectives == then.sweep.objectives:
        return []
    new, old = (" or ".join(each.sweep.objectives) or "not known" for each in (now, then))
    return [f"slo is {new}, the baseline's is {old}"]


def _reaches(state: AnchorState, key: GateKey, hardware: Hardware, cost: CostMode) -> bool:
    if not {*key.precisions} <= {launch.sweep.precision for launch in state.launches}:
        return False
    try:
        state.at(priced_for(state.launches, hardware), cost).gate_launches(key)
    except UnreadableCurveError:
        return False
    return True


def _restricted(states: Sequence[AnchorState], without: Collection[GateKey]) -> Iterator[AnchorState]:
    for state in states:
        keys = [key for key in state.keys if key not in without]
        if keys or not state.keys:
            yield AnchorState(state.recorded, state.launches, keys)
