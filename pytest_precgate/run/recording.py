"""The launches of a new baseline: as many as its noise estimate needs, all of them with the same search targets."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_precgate.analysis.accepted.baseline import Baseline, RecordedGate
from pytest_precgate.analysis.accepted.matching import lacks_figure
from pytest_precgate.analysis.gating.gates import Gate, GateKey
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.errors import BaselineError
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Suite


def launch_for_baseline(
    launches: Launches, suite: Suite, baseline: Baseline | None, keys: Sequence[GateKey], wanted: int
) -> None:
    """Launch what the gates of ``keys`` need in a baseline; ``baseline`` is the one they are added to, if any.

    ``wanted`` is how many launches are recorded of each precision.

    Raises BaselineError when a replayed run holds fewer launches than a baseline is made of, or the baseline's points
    were not searched for a gate that is new.
    """
    named = "baseline_launches" if wanted == suite.baseline_launches else "--precgate-update-launches"
    known = () if baseline is None else baseline.precisions
    for precision in dict.fromkeys(name for key in keys for name in key.precisions):
        if baseline is not None and precision in known:
            points = {key.point for key in keys if precision in key.precisions}
            _refuse_unsearched(launches, suite, baseline, precision, points)
            continue
        number = launches.recordable(suite, precision)
        if number < wanted and launches.can_repeat(suite, precision):
            raise BaselineError(
                f"{suite.name}: the replayed run holds {number} launches of {precision}, as a verdict took them, and a "
                f"baseline is made of {wanted} ({named}); record with --precgate-update, or from a run of "
                "`precgate noise`"
            )
        for launch in range(1, number + 1):
            launches.of(suite, precision, launch)


def unmeasured(judged: Sequence[JudgedGate]) -> tuple[str, ...]:
    """Return a line for each quantity that is only recorded and has no value: nothing holds it, nothing else tells."""
    lacking = {each.gate.key.quantity: each.reason for each in judged if each.gate.record_only and each.value is None}
    return tuple(f"{quantity}: not gated and not measured; {reason}" for quantity, reason in lacking.items())


def is_newly_recorded(judged: JudgedGate, baseline: Baseline | None) -> bool:
    """Return whether a gate that is only recorded has a value, and may be added to a ``baseline`` without it."""
    if not judged.gate.record_only or judged.value is None or judged.baseline is not None:
        return False
    return baseline is None or not lacks_figure(baseline, judged.gate.key)


def joins(gate: Gate, baseline: Baseline | None, test: str) -> bool:
    """Return whether launches that are added to a ``baseline`` must have a value of the gate of ``test``.

    Not where it is only recorded and the baseline is without it, as without a figure that no launch had."""
    return not gate.record_only or (baseline is not None and baseline.holds(RecordedGate(test, gate.key)))


def _refuse_unsearched(
    launches: Launches, suite: Suite, baseline: Baseline, precision: str, points: set[float]
) -> None:
    """A gate read off a wide step of the baseline would be held against launches that are searched closer to it."""
    for launch in baseline.launches_of(precision):
        missed = launches.unsearched(suite, precision, launch.sweep, points)
        if missed:
            listed = ", ".join(f"{point:g}" for point in sorted(missed))
            raise BaselineError(
                f"{suite.name}: the baseline's {precision} launches have no neighbouring concurrencies around {listed} "
                "tok/s/user, as every later launch will; record the suite anew with --precgate-update"
            )
