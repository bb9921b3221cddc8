"""``precgate noise``: launches an unchanged suite several times and prints the noise of its gates.

Input: settings and options. Output: a table, and a run on disk. Invariant: no baseline is written, and none decides a
figure; finished points are kept however the command ends."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_precgate.analysis.accepted.baseline import Launch, targets_at
from pytest_precgate.analysis.curves.comparison import Curve, compare
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.gating.limits import MOST_LAUNCHES
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES
from pytest_precgate.analysis.gating.noise_study import NoiseStudy, study
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.cli.exits import EXIT_DONE, EXIT_INTERRUPTED, EXIT_PROBLEMS
from pytest_precgate.cli.output import width
from pytest_precgate.documents import nearest
from pytest_precgate.environment import git_commit, tool_version
from pytest_precgate.errors import BaselineError, PrecgateError, SettingsError
from pytest_precgate.journal.directory import LATEST, RunDirectory
from pytest_precgate.reports import noise, progress
from pytest_precgate.run.journaling import Record
from pytest_precgate.run.launches import Launches
from pytest_precgate.servers.process.stop_signals import StopSignals
from pytest_precgate.settings import Policy, Suite, load
from pytest_precgate.settings.suite import BASELINE_LAUNCHES

if TYPE_CHECKING:
    from pytest_precgate.loadgen import Progress

_WHERE = "noise"


def add_noise(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = "Launch an unchanged suite several times; print each gate's noise and minimum detectable drop."
    parser = commands.add_parser("noise", help="measure how noisy a suite's gates are", description=about)
    parser.add_argument("suite", metavar="SUITE", nargs="?", help="default: the only one")
    parser.add_argument(
        "--launches",
        metavar="N",
        type=int,
        default=BASELINE_LAUNCHES,
        help=f"of each precision, {LEAST_LAUNCHES} or more; default {BASELINE_LAUNCHES}",
    )
    parser.add_argument("--engine", choices=["simulated"], help="rehearse: every engine played by the simulated one")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run: its directory, its name, or latest")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_noise)


class _Narrator:
    """Reports progress on stderr, where every line stays."""

    def __init__(self) -> None:
        self._spacing = progress.Spacing()
        self._said: set[str] = set()

    def line(self, text: str) -> None:
        """Report the state of a launch."""
        self._said.add(text)
        print(f"precgate: {text}", file=sys.stderr, flush=True)

    def remark(self, text: str) -> None:
        """Report remarks at the end that were not reported before."""
        if text not in self._said:
            self.line(text)

    def point(self, precision: str, concurrency: int, news: Progress | Measurement) -> None:
        """Report the progress of a point, and its figures at the end."""
        if isinstance(news, Measurement):
            self._spacing.end()
            print(progress.measured(precision, concurrency, news), file=sys.stderr, flush=True)
        elif self._spacing.is_due(news.elapsed_s):
            done = (news.elapsed_s, news.completed, news.total, news.output_tokens)
            print(progress.under_way(precision, concurrency, *done), file=sys.stderr, flush=True)


def _noise(options: argparse.Namespace) -> int:
    root, told = Path.cwd(), _Narrator()
    suite = _suite(options, root)
    record = _record(options, root, told)
    launches = Launches(root, lambda: record, os.environ, on_point=told.point, say=told.line)
    _refuse_unrepeatable(suite)
    signals = StopSignals()
    signals.watch()
    try:
        with _stopped_at_the_end(launches, told):
            measured = _measured(suite, launches, options.launches, told)
    except KeyboardInterrupt:
        how = "interrupted" if signals.received is None else f"stopped by {signals.received}"
        told.line(f"{how}; every engine is stopped")
        return EXIT_INTERRUPTED
    finally:
        signals.forget()
    run = record.directory.home(suite.name).name
    found = noise.Studied(
        suite=suite.name,
        study=_studied(suite, measured),
        launches=[launch for each in measured.values() for launch in each],
        costs=tuple(launches.costs()),
        attached=_attached(suite),
        run=run,
        command=_command(suite, run, options.engine, root),
    )
    if options.json:
        print(json.dumps(noise.document(found), indent=2, sort_keys=True, allow_nan=False))
    else:
        print("\n".join(noise.render(found, width())))
    return EXIT_PROBLEMS if found.study.unread else EXIT_DONE


def _command(suite: Suite, run: str, engine: str | None, root: Path) -> str:
    """The command that records the launches: with the tests that gate this suite, or others would be recorded too."""
    flags = f"--precgate-replay={run}" + f" --precgate-engine={engine}" * (engine is not None) + " --precgate-update"
    if len(load(root).suites) == 1:
        return f"pytest {flags}"
    store = BaselineStore(root / "baselines" / (engine or ""), root)
    try:
        baseline = store.read(suite.name).baseline
    except BaselineError:  # it is about to be replaced
        baseline = None
    tests = [] if baseline is None else sorted({gate.test for gate in baseline.gates})
    if tests:
        return f"pytest {shlex.join(tests)} {flags}"
    return f"pytest TESTS {flags} (TESTS: those of suite {suite.name} alone)"


def _suite(options: argparse.Namespace, root: Path) -> Suite:
    """Return the suite to launch. Raises SettingsError for one that is not configured, or too few launches."""
    if not LEAST_LAUNCHES <= options.launches <= MOST_LAUNCHES:
        raise SettingsError(
            _WHERE,
            "--launches",
            f"got {options.launches}, wanted {LEAST_LAUNCHES} to {MOST_LAUNCHES}: fewer give no estimate of sigma",
        )
    settings = load(root)
    if options.suite is None and len(settings.suites) > 1:
        raise SettingsError(_WHERE, "", f"which suite? {nearest('', settings.suites)}")
    suite = settings.suite(options.suite, _WHERE)
    return suite if options.engine is None else suite.rehearsed(settings.source, root)


def _precisions(suite: Suite) -> tuple[str, str]:
    """The first two, the candidate first."""
    candidate, reference, *_ = suite.engines
    return candidate, reference


def _refuse_unrepeatable(suite: Suite) -> None:
    for precision in _precisions(suite):
        for engine in suite.configurations(precision):
            if not engine.is_repeatable:
                raise SettingsError(
                    f"suite {suite.name}",
                    precision,
                    f'engine = "{engine.kind}" cannot be launched again, so it has no noise to measure. Rehearse with '
                    "--engine simulated, or name an engine that runs",
                )


def _attached(suite: Suite) -> tuple[str, ...]:
    """The precisions measured on servers that run already."""
    return tuple(name for name in _precisions(suite) if any(each.paid == "endpoint" for each in suite.engines[name]))


def _record(options: argparse.Namespace, root: Path, told: _Narrator) -> Record:
    """What is stored, and reused from the run to resume. Raises RunNotFoundError, SettingsError."""
    if options.resume == LATEST:
        raise SettingsError(
            _WHERE, "--resume", "name the run: the latest may be a gate run, whose launches would be counted here"
        )
    return Record(
        directory=RunDirectory.new(root, _now(), os.getpid())
        if options.resume is None
        else RunDirectory.find(root, root, options.resume),
        root=root,
        mode="measure" if options.resume is None else "resume",
        commit=lambda: git_commit(root),
        clock=_now,
        tool_version=tool_version(),
        say=told.line,
        salt=secrets.token_hex(8),
        resume_flag="--resume",
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)


@contextmanager
def _stopped_at_the_end(launches: Launches, told: _Narrator) -> Iterator[None]:
    """However the launches end, stop every engine; then report what was stored and how to resume.

    Raises EngineStopError or GpuBusyError when a process of one is left."""
    failure: PrecgateError | None = None
    try:
        yield
    except PrecgateError as exc:
        failure = exc
        raise
    finally:
        try:
            launches.close()
        except PrecgateError:
            if failure is not None:
                told.line(str(failure))  # a process that is left must not hide why the engine ended
            raise
        finally:
            for remark in launches.remarks():
                told.remark(remark)


def _measured(suite: Suite, launches: Launches, number: int, told: _Narrator) -> dict[str, list[Launch]]:
    """Launch each precision ``number`` times in turn, so that a machine that warms up slows both alike."""
    precisions = _precisions(suite)
    measured: dict[str, list[Launch]] = {precision: [] for precision in precisions}
    launches.expect(
        [suite.name], _sweep_targets
    )  # an engine that can never start is refused before the other precision is loaded
    for launch in range(1, number + 1):
        for precision in precisions:
            told.line(f"launch {launch} of {number}: {precision}")
            measured[precision].append(launches.of(suite, precision, launch))
    return measured


def _sweep_targets(suite: Suite, precision: str) -> SweepTargets:
    return targets_at([suite.points], None, precision)


def _studied(suite: Suite, measured: dict[str, list[Launch]]) -> NoiseStudy:
    candidate, reference = measured
    points = suite.points
    if points is None:
        first = (measured[precision][0].sweep for precision in (candidate, reference))
        points = suite.points_for(compare(*first, hardware=suite.hardware, cost=suite.cost))
    curves = {
        precision: [Curve(launch.sweep, suite.hardware, suite.cost) for launch in launches]
        for precision, launches in measured.items()
    }
    return study(suite.gates_for(candidate, reference, points), curves, Policy().launches(suite))
