"""The end of a run in the history: one line per judged suite, and a warning where accepted states sink.

Input: the report of a run and what measured it. Output: the report with what the history says. Invariant: a history
that cannot be written or read is a problem of the report, and changes no verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_precgate.analysis.accepted.cusum import AcceptedState, Sinking, sinking
from pytest_precgate.analysis.accepted.origin import utc_text
from pytest_precgate.analysis.accepted.update import GateChange
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import GateReport, RunReport
from pytest_precgate.errors import HistoryError
from pytest_precgate.history.entry import GateEntry, HistoryEntry
from pytest_precgate.history.file import append, read
from pytest_precgate.run.state import RunState

_OUTCOMES = ("failed", "skipped", "recorded", "added", "passed")  # the first of them that a check had is the suite's


def with_history(report: RunReport, path: Path, state: RunState) -> RunReport:
    """Append what was judged to the history at ``path``, and return the report with its warnings and problems.

    Read first: a history that cannot be read is left as it is, and nothing is appended."""
    by_suite: dict[str, list[GateReport]] = {}
    for check in report.checks:
        by_suite.setdefault(check.suite, []).append(check)
    if not by_suite:
        return report
    try:
        new = [_entry(suite, checks, report, state) for suite, checks in by_suite.items()]
        entries = [*read(path), *new]
        append(path, new)
    except HistoryError as exc:
        return replace(report, problems=(*report.problems, str(exc)))
    warnings = [line for suite in by_suite for line in _sinking(suite, entries)]
    return replace(report, warnings=(*report.warnings, *warnings))


def _entry(suite: str, checks: Sequence[GateReport], report: RunReport, state: RunState) -> HistoryEntry:
    updates = [update for update in report.updates if update.suite == suite and update.outcome == "written"]
    policy = state.policy
    written = {
        (change.gate.test, change.gate.key): change
        for update in updates
        for change in update.changes
        if not policy.update_add and (policy.update or change.before is None)
    }
    measured = state.launches.measured(suite)
    replayed = state.launches.origin(suite)
    outcomes = [check.outcome for check in checks]
    return HistoryEntry(
        suite=suite,
        utc=utc_text(state.clock()) if replayed is None else replayed.utc,
        commit=state.commit() if replayed is None else replayed.commit,
        tool_version=state.version_of(suite),
        outcome=next(word for word in _OUTCOMES if word in outcomes),
        accepted=bool(updates),
        gates=[
            _gate(check.test, judged, written.get((check.test, judged.gate.key)))
            for check in checks
            for judged in check.judged
        ],
        launches=[(precision, launch.origin) for precision, each in measured.items() for launch in each],
        replayed=replayed is not None,
    )


def _gate(test: str, judged: JudgedGate, accepted: GateChange | None) -> GateEntry:
    """A gate as it was judged; where a new state was accepted, with its centre, noise and anchor.

    Launches or gates that join a state are no new one: it would count twice."""
    found = judged.evidence
    values = () if found is None else found.values
    blank = GateEntry(test, judged.gate.key, str(judged.verdict), judged.value, judged.baseline, values=values)
    if accepted is None or accepted.after is None:
        return replace(blank, sigma=None if found is None else found.sigma)
    return replace(
        blank, value=accepted.after, sigma=accepted.sigma, anchor=accepted.anchor, anchored=accepted.since or None
    )


def _sinking(suite: str, entries: Sequence[HistoryEntry]) -> Iterator[str]:
    """Yield a line when accepted states of the suite sink: the gate that sank furthest, and how many more do."""
    states: dict[GateKey, list[AcceptedState]] = {}
    for entry in entries:
        if entry.suite == suite and entry.accepted:
            for key, state in _accepted(entry).items():
                states.setdefault(key, []).append(state)
    found: Mapping[GateKey, Sinking] = {
        key: sunk for key, each in states.items() if (sunk := sinking(key, each)) is not None
    }
    if found:
        key, worst = max(found.items(), key=lambda pair: pair[1].below)
        more = f" (and {len(found) - 1} more gates)" if len(found) > 1 else ""
        yield (
            f"suite {suite}: accepted states sink: {key}{more} since {worst.since.utc} (commit {worst.since.commit}), "
            f"in {worst.states} accepted states by now {worst.below:.1%} worse than its anchor; look at the merges "
            "since"
        )


def _accepted(entry: HistoryEntry) -> Mapping[GateKey, AcceptedState]:
    """Each gate once, also where several tests check it."""
    return {
        gate.key: AcceptedState(entry.utc, entry.commit, gate.value, gate.anchor, gate.sigma, gate.anchored or "")
        for gate in entry.gates
        if gate.value is not None and gate.anchor is not None
    }
