"""Clocks and persistence mode of GPUs: set for one server, and set back.

Input: GPUs and what is wanted. Output: the changes made, and the words of a command that undoes them. NVML is used and
not nvidia-smi, which makes the same calls with the same permission and has to be parsed. Invariant: what is set is in
the words that undo it before it is set, and a change that cannot be made is refused by name.

NVML does not tell whether clocks are locked already, so a lock that was set by hand is gone afterwards."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.environment.nvml import Driver, opened
from pytest_precgate.errors import GpuDriverError, GpuSettingError, PrecgateError

CLOCKS, PERSISTENCE = "clocks", "persistence"


@dataclass(frozen=True)
class GpuChange:
    """What is changed of one GPU: its SM clock in MHz, None where it is left alone, and its persistence mode."""

    gpu: Gpu
    clock_mhz: int | None = None
    turns_persistence_on: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What ``restore`` takes to undo it, the clocks first: without persistence the driver may forget them."""
        clocks = () if self.clock_mhz is None else (f"{self.gpu.uuid}:{CLOCKS}",)
        return (*clocks, f"{self.gpu.uuid}:{PERSISTENCE}") if self.turns_persistence_on else clocks


def planned(gpus: Sequence[Gpu], clocks: int | Literal["max"] | None, *, persistence: bool) -> tuple[GpuChange, ...]:
    """Return the changes that ``clocks`` and ``persistence`` ask for; nothing is changed yet.

    Raises GpuSettingError for a clock that a GPU does not reach, and for clocks that the driver would forget; that
    also where there is no GPU or no driver to ask. Raises GpuDriverError."""
    with opened() as driver:
        if driver is None or not gpus:
            raise GpuSettingError(
                "lock_clocks and persistence are for GPUs that NVML shows, and there are none for this server; leave "
                "them out, or pip install 'pytest-precgate[gpu]'"
            )
        return tuple(_change(driver, gpu, clocks, persistence=persistence) for gpu in gpus)


def _change(driver: Driver, gpu: Gpu, clocks: int | Literal["max"] | None, *, persistence: bool) -> GpuChange:
    is_on = driver.is_persistent(gpu)
    if persistence and is_on is None:
        raise GpuSettingError(
            f"{gpu}: persistence = true: the driver does not say what the mode is now, so it could not be set back. "
            f"Set it by hand, once: sudo nvidia-smi -i {gpu.index} -pm 1"
        )
    mhz = None if clocks is None else _mhz(driver, gpu, clocks)
    if mhz is not None and is_on is False and not persistence:
        raise GpuSettingError(
            f"{gpu}: lock_clocks: persistence mode is off, and the driver forgets locked clocks when the last process "
            "leaves the GPU; set persistence = true as well"
        )
    return GpuChange(gpu, mhz, turns_persistence_on=persistence and is_on is False)


def _mhz(driver: Driver, gpu: Gpu, clocks: int | Literal["max"]) -> int:
    highest = driver.max_sm_clock(gpu)
    if clocks == "max":
        if highest is None:
            raise GpuSettingError(
                f'{gpu}: lock_clocks = "max": the driver does not tell its highest clock; give MHz, as '
                f"nvidia-smi -i {gpu.index} -q -d SUPPORTED_CLOCKS lists them"
            )
        return highest
    if highest is not None and clocks > highest:
        raise GpuSettingError(f"{gpu}: lock_clocks = {clocks}: its highest SM clock is {highest} MHz")
    return clocks


def undoing(changes: Collection[GpuChange]) -> tuple[str, ...]:
    """Return the command that undoes the changes, for a process of its own; empty where there are none."""
    words = [word for change in changes for word in change.words]
    if not words:
        return ()
    code = f"import sys; sys.path += {sys.path!r}; from {__name__} import main; sys.exit(main(sys.argv[1:]))"
    return (sys.executable, "-c", code, *words)


def apply(changes: Sequence[GpuChange]) -> None:
    """Make the changes. Raises GpuSettingError and GpuDriverError, with those made before undone, or named."""
    with opened() as driver:
        if driver is None:
            raise GpuDriverError("the NVIDIA driver that listed the GPUs is no longer available")
        made: list[str] = []
        try:
            for change in changes:
                if change.turns_persistence_on:
                    driver.set_persistence(change.gpu, on=True)
                    made.insert(0, change.words[-1])
                if change.clock_mhz is not None:
                    driver.lock_clocks(change.gpu, change.clock_mhz)
                    made.insert(0, change.words[0])
        except PrecgateError as exc:
            if left := _all_undone(driver, made):
                raise GpuSettingError(f"{exc}. Before that others were set, and {'; '.join(left)}") from exc
            raise


def _all_undone(driver: Driver, words: Sequence[str]) -> list[str]:
    """Undo changes, as many as can be; return why others cannot."""
    failed: list[str] = []
    for word in words:
        try:
            _undo(driver, word)
        except PrecgateError as exc:
            failed.append(str(exc))
    return failed


def restore(words: Sequence[str]) -> tuple[str, ...]:
    """Undo changes, as many as can be; return why others cannot."""
    try:
        with opened() as driver:
            if driver is None:
                return ("the NVIDIA driver is no longer available",)
            return tuple(_all_undone(driver, words))
    except PrecgateError as exc:
        return (str(exc),)


def _undo(driver: Driver, word: str) -> None:
    uuid, _, what = word.rpartition(":")
    gpu = next((gpu for gpu in driver.gpus() if gpu.uuid == uuid), None)
    if gpu is None:
        raise GpuSettingError(f"{uuid}: {what} cannot be set back: the driver does not show this GPU any more")
    if what == CLOCKS:
        driver.reset_clocks(gpu)
    else:
        driver.set_persistence(gpu, on=False)


def main(words: Sequence[str]) -> int:
    """Undo changes; what cannot be undone is written to standard error, and the exit code is 1."""
    failed = restore(words)
    sys.stderr.write("; ".join(failed))
    return 1 if failed else 0
