"""Writes the files of a run's report: JSON, Markdown and HTML where a flag names them, the summary of a GitHub job, and
what the run's folder keeps.

Input: the report, and the flags and variables with the paths. Output: whole files, and one line for each file that
could not be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_precgate import files
from pytest_precgate.errors import PrecgateError
from pytest_precgate.faults import Contained

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_precgate.analysis.report import RunReport
    from pytest_precgate.reports.html.model import Document
    from pytest_precgate.run.gatekeeper import Gatekeeper
    from pytest_precgate.run.journaling import Record
    from pytest_precgate.settings import Suite

KINDS = ("json", "markdown", "html")
"""The reports that a flag names a file for."""


def page_of(
    found: RunReport,
    gatekeeper: Callable[[], Gatekeeper],
    suite_named: Callable[[str, str], Suite],
    record: Record | None,
    clock: Callable[[], datetime],
) -> Callable[[], Document]:
    """Return what gives the document of the HTML report, computed once and only when it is asked for."""

    @cache
    def page() -> Document:
        from pytest_precgate.analysis.accepted.baseline import Provenance  # noqa: PLC0415
        from pytest_precgate.analysis.accepted.origin import utc_text  # noqa: PLC0415
        from pytest_precgate.reports.html.model import document  # noqa: PLC0415
        from pytest_precgate.run.background import backgrounds  # noqa: PLC0415

        run, directory = gatekeeper(), None if record is None else record.directory
        behind = backgrounds(found, run.state, lambda name: suite_named(name, "report"), directory)
        return document(found, behind, Provenance(run.commit(), utc_text(clock()), run.tool_version, ""))

    return page


def write_reports(
    config: pytest.Config, environ: Mapping[str, str], found: RunReport, page: Callable[[], Document]
) -> list[str]:
    """Write what was asked for; return one line per report that could not be written.

    ``page`` gives what an HTML report shows."""
    here, lost = config.invocation_params.dir, []
    asked = {kind: config.getoption(f"precgate_{kind}") for kind in KINDS}
    targets = [(kind, here / path, False) for kind, path in asked.items() if path is not None]
    step_summary = environ.get("GITHUB_STEP_SUMMARY")
    if step_summary and not found.is_empty:
        targets.append(("markdown", Path(step_summary), True))
    for kind, path, is_shared in targets:
        try:
            _write(path, _rendered(kind, found, page), is_shared=is_shared)
        except (OSError, PrecgateError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            lost.append(f"{path}: the {kind} report cannot be written: {why}")
    return lost


def keep_report(record: Record | None, page: Callable[[], Document]) -> list[str]:
    """Keep what the run found in its folders, for ``precgate report``; return a line for each that it cannot.

    A replay leaves the replayed run as it was. A suite that nothing was found of has its journal alone."""
    if record is None or record.mode == "replay" or not record.directory.suites():
        return []
    from pytest_precgate.journal.directory import REPORT  # noqa: PLC0415
    from pytest_precgate.reports.html.model import of_suite  # noqa: PLC0415

    lost = []
    try:
        with Contained():
            whole = page()
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


def _rendered(kind: str, found: RunReport, page: Callable[[], Document]) -> str:
    with Contained():  # a module is loaded only where its report is asked for
        if kind == "html":
            from pytest_precgate.reports.html.page import render  # noqa: PLC0415

            return render(page())
        from pytest_precgate.reports import json as as_json  # noqa: PLC0415
        from pytest_precgate.reports import markdown  # noqa: PLC0415

        return as_json.render(found) if kind == "json" else markdown.render(found)
