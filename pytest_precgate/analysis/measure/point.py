"""A finished point as a run stores it: the whole measurement and its cost."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_precgate.analysis.curves.sweep import PointKey, SweepPoint
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.quantity import one_line, positive


@dataclass(frozen=True, slots=True)
class MeasuredPoint:
    """One measured concurrency of one configuration. ``gpu_seconds`` are those of the whole point, warm-up included.

    Raises InvalidValueError for a measurement that cannot be a point of a sweep."""

    measurement: Measurement
    gpu_seconds: float
    configuration: str = "default"

    def __post_init__(self) -> None:
        positive("MeasuredPoint", "gpu_seconds", self.gpu_seconds, "GPU seconds")
        positive("MeasuredPoint", "tpot.median_s", self.measurement.tpot.median_s, "s")
        one_line("MeasuredPoint", "configuration", self.configuration)
        _ = self.point

    @property
    def point(self) -> SweepPoint:
        """The point as a sweep stores it."""
        return self.measurement.point(self.configuration)

    @property
    def key(self) -> PointKey:
        """The point's key in a sweep."""
        return (self.configuration, self.measurement.gpus, self.measurement.concurrency)
