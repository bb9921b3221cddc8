"""What a run found as annotations of a GitHub job: commands that its runner reads from standard output.

Input: a run's report, the gate tests that failed otherwise, and the place of each suite's settings.
Output: lines. Invariants: one annotation for each check, since GitHub shows ten for a step; what blocks the merge is an
error; text from outside can neither end a command nor begin another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.report import RunReport
from pytest_precgate.reports import outcome
from pytest_precgate.reports.escape import command_message, command_property
from pytest_precgate.reports.outcome import FailedTest


@dataclass(frozen=True)
class Place:
    """A line of a file, relative to the root of the repository."""

    file: str
    line: int


def lines(
    run: RunReport, failed: Sequence[FailedTest], places: Mapping[str, Place], otherwise: Place | None
) -> Iterator[str]:
    """Yield the commands: failed checks first, at their suite's settings; ``otherwise`` is where the rest belongs."""
    for check in outcome.gravest_first(run):
        if check.outcome in ("failed", "skipped"):
            level = "error" if check.outcome == "failed" else "warning"
            text = "\n".join([*outcome.first_lines(check), check.test])
            yield _command(level, f"precgate: {check.suite}", text, places.get(check.suite, otherwise))
    for each in failed:
        yield _command("error", "precgate: a gate test failed", f"{each.test}: {each.why}", None)
    for problem in run.problems:
        yield _command("error", "precgate", problem, otherwise)
    for warning in run.warnings:
        yield _command("warning", "precgate", warning, otherwise)


def _command(level: str, title: str, text: str, place: Place | None) -> str:
    properties = {} if place is None else {"file": place.file, "line": str(place.line)}
    written = ",".join(f"{name}={command_property(value)}" for name, value in {**properties, "title": title}.items())
    return f"::{level} {written}::{command_message(text)}"
