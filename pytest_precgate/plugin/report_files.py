"""Writes the files of a run's report: those a flag names (JSON, Markdown, HTML, SVG, JUnit), the summary of a GitHub
job, and what the run's folder keeps.

Input: the report, and the flags and variables with the paths. Output: whole files, and one line for each file that
could not be written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_precgate import files
from pytest_precgate.errors import PrecgateError
from pytest_precgate.faults import Contained

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_precgate.analysis.report import RunReport, SuiteBackground
    from pytest_precgate.reports.html.model import Document
    from pytest_precgate.reports.outcome import FailedTest
    from pytest_precgate.run.gatekeeper import Gatekeeper
    from pytest_precgate.run.journaling import Record
    from pytest_precgate.settings import Suite

KINDS = ("json", "markdown", "html", "svg", "junit")
"""The reports that a flag names a file for."""


@dataclass(frozen=True)
class Reported:
    """What the files of a run are made of: the report, the suites its gate tests asked for, those of these tests that
    failed for another reason than a gate, and what is computed when a file needs it."""

    found: RunReport
    asked: Sequence[str]
    failed: Sequence[FailedTest]
    gatekeeper: Callable[[], Gatekeeper]
    suite_named: Callable[[str, str], Suite]
    record: Record | None
    clock: Callable[[], datetime]

    @cached_property
    def behind(self) -> Sequence[SuiteBackground]:
        """What stands behind the checks."""
        from pytest_precgate.run.background import backgrounds  # noqa: PLC0415

        directory = None if self.record is None else self.record.directory
        return backgrounds(
            self.found, self.gatekeeper().state, lambda name: self.suite_named(name, "report"), directory
        )

    @cached_property
    def page(self) -> Document:
        """The document of the HTML report."""
        from pytest_precgate.analysis.accepted.baseline import Provenance  # noqa: PLC0415
        from pytest_precgate.analysis.accepted.origin import utc_text  # noqa: PLC0415
        from pytest_precgate.reports.html.model import document  # noqa: PLC0415

        run = self.gatekeeper()
        made = Provenance(run.commit(), utc_text(self.clock()), run.tool_version, "")
        # A gate test that failed by itself, or did not run, is a problem of the run: its page does not say passed.
        untold = [f"{each.test}: {each.why}" for each in self.failed]
        found = replace(self.found, problems=(*self.found.problems, *untold))
        return document(found, self.behind, made)


def write_reports(config: pytest.Config, environ: Mapping[str, str], reported: Reported) -> list[str]:
    """Write what was asked for; return one line per report that could not be written."""
    here, lost = config.invocation_params.dir, []
    asked = {kind: config.getoption(f"precgate_{kind}") for kind in KINDS}
    targets = [(kind, here / path, False) for kind, path in asked.items() if path is not None]
    step_summary = environ.get("GITHUB_STEP_SUMMARY")
    if step_summary and not (reported.found.is_empty and not reported.failed):
        targets.append(("markdown", Path(step_summary), True))
    picture = None if asked["svg"] is None else here / asked["svg"]
    for kind, path, is_shared in targets:
        try:
            # A job's summary shows no picture that lies beside it.
            beside = None if picture is None or is_shared else os.path.relpath(picture, path.parent)
            _write(path, _rendered(kind, reported, beside), is_shared=is_shared)
        except (OSError, PrecgateError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            lost.append(f"{path}: the {kind} report cannot be written: {why}")
    return lost


def keep_report(reported: Reported) -> list[str]:
    """Keep what the run found in its folders, for ``precgate report``; return a line for each that it cannot.

    A replay leaves the replayed run as it was. A suite that nothing was found of has its journal alone."""
    record = reported.record
    if record is None or record.mode == "replay" or not record.directory.suites():
        return []
    from pytest_precgate.journal.directory import REPORT  # noqa: PLC0415
    from pytest_precgate.reports.html.model import of_suite  # noqa: PLC0415

    lost = []
    try:
        with Contained():
            whole = reported.page
    except PrecgateError as exc:
        return [f"what the run found cannot be kept for precgate report: {exc}"]
    found = [suite for suite in record.directory.suites() if of_suite(whole, suite)["suites"]]
    for suite in found:
        path = record.directory.home(suite) / REPORT
        try:
            files.write(path, json.dumps(of_suite(whole, suite), sort_keys=True, allow_nan=False) + "\n")
        except OSError as exc:
            lost.append(f"{path}: what the run found cannot be kept for precgate report: {exc.strerror}")
    return lost


def _write(path: Path, text: str, *, is_shared: bool) -> None:
    """Write a file of our own, or add to one that other steps of a job write as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_shared:
        files.write(path, text)
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _rendered(kind: str, reported: Reported, picture: str | None) -> str:
    """The text of one report; Markdown has a link to the ``picture``, whose path starts where the Markdown lies."""
    found = reported.found
    with Contained():  # a module is loaded only where its report is asked for
        if kind == "html":
            from pytest_precgate.reports.html.page import render  # noqa: PLC0415

            return render(reported.page)
        if kind == "svg":
            from pytest_precgate.reports.svg import picture as svg  # noqa: PLC0415

            return svg.render(found, reported.behind)
        if kind == "junit":
            from pytest_precgate.reports import junit  # noqa: PLC0415

            return junit.render(found, reported.failed)
        from pytest_precgate.reports import json as as_json  # noqa: PLC0415
        from pytest_precgate.reports import markdown  # noqa: PLC0415

        if kind == "json":
            return as_json.render(found)
        return markdown.render(found, reported.asked, reported.failed, picture)
