"""Writes the files of a run's report: JSON and Markdown where a flag names them, and the summary of a GitHub job.

Input: the report, and the flags and variables with the paths. Output: whole files, and one line for each file that
could not be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_precgate import files
from pytest_precgate.errors import PrecgateError
from pytest_precgate.faults import Contained

if TYPE_CHECKING:
    from pytest_precgate.analysis.report import RunReport


def write_reports(config: pytest.Config, environ: Mapping[str, str], found: RunReport) -> list[str]:
    """Write what was asked for; return one line per report that could not be written."""
    here, lost = config.invocation_params.dir, []
    asked = {kind: config.getoption(f"precgate_{kind}") for kind in ("json", "markdown")}
    targets = [(kind, here / path, False) for kind, path in asked.items() if path is not None]
    step_summary = environ.get("GITHUB_STEP_SUMMARY")
    if step_summary and not found.is_empty:
        targets.append(("markdown", Path(step_summary), True))
    for kind, path, is_shared in targets:
        try:
            _write(path, _rendered(kind, found), is_shared=is_shared)
        except (OSError, PrecgateError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            lost.append(f"{path}: the {kind} report cannot be written: {why}")
    return lost


def _write(path: Path, text: str, *, is_shared: bool) -> None:
    """Write a file of our own, or add to one that other steps of a job write as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_shared:
        files.write(path, text)
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _rendered(kind: str, found: RunReport) -> str:
    from pytest_precgate.reports import json, markdown  # noqa: PLC0415  # only where one is asked for

    with Contained():
        return json.render(found) if kind == "json" else markdown.render(found)
