"""A gate beside the old state: which gates are measured beside it, and what becomes of them.

Input: a judged gate, its limits, and what launches of the old state read of it on the day of the run. Output: the gate
with its verdict. Invariant: a gate that blocks goes on blocking, and none fails that is inside its tolerance beside the
old state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_precgate.analysis.gating.limits import GateLimits
from pytest_precgate.analysis.gating.verdict import LAST_BITS, Evidence, JudgedGate, Verdict

# A screened gate that lost no more than this share of its tolerance beside the old state is unchanged: further launches
# of it would find a loss in one of hundreds (docs/noise_derivation.md, Screening).
_SETTLED = 0.5


def wants_old_state(judged: JudgedGate, limits: GateLimits | None, *, screens: bool) -> bool:
    """Whether a gate is measured beside the old state: it regressed, or with ``screens`` it may have.

    Screened is what lost a good part of its limit (limits.screens_beyond); not what is INCONCLUSIVE for another cause
    than its loss."""
    if judged.verdict is Verdict.REGRESSED:
        return True
    if not screens or limits is None or judged.value is None or limits.refusal is not None:
        return False
    if (
        judged.verdict is Verdict.INCONCLUSIVE
        and judged.gate.gain(judged.value, limits.centre) >= -judged.gate.tolerance
    ):
        return False
    if judged.verdict in (Verdict.WAIVED, Verdict.RECORDED):
        return False
    return (judged.verdict.passes or judged.verdict is Verdict.INCONCLUSIVE) and limits.is_screened(judged.value)


def beside_old_state(judged: JudgedGate, limits: GateLimits, old: Sequence[float], launched: str) -> JudgedGate:
    """Return the gate after these launches of the old state; ``launched`` says which they are.

    REGRESSED when it is worse than the best of them by more than its limit; one that was not REGRESSED before is then
    shown beside that launch, and no longer beside its baseline. Otherwise what had regressed is
    ENVIRONMENT_CHANGED, and any other gate stays as it was judged."""
    assert judged.value is not None
    gate, loss = judged.gate, _loss(judged, old)
    change = f"{loss:.1%} worse" if loss > 0 else f"{-loss:.1%} better"
    beside = f"{change} than the old state, measured now ({launched})"
    only = f"{'only ' * (loss > 0)}{beside}"
    told = replace(judged, evidence=replace(judged.evidence or Evidence(None, None, 1), old_values=tuple(old)))
    is_worse = loss > limits.fails_beyond + LAST_BITS
    if judged.verdict is Verdict.REGRESSED:
        if is_worse:
            return with_reason(told, beside)
        changed = "the machine, or what runs on it, has changed since the baseline"
        then = "record the old state again there, and then judge the new one"
        reason = f"{judged.reason}, but {only}: {changed}; {then}"
        return replace(told, verdict=Verdict.ENVIRONMENT_CHANGED, reason=reason)
    baseline = -gate.gain(judged.value, limits.centre)
    if not is_worse:
        return with_reason(told, f"{only}; {baseline:.1%} worse than its baseline")
    floor = f" and the noise floor ({limits.fails_beyond:.1%})" if limits.fails_beyond > gate.tolerance else ""
    reason = (
        f"{beside}, beyond the tolerance ({gate.tolerance * 100:g}%){floor}; {baseline:.1%} worse than its baseline: "
        f"the machine was slower when that was recorded, or is faster now"
    )
    assert told.evidence is not None
    # The loss that fails is the one beside the old state, so that is what the gate shows as its baseline.
    best = max(old, key=lambda each: gate.gain(each, limits.centre))
    evidence = replace(told.evidence, beside_loss=loss)
    return replace(told, verdict=Verdict.REGRESSED, baseline=best, reason=reason, evidence=evidence)


def is_settled(judged: JudgedGate, beside: JudgedGate, old: Sequence[float]) -> bool:
    """Whether no further launch of the old state is needed for a gate that is now as ``beside``.

    It is worse than the old state; or it had not regressed, and lost no more than a small part of its tolerance."""
    if beside.verdict is Verdict.REGRESSED:
        return True
    return judged.verdict is not Verdict.REGRESSED and _loss(judged, old) <= _SETTLED * judged.gate.tolerance


def _loss(judged: JudgedGate, old: Sequence[float]) -> float:
    """The loss against the best of these launches of the old state."""
    # What the rule was given: the value, or a serving point's that is beyond its limit.
    lowest = None if judged.evidence is None else judged.evidence.lowest
    return max(-judged.gate.gain(value, each) for each in old for value in (judged.value, lowest) if value is not None)


def with_reason(judged: JudgedGate, more: str) -> JudgedGate:
    """Return the gate with ``more`` at the end of its reason."""
    return replace(judged, reason=f"{judged.reason}; {more}" if judged.reason else more)
