"""A baseline is the raw points of an accepted state and the gates held against them. Values are computed from the
points whenever they are needed, so targets, prices and tolerances can change without a GPU."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.comparison import CostMode, Curve, Reading
from pytest_precgate.analysis.economics import Hardware
from pytest_precgate.analysis.fingerprint import Fingerprint
from pytest_precgate.analysis.gates import GateKey
from pytest_precgate.analysis.quantity import one_line
from pytest_precgate.analysis.sweep import Sweep
from pytest_precgate.analysis.verdict import Absent, Verdict
from pytest_precgate.errors import InvalidValueError, OutsideSweepError

SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Launch:
    """One sweep of one precision and the facts it was measured under."""

    sweep: Sweep
    fingerprint: Fingerprint

    def settled(self) -> Launch:
        """Return the launch with its figures cut to the digits a baseline keeps; further ones are noise."""
        points = [
            replace(
                point,
                interactivity=float(f"{point.interactivity:.{SIGNIFICANT_DIGITS}g}"),
                throughput_per_gpu=float(f"{point.throughput_per_gpu:.{SIGNIFICANT_DIGITS}g}"),
            )
            for point in self.sweep.points
        ]
        return Launch(replace(self.sweep, points=points), self.fingerprint)


@dataclass(frozen=True)
class RecordedGate:
    """A gate and the test that held it: a renamed test is a gate nobody has a baseline for."""

    test: str
    key: GateKey

    def __post_init__(self) -> None:
        one_line("RecordedGate", "test", self.test)

    @property
    def order(self) -> tuple[object, ...]:
        """A fixed order for files and reports."""
        return (self.test, *self.key.order)


@dataclass(frozen=True)
class Provenance:
    """Who recorded a baseline: commit, UTC time, tool version, and the reason given."""

    commit: str
    utc: str
    tool_version: str
    reason: str

    def __post_init__(self) -> None:
        for field in ("commit", "utc", "tool_version"):
            one_line("Provenance", field, getattr(self, field))
        if not isinstance(self.reason, str) or "\n" in self.reason:
            raise InvalidValueError(f"Provenance.reason: got {self.reason!r}, wanted one line")


@dataclass(frozen=True)
class Baseline:
    """The accepted state of one suite. ``hardware`` and ``cost`` are those of the day it was recorded.

    ``history`` holds the provenance of every earlier state, oldest first. Raises InvalidValueError when there is no
    launch, no gate, a gate twice, a gate without launch, or launches of different hardware or workload.
    """

    suite: str
    launches: Sequence[Launch]
    gates: Sequence[RecordedGate]
    recorded: Provenance
    hardware: Hardware
    cost: CostMode = "derived"
    history: Sequence[Provenance] = ()

    def __post_init__(self) -> None:
        one_line("Baseline", "suite", self.suite)
        gates = tuple(sorted(self.gates, key=lambda gate: gate.order))
        object.__setattr__(self, "gates", gates)
        launches = sorted(self.launches, key=lambda launch: launch.sweep.precision)
        object.__setattr__(self, "launches", tuple(launches))
        object.__setattr__(self, "history", tuple(self.history))
        if not self.launches or not gates:
            raise InvalidValueError(f"Baseline {self.suite}: holds no launch or no gate, so it would gate nothing")
        if len(set(gates)) != len(gates):
            raise InvalidValueError(f"Baseline {self.suite}: a gate of one test stands twice")
        first = self.launches[0].sweep
        for launch in self.launches:
            if (launch.sweep.hardware, launch.sweep.workload) != (first.hardware, first.workload):
                raise InvalidValueError(
                    f"Baseline {self.suite}: its launches differ in hardware or workload: {launch.sweep.hardware}, "
                    f"{launch.sweep.workload} beside {first.hardware}, {first.workload}"
                )
        for gate in gates:
            for precision in gate.key.precisions:
                if precision not in self.precisions:
                    raise InvalidValueError(f"Baseline {self.suite}: gate {gate.key} has no {precision} launch")

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions launched, each once, in order of first appearance."""
        return tuple(dict.fromkeys(launch.sweep.precision for launch in self.launches))

    def launches_of(self, precision: str) -> tuple[Launch, ...]:
        """Return the launches of one precision."""
        return tuple(launch for launch in self.launches if launch.sweep.precision == precision)

    def value(self, key: GateKey, hardware: Hardware, cost: CostMode) -> float:
        """Return the gate's value from the points, at today's price; the median over launches where there are several.

        Raises OutsideSweepError when a launch does not reach the gate's point.
        """
        return key.value(
            {
                precision: _median_reading(
                    [Curve(launch.sweep, hardware, cost).at(key.point) for launch in self.launches_of(precision)]
                )
                for precision in key.precisions
            }
        )

    def mismatches(self, now: Mapping[str, Fingerprint], precisions: Sequence[str]) -> tuple[str, ...]:
        """Return every hard fact of ``precisions`` that differs between ``now`` and this baseline."""
        return tuple(
            f"{precision}: {line}"
            for precision in precisions
            for launch in self.launches_of(precision)[:1]
            for line in now[precision].mismatches(launch.fingerprint)
        )

    def drifts(self, now: Mapping[str, Fingerprint]) -> tuple[str, ...]:
        """Return every soft fact that differs between ``now`` and this baseline."""
        return tuple(
            f"{precision}: {line}"
            for precision, fingerprint in now.items()
            for launch in self.launches_of(precision)[:1]
            for line in fingerprint.drifts(launch.fingerprint)
        )


def _median_reading(readings: Sequence[Reading]) -> Reading:
    return Reading(
        precision=readings[0].precision,
        throughput_per_gpu=statistics.median(reading.throughput_per_gpu for reading in readings),
        cost=statistics.median(reading.cost for reading in readings),
        tokens_per_second_per_megawatt=statistics.median(r.tokens_per_second_per_megawatt for r in readings),
        concurrency=round(statistics.median(reading.concurrency for reading in readings)),
    )


def baseline_number(
    baseline: Baseline | None,
    gate: RecordedGate,
    now: Mapping[str, Fingerprint],
    priced: tuple[Hardware, CostMode],
    *,
    ignore_mismatch: bool = False,
) -> float | Absent:
    """Return what ``gate`` is held against, or why there is nothing to hold it against.

    ``now`` is the fingerprint of each precision as measured; ``priced`` the hardware and cost mode of today.
    """
    if baseline is None:
        return Absent(Verdict.MISSING, "this suite has no baseline; record one with --precgate-update")
    if gate not in baseline.gates:
        return Absent(Verdict.MISSING, _missing_gate(baseline, gate))
    hardware, cost = priced
    differing = baseline.mismatches(now, gate.key.precisions)
    if differing and not ignore_mismatch:
        return Absent(Verdict.MISMATCH, "; ".join(differing))
    try:
        return baseline.value(gate.key, _repriced(baseline, hardware), cost)
    except OutsideSweepError as exc:
        return Absent(Verdict.MISSING, f"the baseline does not reach this point: {exc}")


def _repriced(baseline: Baseline, hardware: Hardware) -> Hardware:
    """Today's price under the baseline's own name, which differs only when a mismatch is being ignored."""
    return replace(hardware, name=baseline.launches[0].sweep.hardware)


def _missing_gate(baseline: Baseline, gate: RecordedGate) -> str:
    owners = sorted({recorded.test for recorded in baseline.gates if recorded.key == gate.key})
    known = f"; it knows the same gate of {', '.join(owners)} (renamed?)" if owners else ""
    return f"the baseline does not know this gate of {gate.test}{known}; record it with --precgate-update-new-only"
