"""What one launch would take, looked up or rehearsed in virtual time: no server is started, no file is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_precgate.analysis.baseline import Baseline
from pytest_precgate.analysis.finished import FinishedPoint
from pytest_precgate.analysis.plan import NOT_KNOWN, Candidate, Expected, from_baseline
from pytest_precgate.analysis.schedule import Aim, Grid
from pytest_precgate.analysis.spent import Kind
from pytest_precgate.engines.base import Engine, EngineSpec
from pytest_precgate.engines.endpoint import EndpointEngine
from pytest_precgate.engines.load import SweepSettings
from pytest_precgate.engines.recorded import RecordedEngine
from pytest_precgate.engines.rehearsal import rehearsal_of
from pytest_precgate.engines.server import ServerEngine
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.errors import PrecgateError
from pytest_precgate.settings import Suite


@dataclass(frozen=True)
class _Facts:
    """What planning needs of an engine; ``grid`` holds its concurrencies, None where none are set."""

    configuration: str
    paid: Kind | None
    grid: tuple[int, ...] | None
    starting_gpu_s: float | None = None


def candidates(
    suite: Suite, baseline: Baseline | None, root: Path, aim: Callable[[Suite, str], Aim]
) -> Iterator[Candidate]:
    """Yield every configuration of ``suite`` with what one launch of it would take.

    ``root`` is where paths start; ``aim`` says what a launch of a precision is for.
    """
    for precision, specs in suite.engines.items():
        engines = [spec.open() for spec in specs]
        kinds = "+".join(sorted({engine.kind for engine in engines}))
        for number, (spec, engine) in enumerate(zip(specs, engines, strict=True)):
            facts = _facts(engine)
            blank = Candidate(precision, number, facts.configuration, engine.kind, facts.paid, Expected(NOT_KNOWN))
            yield replace(blank, expected=_expected(suite, spec, blank, kinds, facts, baseline, root, aim))


def _facts(engine: Engine) -> _Facts:
    if isinstance(engine, SimulatedEngine):
        return _Facts(engine.spec.configuration, "simulated", _grid(engine.spec.load))
    if isinstance(engine, EndpointEngine):
        return _Facts(engine.endpoint.configuration, "endpoint", _grid(engine.endpoint.load))
    if isinstance(engine, ServerEngine):
        settings = engine.settings
        start = None if settings.start_s is None else settings.gpus * settings.start_s
        return _Facts(settings.configuration, "started", _grid(settings.load), start)
    assert isinstance(engine, RecordedEngine), engine
    return _Facts("default", None, None)


def _grid(load: SweepSettings) -> tuple[int, ...] | None:
    return tuple(load.concurrency.levels) if isinstance(load.concurrency, Grid) else None


def _expected(
    suite: Suite,
    spec: EngineSpec,
    candidate: Candidate,
    kinds: str,
    facts: _Facts,
    baseline: Baseline | None,
    root: Path,
    aim: Callable[[Suite, str], Aim],
) -> Expected:
    """The best there is: a simulation of itself, the baseline, a simulation that stands for it, a count of points."""
    if facts.paid is None:
        return Expected("read from its file")
    before = None
    if baseline is not None:
        before = from_baseline(baseline, suite.workload, suite.hardware.name, candidate, kinds, facts.grid)
    if before is not None and before.measuring_gpu_s is not None and facts.paid != "simulated":
        return before
    rehearsed = _rehearsed(suite, spec, candidate.precision, root, aim)
    if rehearsed is not None:
        return rehearsed
    known = Expected(NOT_KNOWN) if facts.grid is None else Expected("points: settings", len(facts.grid))
    return _with_start(known if before is None else before, facts.starting_gpu_s)


def _rehearsed(
    suite: Suite, spec: EngineSpec, precision: str, root: Path, aim: Callable[[Suite, str], Aim]
) -> Expected | None:
    """What the simulated engine takes, None where nothing says what to simulate or it cannot be simulated."""
    points: list[FinishedPoint] = []
    keep: Callable[[FinishedPoint], None] = points.append
    try:
        played = rehearsal_of(spec, precision, suite.hardware.name, root)
        played.open().sweep(precision, suite.workload, suite.hardware.name, (), keep, aim(suite, precision))
    except PrecgateError:
        return None
    measuring = math.fsum(finished.gpu_seconds for finished in points)
    return _with_start(
        Expected(f"SIMULATED, {played.name}", len(points), measuring_gpu_s=measuring), played.open().starting_gpu_s
    )


def _with_start(expected: Expected, starting_gpu_s: float | None) -> Expected:
    """A start that was set, where nobody has seen one."""
    if starting_gpu_s is None or expected.starting_gpu_s is not None:
        return expected
    return replace(expected, starting_gpu_s=starting_gpu_s, source=f"{expected.source}; start_s")
