"""Waivers: a regression accepted until a date and up to a ceiling, shown as WAIVED, never as PASS.

Input: waivers of the settings, verdicts, today's date. Output: waived verdicts and problems. Invariant: a waiver covers
one suite and one metric, at the points it names or at all of them; an expired or unnecessary waiver, and an unnecessary
point of one, fails the run, because it would hide a later regression."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.gating.verdict import LAST_BITS, JudgedGate, Verdict
from pytest_precgate.analysis.quantity import one_line, positive
from pytest_precgate.errors import InvalidValueError

_WAIVABLE = (Verdict.REGRESSED, Verdict.INCONCLUSIVE, Verdict.DRIFTED)


@dataclass(frozen=True)
class Waiver:
    """Lets a gate of ``suite`` lose up to ``ceiling`` (a share of its baseline) until the end of the day ``expires``.

    ``points`` is None for every point of the metric, ``precisions`` for every gate of the metric at those points.
    """

    suite: str
    metric: Metric
    points: tuple[float, ...] | None
    ceiling: float
    reason: str
    expires: date
    precisions: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        one_line("Waiver", "suite", self.suite)
        one_line("Waiver", "reason", self.reason)
        if self.points is not None:
            points = tuple(positive("Waiver", "point", point, "tok/s/user") for point in self.points)
            if not points or len({*points}) < len(points):
                raise InvalidValueError(f"Waiver.point: got {list(points)}, wanted at least one point, each once")
            object.__setattr__(self, "points", points)
        positive("Waiver", "ceiling", self.ceiling, "share of the baseline")
        if not self.ceiling < 1:
            raise InvalidValueError(f"Waiver.ceiling: got {self.ceiling!r}, wanted a share below 1 (0.1 is 10%)")

    def __str__(self) -> str:
        precisions = "" if self.precisions is None else f"{'/'.join(self.precisions)} "
        return f"waiver of suite {self.suite}, {precisions}{self.metric.value} {_at(self.points)}"

    def covers(self, suite: str, key: GateKey) -> bool:
        """Whether this waiver applies to that gate."""
        return (
            suite == self.suite
            and key.metric is self.metric
            and (self.points is None or key.point in self.points)
            and self.precisions in (None, key.precisions)
        )

    def has_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return today > self.expires


def _at(points: Sequence[float] | None) -> str:
    return "at every point" if points is None else f"at {', '.join(f'{point:g}' for point in points)} tok/s/user"


def loss_of(judged: JudgedGate) -> float | None:
    """Return the share of its baseline that a waiver of the gate has to cover, negative for a gain; None where a number
    is absent. A collapsed serving point counts: no waiver covers it by the value between two. So does the loss against
    the anchor, where that is more than is allowed, and that beside the old state, where that made it REGRESSED."""
    if judged.value is None or judged.baseline is None:
        return None
    lowest = None if judged.evidence is None else judged.evidence.lowest
    loss = -min(judged.gate.gain(value, judged.baseline) for value in (judged.value, lowest) if value is not None)
    others = () if judged.evidence is None else (judged.evidence.anchor_loss, judged.evidence.beside_loss)
    return max([loss, *(each for each in others if each is not None)])


def waived(suite: str, judged: JudgedGate, waivers: Sequence[Waiver], today: date) -> tuple[JudgedGate, Waiver | None]:
    """Return the gate after its waiver, and the waiver that was needed.

    Only a loss beyond the tolerance and within the ceiling can be waived, whether it is beyond the noise floor or not,
    or one from the anchor; a missing value stays missing. When nothing can pass because of noise, nothing is waived: a
    regression cannot be distinguished from noise. A waiver is needed as long as noise might carry the gate back across
    its limit."""
    covering = [each for each in waivers if each.covers(suite, judged.gate.key) and not each.has_expired(today)]
    if not covering:
        return judged, None
    first = covering[0]
    told = judged.verdict in (*_WAIVABLE, Verdict.IMPLAUSIBLE) or judged.verdict.passes
    loss = loss_of(judged)
    if not told or judged.refusal is not None or loss is None:
        return judged, first  # whether it is needed is unknown
    if judged.verdict is Verdict.INCONCLUSIVE and loss <= judged.gate.tolerance + LAST_BITS:
        return judged, first  # not for its loss, so whether it is needed is unknown
    if judged.verdict not in _WAIVABLE:
        return judged, first if judged.verdict.passes and _may_return(judged, loss) else None
    for waiver in covering:
        if loss <= waiver.ceiling + LAST_BITS:
            reason = f"waived until {waiver.expires:%Y-%m-%d} up to {waiver.ceiling:.1%}: {waiver.reason}"
            return replace(judged, verdict=Verdict.WAIVED, reason=reason), waiver
    reason = f"{judged.reason}, and by more than its waiver allows ({first.ceiling:.1%}: {first.reason})"
    return replace(judged, reason=reason), first


def _may_return(judged: JudgedGate, loss: float) -> bool:
    """Whether a value worse by two sigma would have been a regression."""
    found = judged.evidence
    if found is None or found.sigma is None or found.noise_floor is None:
        return False
    return loss > max(judged.gate.tolerance, found.noise_floor) - 2 * found.sigma


@dataclass
class WaiverBook:
    """The waivers of one run, and which of them a gate needed, and at which point."""

    waivers: Sequence[Waiver]
    day: date
    _judged: set[tuple[str, GateKey]] = field(default_factory=set)
    _needed: set[tuple[Waiver, float]] = field(default_factory=set)

    def apply(self, suite: str, judged: JudgedGate, *, of_baseline: bool = True) -> JudgedGate:
        """Return the gate after its waiver.

        A gate that is not compared with the baseline (``of_baseline``) does not show whether the regression from it has
        ended."""
        left, needed = waived(suite, judged, self.waivers, self.day)
        key = judged.gate.key
        self._judged.add((suite, key))
        if not of_baseline:
            self._needed.update((each, key.point) for each in self.waivers if each.covers(suite, key))
        if needed is not None:
            self._needed.add((needed, key.point))
        return left

    def exempts(self, suite: str, judged: JudgedGate) -> bool:
        """Whether a waiver covers the loss of a gate that passes and would be measured beside the old state: a slower
        launch, which is waived, is not either. The waiver is then needed."""
        loss = loss_of(judged)
        for waiver in self.waivers:
            holds = waiver.covers(suite, judged.gate.key) and not waiver.has_expired(self.day)
            if holds and loss is not None and loss <= waiver.ceiling + LAST_BITS:
                self._needed.add((waiver, judged.gate.key.point))
                return True
        return False

    def problems(self, whole: Collection[str]) -> Iterator[str]:
        """Name the waivers that have expired or were not needed.

        ``whole`` are the suites whose every gate this run should have judged; waivers of other suites may be unused.
        """
        for waiver in self.waivers:
            judged = {key.point for suite, key in self._judged if waiver.covers(suite, key)}
            is_whole = waiver.suite in whole
            if not judged and not is_whole:
                continue
            if waiver.has_expired(self.day):
                whys = [f"expired on {waiver.expires:%Y-%m-%d}; remove it, or give it a later day and a reason"]
            else:
                whys = self._idle(waiver, judged, is_whole=is_whole)
            yield from (f"{waiver} ({waiver.reason}): {why}" for why in whys)

    def _idle(self, waiver: Waiver, judged: Collection[float], *, is_whole: bool) -> list[str]:
        """Say of a waiver, or of the points it names, what no gate needed or has; of ``judged`` points it is known."""
        if not judged:
            return ["no gate of its suite matches it; correct or remove it"]
        needed = {point for each, point in self._needed if each == waiver}
        if not needed:
            return ["not needed: the gate passes without it; remove it"]
        unneeded = [point for point in waiver.points or () if point in judged and point not in needed]
        unknown = [point for point in waiver.points or () if point not in judged] if is_whole else []
        whys = [f"not needed {_at(unneeded)}: the gate passes without it; remove that point"] if unneeded else []
        return whys + ([f"no gate of its suite matches it {_at(unknown)}; remove that point"] if unknown else [])
