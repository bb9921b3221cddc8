"""Matches the gates of a test with a baseline.

Input: the gates, the baseline and the context in which they are judged. Output: for each gate the values of the
baseline's launches, or the reason why there is nothing to compare with (MISSING, MISMATCH)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.accepted.anchor import anchor_value, drifts_beyond
from pytest_precgate.analysis.accepted.baseline import Baseline, RecordedGate, priced_for
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.launch_curves import LaunchCurves
from pytest_precgate.analysis.curves.comparison import CostMode
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gate_launches import SuiteNoise
from pytest_precgate.analysis.gating.gates import THROUGHPUT, Gate, GateKey, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from pytest_precgate.errors import UnreadableCurveError

_CLOCKS_DIFFER_DAYS = 1.0
_OWNERS_SHOWN = 3
RECORD_NEW = "pytest --precgate-update-new-only"
PRUNE = "precgate baseline prune --reason renamed"
AFTER_A_RENAME = f"renamed: {RECORD_NEW}; {PRUNE}"
"""What records the gates of a new name from the accepted points, and then removes those of the old one."""
_INSTEAD = "record it again with --precgate-update, or judge against fresh launches with --precgate-paired-with"


@dataclass(frozen=True)
class JudgingContext:
    """The conditions of a comparison: the fingerprint of each precision as measured, the price, and the baseline's age.

    ``recorded`` are the metrics that are only recorded. ``age_days`` is None when unknown; with ``ignore_mismatch``
    neither a differing fingerprint nor age prevents it."""

    fingerprints: Mapping[str, Fingerprint]
    hardware: Hardware
    cost: CostMode
    max_age_days: float | None = None
    age_days: float | None = None
    ignore_mismatch: bool = False
    recorded: frozenset[Metric] = frozenset()

    @property
    def is_too_old(self) -> bool:
        """Whether it is older than the suite allows. An unknown age and a date in the future count as older."""
        if self.max_age_days is None:
            return False
        return self.age_days is None or not -_CLOCKS_DIFFER_DAYS <= self.age_days <= self.max_age_days


@dataclass(frozen=True)
class GateBaselines:
    """The gates of one test with their baselines, and the noise of all gates of the suite, None without a baseline."""

    held: tuple[GateBaseline, ...]
    noise: SuiteNoise | None = None


def match_baseline(baseline: Baseline | None, test: str, gates: Sequence[Gate], today: JudgingContext) -> GateBaselines:
    """Return the baseline of each of the ``gates`` of ``test``."""
    if baseline is None:
        absent = Absent(Verdict.MISSING, "this suite has no baseline", "record one with pytest --precgate-update")
        return GateBaselines(tuple(GateBaseline(gate, absent) for gate in gates))
    curves = baseline.at(priced_for(baseline.launches, today.hardware), today.cost)
    held = tuple(_held(baseline, curves, RecordedGate(test, gate.key), gate, today) for gate in gates)
    if all(isinstance(each.baseline, Absent) for each in held):
        return GateBaselines(held)
    return GateBaselines(held, curves.noise_without(today.recorded))


def _held(
    baseline: Baseline, curves: LaunchCurves, recorded: RecordedGate, gate: Gate, today: JudgingContext
) -> GateBaseline:
    if not baseline.holds(recorded):
        return GateBaseline(gate, _missing_gate(baseline, recorded))
    differing = baseline.mismatches(today.fingerprints, gate.key.precisions)
    if differing and not today.ignore_mismatch:
        return GateBaseline(gate, Absent(Verdict.MISMATCH, "; ".join(differing), _INSTEAD))
    if today.is_too_old and not today.ignore_mismatch:
        return GateBaseline(gate, Absent(Verdict.MISMATCH, how_old(baseline, today), _INSTEAD))
    try:
        gate_launches, served = curves.gate_launches(gate.key), curves.served(gate.key)
    except UnreadableCurveError as exc:
        why = f"the baseline does not reach this point: {exc}"
        return GateBaseline(gate, Absent(Verdict.MISSING, why, "record one that does with pytest --precgate-update"))
    noise = curves.noise.gates.get(gate.key)
    anchor = anchor_value(baseline, gate.key, priced_for(baseline.launches, today.hardware), today.cost)
    return GateBaseline(
        gate,
        gate_launches.values,
        gate_launches.elasticity,
        gate_launches.reading,
        served,
        drifts_beyond(gate, anchor, None if noise is None else noise.sigma),
    )


def lacks_figure(baseline: Baseline, key: GateKey) -> bool:
    """Return whether a baseline's points lack the figure of a metric, as those from before it was measured do."""
    figure = key.metric.figure
    launches = [launch for name in key.precisions for launch in baseline.launches_of(name)]
    return figure != THROUGHPUT and any(
        point.figure(figure) is None for each in launches for point in each.sweep.points
    )


def _missing_gate(baseline: Baseline, gate: RecordedGate) -> Absent:
    if lacks_figure(baseline, gate.key):
        why = f"the baseline has no such gate, and its points have no {gate.key.metric.figure}"
        return Absent(Verdict.MISSING, why, "record it again with pytest --precgate-update")
    owners = baseline.tests_of(gate.key)
    more = f" and {len(owners) - _OWNERS_SHOWN} more tests" if len(owners) > _OWNERS_SHOWN else ""
    if not owners:
        return Absent(Verdict.MISSING, "the baseline has no such gate of this test", f"record it with {RECORD_NEW}")
    known = f"{', '.join(owners[:_OWNERS_SHOWN])}{more}"
    return Absent(Verdict.MISSING, f"the baseline has the same gate of {known}, none of this test", AFTER_A_RENAME)


def how_old(baseline: Baseline, today: JudgingContext) -> str:
    """Return the age of a baseline and its maximum."""
    age = "of unknown age" if today.age_days is None else f"{today.age_days:.1f} days old"
    return f"the baseline of {baseline.recorded.utc} is {age}, max_baseline_age_days is {today.max_age_days:g}"
