"""The verdict of one gate.

Input: value, baseline, tolerance and the loss that fails, without their origin. Output: a verdict with its reason.
Invariant: a missing value is never a pass; one line returns PASS, only after a finite value and a finite baseline were
found within the tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError

# 0.97 / 1 - 1 is -0.030000000000000027 in binary: a loss of exactly the tolerance must not fail by the last bit.
LAST_BITS = 1e-9


class Verdict(Enum):
    """The outcome of one gate, and whether it lets the merge pass."""

    PASS = ("PASS", True)
    IMPROVED = ("IMPROVED", True)
    WAIVED = ("WAIVED", True)
    RECORDED = ("RECORDED", True)
    REGRESSED = ("REGRESSED", False)
    ENVIRONMENT_CHANGED = ("ENVIRONMENT_CHANGED", False)
    IMPLAUSIBLE = ("IMPLAUSIBLE", False)
    MISSING = ("MISSING", False)
    MISMATCH = ("MISMATCH", False)
    INCONCLUSIVE = ("INCONCLUSIVE", False)
    DRIFTED = ("DRIFTED", False)

    def __init__(self, word: str, passes: bool) -> None:
        self.word = word
        self.passes = passes

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True)
class Absent:
    """A missing number, the verdict that follows, the reason, and what to do about it where that is known."""

    verdict: Verdict
    reason: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in (Verdict.MISSING, Verdict.MISMATCH, Verdict.INCONCLUSIVE):
            raise InvalidValueError(f"Absent.verdict: got {self.verdict}, which needs a number")


@dataclass(frozen=True)
class Evidence:
    """The evidence of a verdict. All but ``launches``, ``set_aside`` and ``values`` is None when the noise is unknown.

    ``sigma`` is the gate's noise from launch to launch, ``minimum_detectable_drop`` the smallest true drop detected
    with the target power, ``largest_detectable_drop`` the upper end of its 90% interval, ``noise_floor`` the loss at
    which noise alone fails a suite once in a hundred runs: shares. ``launches`` is the number of launches that decided.
    ``refusal`` says why nothing passes because of noise, None when something can; ``set_aside`` how many baseline
    launches are outliers; ``values`` are the inputs of the rule, in order (of pairs, candidate over the other side).
    ``old_values`` are those of the old state, launched to confirm a regression. ``lowest`` is the gate's value from a
    serving point that was beyond its limit in the launch that decided; None when there was none. ``anchor_loss`` is its
    loss against its anchor, a share, where that is more than is allowed; ``beside_loss`` that against the old state,
    where that made it REGRESSED."""

    sigma: float | None
    minimum_detectable_drop: float | None
    launches: int
    largest_detectable_drop: float | None = None
    noise_floor: float | None = None
    refusal: str | None = None
    set_aside: int = 0
    values: tuple[float, ...] = ()
    old_values: tuple[float, ...] = ()
    lowest: float | None = None
    anchor_loss: float | None = None
    beside_loss: float | None = None


@dataclass(frozen=True)
class JudgedGate:
    """A gate with its value, its baseline and its verdict. ``reason`` is empty only for a plain pass.

    ``evidence`` is None when the value was compared with one number without a rule. ``remedy`` is the end of the reason
    that says what to do, empty where the reason says nothing of it."""

    gate: Gate
    verdict: Verdict
    value: float | None
    baseline: float | None
    reason: str
    evidence: Evidence | None = None
    remedy: str = ""

    @property
    def cause(self) -> str:
        """The reason without its remedy."""
        return self.reason.removesuffix(self.remedy).rstrip("; ")

    @property
    def refusal(self) -> str | None:
        """Why nothing passes because of noise; None when a launch can pass, or the noise is unknown."""
        return None if self.evidence is None else self.evidence.refusal

    @property
    def change(self) -> float | None:
        """The plain relative change of the value, as a share; None where a number is absent."""
        if self.value is None or self.baseline is None:
            return None
        return self.value / self.baseline - 1


def decide(gate: Gate, value: float, baseline: float, fails_beyond: float | None = None) -> tuple[Verdict, str]:
    """Compare one value with one baseline.

    A loss inside the tolerance passes. ``fails_beyond`` is the loss, as a share, beyond which one fails, by default the
    tolerance; between the two noise does not let it tell, and a gain as large as noise alone reaches is no improvement.
    The last line is a refusal, so that a value for which no comparison holds (a NaN) is not a pass."""
    gain = gate.gain(value, baseline)
    limit = gate.tolerance if fails_beyond is None else max(gate.tolerance, fails_beyond)
    asked = f"the tolerance ({gate.tolerance * 100:g}%)"
    if gain < -limit - LAST_BITS:
        floor = f" and the noise floor ({limit:.1%})" if limit > gate.tolerance else ""
        return Verdict.REGRESSED, f"{-gain:.1%} worse than its baseline, beyond {asked}{floor}"
    if gain < -gate.tolerance - LAST_BITS:
        return Verdict.INCONCLUSIVE, (
            f"{-gain:.1%} worse than its baseline, beyond {asked} and inside the noise floor ({limit:.1%})"
        )
    if gain > gate.implausible + LAST_BITS:
        return Verdict.IMPLAUSIBLE, (
            f"better by more than {gate.implausible:.0%}: check the measurement; if it is real, update the baseline"
        )
    if gain > (_as_gain(gate, limit) if limit > gate.tolerance else limit) + LAST_BITS:
        return Verdict.IMPROVED, "better than its baseline by more than the tolerance: the baseline is stale"
    if math.isfinite(gain):
        return Verdict.PASS, ""
    return Verdict.INCONCLUSIVE, f"value {value!r} against baseline {baseline!r} cannot be compared"


def _as_gain(gate: Gate, loss: float) -> float:
    """The gain that lies as far above a baseline as ``loss`` lies below it, by the logarithm."""
    if not gate.key.metric.higher_is_better:
        return loss / (1 + loss)
    return loss / (1 - loss) if loss < 1 else math.inf


def judge(gate: Gate, value: float | Absent, baseline: float | Absent, fails_beyond: float | None = None) -> JudgedGate:
    """Judge one gate, ``fails_beyond`` as in :func:`decide`.

    An absent number decides, the value's before the baseline's. Raises InvalidValueError when a number that exists is
    not finite and above zero."""
    known_value = None if isinstance(value, Absent) else positive("JudgedGate", "value", value, str(gate.key))
    known_baseline = (
        None if isinstance(baseline, Absent) else positive("JudgedGate", "baseline", baseline, str(gate.key))
    )
    if gate.record_only:  # held to nothing: what is missing is told, and blocks nothing
        missing = next((each.reason for each in (value, baseline) if isinstance(each, Absent)), "")
        reason = f"only recorded{f'; {missing}' if missing else ''}"
        return JudgedGate(gate, Verdict.RECORDED, known_value, known_baseline, reason)
    if isinstance(value, Absent):
        return absent(gate, value, None, known_baseline)
    if isinstance(baseline, Absent):
        return absent(gate, baseline, known_value, None)
    verdict, reason = decide(gate, value, baseline, fails_beyond)
    return JudgedGate(gate, verdict, value, baseline, reason)


def absent(gate: Gate, missing: Absent, value: float | None, baseline: float | None) -> JudgedGate:
    """Return the gate of which a number is ``missing``."""
    reason = "; ".join(part for part in (missing.reason, missing.remedy) if part)
    return JudgedGate(gate, missing.verdict, value, baseline, reason, remedy=missing.remedy)


def all_pass(judged: Sequence[JudgedGate]) -> bool:
    """Whether every gate passes; without a gate that holds the answer is no."""
    return any(not gate.gate.record_only for gate in judged) and all(gate.verdict.passes for gate in judged)
