"""What can be asked of a suite's engines without a start, for ``precgate init`` and ``precgate doctor``.

Input: a suite. Output: nothing, or an error. Invariant: nothing is started, loaded or written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from pytest_precgate.analysis.curves.comparison import compare
from pytest_precgate.environment import git_commit, tool_version
from pytest_precgate.errors import PrecgateError, SeveralPreflightError
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.run.journaling import Record
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Suite


def problems(suite: Suite, root: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every configuration of ``suite`` by its name, with all that keeps it from a launch.

    Each is asked by itself, so that one that cannot start does not hide what the others lack."""
    for precision, engines in suite.engines.items():
        for engine in engines:
            name = "" if len(engines) == 1 else f" {engine.configuration}"
            found: tuple[str, ...] = ()
            try:
                preflight(replace(suite, engines={precision: (engine,)}), root, environ, _unheard)
            except SeveralPreflightError as exc:
                found = tuple(str(each) for each in exc.each)
            except PrecgateError as exc:
                found = (str(exc),)
            yield f"{suite.name} {precision}{name}", found


def preflight(suite: Suite, root: Path, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Ask of every engine what can be asked without a start: program, GPUs, checkpoint; whether an endpoint answers;
    whether recorded points can be read at the suite's targets. Raises PrecgateError with the first that cannot be."""
    launches = Launches(root, lambda: _record(root, say), environ, on_point=_unheard, say=say)
    try:
        launches.preflight(suite)
        recorded = [precision for precision in suite.engines if not launches.can_repeat(suite, precision)]
        sweeps = [launches.of(suite, precision).sweep for precision in recorded]
        if len(sweeps) < 2:
            return
        pair = compare(sweeps[0], sweeps[1], hardware=suite.hardware, cost=suite.cost)
        for point in suite.points_for(pair):
            pair.at(point)
    finally:
        launches.close()


def _record(root: Path, say: Callable[[str], None]) -> Record:
    """A record of no run: a preflight keeps nothing."""
    return Record(
        directory=RunDirectory.new(root, _now(), 0),
        root=root,
        mode="measure",
        commit=lambda: git_commit(root),
        clock=_now,
        tool_version=tool_version(),
        say=say,
        salt="",
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _unheard(*_: object) -> None:
    """No point is measured by a preflight, and what it says is said by its errors."""
