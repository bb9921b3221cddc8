"""The tests of a run that gate something: their suites, and which of them failed for another reason than a gate.

Input: collected tests, reports of tests. Output: names and reasons. Invariant: a gate test that failed is in the report
of a run, whether its gates were judged or its engine never started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_precgate.text import printable

if TYPE_CHECKING:
    from pytest_precgate.analysis.report import RunReport
    from pytest_precgate.reports.outcome import FailedTest


@dataclass
class GateTests:
    """``suites`` is the suite of each test by node id, ``failures`` why a test failed first."""

    suites: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def note(self, report: pytest.TestReport) -> None:
        """Record why a gate test failed."""
        if report.failed and report.nodeid in self.suites:
            self.failures.setdefault(report.nodeid, _first_line(report))

    def asked(self) -> list[str]:
        """Return the suites, sorted."""
        return sorted(set(self.suites.values()))

    def failed(self, found: RunReport) -> list[FailedTest]:
        """Return the tests of which no failed check of ``found`` tells why they failed."""
        if not self.failures:
            return []
        from pytest_precgate.reports.outcome import FailedTest  # noqa: PLC0415

        told = {check.test for check in found.checks if check.outcome == "failed"}
        return [FailedTest(test, why) for test, why in self.failures.items() if test not in told]


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", "") or report.longrepr or "failed").strip()
    return printable(text.split("\n", maxsplit=1)[0], 500)
