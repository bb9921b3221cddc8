"""Adds launches to a baseline: of another day or node, of the same state.

Input: the baseline and the launches of this run. Output: the update, or the reason why they cannot be added. Invariant:
launches of another hardware, workload, version or set of gates are never mixed with those of the baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pytest_precgate.analysis.accepted.anchor import differing_objective
from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, planned
from pytest_precgate.analysis.accepted.versions import ENGINE, MACHINE, differing_versions, tells_version
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.errors import UnlikeBaselineError
from pytest_precgate.text import printable

_UNTOLD = "the engine of {} tells no version: that its launches are of one version is not checked"
_ANEW = "record the suite anew with --precgate-update"


def require_baseline(baseline: Baseline | None) -> Baseline:
    """Return the baseline that launches are to be added to; raise UnlikeBaselineError when there is none."""
    if baseline is None:
        raise UnlikeBaselineError("there is no baseline to add launches to; record one with --precgate-update")
    return baseline


def require_addable(
    baseline: Baseline | None, test: str, keys: Collection[GateKey], now: Mapping[str, Fingerprint], tool_version: str
) -> Baseline:
    """Return the baseline that launches with the facts ``now`` may be added to, whose gates of ``test`` are ``keys``.

    Raises UnlikeBaselineError naming what differs: hard facts, versions, gates."""
    baseline = require_baseline(baseline)
    differing = [*baseline.mismatches(now, [name for name in now if name in baseline.precisions])]
    differing += [f"{name} has no launch in the baseline" for name in now if name not in baseline.precisions]
    for name, fingerprint in now.items():
        for launch in baseline.launches_of(name)[:1]:
            lines = differing_versions(fingerprint, launch.fingerprint, (*ENGINE, *MACHINE))
            differing += [f"{name}: {line}" for line in lines]
    if tool_version != baseline.recorded.tool_version:
        was = baseline.recorded.tool_version
        differing.append(f"pytest-precgate is {printable(tool_version)}, the baseline's is {printable(was)}")
    if differing:
        raise UnlikeBaselineError(f"its launches are of another state: {'; '.join(differing)}; {_ANEW}")
    own = [gate.key for gate in baseline.gates if gate.test == test]  # in order: one is named
    new = [key for key in keys if key not in own]
    gone = [key for key in own if key not in keys]
    if new or gone:
        what = f"the baseline has no gate {new[0]} of {test}" if new else f"{test} no longer checks {gone[0]}"
        more = f" (and {len(new) + len(gone) - 1} more)" if len(new) + len(gone) > 1 else ""
        raise UnlikeBaselineError(
            f"its gates are others: {what}{more}; add gates with --precgate-update-new-only first, or {_ANEW}"
        )
    return baseline


def plan_addition(old: Baseline | None, measured: Measured, recorded: Provenance) -> PlannedUpdate:
    """Return the update that adds the measured launches to those of ``old``; its gates stay as they are.

    Raises UnlikeBaselineError when they cannot be added: as :func:`require_addable`, when a precision was not measured,
    precisions have other numbers of launches, recorded points differ, or a launch is in the baseline already."""
    turns = max(map(len, measured.launches.values()), default=0)
    for test, keys in measured.checked.items():
        for turn in range(max(turns, 1)):  # the first launch does not speak for the others
            now = {name: each[turn].fingerprint for name, each in measured.launches.items() if turn < len(each)}
            old = require_addable(old, test, keys, now, recorded.tool_version)
    assert old is not None, "an update is of a suite that a test has checked"
    _refuse_other_objective(old, measured)
    added = [launch for name in old.precisions for launch in _added(old, name, measured.launches.get(name, ()))]
    if not added:
        raise UnlikeBaselineError("its points are recorded ones, which are one launch: there is nothing to add")
    live = {launch.sweep.precision for launch in added}
    for what, launches in (("this run", added), ("the baseline", old.launches)):
        counts = {name: sum(launch.sweep.precision == name for launch in launches) for name in sorted(live)}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{number} of {name}" for name, number in counts.items())
            raise UnlikeBaselineError(f"{what} holds {listed}: they could not be compared in turn; {_ANEW}")
    gates = [*old.gates, *(RecordedGate(test, key) for test, keys in measured.checked.items() for key in keys)]
    plan = planned(old, measured, recorded, [*old.launches, *added], gates)
    untold = sorted({each.sweep.precision for each in added if not tells_version(each)})
    return replace(plan, notes=(_UNTOLD.format(", ".join(untold)),)) if untold else plan


def _refuse_other_objective(old: Baseline, measured: Measured) -> None:
    """Refuse a goodput that was counted under another objective than the baseline's."""
    for gate in old.gates:
        for name in gate.key.precisions:
            for new in measured.launches.get(name, ()):
                for line in differing_objective(gate.key, new.rounded(), old.launches_of(name)[0]):
                    raise UnlikeBaselineError(f"its launches are of another state: {name}: {line}; {_ANEW}")


def _added(old: Baseline, precision: str, launches: Sequence[Launch]) -> list[Launch]:
    """The launches of one precision that join its others; none of recorded points, which must be the baseline's."""
    known = [launch.sweep.points for launch in old.launches_of(precision)]
    rounded = [launch.rounded() for launch in launches]
    if not rounded:
        raise UnlikeBaselineError(f"{precision} was not measured: run every test of the suite")
    if not rounded[0].is_repeatable:
        if rounded[0].sweep.points not in known:
            raise UnlikeBaselineError(f"the recorded points of {precision} are not the baseline's; {_ANEW}")
        return []
    for number, launch in enumerate(rounded, 1):
        if launch.sweep.points in known:
            raise UnlikeBaselineError(
                f"launch {number} of {precision} is in the baseline already: measure again (a simulation draws the "
                "same launch from the same seed)"
            )
    return rounded
