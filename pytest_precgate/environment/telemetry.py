"""Watches GPUs while a point runs: a thread queries the driver periodically, and the load never waits for it.

Input: GPUs and an interval. Output: telemetry per GPU. Counters (energy, errors) miss no event between the first and
the last sample. States (clocks, events, processes) are sampled: a state that starts and ends between two samples is
missed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from pytest_precgate.analysis.measure.gpu import Gpu, GpuPower, GpuSample, GpuTelemetry, power_of, telemetry_of
from pytest_precgate.environment.nvml import Driver, opened
from pytest_precgate.errors import GpuDriverError

_PATIENCE_S = 30.0  # a GPU that fell off the bus can block a call without end


class GpuWatch:
    """Watches ``gpus`` inside a ``with``: a sample before its body, one every ``interval_s``, one after it.

    ``is_ours`` says for a process id whether it is the engine's; the watching thread calls it. Both ends of the
    ``with`` raise GpuDriverError when the driver fails or hangs; an exception of the body has priority. Without GPUs it
    does nothing."""

    def __init__(
        self,
        gpus: Sequence[Gpu],
        is_ours: Callable[[int], bool],
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_ours = is_ours
        self._interval_s = interval_s
        self._clock = clock
        self._samples: dict[Gpu, list[GpuSample]] = {gpu: [] for gpu in gpus}
        self._begun = threading.Event()
        self._over = threading.Event()
        self._complete = False
        self._failure: GpuDriverError | None = None
        self._thread = threading.Thread(target=self._watch, name="precgate GPU watch", daemon=True)

    @property
    def telemetry(self) -> tuple[GpuTelemetry, ...]:
        """The telemetry of each GPU so far; complete once the ``with`` is over."""
        return telemetry_of(self._samples)

    def power_in(self, start_s: float, end_s: float) -> GpuPower:
        """Return what the GPUs drew between two times of the clock, once the ``with`` is over."""
        return power_of(self._samples, start_s, end_s)

    def __enter__(self) -> GpuWatch:
        if self._samples:
            self._thread.start()
            self._begun.wait(_PATIENCE_S)
            if self._failure is not None or not self._begun.is_set():
                self._over.set()
                raise self._broken()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._samples:
            self._thread.join(_PATIENCE_S)
            if kind is None and not self._complete:
                raise self._broken()

    def _broken(self) -> GpuDriverError:
        if self._failure is not None:
            return self._failure
        if self._thread.is_alive():
            return GpuDriverError(f"the NVIDIA driver has not answered for {_PATIENCE_S:g} s; check it with nvidia-smi")
        return GpuDriverError("the GPUs were not watched to the end; the cause is on stderr")

    def _watch(self) -> None:
        try:
            with opened() as driver:
                self._look_until_over(driver)
            self._complete = True
        except GpuDriverError as exc:
            self._failure = exc
        finally:
            self._begun.set()

    def _look_until_over(self, driver: Driver | None) -> None:
        if driver is None:
            raise GpuDriverError("the NVIDIA driver that listed the GPUs is no longer available")
        self._look(driver)
        self._begun.set()
        while not self._over.wait(self._interval_s):
            self._look(driver)
        self._look(driver)

    def _look(self, driver: Driver) -> None:
        for gpu, samples in self._samples.items():
            samples.append(driver.sample(gpu, self._clock(), self._is_ours))
