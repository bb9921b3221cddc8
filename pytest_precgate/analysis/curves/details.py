"""What was measured of a point beside its interactivity and throughput: latencies, goodput, energy, the engine's times.

Input: figures of a measurement or a file. Output: a frozen value. Invariant: what is not known is None, never zero, and
an impossible figure is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

from pytest_precgate.errors import InvalidValueError

_MAY_BE_ZERO = frozenset({"goodput", "cached_share", "queue_s", "prefill_s", "preemptions", "client_cpu_share"})
_ASCENDING = (
    ("ttft_p50_s", "ttft_p90_s", "ttft_p99_s"),
    ("tpot_p50_s", "tpot_p90_s", "tpot_p99_s"),
    ("itl_p50_s", "itl_p99_s"),
    ("request_latency_p50_s", "request_latency_p90_s", "request_latency_p99_s"),
)


@dataclass(frozen=True)
class Slo:
    """The service level objective of a request: its ttft and its tpot, each at most so many seconds."""

    ttft_s: float
    tpot_s: float

    def __post_init__(self) -> None:
        for name in ("ttft_s", "tpot_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InvalidValueError(f"slo.{name}: got {value!r}, wanted seconds above 0")

    def __str__(self) -> str:
        return f"a ttft of {self.ttft_s * 1000:g} ms and a tpot of {self.tpot_s * 1000:g} ms"


@dataclass(frozen=True)
class PointDetails:
    """Figures of one point; None for what was not measured. Names end in their unit where it is a time, power or clock.

    ``ttft``, ``tpot``, ``itl``, ``request_latency``: mean and nearest-rank percentiles over the requests of the window
    (itl: over the gaps between chunks, within 1%). ``output_throughput_per_gpu`` counts output tokens, tok/s/GPU.
    ``e2e_interactivity`` is 1 / P90(request_latency / output tokens), tok/s/user. ``goodput`` is the number of requests
    per second and GPU that met ``slo_ttft_s`` and ``slo_tpot_s``. ``joules_per_token`` is the mean power of a GPU over
    throughput_per_gpu, J per input or output token. ``cached_share`` is a share of the prompt tokens,
    ``client_cpu_share`` of one core. ``queue_s``, ``prefill_s`` and ``decode_s`` are the engine's own means per
    request, ``batch`` the mean number of requests in decode by Little's law, ``preemptions`` a count."""

    ttft_mean_s: float | None = None
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    ttft_p99_s: float | None = None
    tpot_mean_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p90_s: float | None = None
    tpot_p99_s: float | None = None
    itl_mean_s: float | None = None
    itl_p50_s: float | None = None
    itl_p99_s: float | None = None
    request_latency_mean_s: float | None = None
    request_latency_p50_s: float | None = None
    request_latency_p90_s: float | None = None
    request_latency_p99_s: float | None = None
    output_throughput_per_gpu: float | None = None
    e2e_interactivity: float | None = None
    goodput: float | None = None
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    joules_per_token: float | None = None
    mean_power_w: float | None = None
    sm_clock_mhz: float | None = None
    cached_share: float | None = None
    tokens_per_event: float | None = None
    client_cpu_share: float | None = None
    batch: float | None = None
    queue_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    preemptions: float | None = None

    def __post_init__(self) -> None:
        for name in FIGURES:
            value = getattr(self, name)
            if value is None:
                continue
            least = "at least" if name in _MAY_BE_ZERO else "above"
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise InvalidValueError(f"PointDetails.{name}: got {value!r}, wanted a finite number {least} 0")
            if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
                raise InvalidValueError(f"PointDetails.{name}: got {value!r}, wanted a number {least} 0")
        for names in _ASCENDING:
            known = [value for name in names if (value := getattr(self, name)) is not None]
            if known != sorted(known):
                raise InvalidValueError(f"PointDetails: {', '.join(names)} are {known}, wanted them in rising order")
        if self.goodput is not None and (self.slo_ttft_s is None or self.slo_tpot_s is None):
            raise InvalidValueError("PointDetails.goodput: has no slo_ttft_s and slo_tpot_s that it was counted under")

    @property
    def known(self) -> dict[str, float]:
        """The figures that are known, by name, in the order above."""
        return {name: value for name in FIGURES if (value := getattr(self, name)) is not None}

    @property
    def slo(self) -> Slo | None:
        """The objective that its goodput was counted under; None without one."""
        if self.slo_ttft_s is None or self.slo_tpot_s is None:
            return None
        return Slo(self.slo_ttft_s, self.slo_tpot_s)

    def mapped(self, change: Callable[[float], float]) -> PointDetails:
        """Return the details with every known figure changed."""
        return PointDetails(**{name: change(value) for name, value in self.known.items()})


FIGURES = tuple(field.name for field in fields(PointDetails))
"""The names of all figures."""
