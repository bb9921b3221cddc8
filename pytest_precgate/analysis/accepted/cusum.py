"""Whether accepted states sink, each by less than a check notices: a one-sided cumulative sum against the anchor.

Input: the accepted states of one gate, oldest first. Output: since when they sink, or None. Invariant: a state of
unknown noise counts for nothing, and a new anchor begins a new sum.

The sum is Page's (Biometrika 41, 100, 1954). Each state's loss against the anchor is divided by the noise of a launch
and cut to +-WINSOR, so that one stray state does not raise the alarm; benchmarks/boiling_frog.py has its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.losses import log_loss
from pytest_precgate.analysis.quantity import one_line, positive

WINSOR = 3.0
"""The largest part of one state, in sigma."""

ALLOWANCE = 1.5
"""What each state may lie below the anchor for nothing, in sigma (Page's k)."""

ALARM = 6.0
"""The sum beyond which the states sink, in sigma (Page's h)."""

_NO_NOISE = 1e-9


@dataclass(frozen=True)
class AcceptedState:
    """A gate's value in one accepted state beside its anchor; ``sigma`` is the noise of a launch, None when unknown.

    ``utc`` and ``commit`` say which state it is, ``anchored`` which state its anchor is."""

    utc: str
    commit: str
    value: float
    anchor: float
    sigma: float | None
    anchored: str = ""

    def __post_init__(self) -> None:
        one_line("AcceptedState", "utc", self.utc)
        for field in ("value", "anchor"):
            positive("AcceptedState", field, getattr(self, field), "the gate's unit")


@dataclass(frozen=True)
class Sinking:
    """Accepted states that sink: the first of them, how many, how far the last lies below the anchor, and the sum."""

    since: AcceptedState
    states: int
    below: float
    total: float


def sinking(key: GateKey, states: Sequence[AcceptedState]) -> Sinking | None:
    """Return since when the accepted states of a gate sink, None when they do not.

    The noise of a state is the root mean square of those known up to it: one state's sigma alone is uncertain."""
    total, variances, run = 0.0, list[float](), list[AcceptedState]()
    anchored: str | None = None
    for state in states:
        if state.anchored != anchored:
            total, variances, run, anchored = 0.0, [], [], state.anchored
        if state.sigma is None:
            continue
        variances.append(max(state.sigma, _NO_NOISE) ** 2)
        loss = log_loss(key, state.value, state.anchor)
        score = loss / math.sqrt(math.fsum(variances) / len(variances))
        total = max(0.0, total + max(-WINSOR, min(WINSOR, score)) - ALLOWANCE)
        run = [*run, state] if total > 0 else []
    if total <= ALARM:
        return None
    last = run[-1]
    return Sinking(run[0], len(run), -key.gain(last.value, last.anchor), total)
