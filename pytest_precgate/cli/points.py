"""``precgate import`` and ``precgate export``, and the reading of recorded points for every command.

Input: result files of other tools, or points of this project. Output: the CSV of this project, or another tool's
format. Invariant: a value that a file lacks comes from the options; when it is missing there too, the error names the
option."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from statistics import median

from pytest_precgate import files
from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.environment import in_ci, tool_version
from pytest_precgate.errors import PrecgateError, RecordedPointsError
from pytest_precgate.interop.export import inferencex_json, points_csv
from pytest_precgate.interop.files import find_files, is_pattern, read_file
from pytest_precgate.interop.importers import Imported
from pytest_precgate.interop.rows import FACTS, RecordedRow, Stated
from pytest_precgate.interop.sweeps import sweep_of, sweeps_of

_ABOUT = {
    "gpus": "GPUs of each point, where the files do not say",
    "precision": "fp4, int4, ..., where the files do not say",
    "hardware": "b200, ..., where the files do not say",
    "isl": "input tokens, where the files do not say",
    "osl": "output tokens, where the files do not say",
    "configuration": "name of these points' configuration, where the files do not say",
}
_METAVARS = {"gpus": "N", "isl": "N", "osl": "N"}


STATED = ("gpus", "hardware", "isl", "osl")
"""Values that may be stated for files that are compared or fitted; their precision follows a colon."""


def points_option(text: str) -> tuple[float, ...]:
    """Return the interactivities of an option like ``55,73,91``. Raises ArgumentTypeError."""
    try:
        points = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted numbers with commas between, as 55,73,91") from None
    if len(set(points)) != len(points):
        raise argparse.ArgumentTypeError(f"got {text!r}, in which a point is repeated")
    if not all(0 < point < float("inf") for point in points):
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted interactivities above 0 tok/s/user")
    return points


def compared_sweeps(candidate: str, reference: str, stated: Stated) -> tuple[Sweep, Sweep]:
    """Return the sweeps of two files; two of one precision are told apart by the names of their files."""
    first, second = (sweep_named(text, stated) for text in (candidate, reference))
    if first.precision == second.precision:
        first = replace(first, precision=f"{first.precision} {candidate}")
        second = replace(second, precision=f"{second.precision} {reference}")
    return first, second


def add_stated(parser: argparse.ArgumentParser, names: Sequence[str] = FACTS) -> None:
    """Add the options for values that files lack."""
    for name in names:
        kind = int if name in _METAVARS else str
        parser.add_argument(f"--{name}", metavar=_METAVARS.get(name, "NAME"), type=kind, help=_ABOUT[name])


def stated_by(options: argparse.Namespace, names: Sequence[str] = FACTS) -> Stated:
    """Return the values of the options. Raises InvalidValueError for a count below 1."""
    return replace(Stated(), **{name: getattr(options, name) for name in names})


def add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = "Read result files of benchmarks (vLLM, SGLang, InferenceX, AIPerf, GuideLLM, ...) and write their points."
    parser = commands.add_parser(
        "import", help="turn result files of other tools into recorded points", description=about
    )
    parser.add_argument(
        "files", metavar="FILES", nargs="+", help="files or glob patterns; their content says what they are"
    )
    parser.add_argument("-o", "--out", metavar="points.csv", type=Path, help="write here; default: print")
    add_stated(parser)
    parser.set_defaults(run=_import)


def add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = "Write recorded points, or those of a baseline, as another tool reads them: one object per point."
    parser = commands.add_parser("export", help="write points as other tools read them", description=about)
    parser.add_argument("files", metavar="FILES", nargs="*", help="files or glob patterns of recorded points")
    parser.add_argument("--suite", metavar="NAME", help="the points of its baseline, each the median of the launches")
    parser.add_argument("--baselines", metavar="DIR", default="baselines", help="their directory; default baselines")
    parser.add_argument("--format", choices=["inferencex"], required=True, help="InferenceX's aggregated JSON")
    parser.add_argument("-o", "--out", metavar="FILE.json", type=Path, help="write here; default: print")
    add_stated(parser)
    parser.set_defaults(run=_export)


def _import(options: argparse.Namespace) -> int:
    paths = find_files(options.files, Path.cwd())
    found = [_read(path) for path in paths]
    sweeps = sweeps_of([row for each in found for row in each.rows], stated_by(options))
    remarks = [f"imported by pytest-precgate {tool_version()}; interactivity is 1 / median tpot in tok/s/user"]
    for path, each in zip(paths, found, strict=True):
        remarks.append(f"{len(each.rows)} of {path.name}: {', '.join(each.tools)}")
        remarks += each.comments  # a licence must be kept, and so must the source of points
    stated = str(stated_by(options))
    remarks += [f"stated: {stated}"] if stated else []
    write(points_csv(sweeps, remarks), options.out)
    return EXIT_DONE


def _export(options: argparse.Namespace) -> int:
    if bool(options.files) == bool(options.suite):
        raise PrecgateError("export: name FILES of recorded points, or a --suite whose baseline is wanted; one of them")
    if options.suite:
        sweeps = _baseline(options.suite, Path.cwd() / options.baselines)
    else:
        rows = [row for path in find_files(options.files, Path.cwd()) for row in _read(path).rows]
        sweeps = sweeps_of(rows, stated_by(options))
    write(inferencex_json(sweeps), options.out)
    return EXIT_DONE


def _baseline(suite: str, directory: Path) -> list[Sweep]:
    """The sweeps of a baseline, one per precision: each point is the median of the launches that measured it."""
    store = BaselineStore(directory, Path.cwd())
    stored = store.read(suite)
    if stored.baseline is None:
        raise PrecgateError(f"{store.shown(stored.path)}: there is no baseline of suite {suite!r}")
    sweeps = [launch.sweep for launch in stored.baseline.launches]
    simulated = next((sweep for sweep in sweeps if sweep.simulated), None)
    if simulated is not None:
        raise PrecgateError(f"{store.shown(stored.path)}: its {simulated.precision} points are simulated, not measured")
    by_precision = groupby(sorted(sweeps, key=lambda sweep: sweep.precision), key=lambda sweep: sweep.precision)
    return [_median([*launches]) for _, launches in by_precision]


def _median(launches: Sequence[Sweep]) -> Sweep:
    points = sorted((point for launch in launches for point in launch.points), key=lambda point: point.key)
    grouped = [[*each] for _, each in groupby(points, key=lambda point: point.key)]
    return replace(launches[0], points=[_median_point(each) for each in grouped])


def _median_point(points: Sequence[SweepPoint]) -> SweepPoint:
    return replace(
        points[0],
        interactivity=median(point.interactivity for point in points),
        throughput_per_gpu=median(point.throughput_per_gpu for point in points),
        details=_median_details([point.details for point in points]),
    )


def _median_details(details: Sequence[PointDetails | None]) -> PointDetails | None:
    """The median of each figure that all launches have."""
    known = [{} if each is None else each.known for each in details]
    figures = {name: median(each[name] for each in known) for name in known[0] if all(name in each for each in known)}
    return PointDetails(**figures) if figures else None


def sweep_named(text: str, stated: Stated) -> Sweep:
    """Read ``FILE`` or ``FILE:PRECISION``, also as a glob pattern; values that the files lack come from ``stated``.

    Raises RecordedPointsError for files that cannot be read as one sweep, naming what they lack."""
    pattern, precision = _split(text)
    paths = find_files([pattern], Path.cwd())
    rows = [row.filled(stated) for path in paths for row in _read(path).rows]
    named = sorted({row.precision for row in rows if row.precision})
    if precision is None:
        if len(named) > 1:
            raise RecordedPointsError(pattern, "", f"holds {', '.join(named)}; say which: {pattern}:{named[0]}")
        precision = named[0] if named else pattern if is_pattern(pattern) else paths[0].stem
    chosen = [row for row in rows if row.precision in (None, precision)] or rows
    hardware, isl, osl = (_told(chosen, name, pattern) for name in ("hardware", "isl", "osl"))
    for row in chosen:
        row.refuse_other(Stated(hardware=str(hardware), isl=int(isl), osl=int(osl)), "the first row's")
    return sweep_of(rows, precision, Workload(int(isl), int(osl)), str(hardware), stated)


def _split(text: str) -> tuple[str, str | None]:
    if Path(text).exists():
        return text, None
    path, colon, precision = text.rpartition(":")
    return (path, precision) if colon else (text, None)


def _told(rows: Sequence[RecordedRow], name: str, source: str) -> str | int:
    told = next((getattr(row, name) for row in rows if getattr(row, name) is not None), None)
    if told is None:
        rows[0].refuse_lacking([name])
        raise RecordedPointsError(source, "", f"does not say its {name}; give --{name}")
    return str(told) if isinstance(told, str) else int(told)


def _read(path: Path) -> Imported:
    return read_file(path, in_ci=in_ci(os.environ), warn=lambda message: print(f"precgate: {message}", file=sys.stderr))


def write(text: str, path: Path | None) -> None:
    """Print ``text``, or write it to ``path``, atomically where the file can be replaced.

    Raises PrecgateError when it cannot be written."""
    if path is None:
        print(text, end="")
        return
    try:
        files.write(path, text)
    except OSError as exc:
        raise PrecgateError(f"{path}: cannot be written: {exc.strerror}") from exc
