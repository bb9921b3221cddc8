"""Prints annotations for a GitHub job, which show a failed gate at the lines of its suite in a pull request.

Input: what a run found, and the variables of the job. Output: commands on the terminal. Invariant: outside of a GitHub
job nothing is printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_precgate.plugin.failed_check import Writer

if TYPE_CHECKING:
    from pytest_precgate.plugin.report_files import Reported
    from pytest_precgate.reports.annotations import Place


def annotate(writer: Writer, environ: Mapping[str, str], root: Path, reported: Reported) -> None:
    """Print one annotation for each check that did not pass, and for what fails the run beside its tests."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    from pytest_precgate.reports.annotations import lines  # noqa: PLC0415
    from pytest_precgate.reports.outcome import suites_of  # noqa: PLC0415

    suites = suites_of(reported.found, reported.asked)
    places = {suite: place for suite in suites if (place := _place(root, environ, suite)) is not None}
    for line in lines(reported.found, reported.failed, places, _place(root, environ, "")):
        writer.line(line)


def _place(root: Path, environ: Mapping[str, str], suite: str) -> Place | None:
    """Where a suite is configured; None where the file is not there, or not inside the repository."""
    from pytest_precgate.reports.annotations import Place  # noqa: PLC0415
    from pytest_precgate.settings.places import line_of  # noqa: PLC0415

    own = root / "precgate.toml"
    file = own if own.is_file() else root / "pyproject.toml"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
        shown = file.resolve().relative_to(Path(environ.get("GITHUB_WORKSPACE") or root).resolve())
    except (OSError, ValueError):
        return None
    return Place(shown.as_posix(), line_of(text, suite, in_project=file != own))
