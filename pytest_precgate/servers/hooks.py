"""What the server pool offers to the code that loads one of its servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.measure.gpu import GpuTelemetry
from pytest_precgate.environment import GpuWatch


@dataclass(frozen=True)
class LoadHooks:
    """How a server of our own is watched under load.

    ``is_dead`` ends a point at once, ``watch`` sees its GPUs, ``keep`` writes down what it saw at a concurrency.
    """

    is_dead: Callable[[], bool]
    watch: Callable[[], GpuWatch]
    keep: Callable[[int, Sequence[GpuTelemetry]], None]
