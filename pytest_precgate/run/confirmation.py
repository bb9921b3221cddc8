"""Confirms a regression: the old state is launched beside the new one, on the machine and the day of the run.

Input: judged gates, and a side of the suite that starts the state the baseline was recorded from. Output: the same
gates; one that is REGRESSED is worse than the old state as well, or is ENVIRONMENT_CHANGED. A gate that lost a good
part of its limit (limits.screens_beyond) is REGRESSED when it is worse than the old state by more than its limit:
what it lost against the baseline is then partly hidden by the day. Invariant: a gate that blocks goes on blocking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.accepted.baseline import Baseline
from pytest_precgate.analysis.accepted.matching import GateBaselines
from pytest_precgate.analysis.accepted.versions import ENGINE, differing_versions, tells_version
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.launch_rule import SuiteRule
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy
from pytest_precgate.analysis.gating.old_state import beside_old_state, is_settled, wants_old_state, with_reason
from pytest_precgate.analysis.gating.verdict import Absent, JudgedGate, Verdict
from pytest_precgate.errors import PrecgateError, ReplayError
from pytest_precgate.run.checked_gates import CheckedGates, Read, Value
from pytest_precgate.settings import Suite

NOT_CONFIRMED = "old state not measured again"


@dataclass(frozen=True)
class Confirmation:
    """Gates that were judged against a baseline, and the ``side`` that starts its state, at most ``policy.launches``
    times.

    With ``screens`` also those that may have regressed (see old_state.wants_old_state), but for those that
    ``is_exempt`` says are accepted all the same. A side whose settings are those of the suite (``is_candidate``) would
    launch the new state again, and every loss would be the machine's: it confirms nothing."""

    checked: CheckedGates
    side: Suite
    baseline: Baseline
    matched: GateBaselines
    policy: LaunchPolicy
    screens: bool
    is_exempt: Callable[[JudgedGate], bool]
    is_candidate: bool = False

    def confirm(self, judged: Sequence[JudgedGate]) -> tuple[JudgedGate, ...]:
        """Return the gates, each REGRESSED or screened one after its comparison with the old state.

        It is REGRESSED when it is worse than the best launch of the old state by more than its limit. Where the old
        state cannot be compared, or started, or measured, it keeps its verdict; the reason says which."""
        limits = SuiteRule(self.matched.held, self.policy, self.matched.noise).gate_limits
        each = enumerate(zip(judged, limits, strict=True))
        waiting = {
            index
            for index, (gate, held) in each
            if wants_old_state(gate, held, screens=self.screens)
            and (gate.verdict is Verdict.REGRESSED or not self.is_exempt(gate))
        }
        confirmed = list(judged)
        if not waiting:
            return tuple(confirmed)
        if (why := self._not_comparable(waiting)) is not None:
            for index in waiting:
                confirmed[index] = with_reason(judged[index], f"{NOT_CONFIRMED}: {why}")
            return tuple(confirmed)
        self._measure(judged, confirmed, waiting, limits)
        return tuple(confirmed)

    def _measure(
        self,
        judged: Sequence[JudgedGate],
        confirmed: list[JudgedGate],
        waiting: set[int],
        limits: Sequence[GateLimits | None],
    ) -> None:
        """Launch the old state while a gate of ``waiting`` is not settled, and write each into ``confirmed``."""
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
                    confirmed[index] = self._beside(judged[index], limits[index], old[index])
                if isinstance(value, Absent) or is_settled(judged[index], confirmed[index], old[index]):
                    waiting.discard(index)
            if not waiting:
                return

    def _undecided(self, judged: JudgedGate, old: Sequence[float], why: str) -> JudgedGate:
        """The gate as it was judged, with what was measured of the old state before that ended."""
        evidence = None if judged.evidence is None else replace(judged.evidence, old_values=tuple(old))
        launches = f"{len(old)} launch{'es' * (len(old) > 1)}"
        said = f"not confirmed after {launches} of the old state" if old else NOT_CONFIRMED
        return replace(with_reason(judged, f"{said}: {why}"), evidence=evidence)

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
            if differing := [*now.mismatches(then), *differing_versions(now, then, ENGINE)]:
                return f"{self.side.name} is not the baseline's state: {precision}: {'; '.join(differing)}"
        return None

    def _beside(self, judged: JudgedGate, limits: GateLimits | None, old: Sequence[float]) -> JudgedGate:
        """The gate after these launches of the old state."""
        assert limits is not None, "a gate without a baseline has no loss"
        launches = f"{len(old)} launch{'es' * (len(old) > 1)}"
        return beside_old_state(judged, limits, old, f"{self.side.name}, {launches}{self._untold(judged.gate)}")

    def _untold(self, gate: Gate) -> str:
        """What to say of an old state whose version is not known: it is taken for the baseline's."""
        measured = [self.checked.launches.of(self.side, name) for name in gate.key.precisions]
        return "" if all(tells_version(each) for each in measured) else ", whose engine tells no version"

    def _read(self, limits: Sequence[GateLimits | None]) -> Read:
        """How the side's launches are read: through the points that serve the gates, like those of the new state."""

        def read(index: int, curves: Mapping[str, Curve]) -> Value:
            served, held = self.matched.held[index].served, limits[index]
            if served is None or held is None:
                return self.checked.on_curve(index, curves)
            found = served.read(curves)
            if isinstance(found, Absent):
                return found
            return found.held_to(held.gate, held.of_served(served))

        return read


def not_confirmed(judged: Sequence[JudgedGate]) -> list[JudgedGate]:
    """Return the gates, each REGRESSED one saying that the old state was not measured again."""
    return [with_reason(each, NOT_CONFIRMED) if each.verdict is Verdict.REGRESSED else each for each in judged]
