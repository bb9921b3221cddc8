"""The files that every page holds: template, style, script, licences. Read from the package when a page is written."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

_DATA = "data"


@dataclass(frozen=True)
class Assets:
    """Text of the files. ``script`` is built from tools/report, ``licences`` are those of what is inside it.

    ``history`` is what the page of a history adds to ``style``."""

    template: str
    style: str
    script: str
    licences: str
    history: str


def assets() -> Assets:
    """Return the package's files."""
    folder = resources.files("pytest_precgate.reports.html") / _DATA
    names = ("template.html", "report.css", "report.js", "THIRD_PARTY_LICENSES", "history.css")
    return Assets(*((folder / name).read_text(encoding="utf-8") for name in names))
