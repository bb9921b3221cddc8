"""Confirms a regression: the old state is launched beside the new one, on the machine and the day of the run.

Input: judged gates, and a side of the suite that starts the state the baseline was recorded from. Output: the same
gates; one that is REGRESSED is worse than the old state as well, or is ENVIRONMENT_CHANGED. Invariant: a gate that
blocks goes on blocking, and no other gate changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.accepted.baseline import Baseline
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.matching import GateBaselines
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.launch_rule import SuiteRule
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy
from pytest_precgate.analysis.gating.serving import ServedLimits
from pytest_precgate.analysis.gating.verdict import LAST_BITS, Absent, JudgedGate, Verdict
from pytest_precgate.errors import PrecgateError, ReplayError
from pytest_precgate.run.checked_gates import CheckedGates, Read, Value
from pytest_precgate.settings import Suite

NOT_CONFIRMED = "old state not measured again"
_VERSIONS = ("version", "engine_version")
_UNKNOWN = ("not said", "unknown")


@dataclass(frozen=True)
class Confirmation:
    """Gates that were judged against a baseline, and the ``side`` that starts its state, at most ``policy.launches``
    times.

    A side whose settings are those of the suite (``is_candidate``) would launch the new state again, and every loss
    would be the machine's: it confirms nothing."""

    checked: CheckedGates
    side: Suite
    baseline: Baseline
    matched: GateBaselines
    policy: LaunchPolicy
    is_candidate: bool = False

    def confirm(self, judged: Sequence[JudgedGate]) -> tuple[JudgedGate, ...]:
        """Return the gates, each REGRESSED one after its comparison with the old state.

        It stays REGRESSED when it is worse than the best launch of the old state by more than its limit, and where the
        old state cannot be compared, or started, or measured; the reason says which."""
        waiting = {index for index, gate in enumerate(judged) if gate.verdict is Verdict.REGRESSED}
        confirmed = list(judged)
        if not waiting:
            return tuple(confirmed)
        if (why := self._not_comparable(waiting)) is not None:
            for index in waiting:
                confirmed[index] = _with_reason(judged[index], f"{NOT_CONFIRMED}: {why}")
            return tuple(confirmed)
        limits = SuiteRule(self.matched.held, self.policy, self.matched.noise).gate_limits
        self._measure(judged, confirmed, waiting, limits)
        return tuple(confirmed)

    def _measure(
        self,
        judged: Sequence[JudgedGate],
        confirmed: list[JudgedGate],
        waiting: set[int],
        limits: Sequence[GateLimits | None],
    ) -> None:
        """Launch the old state while a gate of ``waiting`` is not confirmed, and write each into ``confirmed``."""
        old: dict[int, list[float]] = {index: [] for index in waiting}
        for number in range(1, self.policy.launches + 1):
            try:
                values = self.checked.values(self.side, number, waiting, self._read(limits))
            except PrecgateError as exc:  # the regression is known all the same
                values = [Absent(Verdict.INCONCLUSIVE, str(exc))] * len(judged)
            for index in sorted(waiting):
                value = values[index]
                if isinstance(value, Absent):
                    confirmed[index] = self._undecided(judged[index], old[index], value.reason)
                else:
                    old[index].append(value)
                    confirmed[index] = self._compared(judged[index], limits[index], old[index])
                if confirmed[index].verdict is Verdict.REGRESSED:
                    waiting.discard(index)
            if not waiting:
                return

    def _undecided(self, judged: JudgedGate, old: Sequence[float], why: str) -> JudgedGate:
        """The gate as REGRESSED as it was, with what was measured of the old state before that ended."""
        evidence = None if judged.evidence is None else replace(judged.evidence, old_values=tuple(old))
        launches = f"{len(old)} launch{'es' * (len(old) > 1)}"
        said = f"not confirmed after {launches} of the old state" if old else NOT_CONFIRMED
        return replace(_with_reason(judged, f"{said}: {why}"), evidence=evidence)

    def _not_comparable(self, wanted: Collection[int]) -> str | None:
        """Say why launches of the side are not those of the baseline's state; None when they are.

        The first launch tells: its hard facts and its version must be the baseline's."""
        if self.is_candidate:
            return (
                f"{self.side.name} has the settings of the suite, so it would be the new state again; give it what "
                "this change replaced, or, if nothing changed, look at the machine"
            )
        for precision in self.checked.read_by(wanted):
            try:
                if self.checked.launches.held(self.side, precision) == 0:
                    return "the replayed run does not hold it"
                now = self.checked.launches.of(self.side, precision).fingerprint
            except ReplayError:  # the run measured nothing of the side
                return "the replayed run does not hold it"
            except PrecgateError as exc:
                return str(exc)
            then = self.baseline.launches_of(precision)[0].fingerprint
            if differing := [*now.mismatches(then), *differing_versions(now, then)]:
                return f"{self.side.name} is not the baseline's state: {precision}: {'; '.join(differing)}"
        return None

    def _read(self, limits: Sequence[GateLimits | None]) -> Read:
        """How the side's launches are read: through the points that serve the gates, like those of the new state."""

        def read(index: int, curves: Mapping[str, Curve]) -> Value:
            served, held = self.matched.held[index].served, limits[index]
            if served is None or held is None:
                return self.checked.on_curve(index, curves)
            found = served.read(curves)
            if isinstance(found, Absent):
                return found
            point = held.point_limit(served.deviation, len(served.points))
            return found.held_to(held.gate, ServedLimits(held.centre, held.fails_beyond, point))

        return read

    def _compared(self, judged: JudgedGate, limits: GateLimits | None, old: Sequence[float]) -> JudgedGate:
        """Return the gate after these launches of the old state: REGRESSED, or ENVIRONMENT_CHANGED so far."""
        assert limits is not None, "a gate without a baseline is not REGRESSED"
        assert judged.value is not None
        gate, launches = judged.gate, f"{len(old)} launch{'es' * (len(old) > 1)}"
        best = max(old, key=lambda value: gate.gain(value, limits.centre))
        # What the rule was given: the value, or a serving point's that is beyond its limit.
        lowest = None if judged.evidence is None else judged.evidence.lowest
        loss = -min(gate.gain(value, best) for value in (judged.value, lowest) if value is not None)
        evidence = None if judged.evidence is None else replace(judged.evidence, old_values=tuple(old))
        change = f"{loss:.1%} worse" if loss > 0 else f"{-loss:.1%} better"
        beside = f"{change} than the old state, measured now ({self.side.name}, {launches})"
        if loss > limits.fails_beyond + LAST_BITS:
            return replace(_with_reason(judged, beside), evidence=evidence)
        reason = (
            f"{judged.reason}, but {'only ' * (loss > 0)}{beside}: the machine, or what runs on it, has changed since "
            "the baseline; record the old state again there, and then judge the new one"
        )
        return replace(judged, verdict=Verdict.ENVIRONMENT_CHANGED, reason=reason, evidence=evidence)


def differing_versions(now: Fingerprint, then: Fingerprint) -> list[str]:
    """Return a line for each version that is not known to be the baseline's; of several configurations each has one."""
    names = [name for name in sorted({*now.soft, *then.soft}) if name.split(".", maxsplit=1)[0] in _VERSIONS]
    return [
        f"{name} is {now.soft.get(name, 'not known')}, the baseline's is {then.soft.get(name, 'not known')}"
        for name in names
        if now.soft.get(name) != then.soft.get(name) or now.soft.get(name) in _UNKNOWN
    ]


def _with_reason(judged: JudgedGate, more: str) -> JudgedGate:
    return replace(judged, reason=f"{judged.reason}; {more}")


def not_confirmed(judged: Sequence[JudgedGate]) -> list[JudgedGate]:
    """Return the gates, each REGRESSED one saying that the old state was not measured again."""
    return [_with_reason(each, NOT_CONFIRMED) if each.verdict is Verdict.REGRESSED else each for each in judged]
