"""The gates of a check that did not pass, by their cause, so that a report tells each cause once.

Input: judged gates. Output: causes, the gravest first. Invariants: every gate that did not pass is in one cause; a
cause is built from a gate's metric, direction and precisions, so a new metric needs nothing here.

The changes of one precision are one cause. A ratio that fails belongs to a precision it reads that fails as gravely,
since it moved with it; without one it is a cause of its own, so that no verdict stands behind a milder one. Gates
without a number share a cause where they share its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict

_GRAVEST_FIRST = (
    *(Verdict.REGRESSED, Verdict.ENVIRONMENT_CHANGED, Verdict.DRIFTED, Verdict.IMPLAUSIBLE),
    *(Verdict.INCONCLUSIVE, Verdict.MISMATCH, Verdict.MISSING),
)


@dataclass(frozen=True)
class Cause:
    """Gates that did not pass for one cause; ``gates`` are those it is told by, ``others`` those that moved with them.

    ``owner`` names the precisions that changed (``FP4``), empty where no number changed."""

    verdict: Verdict
    owner: str
    gates: tuple[JudgedGate, ...]
    others: tuple[JudgedGate, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether a measured change is the cause, and no missing number."""
        return bool(self.owner)

    @property
    def every(self) -> tuple[JudgedGate, ...]:
        """All gates of this cause."""
        return (*self.gates, *self.others)


def causes(judged: Sequence[JudgedGate]) -> tuple[Cause, ...]:
    """Return the causes of the gates that do not pass."""
    failing = [each for each in judged if not each.verdict.passes]
    changed: dict[tuple[str, ...], list[JudgedGate]] = {}
    ratios: list[JudgedGate] = []
    numberless: dict[tuple[Verdict, str], list[JudgedGate]] = {}
    for each in failing:
        key = each.gate.key
        if not _is_change(each):
            numberless.setdefault((each.verdict, _shared_reason(each)), []).append(each)
        elif key.metric.is_ratio:
            ratios.append(each)
        else:
            changed.setdefault(key.precisions, []).append(each)
    for each in ratios:
        precisions = each.gate.key.precisions
        owner = next(((name,) for name in precisions if _explain(changed.get((name,), ()), each)), precisions)
        changed.setdefault(owner, []).append(each)
    found = [_of_change(precisions, gates) for precisions, gates in changed.items()]
    found += [Cause(verdict, "", tuple(gates)) for (verdict, _), gates in numberless.items()]
    return tuple(sorted(found, key=lambda cause: gravity(cause.verdict)))


def _explain(own: Iterable[JudgedGate], ratio: JudgedGate) -> bool:
    """Whether the gates of a precision fail as gravely as a ratio that reads it."""
    return any(gravity(each.verdict) <= gravity(ratio.verdict) for each in own)


def _is_change(judged: JudgedGate) -> bool:
    """Whether the verdict follows from a measured change; the noise of a refused gate hides any."""
    if judged.change is None or judged.refusal is not None:
        return False
    return judged.verdict is not Verdict.INCONCLUSIVE or judged.gate.gain(*_pair(judged)) < -judged.gate.tolerance


def _pair(judged: JudgedGate) -> tuple[float, float]:
    assert judged.value is not None
    assert judged.baseline is not None
    return judged.value, judged.baseline


def _shared_reason(judged: JudgedGate) -> str:
    """What gates without a number of one cause have in common."""
    return "noise" if judged.refusal is not None else judged.reason


def _of_change(precisions: tuple[str, ...], gates: Sequence[JudgedGate]) -> Cause:
    """The cause of one precision: told by its gravest verdict, and there by the first of its own quantities."""
    own = [each for each in gates if each.gate.key.precisions == precisions]
    verdict = min((each.verdict for each in own), key=gravity)
    gravest = [each for each in own if each.verdict is verdict]
    first = gravest[0].gate.key.quantity
    told = tuple(each for each in gravest if each.gate.key.quantity == first)
    others = tuple(each for each in gates if each not in told)
    return Cause(verdict, "/".join(precisions).upper(), told, others)


def gravity(verdict: Verdict) -> int:
    """Return the place of a verdict that does not pass among them, the gravest first."""
    return _GRAVEST_FIRST.index(verdict)


def points_of(gates: Iterable[JudgedGate]) -> str:
    """Return the points of gates in words: ``55, 73 and 91 tok/s/user``."""
    points = [f"{point:g}" for point in dict.fromkeys(each.gate.key.point for each in gates)]
    return f"{listed(points)} tok/s/user"


def listed(names: Sequence[str]) -> str:
    """Return names in words: ``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
