"""What a run comes to, in one word, and the first lines of each check: what a pull request is told first.

Input: a run's report and the gate tests that failed for another reason than a gate. Output: words and lines. Invariant:
only a run with a check that passed, and with nothing that failed, is "passed"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_precgate.analysis.report import GateReport, RunReport
from pytest_precgate.reports import failure, layout, terminal

Word = Literal["failed", "not judged", "recorded", "passed"]
SIGNS: dict[Word, str] = {
    "failed": "\u274c",
    "not judged": "\u26a0\ufe0f",
    "recorded": "\u2139\ufe0f",
    "passed": "\u2705",
}
_UNBROKEN = 100_000


@dataclass(frozen=True)
class FailedTest:
    """A gate test that failed for another reason than its gates, or did not run, and the first line of why."""

    test: str
    why: str


def word(run: RunReport, failed: Sequence[FailedTest] = ()) -> Word:
    """Return the outcome of a run: that of its worst part."""
    outcomes = {check.outcome for check in run.checks}
    if "failed" in outcomes or run.problems or failed or any(made.failed for made in run.compared):
        return "failed"
    if "skipped" in outcomes or not outcomes:
        return "not judged"
    return "passed" if "passed" in outcomes else "recorded"


def is_simulated(run: RunReport) -> bool:
    """Whether a figure of the run is simulated."""
    pairs = [*(each.comparison for each in run.checks), *(each.comparison for each in run.compared)]
    return any(layout.simulated(pair) for pair in pairs)


def first_lines(report: GateReport) -> Iterator[str]:
    """Yield what the terminal says first of a check: of a failed one the headline, of another its outcome."""
    if report.outcome == "failed":
        yield from (line.text.strip() for line in failure.headline(report, _UNBROKEN))
        return
    yield terminal.outcome(report)
    yield from (line.text.strip() for line in terminal.briefly(report, _UNBROKEN))


def suites_of(run: RunReport, asked: Sequence[str] = ()) -> list[str]:
    """Return the names of the suites that a run is about, sorted: those its tests asked for, and those found."""
    checked = [*(each.suite for each in run.checks), *(each.suite for each in run.compared)]
    return sorted({*asked, *checked, *(each.suite for each in run.updates)})


def gravest_first(run: RunReport) -> list[GateReport]:
    """Return the checks, those that failed before the others."""
    return sorted(run.checks, key=lambda check: check.outcome != "failed")
