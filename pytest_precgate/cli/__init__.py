"""The ``precgate`` command: compare, import and export recorded points, measure noise, show runs and trends, look at
the machine, check and prune baselines.

Invariant: a reader of its output that goes away ends it quietly."""

from __future__ import annotations

import argparse
import json as jsonlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from pytest_precgate.analysis.accepted.anchor import AnchorValue, anchor_value
from pytest_precgate.analysis.accepted.baseline import Baseline, Provenance
from pytest_precgate.analysis.accepted.remarks import remarks
from pytest_precgate.analysis.curves.comparison import COST_MODES, WORDINGS, compare
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.baselines.housekeeping import problems, prune, unrecorded
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.cli.completion import add_completion
from pytest_precgate.cli.doctor import add_doctor
from pytest_precgate.cli.exits import EXIT_DONE, EXIT_PROBLEMS, EXIT_REFUSED, EXIT_UNREAD
from pytest_precgate.cli.help import finish
from pytest_precgate.cli.history import add_history
from pytest_precgate.cli.noise import add_noise
from pytest_precgate.cli.output import leave_unread, print_lines, width
from pytest_precgate.cli.page import add_page
from pytest_precgate.cli.points import (
    STATED,
    add_export,
    add_import,
    add_stated,
    compared_sweeps,
    points_option,
    stated_by,
    sweep_named,
    write,
)
from pytest_precgate.cli.schema import add_schema
from pytest_precgate.cli.serve import add_serve
from pytest_precgate.cli.show import add_show
from pytest_precgate.cli.start.command import add_init
from pytest_precgate.documents import nearest
from pytest_precgate.engines.simulated.calibration import fit, point_errors
from pytest_precgate.environment import git_commit, tool_version
from pytest_precgate.errors import PrecgateError
from pytest_precgate.faults import Contained
from pytest_precgate.reports import full, json, layout
from pytest_precgate.settings import load
from pytest_precgate.text import printable_lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (the process's own by default) and return its exit code."""
    options = command_parser().parse_args(arguments)
    try:
        with Contained():
            return _run(options)
    except PrecgateError as exc:
        print(f"precgate: {printable_lines(str(exc))}", file=sys.stderr)
        return EXIT_REFUSED


def _run(options: argparse.Namespace) -> int:
    """Run the command. Raises PrecgateError, also for a path that the operating system refuses."""
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code  # noqa: TRY300  # the flush is part of what may fail
    except BrokenPipeError:
        leave_unread()
        return EXIT_UNREAD
    except OSError as exc:
        raise PrecgateError(f"{exc.filename or 'a file'}: {exc.strerror}") from exc


def command_parser() -> argparse.ArgumentParser:
    """Return the command's parser, with all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="precgate",
        description="Set up, look at and look after what pytest-precgate gates merges with.",
        epilog="exit codes: 0 done; 1 'baseline check' found something wrong, 'doctor' something missing, or 'noise' "
        "could not read a gate; 2 the command could not do it; 130 interrupted; 141 the reader of the output went away",
    )
    parser.add_argument("--version", action="version", version=f"pytest-precgate {tool_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, help=argparse.SUPPRESS, prog="precgate")
    add_init(commands)
    _add_compare(commands)
    add_page(commands)
    add_import(commands)
    add_export(commands)
    _add_calibrate(commands)
    add_noise(commands)
    add_show(commands)
    add_history(commands)
    add_schema(commands)
    add_serve(commands)
    add_doctor(commands)
    baseline = commands.add_parser("baseline", help="show, check or prune the committed baselines")
    actions = baseline.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, about in (
        ("show", _show, "print who recorded each baseline, why, and the values of its gates"),
        ("check", _check, "read every baseline and name what is wrong with it; exit 1 when anything is"),
        ("prune", _prune, "remove baselines of suites and gates of tests that no longer exist"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.add_argument(
            "--baselines", metavar="DIR", default="baselines", help="their directory; default baselines"
        )
        action.set_defaults(run=run)
        if name == "show":
            action.add_argument("suites", nargs="*", metavar="SUITE", help="only these")
        if name == "prune":
            action.add_argument("--reason", metavar="TEXT", default="", help="why; required unless --dry-run")
            action.add_argument("--dry-run", action="store_true", help="name what would be removed, remove nothing")
    add_completion(commands, parser)
    finish(parser, commands)
    return parser


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two files of recorded points",
        description="Compare two files of recorded points, of this tool or another, at the same interactivity.",
    )
    for name, role in (("candidate", "better"), ("reference", "measured against")):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help=f"the {role} precision: FILE or glob pattern, or FILE:PRECISION where the file holds several",
        )
    parser.add_argument(
        "--at", metavar="X,Y,Z", type=points_option, help="interactivities, tok/s/user; default: quartiles"
    )
    add_stated(parser, STATED)
    parser.add_argument("--cost", choices=COST_MODES, default="derived", help="how cost is read; default derived")
    parser.add_argument(
        "--wording", choices=WORDINGS, default="ratios", help="how a row is put into words; default by its ratios"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_compare)


def _add_calibrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="fit the simulated engine to recorded points",
        description="Fit the simulated engine to the recorded points of one configuration, and say how well it fits.",
    )
    parser.add_argument("points", metavar="POINTS", help="FILE, or FILE:PRECISION where the file holds several")
    parser.add_argument("--configuration", metavar="NAME", help="which one, where the points are of several")
    parser.add_argument(
        "--range-ratio", type=float, default=0.8, help="lengths are uniform in [ratio*L, L]; default 0.8"
    )
    add_stated(parser, STATED)
    parser.add_argument("--out", metavar="FILE.json", type=Path, help="write the calibration here; default: print it")
    parser.set_defaults(run=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    if options.out is not None and not options.out.absolute().parent.is_dir():  # before seconds are spent on a fit
        raise PrecgateError(f"{options.out}: cannot be written: there is no folder {options.out.absolute().parent}")
    sweep = sweep_named(options.points, stated_by(options, STATED))
    names = sorted({point.configuration for point in sweep.points})
    wanted = options.configuration or names[0]
    if options.configuration is None and len(names) > 1:
        raise PrecgateError(f"{options.points}: holds {', '.join(names)}; say which with --configuration")
    points = [point for point in sweep.points if point.configuration == wanted]
    if not points:
        raise PrecgateError(f"{options.points}: holds no configuration {wanted!r}; {nearest(wanted, names)}")
    workload = replace(sweep.workload, range_ratio=options.range_ratio)
    fitted = fit(points, workload, sweep.hardware, f"{Path(options.points).name} {wanted}")
    text = jsonlib.dumps(fitted.document(), indent=2, sort_keys=True) + "\n"
    write(text, options.out)
    rows = [("concurrency", "tpot error", "throughput error")]
    for point, tpot, throughput in point_errors(fitted.step_time, workload, points):
        rows.append((str(point.concurrency), layout.change(tpot), layout.change(throughput)))
    print("\n".join(layout.columns(rows, left=0)), file=sys.stderr)
    return EXIT_DONE


def _compare(options: argparse.Namespace) -> int:
    candidate, reference = compared_sweeps(options.candidate, options.reference, stated_by(options, STATED))
    hardware = hardware_named(candidate.hardware, load(Path.cwd()).hardware)
    pair = compare(candidate, reference, hardware=hardware, cost=options.cost, wording=options.wording)
    points = tuple(float(point) for point in options.at or pair.quartile_points())
    for point in points:
        pair.at(point)  # off the band there is no row, and an incomplete table is not printed
    if options.json:
        print(jsonlib.dumps(json.comparison(pair, points), indent=2, sort_keys=True))
    else:
        print_lines(full.comparison("recorded", pair, points, width()))
    return EXIT_DONE


def _store(options: argparse.Namespace) -> BaselineStore:
    return BaselineStore(Path.cwd() / options.baselines, Path.cwd())


def _show(options: argparse.Namespace) -> int:
    store = _store(options)
    wanted, unread = options.suites or store.names(), 0
    for suite in wanted:
        try:
            stored = store.read(suite)
            if stored.baseline is None:
                raise PrecgateError(f"{store.shown(stored.path)}: there is no baseline of suite {suite!r}")  # noqa: TRY301
            print("\n".join(_shown(store.shown(stored.path), stored.baseline)), end="\n\n")
        except PrecgateError as exc:  # the others are shown in any case
            print(f"precgate: {printable_lines(str(exc))}", file=sys.stderr)
            unread += 1
    if not wanted:
        print(f"no baseline in {store.shown(store.directory)}")
    return EXIT_REFUSED if unread else EXIT_DONE


def _shown(path: str, baseline: Baseline) -> list[str]:
    lines = [f"{path}: suite {baseline.suite}, {baseline.launches[0].sweep.workload}"]
    for word, entry in (("recorded", baseline.recorded), *(("before", entry) for entry in reversed(baseline.history))):
        reason = entry.reason or "no reason given"
        lines.append(f"  {word} {entry.utc} at commit {entry.commit} by {entry.tool_version}: {reason}")
    for launch in baseline.launches:
        sweep = launch.sweep
        engine = ", ".join(launch.fingerprint.engines)
        word = "SIMULATED " * sweep.simulated
        origin = launch.origin
        where = "".join(f", {word}{text}" for word, text in (("", origin.utc), ("node ", origin.node)) if text)
        lines.append(
            f"  launch: {word}{sweep.precision} on {sweep.hardware}, engine {engine}, {len(sweep.points)} points{where}"
        )
    lines += [f"  {remark}" for remark in remarks(baseline)]
    rows = [("gate", "tok/s/user", "value", "anchor", "sigma", "test")]
    priced = (baseline.hardware, baseline.cost)
    values, noises = baseline.values([gate.key for gate in baseline.gates], *priced), baseline.noises(*priced)
    for gate in baseline.gates:
        key, noise = gate.key, noises.get(gate.key)
        sigma = layout.share(None if noise is None else noise.sigma)
        anchor = anchor_value(baseline, key, *priced)
        oldest = layout.figure(key.metric, anchor.value) if isinstance(anchor, AnchorValue) else "not read"
        rows.append((key.quantity, f"{key.point:g}", layout.figure(key.metric, values[key]), oldest, sigma, gate.test))
    return lines + [f"  {line}" for line in layout.columns(rows)]


def _check(options: argparse.Namespace) -> int:
    store, settings = _store(options), load(Path.cwd())
    found = problems(store, settings.suites, Path.cwd())
    for line in found:
        print(line)
    if not settings.suites:
        print(f"no suite is configured: {settings.source}")
    for suite in unrecorded(store, settings.suites):
        print(f"suite {suite}: no baseline; record one with pytest --precgate-update")
    count = len(store.suites(settings.suites))
    print(f"{count} baseline{'s' * (count != 1)} in {store.shown(store.directory)}, {len(found)} wrong")
    return EXIT_PROBLEMS if found or not count else EXIT_DONE


def _prune(options: argparse.Namespace) -> int:
    store, settings = _store(options), load(Path.cwd())
    utc = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if not (options.dry_run or options.reason.strip()):
        raise PrecgateError("prune removes gates permanently: give --reason TEXT, or --dry-run")
    recorded = Provenance(git_commit(Path.cwd()), utc, tool_version(), f"pruned: {options.reason}")
    removed = prune(store, settings.suites, Path.cwd(), recorded, dry_run=options.dry_run)
    for line in removed:
        print(line)
    print(f"{len(removed)} {'would be ' * options.dry_run}removed")
    return EXIT_DONE
