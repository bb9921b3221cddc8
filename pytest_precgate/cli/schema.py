"""``precgate schema``: prints the JSON schema of the report that ``pytest --precgate-json`` writes.

Input: nothing. Output: the schema of this version's format. Invariant: it is the package's own file, which tests hold
against real reports."""

from __future__ import annotations

import argparse
from importlib import resources

from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.reports.json import FORMAT


def add_schema(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = f"Print the JSON schema (draft 2020-12) of what pytest --precgate-json=PATH writes: format {FORMAT}."
    parser = commands.add_parser("schema", help="print the JSON schema of the JSON report", description=about)
    parser.set_defaults(run=_schema)


def _schema(_: argparse.Namespace) -> int:
    print(report_schema(), end="")
    return EXIT_DONE


def report_schema() -> str:
    """Return the schema of the report's format as text."""
    folder = resources.files("pytest_precgate.reports") / "schema"
    return (folder / f"report-{FORMAT}.json").read_text(encoding="utf-8")
