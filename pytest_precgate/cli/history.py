"""``precgate history``: the gates of a suite over time, their change points, and who changed the baseline and why.

Input: the baseline file in git, and the file of --precgate-history. Output: text, or one HTML page. Invariant: nothing
is measured, judged or written but the page; what cannot be read of git is a remark, and the rest is shown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from pytest_precgate.analysis.accepted.baseline import Provenance
from pytest_precgate.analysis.accepted.origin import utc_text
from pytest_precgate.analysis.accepted.trend import BaselineRevision, Reading, SuiteTrend, suite_trend
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.baselines.past import past_revision
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.cli.output import print_lines, width
from pytest_precgate.cli.points import write
from pytest_precgate.environment import tool_version
from pytest_precgate.environment.revisions import file_revisions, is_shallow
from pytest_precgate.errors import GitError, PrecgateError
from pytest_precgate.history.file import read
from pytest_precgate.history.readings import runs_of
from pytest_precgate.reports.history import lines
from pytest_precgate.reports.html.history import render
from pytest_precgate.reports.sparkline import BLOCKS, PLAIN

UNCOMMITTED = "uncommitted"
_SHALLOW = "this clone lacks older commits (it is shallow): git fetch --unshallow, in CI fetch-depth: 0"


def add_history(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = (
        "Draw each gate of a suite over its runs, from the file of --precgate-history, or over its accepted states, "
        "from git; mark where its level changed, and list who changed the baseline and why."
    )
    parser = commands.add_parser("history", help="draw the gates of a suite over time", description=about)
    parser.add_argument("suite", metavar="SUITE", help="its name, as its baseline file has it")
    parser.add_argument("--history", metavar="PATH", type=Path, help="the file that --precgate-history appends to")
    parser.add_argument(
        "--baselines", metavar="DIR", default="baselines", help="the baselines' directory; default baselines"
    )
    parser.add_argument("-o", "--out", metavar="PATH", type=Path, help="write an HTML page here instead of printing")
    parser.set_defaults(run=_history)


def _history(options: argparse.Namespace) -> int:
    here = Path.cwd()
    if "/" in options.suite or not options.suite.isprintable():
        raise PrecgateError(f"history: got {options.suite!r}, wanted the name of a suite, not a path")
    trend = _trend(options.suite, BaselineStore(here / options.baselines, here), options.history)
    if not trend.gates and not trend.revisions:
        where = f"{options.baselines}/{options.suite}.json has no commit that can be read"
        runs = "no --history was given" if options.history is None else f"{options.history} has no run of it"
        raise PrecgateError("; ".join((f"suite {options.suite!r}: there is no history: {where}", runs, *trend.remarks)))
    if options.out is None:
        print_lines(lines(trend, width(), _marks()))
        return EXIT_DONE
    made = Provenance("-", utc_text(datetime.now(timezone.utc)), tool_version(), "")
    write(render(trend, made), options.out)
    return EXIT_DONE


def _trend(suite: str, store: BaselineStore, history: Path | None) -> SuiteTrend:
    remarks: list[str] = []
    revisions = list(_revisions(suite, store.path(suite), remarks))
    return suite_trend(suite, _runs(suite, history), revisions, remarks)


def _runs(suite: str, history: Path | None) -> Sequence[Mapping[GateKey, Reading]]:
    if history is None:
        return []
    if not history.is_file():
        raise PrecgateError(f"{history}: there is no such file; name the one that --precgate-history appends to")
    return runs_of(suite, read(history))


def _revisions(suite: str, path: Path, remarks: list[str]) -> Iterator[BaselineRevision]:
    """Yield the revisions of a baseline file, and at the end what stands on disk where git does not have that."""
    last: bytes | None = None
    try:
        for each in file_revisions(path):
            last = each.data
            when = utc_text(datetime.fromtimestamp(each.committed, timezone.utc))
            found = past_revision(last, suite, commit=each.commit, author=each.author, utc=when, subject=each.subject)
            yield found
        if is_shallow(path.parent):
            remarks.append(_SHALLOW)
    except GitError as exc:
        remarks.append(f"revisions of the baseline are not shown: {exc}")
    data = path.read_bytes() if path.is_file() else None
    if data is not None and data != last:
        when = utc_text(datetime.fromtimestamp(path.stat().st_mtime, timezone.utc))
        yield past_revision(data, suite, commit=UNCOMMITTED, author="this directory", utc=when, subject="")


def _marks() -> str:
    """The characters of a sparkline that standard output can write."""
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN
    return BLOCKS
