"""What fails a run beside its tests, as pytest's own last lines show it: a line of the short summary, and a count.

Input: text. Output: a report that pytest's terminal counts as an error of no test. Invariant: it is for the terminal
alone; no exit code and no report file follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class _Place:
    message: str


@dataclass(frozen=True)
class _Said:
    """The part of a failure's text from which pytest's short summary takes its line."""

    reprcrash: _Place


def as_error(problem: str) -> pytest.CollectReport:
    """Return a report that the terminal counts under ``error`` and shows as ``ERROR precgate - ...``."""
    report = pytest.CollectReport("precgate", "failed", None, [])
    report.longrepr = _Said(_Place(problem))  # type: ignore[assignment]  # all that the short summary reads of it
    return report
