"""The runs of one suite in a history, oldest first, as readings of its gates. No file is touched.

Input: entries in the order of the file. Output: readings by gate, one mapping a run. Invariants: a gate that several
tests check is read once; a replay of launches that are there already adds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_precgate.analysis.accepted.trend import Reading
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.history.entry import HistoryEntry


def runs_of(suite: str, entries: Iterable[HistoryEntry]) -> list[Mapping[GateKey, Reading]]:
    """Return the gates of every run of ``suite`` that had a value, in the order of their times.

    Runs of one time keep the order of the file: a run appends when it ends, and a replay is of an earlier time."""
    own = sorted((each for each in entries if each.suite == suite), key=lambda each: each.utc)
    seen = {_launches(each) for each in own if not each.replayed}
    found: list[Mapping[GateKey, Reading]] = []
    for entry in own:
        if entry.replayed:
            if _launches(entry) in seen:
                continue
            seen.add(_launches(entry))
        readings = {
            gate.key: Reading(entry.utc, entry.commit, gate.value, gate.baseline, gate.verdict)
            for gate in entry.gates
            if gate.value is not None
        }
        if readings:
            found.append(readings)
    return found


def _launches(entry: HistoryEntry) -> object:
    """What tells the launches of a run from those of another: a replay has the same values, to the last digit."""
    return entry.commit, tuple((gate.key, gate.values) for gate in entry.gates)
