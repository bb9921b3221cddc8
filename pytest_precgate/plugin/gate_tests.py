"""The tests of a run that gate something: their suites, and which of them failed for another reason than a gate.

Input: collected tests, reports of tests and of their collection. Output: names and reasons. Invariant: a gate test that
failed or did not run is in the report of a run, whether its gates were judged or its engine never started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_precgate.text import printable

if TYPE_CHECKING:
    from pytest_precgate.analysis.report import RunReport
    from pytest_precgate.reports.outcome import FailedTest

_UNSEEN = "did not run: the run ended before it"


@dataclass(eq=False)  # a plugin of pytest is told by what it is
class GateTests:
    """``suites`` is the suite of each test by node id, ``failures`` why a test, or the collection of a file, failed
    first, ``seen`` the tests that reported anything."""

    suites: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record that a test ran, and why a gate test failed."""
        self.seen.add(report.nodeid)
        if report.failed and report.nodeid in self.suites:
            self.failures.setdefault(report.nodeid, _first_line(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record why a file, which may hold a gate test, was not collected."""
        if report.failed:
            self.failures.setdefault(report.nodeid, _first_line(report))

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Expect nothing of a test that was left out after it was collected (``--lf``)."""
        for item in items:
            self.suites.pop(item.nodeid, None)

    def asked(self) -> list[str]:
        """Return the suites, sorted."""
        return sorted(set(self.suites.values()))

    def failed(self, found: RunReport) -> list[FailedTest]:
        """Return the tests of which no failed check of ``found`` tells why they failed, and those that did not run."""
        unseen = dict.fromkeys((test for test in self.suites if test not in self.seen), _UNSEEN)
        if not (self.failures or unseen):
            return []
        from pytest_precgate.reports.outcome import FailedTest  # noqa: PLC0415

        told = {check.test for check in found.checks if check.outcome == "failed"}
        return [FailedTest(test, why) for test, why in {**self.failures, **unseen}.items() if test not in told]


def _first_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "") or report.longrepr or "failed").strip()
    return printable(text.split("\n", maxsplit=1)[0], 500)
