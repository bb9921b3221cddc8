"""A measured point as a value: distributions of times, rates over a window, and what its validity rests on.

Input: figures of a measurement or a journal. Output: frozen values, and the point of a sweep. Invariant: what was not
measured is None."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.sweep import UNKNOWN_ERROR, Axis, SweepPoint
from pytest_precgate.analysis.measure.gpu import GpuPower
from pytest_precgate.analysis.measure.records import ClientCheck
from pytest_precgate.analysis.measure.tokens import TokenFacts
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import Window
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution in seconds: mean, median, 90th and 99th percentile."""

    mean_s: float
    median_s: float
    p90_s: float
    p99_s: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Summarise values; raises InvalidValueError for none."""
        if not values:
            raise InvalidValueError("Spread.of: no value, wanted at least one")
        ordered = sorted(values)
        return Spread(statistics.fmean(ordered), statistics.median(ordered), _rank(ordered, 0.9), _rank(ordered, 0.99))


def _rank(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured concurrency: distributions, rates over the window, and the values its validity rests on. Times in s.

    ``throughput_per_gpu`` counts input and output tokens, tok/s/GPU; ``interactivity`` is that of ``axis``, tok/s/user.
    ``itl`` is None when no gap between chunks was observed. ``error`` is None when it could not be estimated, and
    ``asked_error``, the requested point_error, when the number of requests was fixed. ``tokens`` is None for a point of
    an older schema, ``details`` too. ``resent`` counts requests that had to be sent again, ``reopened`` connections
    that the server had closed because of their age."""

    concurrency: int
    gpus: int
    completed: int
    failed: int
    window: Window
    ttft: Spread
    tpot: Spread
    request_latency: Spread
    itl_median_s: float | None
    itl_p99_s: float | None
    throughput_per_gpu: float
    error: Uncertainty | None
    client: ClientCheck | None
    asked_error: float | None = None
    tokens: TokenFacts | None = None
    resent: int = 0
    reopened: int = 0
    details: PointDetails | None = None
    axis: Axis = "tpot"

    @property
    def interactivity(self) -> float:
        """1 / median tpot, or what ``axis`` says, tok/s/user."""
        if self.axis == "tpot":
            return 1 / self.tpot.median_s
        return positive("Measurement", "details.e2e_interactivity", self._e2e, "tok/s/user")

    @property
    def _e2e(self) -> float | None:
        return None if self.details is None else self.details.e2e_interactivity

    @property
    def is_short(self) -> bool:
        """Whether the point ended before it reached the requested error, or before its error could be estimated."""
        return self.asked_error is not None and (self.error is None or self.error.worst > self.asked_error)

    @property
    def _short_error(self) -> float | None:
        if not self.is_short:
            return None
        return UNKNOWN_ERROR if self.error is None else min(self.error.worst, UNKNOWN_ERROR)

    def point(self, configuration: str = "default") -> SweepPoint:
        """Return the point of a sweep."""
        return SweepPoint(
            concurrency=self.concurrency,
            gpus=self.gpus,
            interactivity=self.interactivity,
            throughput_per_gpu=self.throughput_per_gpu,
            configuration=configuration,
            acceptance_length=None if self.tokens is None else self.tokens.acceptance_length,
            short_error=self._short_error,
            details=self.details,
        )

    def with_power(self, power: GpuPower) -> Measurement:
        """Return the point with the power of its GPUs, and the energy of a token that follows from it."""
        if self.details is None:
            return self
        watts = power.mean_power_w
        details = replace(
            self.details,
            mean_power_w=watts,
            sm_clock_mhz=power.sm_clock_mhz,
            joules_per_token=None if watts is None else watts / self.throughput_per_gpu,
        )
        return replace(self, details=details)
