"""The waivers that would let a failed check pass, for a person to give a reason to and to paste, or not.

Input: the judged gates of a check, and the day of the run. Output: waivers, one for each quantity that regressed.
Invariant: only gates that regressed are covered, up to their measured loss in whole percents; what no waiver can cover
(an absent number, a gate that noise lets nothing pass, a loss of everything) has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.verdict import LAST_BITS, JudgedGate, Verdict
from pytest_precgate.analysis.gating.waiver import Waiver, loss_of

DAYS = 14
"""How long a proposed waiver lasts."""


def proposed(suite: str, judged: Sequence[JudgedGate], day: date) -> tuple[Waiver, ...]:
    """Return the waivers for what regressed, each with its points."""
    each: dict[tuple[Metric, tuple[str, ...]], list[JudgedGate]] = {}
    for gate in judged:
        each.setdefault((gate.gate.key.metric, gate.gate.key.precisions), []).append(gate)
    found = (_of(suite, gates, day) for gates in each.values())
    return tuple(waiver for waiver in found if waiver is not None)


def _of(suite: str, gates: Sequence[JudgedGate], day: date) -> Waiver | None:
    """Return the waiver of the gates of one quantity."""
    losses = {
        gate.gate.key.point: loss
        for gate in gates
        if gate.verdict is Verdict.REGRESSED and gate.refusal is None and (loss := loss_of(gate)) is not None
    }
    if not losses:
        return None
    ceiling = math.ceil(max(losses.values()) * 100 - LAST_BITS) / 100
    if ceiling >= 1:
        return None
    points = tuple(sorted(losses))  # without them it would cover gates of other tests, which this check did not see
    key = gates[0].gate.key
    return Waiver(suite, key.metric, points, ceiling, "...", day + timedelta(days=DAYS), key.precisions)
