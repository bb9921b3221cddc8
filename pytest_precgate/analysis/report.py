"""The findings of a run as values: reports render them as text, the plugin derives the exit code. No formatting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, RecordedGate
from pytest_precgate.analysis.accepted.latencies import MovedLatency
from pytest_precgate.analysis.accepted.matching import PRUNE, RECORD_NEW
from pytest_precgate.analysis.accepted.update import GateChange
from pytest_precgate.analysis.cost import SuiteCost
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict, all_pass
from pytest_precgate.analysis.gating.waiver import Waiver

Outcome = Literal["passed", "failed", "skipped", "recorded", "added"]
"""The outcome of a check. ``recorded``: its baseline is rewritten, so it was not compared with one. ``added``: the
gates that had a baseline passed, and those that had none are being recorded."""


class Ran(Protocol):
    """What a run was asked to run and the outcomes of its tests, by node id."""

    @property
    def seen(self) -> Collection[str]:
        """Tests that reported any phase, a skip included."""

    @property
    def failed(self) -> Collection[str]:
        """Tests that failed in some phase."""

    @property
    def xfailed(self) -> Collection[str]:
        """Tests that failed as expected (xfail)."""

    def holds(self, nodeid: str) -> bool:
        """Whether a test must check its stored gates in this run."""

    def includes(self, nodeid: str) -> bool:
        """Whether a test lies inside the paths of the run."""


@dataclass(frozen=True)
class GateReport:
    """One check of one test: the comparison, its targets, every judged gate, and the outcome.

    ``baseline`` is what it was compared with, ``rule`` the launch rule, ``waivers`` those that would let a failed check
    pass. ``run`` names the recorded run that holds everything measured for it, empty where none does; ``latencies`` are
    those that moved beside a gate that failed."""

    suite: str
    test: str
    comparison: Comparison
    points: tuple[float, ...]
    judged: Sequence[JudgedGate]
    outcome: Outcome
    notes: tuple[str, ...] = ()
    baseline: str = ""
    rule: str = ""
    waivers: tuple[Waiver, ...] = ()
    run: str = ""
    latencies: tuple[MovedLatency, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate was judged and passed."""
        return all_pass(self.judged)

    @property
    def failing(self) -> tuple[JudgedGate, ...]:
        """The gates that block the merge."""
        return tuple(gate for gate in self.judged if not gate.verdict.passes)


@dataclass(frozen=True)
class Compared:
    """A comparison that a test made and did not check against a baseline; ``failed`` when the test failed."""

    suite: str
    test: str
    comparison: Comparison
    points: tuple[float, ...]
    failed: bool = False

    @property
    def remark(self) -> str:
        """Why this comparison gates nothing."""
        if self.failed:
            return "the test failed before its gates were judged"
        return "without a check: nothing is gated here"


@dataclass(frozen=True)
class BaselineUpdate:
    """What happened to one baseline file: written, unchanged, or refused (and then why). ``notes`` are told with it."""

    suite: str
    path: str
    outcome: Literal["written", "unchanged", "refused"]
    changes: tuple[GateChange, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunReport:
    """The findings of one run. ``problems`` fail the run by themselves, ``warnings`` do not; ``costs`` is by suite.

    ``hints`` say what can be done with what was measured."""

    checks: tuple[GateReport, ...] = ()
    compared: tuple[Compared, ...] = ()
    updates: tuple[BaselineUpdate, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    costs: tuple[SuiteCost, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the run had nothing to do with this plugin."""
        return self == RunReport()


@dataclass(frozen=True)
class LogTail:
    """The last lines of a server's log, printable and without secrets; ``name`` is its path inside the run."""

    name: str
    text: str


@dataclass(frozen=True)
class SuiteBackground:
    """What stands behind the checks of one suite, for a report that shows more than the verdicts.

    ``launches`` are those measured, by precision, the first one first; ``baseline`` is the accepted state as the run
    read it, None without one, or where pairs are judged: then ``side`` names the other side and ``beside`` holds its
    launches. ``settings`` are those of its engines, flat; ``run`` names its folder, "" for none."""

    suite: str
    launches: Mapping[str, Sequence[Launch]]
    baseline: Baseline | None = None
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    logs: tuple[LogTail, ...] = ()
    run: str = ""
    side: str = ""
    beside: Mapping[str, Sequence[Launch]] = field(default_factory=dict)


def idle_gates(
    path: str, idle: Iterable[RecordedGate], ran: Ran, reports: Sequence[GateReport] = ()
) -> tuple[list[str], list[str]]:
    """Name stored gates that no test checked: those their tests should have checked, then those a narrowed run left
    out.

    A failed test's gates are neither. Where a check of the same suite (``reports``) lacks exactly these gates, the test
    was renamed: the check has said what to do."""
    by_test: dict[str, list[GateKey]] = {}
    for gate in idle:
        by_test.setdefault(gate.test, []).append(gate.key)
    unused, left_out = [], []
    for test in sorted({*by_test} - {*ran.failed}):
        if ran.holds(test):
            renamed = [report for report in reports if {*by_test[test]} <= _missing(report)]
            unused.append(
                _renamed(path, test, by_test[test], renamed[0]) if renamed else _unused_gates(path, test, by_test[test])
            )
        elif ran.includes(test):
            left_out.append(f"{path}: {len(by_test[test])} gates of {test} not checked: this run was narrowed")
    return unused, left_out


def _missing(report: GateReport) -> set[GateKey]:
    return {judged.gate.key for judged in report.judged if judged.verdict is Verdict.MISSING}


def _renamed(path: str, test: str, gates: Sequence[GateKey], report: GateReport) -> str:
    """Return that ``test`` has the gates that the test of ``report`` lacks, and what is left to do."""
    left = f"remove those of the old name: {PRUNE}" if report.outcome == "added" else "its failure says what to do"
    return f"{path}: {len(gates)} gates of {test} not used by this run, renamed to {report.test}? Then {left}"


def _unused_gates(path: str, test: str, gates: Sequence[GateKey]) -> str:
    """Return what to do about stored ``gates`` of ``test`` that a run did not check."""
    what = f"gate {gates[0]}" if len(gates) == 1 else f"{len(gates)} gates, the first {gates[0]},"
    return (
        f"{path}: {what} of {test} not used by this run. Removed: precgate baseline prune --reason TEXT; renamed: "
        f"{RECORD_NEW}, then prune; skipped for a while: --precgate-unused=warn; checks less: --precgate-update"
    )
