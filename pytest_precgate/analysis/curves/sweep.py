"""Points and sweeps: a point is one measured concurrency; a sweep is all points of one precision, over all
configurations.

Input: measured or recorded numbers. Output: frozen values. Invariant: impossible values are refused at construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.quantity import count, one_line, positive
from pytest_precgate.errors import InvalidValueError

PointKey = tuple[str, int, int]
"""The key of a point in a sweep: configuration, GPUs, concurrency."""

Axis = Literal["tpot", "e2e"]
"""What the interactivity of points is: 1 / median tpot, or 1 / P90(request_latency / output tokens), ttft included."""
AXES: tuple[Axis, ...] = ("tpot", "e2e")

UNKNOWN_ERROR = 1.0
"""The error of a point that ended before its error could be estimated: it may be as large as the figure."""


@dataclass(frozen=True)
class SweepPoint:
    """One concurrency measured on one serving configuration.

    ``interactivity`` is in tok/s/user, by the axis of its sweep; ``throughput_per_gpu`` counts input and output tokens,
    in tok/s/GPU; ``configuration`` distinguishes points of one cloud (``tp4``, ``tp8``). ``acceptance_length`` is the
    mean number of tokens per verification step of speculation, None without. ``short_error`` is the relative half-width
    of the 90% interval of a point that ended before the requested error was reached, UNKNOWN_ERROR when it could not be
    estimated, None for any other point. ``details`` are further figures, None where there are none; two points are
    equal without them. Raises InvalidValueError for anything that is not a finite positive number."""

    concurrency: int
    gpus: int
    interactivity: float
    throughput_per_gpu: float
    configuration: str = "default"
    acceptance_length: float | None = None
    short_error: float | None = None
    details: PointDetails | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name, unit in (("concurrency", "requests"), ("gpus", "GPUs")):
            object.__setattr__(self, name, count("SweepPoint", name, getattr(self, name), unit))
        for name, unit in (("interactivity", "tok/s/user"), ("throughput_per_gpu", "tok/s/GPU")):
            object.__setattr__(self, name, positive("SweepPoint", name, getattr(self, name), unit))
        one_line("SweepPoint", "configuration", self.configuration)
        if self.acceptance_length is not None:
            positive("SweepPoint", "acceptance_length", self.acceptance_length, "tokens")
        if self.short_error is not None:
            positive("SweepPoint", "short_error", self.short_error, "half-width of a 90% interval")

    @property
    def key(self) -> PointKey:
        """The key, unique in a sweep."""
        return (self.configuration, self.gpus, self.concurrency)

    def figure(self, name: str) -> float | None:
        """Return a figure of the details by its name; None when it was not measured."""
        value: float | None = None if self.details is None else getattr(self.details, name)
        return value


@dataclass(frozen=True)
class Sweep:
    """All points of one precision on one hardware under one workload, in a fixed order.

    ``simulated`` marks figures of a simulation; every report says so. ``axis`` says what its interactivity is.

    Raises InvalidValueError when there is no point, or a configuration holds a concurrency twice."""

    precision: str
    workload: Workload
    hardware: str
    points: Sequence[SweepPoint]
    simulated: bool = False
    axis: Axis = "tpot"

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
    def objectives(self) -> tuple[str, ...]:
        """What the goodput of its points was counted under, each once, as text."""
        told = (None if point.details is None else point.details.slo for point in self.points)
        return tuple(sorted({str(slo) for slo in told if slo is not None}))

    @cached_property
    def by_key(self) -> Mapping[PointKey, SweepPoint]:
        """The points by their keys."""
        return {point.key: point for point in self.points}
