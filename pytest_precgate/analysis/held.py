"""What a test's gates are held against: the values of the baseline's launches, or why there is nothing to hold them
against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.baseline import Baseline, RecordedGate
from pytest_precgate.analysis.comparison import CostMode
from pytest_precgate.analysis.economics import Hardware
from pytest_precgate.analysis.fingerprint import Fingerprint
from pytest_precgate.analysis.gates import Gate
from pytest_precgate.analysis.launch_curves import LaunchCurves
from pytest_precgate.analysis.rule import Held
from pytest_precgate.analysis.scatter import SuiteNoise
from pytest_precgate.analysis.verdict import Absent, Verdict
from pytest_precgate.errors import OutsideSweepError

_CLOCKS_DIFFER_DAYS = 1.0
_OWNERS_SHOWN = 3
_INSTEAD = "record it again with --precgate-update, or judge against fresh launches with --precgate-paired-with"


@dataclass(frozen=True)
class Today:
    """What a baseline is seen by: the fingerprint of each precision as measured, the price, and how old it is.

    ``age_days`` is None where it cannot be told; with ``ignore_mismatch`` neither another fingerprint nor age is a
    hindrance.
    """

    fingerprints: Mapping[str, Fingerprint]
    hardware: Hardware
    cost: CostMode
    max_age_days: float | None = None
    age_days: float | None = None
    ignore_mismatch: bool = False

    @property
    def is_too_old(self) -> bool:
        """Whether it is older than the suite allows; an unknown age is, and so is a date in the future."""
        if self.max_age_days is None:
            return False
        return self.age_days is None or not -_CLOCKS_DIFFER_DAYS <= self.age_days <= self.max_age_days


@dataclass(frozen=True)
class Holding:
    """The gates of one test with their baselines, and the noise of all gates of the suite, None without a baseline."""

    held: tuple[Held, ...]
    noise: SuiteNoise | None = None


def held_by(baseline: Baseline | None, test: str, gates: Sequence[Gate], today: Today) -> Holding:
    """Return what the ``gates`` of ``test`` are held against."""
    if baseline is None:
        absent = Absent(Verdict.MISSING, "this suite has no baseline; record one with --precgate-update")
        return Holding(tuple(Held(gate, absent) for gate in gates))
    curves = baseline.at(_repriced(baseline, today.hardware), today.cost)
    held = tuple(_held(baseline, curves, RecordedGate(test, gate.key), gate, today) for gate in gates)
    if all(isinstance(each.baseline, Absent) for each in held):
        return Holding(held)
    return Holding(held, curves.noise)


def _held(baseline: Baseline, curves: LaunchCurves, recorded: RecordedGate, gate: Gate, today: Today) -> Held:
    if not baseline.holds(recorded):
        return Held(gate, Absent(Verdict.MISSING, _missing_gate(baseline, recorded)))
    differing = baseline.mismatches(today.fingerprints, gate.key.precisions)
    if differing and not today.ignore_mismatch:
        return Held(gate, Absent(Verdict.MISMATCH, "; ".join(differing)))
    if today.is_too_old and not today.ignore_mismatch:
        return Held(gate, Absent(Verdict.MISMATCH, f"{how_old(baseline, today)}; {_INSTEAD}"))
    try:
        scatter, served = curves.scatter(gate.key), curves.served(gate.key)
    except OutsideSweepError as exc:
        return Held(gate, Absent(Verdict.MISSING, f"the baseline does not reach this point: {exc}"))
    return Held(gate, scatter.values, scatter.stretch, scatter.reading, served)


def _repriced(baseline: Baseline, hardware: Hardware) -> Hardware:
    """Today's price under the baseline's own name, which differs only when a mismatch is being ignored."""
    return replace(hardware, name=baseline.launches[0].sweep.hardware)


def _missing_gate(baseline: Baseline, gate: RecordedGate) -> str:
    owners = baseline.tests_of(gate.key)
    more = f" and {len(owners) - _OWNERS_SHOWN} more tests" if len(owners) > _OWNERS_SHOWN else ""
    known = f"; it knows the same gate of {', '.join(owners[:_OWNERS_SHOWN])}{more} (renamed?)" if owners else ""
    return f"the baseline does not know this gate of {gate.test}{known}; record it with --precgate-update-new-only"


def how_old(baseline: Baseline, today: Today) -> str:
    """Return how old a baseline is, and may be."""
    age = "of unknown age" if today.age_days is None else f"{today.age_days:.1f} days old"
    return f"the baseline of {baseline.recorded.utc} is {age}, max_baseline_age_days is {today.max_age_days:g}"
