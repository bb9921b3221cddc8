"""Points and sweeps: a point is one measured concurrency; a sweep is all points of one precision, over all
configurations.

Input: measured or recorded numbers. Output: frozen values. Invariant: impossible values are refused at construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.quantity import count, one_line, positive
from pytest_precgate.errors import InvalidValueError

PointKey = tuple[str, int, int]
"""The key of a point in a sweep: configuration, GPUs, concurrency."""

UNKNOWN_ERROR = 1.0
"""The error of a point that ended before its error could be estimated: it may be as large as the figure."""


@dataclass(frozen=True)
class SweepPoint:
    """One concurrency measured on one serving configuration.

    ``interactivity`` is 1 / median tpot in tok/s/user; ``throughput_per_gpu`` counts input and output tokens, in
    tok/s/GPU; ``configuration`` distinguishes points of one cloud (``tp4``, ``tp8``). ``acceptance_length`` is the mean
    number of tokens per verification step of speculation, None without. ``short_error`` is the relative half-width of
    the 90% interval of a point that ended before the requested error was reached, UNKNOWN_ERROR when it could not be
    estimated, None for any other point. Raises InvalidValueError for anything that is not a finite positive number."""

    concurrency: int
    gpus: int
    interactivity: float
    throughput_per_gpu: float
    configuration: str = "default"
    acceptance_length: float | None = None
    short_error: float | None = None

    def __post_init__(self) -> None:
        for field, unit in (("concurrency", "requests"), ("gpus", "GPUs")):
            object.__setattr__(self, field, count("SweepPoint", field, getattr(self, field), unit))
        for field, unit in (("interactivity", "tok/s/user"), ("throughput_per_gpu", "tok/s/GPU")):
            object.__setattr__(self, field, positive("SweepPoint", field, getattr(self, field), unit))
        one_line("SweepPoint", "configuration", self.configuration)
        if self.acceptance_length is not None:
            positive("SweepPoint", "acceptance_length", self.acceptance_length, "tokens")
        if self.short_error is not None:
            positive("SweepPoint", "short_error", self.short_error, "half-width of a 90% interval")

    @property
    def key(self) -> PointKey:
        """The key, unique in a sweep."""
        return (self.configuration, self.gpus, self.concurrency)


@dataclass(frozen=True)
class Sweep:
    """All points of one precision on one hardware under one workload, in a fixed order.

    ``simulated`` marks figures of a simulation; every report says so.

    Raises InvalidValueError when there is no point, or a configuration holds a concurrency twice."""

    precision: str
    workload: Workload
    hardware: str
    points: Sequence[SweepPoint]
    simulated: bool = False

    def __post_init__(self) -> None:
        one_line("Sweep", "precision", self.precision)
        one_line("Sweep", "hardware", self.hardware)
        points = tuple(sorted(self.points, key=lambda point: point.key))
        if not points:
            raise InvalidValueError(f"Sweep.points: the {self.precision} sweep holds no point, wanted at least one")
        for before, after in pairwise(points):
            if before.key == after.key:
                raise InvalidValueError(
                    f"Sweep.points: the {self.precision} sweep holds concurrency {after.concurrency} twice for "
                    f"configuration {after.configuration!r} on {after.gpus} GPUs; each may occur once"
                )
        object.__setattr__(self, "points", points)

    @cached_property
    def by_key(self) -> Mapping[PointKey, SweepPoint]:
        """The points by their keys."""
        return {point.key: point for point in self.points}
