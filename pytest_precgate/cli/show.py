"""``precgate show``: prints a recorded run in full, judged again without measuring.

Input: the name of a run in .precgate/runs/, settings. Output: text. Invariant: nothing is measured, started or
written."""

from __future__ import annotations

import argparse
import os
from datetime import datetime, timezone
from pathlib import Path

from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.cli.output import print_lines, width
from pytest_precgate.environment import tool_version
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.reports.show import Shown, lines
from pytest_precgate.run.shown import ShownRun, shown_runs
from pytest_precgate.settings import load


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = (
        "Print everything of a recorded run: tables, every gate with all digits, noise, launches, points, environment, "
        "cost. It is judged again with the checks it had; nothing is measured."
    )
    parser = commands.add_parser("show", help="print a recorded run in full", description=about)
    parser.add_argument("recorded", metavar="RUN", help="a directory of .precgate/runs, its name, or latest")
    parser.set_defaults(run=_show)


def _show(options: argparse.Namespace) -> int:
    root = Path.cwd()
    directory = RunDirectory.find(root, root, options.recorded)
    for number, found in enumerate(shown_runs(directory, load(root), root, _now, tool_version(), os.environ)):
        if number:
            print()
        print_lines(lines(_as_text(found), width()))
    return EXIT_DONE


def _as_text(found: ShownRun) -> Shown:
    opened = found.opened
    return Shown(
        name=found.name,
        suite=found.suite,
        measured=f"measured {opened.utc} at commit {opened.commit} by {opened.tool_version}",
        reports=found.reports,
        launches=found.launches,
        baseline=found.baseline,
        costs=found.costs,
        remarks=found.remarks,
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
