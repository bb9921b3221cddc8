"""The expected cost of one launch, from a baseline or a virtual-time simulation. It starts and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pytest_precgate.analysis.accepted.baseline import Baseline
from pytest_precgate.analysis.curves.search import Grid, SweepTargets
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.plan import NOT_KNOWN, Candidate, Expected, from_baseline
from pytest_precgate.engines.base import Engine
from pytest_precgate.engines.load import SweepSettings
from pytest_precgate.engines.rehearsal import rehearsal_of
from pytest_precgate.errors import PrecgateError
from pytest_precgate.settings import Suite


def candidates(
    suite: Suite, baseline: Baseline | None, root: Path, sweep_targets: Callable[[Suite, str], SweepTargets]
) -> Iterator[Candidate]:
    """Yield every configuration of ``suite`` with what one launch of it would take.

    ``root`` is where paths start; ``sweep_targets`` says what a launch of a precision is for.
    """
    for precision, engines in suite.engines.items():
        kinds = tuple(sorted({engine.kind for engine in engines}))
        for number, engine in enumerate(engines):
            blank = Candidate(precision, number, engine.configuration, engine.kind, engine.paid, Expected(NOT_KNOWN))
            yield replace(blank, expected=_expected(suite, engine, blank, kinds, baseline, root, sweep_targets))


def _grid(load: SweepSettings | None) -> tuple[int, ...] | None:
    """The concurrencies that are set; None where the search chooses them."""
    return tuple(load.concurrency.levels) if load is not None and isinstance(load.concurrency, Grid) else None


def _expected(
    suite: Suite,
    engine: Engine,
    candidate: Candidate,
    kinds: tuple[str, ...],
    baseline: Baseline | None,
    root: Path,
    sweep_targets: Callable[[Suite, str], SweepTargets],
) -> Expected:
    """The best there is: a simulation of itself, the baseline, a simulation that stands for it, a count of points."""
    if engine.paid is None:
        return Expected("takes no GPU")
    before, grid = None, _grid(engine.load)
    if baseline is not None:
        before = from_baseline(baseline, suite.workload, suite.hardware.name, candidate, kinds, grid)
    if before is not None and before.measuring_gpu_s is not None and engine.paid != "simulated":
        return before
    rehearsed = _rehearsed(suite, engine, candidate.precision, root, sweep_targets)
    if rehearsed is not None:
        return rehearsed
    known = Expected(NOT_KNOWN) if grid is None else Expected("points: settings", len(grid))
    return _with_start(known if before is None else before, engine.starting_gpu_s)


def _rehearsed(
    suite: Suite, engine: Engine, precision: str, root: Path, sweep_targets: Callable[[Suite, str], SweepTargets]
) -> Expected | None:
    """What the simulated engine takes, None where nothing says what to simulate or it cannot be simulated."""
    points: list[MeasuredPoint] = []
    keep: Callable[[MeasuredPoint], None] = points.append
    try:
        played = rehearsal_of(engine, precision, suite.hardware.name, root)
        played.sweep(precision, suite.workload, suite.hardware.name, (), keep, sweep_targets(suite, precision))
    except PrecgateError:
        return None
    measuring = math.fsum(finished.gpu_seconds for finished in points)
    source = f"SIMULATED, {played.calibration_name}"
    return _with_start(Expected(source, len(points), measuring_gpu_s=measuring), played.starting_gpu_s)


def _with_start(expected: Expected, starting_gpu_s: float | None) -> Expected:
    """The start that the settings give, where none was measured."""
    if starting_gpu_s is None or expected.starting_gpu_s is not None:
        return expected
    return replace(expected, starting_gpu_s=starting_gpu_s, source=f"{expected.source}; start_s")
