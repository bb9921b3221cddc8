"""``precgate report`` and ``precgate open``: the HTML report of a run, of a baseline, or of recorded points.

Input: what the command names. Output: one HTML file. Invariant: nothing is measured or judged here; verdicts are
those that the run left in its folder."""

from __future__ import annotations

import argparse
import json
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import utc_text
from pytest_precgate.analysis.curves.comparison import COST_MODES, WORDINGS, Comparison, compare
from pytest_precgate.analysis.curves.economics import Hardware, hardware_named
from pytest_precgate.analysis.report import Compared, RunReport, SuiteBackground
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.cli.points import STATED, add_stated, compared_sweeps, points_option, stated_by, write
from pytest_precgate.environment import tool_version
from pytest_precgate.errors import PrecgateError
from pytest_precgate.journal.directory import REPORT, RunDirectory
from pytest_precgate.journal.events import RunOpened
from pytest_precgate.journal.file import read
from pytest_precgate.reports.html.model import FORMAT, document, merged
from pytest_precgate.reports.html.page import render
from pytest_precgate.reports.html.state import recorded_gates
from pytest_precgate.run.swept import launches_of
from pytest_precgate.settings import load

Page = Mapping[str, Any]
_UNJUDGED = "the run left no verdicts: it was ended before it could, or it is of a version without reports"


def add_page(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands to the others."""
    about = (
        "Write one self-contained HTML page: of a run (its folder, its name, or latest), of a baseline file, or of two "
        "files of recorded points as 'precgate compare' takes them."
    )
    parser = commands.add_parser("report", help="write the HTML page of a run, a baseline or points", description=about)
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help="RUN, BASELINE.json, or CANDIDATE REFERENCE")
    parser.add_argument("-o", "--out", metavar="PATH", type=Path, help="write here; default: print")
    parser.add_argument("--at", metavar="X,Y,Z", type=points_option, help="of points: targets; default: quartiles")
    add_stated(parser, STATED)
    parser.add_argument("--cost", choices=COST_MODES, default="derived", help="of points: how cost is read")
    parser.add_argument("--wording", choices=WORDINGS, default="ratios", help="of points: how a row is put into words")
    parser.set_defaults(run=_report)
    shown = "Write the HTML page of a run into its folder, and open it in a browser."
    opening = commands.add_parser("open", help="open the HTML page of a run in a browser", description=shown)
    opening.add_argument(
        "run_name", metavar="RUN", nargs="?", default="latest", help="its folder or name; default latest"
    )
    opening.set_defaults(run=_open)


def _report(options: argparse.Namespace) -> int:
    write(render(_page(options)), options.out)
    return EXIT_DONE


def _open(options: argparse.Namespace) -> int:
    here = Path.cwd()
    found = RunDirectory.find(here, here, options.run_name)
    path = found.home(found.suites()[0]) / "report.html"
    write(render(_of_run(found)), path)
    print(path)
    if not webbrowser.open(path.resolve().as_uri()):
        raise PrecgateError(f"{path}: is written, and no browser could be opened on this machine; open it yourself")
    return EXIT_DONE


def _page(options: argparse.Namespace) -> Page:
    sources, here = options.sources, Path.cwd()
    if len(sources) == 2:
        return _of_points(options)
    if len(sources) > 2:
        raise PrecgateError(
            f"report: got {len(sources)} sources, wanted a RUN, a BASELINE.json, or two files of points"
        )
    path = here / sources[0]
    if not path.is_file():
        return _of_run(RunDirectory.find(here, here, sources[0]))
    store = BaselineStore(path.parent, here)
    if path.suffix != ".json" or path.stem not in store.suites():
        raise PrecgateError(
            f"{sources[0]}: is no baseline; of recorded points two files are wanted, CANDIDATE and REFERENCE, or "
            f"{sources[0]}:fp4 {sources[0]}:int4 where one file holds both"
        )
    baseline = store.read(path.stem).baseline
    if baseline is None:
        raise PrecgateError(f"{sources[0]}: there is no baseline")
    return _of_baseline(baseline, store.shown(path))


def _now() -> str:
    return utc_text(datetime.now(timezone.utc))


def _of_points(options: argparse.Namespace) -> Page:
    sweeps = compared_sweeps(options.sources[0], options.sources[1], stated_by(options, STATED))
    hardware = hardware_named(sweeps[0].hardware, load(Path.cwd()).hardware)
    pair = compare(*sweeps, hardware=hardware, cost=options.cost, wording=options.wording)
    for point in options.at or ():
        pair.at(point)  # off the band nothing is compared
    launches = {sweep.precision: [Launch(sweep, Fingerprint.of(sweep, ("recorded",), {}))] for sweep in sweeps}
    made = Provenance("-", _now(), tool_version(), "")
    names = [Path(source).name for source in options.sources]
    page = _compared("recorded points", pair, options.at or (), launches, made)
    return {**page, "what": "recorded points", "title": f"Recorded points: {' against '.join(names)}"}


def _of_baseline(baseline: Baseline, shown: str) -> Page:
    launches = {name: list(baseline.launches_of(name)) for name in baseline.precisions}
    ratio = next((gate.key.precisions for gate in baseline.gates if len(gate.key.precisions) == 2), None)
    names = ratio or baseline.precisions[:2]
    if len(names) < 2:
        raise PrecgateError(f"{shown}: holds {names[0]} alone; a picture compares two precisions")
    price = baseline.hardware, baseline.cost
    first, second = (launches[name][0].curve(*price) for name in names)
    targets = tuple(sorted({gate.key.point for gate in baseline.gates}))
    page = _compared(baseline.suite, Comparison(first, second), targets, launches, baseline.recorded)
    page["suites"][0]["recorded"] = recorded_gates(baseline)
    return {**page, "what": "the baseline", "title": f"Baseline: {shown}"}


def _of_run(found: RunDirectory) -> Page:
    """The pages that the suites of a run left, as one; a suite that left none is drawn from its journal."""
    pages = list(_parts(found))
    if not pages:
        raise PrecgateError(f"{found.runs}: the run of {found.utc} holds no two precisions to draw")
    return merged(pages)


def _parts(found: RunDirectory) -> Iterator[Page]:
    for suite in found.suites():
        path = found.home(suite) / REPORT
        page = _kept(path) if path.is_file() else None
        if page is None:
            page = _of_journal(found, suite)
        if page is not None:
            yield page


def _kept(path: Path) -> Page | None:
    """What a run left; None where another version of this tool left it, whose journal is read instead."""
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise PrecgateError(f"{path}: is not JSON ({exc}); remove it to draw the run from its journal") from exc
    if not isinstance(page, dict) or page.get("format") != FORMAT:
        return None
    return page


def _of_journal(found: RunDirectory, suite: str) -> Page | None:
    recorded = read(found.journal(suite)) if found.journal(suite).is_file() else None
    if recorded is None:
        return None
    run: RunOpened = recorded.run
    launches = {name: each for name, each in launches_of(recorded).items() if each}
    if len(launches) < 2:
        return None
    hardware: Hardware = hardware_named(run.hardware, load(Path.cwd()).hardware)
    first, second = (each[0].curve(hardware, "derived") for each in list(launches.values())[:2])
    made = Provenance(run.commit, run.utc, run.tool_version, "")
    home = found.home(suite)
    page = _compared(suite, Comparison(first, second), (), launches, made, dict(run.settings), home.name)
    return {**page, "warnings": [f"suite {suite}: {_UNJUDGED}"]}


def _compared(
    suite: str,
    pair: Comparison,
    targets: Sequence[float],
    launches: Mapping[str, Sequence[Launch]],
    made: Provenance,
    settings: Mapping[str, str | int | float | bool | None] | None = None,
    run: str = "",
) -> dict[str, Any]:
    """A page without verdicts."""
    report = RunReport(compared=(Compared(suite, "", pair, tuple(targets)),))
    behind = SuiteBackground(suite, launches, settings=settings or {}, run=run)
    page: dict[str, Any] = document(report, [behind], replace(made, reason=""))
    page["suites"][0]["compared"] = []
    return page
