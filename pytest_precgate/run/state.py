"""The state of one run: what it has read, compared and checked and is about to record.

The gatekeeper fills it; the end of the run reads it. Invariant: a suite's baseline is read once, so that every check of
a run is compared with the same file."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_precgate.analysis.accepted.baseline import RecordedGate
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.report import Compared, GateReport
from pytest_precgate.baselines.store import BaselineStore, Stored
from pytest_precgate.settings import Suite


@dataclass
class PendingUpdate:
    """What a suite's baseline is to become: the suite and its gates by test."""

    suite: Suite
    comparison: Comparison
    checked: dict[str, list[GateKey]] = field(default_factory=dict)


@dataclass
class RunState:
    """By suite: the baseline as read, what is to be recorded, the gates that were held; and every report, by suite,
    test and precisions, every comparison by suite and precisions."""

    store: BaselineStore
    stored: dict[str, Stored] = field(default_factory=dict)
    pending: dict[str, PendingUpdate] = field(default_factory=dict)
    used: dict[str, set[RecordedGate]] = field(default_factory=dict)
    reports: dict[tuple[str, str, str], GateReport] = field(default_factory=dict)
    compared: list[Compared] = field(default_factory=list)
    pairs: dict[tuple[str, str, str], Comparison] = field(default_factory=dict)

    def read(self, suite: str) -> Stored:
        """Return the suite's baseline as it was when it was first asked for. Raises BaselineError."""
        if suite not in self.stored:
            self.stored[suite] = self.store.read(suite)
        return self.stored[suite]
