"""GPUs as they are now: node, persistence mode, clocks, who uses them. What the driver does not report is None."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_precgate.analysis.machine.host import GpuState
from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.environment.host import ROOT, pci_node
from pytest_precgate.environment.nvml import Driver, opened


def gpu_nodes(gpus: Sequence[Gpu], root: Path = ROOT) -> dict[Gpu, int | None]:
    """Return the memory node each GPU is attached to. Raises GpuDriverError."""
    with opened() as driver:
        return {gpu: None if driver is None else _node(driver, gpu, root) for gpu in gpus}


def gpu_states(root: Path = ROOT) -> tuple[GpuState, ...] | None:
    """Return the state of every GPU, or None without a driver. Raises GpuDriverError."""
    with opened() as driver:
        if driver is None:
            return None
        return tuple(
            GpuState(
                gpu=gpu,
                node=_node(driver, gpu, root),
                persistent=driver.is_persistent(gpu),
                sm_clock=driver.sm_clock(gpu),
                max_sm_clock=driver.max_sm_clock(gpu),
                clocks_events=driver.clocks_events(gpu),
                processes=driver.processes(gpu),
            )
            for gpu in driver.gpus()
        )


def driver_versions() -> tuple[str | None, str | None] | None:
    """Return the versions of the driver and of the CUDA it supports, or None without a driver. Raises
    GpuDriverError."""
    with opened() as driver:
        return None if driver is None else (driver.version(), driver.cuda_version())


def _node(driver: Driver, gpu: Gpu, root: Path) -> int | None:
    bus = driver.pci_bus(gpu)
    return None if bus is None else pci_node(bus, root)
