"""The only access to NVML, through pynvml (package nvidia-ml-py, extra ``gpu``), imported on use.

Only the driver counts GPUs. Without package, library or driver the answer is None (unknown), because there may be GPUs
of another vendor, or a container may hide the library. Zero is only reported by the driver.

When the driver is present, a failing query for number, kind or name of the GPUs is a GpuDriverError. A state may be
missing: a GPU without the sensor, an older driver without the function, a container without the permission, or a call
that fails sometimes give None. A GPU that is lost or needs a reset cannot be measured, so it is a GpuDriverError in
every call."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pytest_precgate.analysis.measure.gpu import Gpu, GpuSample, gpus_named
from pytest_precgate.errors import GpuDriverError, GpuSettingError
from pytest_precgate.text import printable


def visible_gpus() -> tuple[Gpu, ...] | None:
    """Return the GPUs that the driver shows to this process, by index, or None without a driver.

    CUDA_VISIBLE_DEVICES does not restrict them; ``gpus_named`` does. Raises GpuDriverError."""
    with opened() as driver:
        return None if driver is None else driver.gpus()


def memory_used(devices: Collection[str]) -> Mapping[str, int] | None:
    """Return the bytes in use on each device, words of CUDA_VISIBLE_DEVICES, or None without a driver.

    For a MIG device it is the memory of its GPU. A device whose memory the driver does not count is left out. Raises
    InvalidValueError for a word that names no GPU here, GpuDriverError."""
    with opened() as driver:
        if driver is None:
            return None
        gpus = driver.gpus()
        used = {word: driver.memory_used(*gpus_named([word], gpus)) for word in devices}
    return {word: number for word, number in used.items() if number is not None}


def unread_gpus(root: Path = Path("/")) -> str | None:
    """Return why ``visible_gpus`` finds nothing on a machine that has NVIDIA GPUs, and what to do; else None.

    Linux shows them as /dev/nvidia0, /dev/nvidia1, ... also when they cannot be queried."""
    nodes = sorted(path.name for path in (root / "dev").glob("nvidia[0-9]*"))
    with opened() as driver:
        if driver is not None or not nodes:
            return None
    if importlib.util.find_spec("pynvml") is None:
        remedy = "pip install 'pytest-precgate[gpu]'"
    else:
        remedy = (
            "the driver's library libnvidia-ml.so.1 is missing (a container needs NVIDIA_DRIVER_CAPABILITIES=utility)"
        )
    return f"this machine has NVIDIA GPUs ({', '.join(nodes)}) and they cannot be queried: {remedy}"


@contextmanager
def opened() -> Iterator[Driver | None]:
    """Open a session with the driver; None without a driver. Raises GpuDriverError when a driver exists and fails."""
    pynvml = _initialised()
    if pynvml is None:
        yield None
        return
    try:
        yield Driver(pynvml)
    finally:
        with suppress(pynvml.NVMLError):  # the session is over in any case
            pynvml.nvmlShutdown()


def _initialised() -> Any | None:
    try:
        import pynvml  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as exc:
        if exc.value in (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED):
            return None
        raise _failed("nvmlInit", "the NVIDIA driver", exc) from exc
    return pynvml


def _failed(function: str, of: str, why: Exception) -> GpuDriverError:
    return GpuDriverError(
        f"{of} does not answer {function}: {printable(str(why))}. Nothing can be measured there until "
        "nvidia-smi works again; an upgraded driver needs a reboot, a lost GPU a reset"
    )


class Driver:
    """The NVIDIA driver during a session. What it does not report is None; GpuDriverError as above."""

    def __init__(self, pynvml: Any) -> None:
        self._pynvml = pynvml
        self._gone = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED)
        self._handles: dict[str, Any] = {}

    def gpus(self) -> tuple[Gpu, ...]:
        """Return the GPUs that this process may use; NVML also counts those without permission."""
        found = []
        for index in range(self._must("the NVIDIA driver", "nvmlDeviceGetCount")):
            try:
                handle = self._pynvml.nvmlDeviceGetHandleByIndex(index)
            except self._pynvml.NVMLError as exc:
                if exc.value == self._pynvml.NVML_ERROR_NO_PERMISSION:
                    continue
                raise _failed("nvmlDeviceGetHandleByIndex", f"GPU {index}", exc) from exc
            found.append(self._described(index, handle))
        return tuple(found)

    def version(self) -> Any | None:
        """Return the driver's version."""
        return self._ask("the NVIDIA driver", "nvmlSystemGetDriverVersion")

    def cuda_version(self) -> str | None:
        """Return the highest CUDA version that the driver supports, as 13.0."""
        number = self._ask("the NVIDIA driver", "nvmlSystemGetCudaDriverVersion_v2")
        return None if number is None else f"{number // 1000}.{number % 1000 // 10}"

    def vbios(self, gpu: Gpu) -> str | None:
        """Return the version of the GPU's VBIOS."""
        return self._of(gpu, "nvmlDeviceGetVbiosVersion")

    def is_divided(self, gpu: Gpu) -> bool | None:
        """Whether the GPU is in MIG mode."""
        modes = self._of(gpu, "nvmlDeviceGetMigMode")
        return None if modes is None else modes[0] == self._pynvml.NVML_DEVICE_MIG_ENABLE

    def is_persistent(self, gpu: Gpu) -> bool | None:
        """Whether the driver keeps the GPU's state while no process uses it."""
        mode = self._of(gpu, "nvmlDeviceGetPersistenceMode")
        return None if mode is None else mode == self._pynvml.NVML_FEATURE_ENABLED

    def power_limit_w(self, gpu: Gpu) -> float | None:
        """Return the power cap in force, the lowest of all caps, W."""
        return _thousandth(self._of(gpu, "nvmlDeviceGetEnforcedPowerLimit"))

    def pci_bus(self, gpu: Gpu) -> str | None:
        """Return the PCI address, ``00000000:17:00.0``."""
        found = self._of(gpu, "nvmlDeviceGetPciInfo")
        bus = None if found is None else found.busId
        return bus.decode("ascii", "replace") if isinstance(bus, bytes) else bus

    def max_sm_clock(self, gpu: Gpu) -> int | None:
        """Return the highest SM clock, MHz."""
        return self._of(gpu, "nvmlDeviceGetMaxClockInfo", self._pynvml.NVML_CLOCK_SM)

    def sm_clock(self, gpu: Gpu) -> int | None:
        """Return the SM clock now, MHz."""
        return self._of(gpu, "nvmlDeviceGetClockInfo", self._pynvml.NVML_CLOCK_SM)

    def clocks_events(self, gpu: Gpu) -> int | None:
        """Return why the clocks are below their maximum now, as bits."""
        return self._of(gpu, "nvmlDeviceGetCurrentClocksEventReasons")

    def processes(self, gpu: Gpu) -> int | None:
        """Return how many processes compute on the GPU."""
        found = self._of(gpu, "nvmlDeviceGetComputeRunningProcesses_v3")
        return None if found is None else len(found)

    def lock_clocks(self, gpu: Gpu, mhz: int) -> None:
        """Hold the SM clock at ``mhz`` until it is reset. Raises GpuSettingError."""
        self._set(gpu, f"lock_clocks = {mhz}", f"-lgc {mhz},{mhz}", "nvmlDeviceSetGpuLockedClocks", mhz, mhz)

    def reset_clocks(self, gpu: Gpu) -> None:
        """Let the SM clock go again. Raises GpuSettingError."""
        self._set(gpu, "its clocks are to be let go again", "-rgc", "nvmlDeviceResetGpuLockedClocks")

    def set_persistence(self, gpu: Gpu, *, on: bool) -> None:
        """Set the persistence mode. Raises GpuSettingError."""
        mode = self._pynvml.NVML_FEATURE_ENABLED if on else self._pynvml.NVML_FEATURE_DISABLED
        what = "persistence = true" if on else "its persistence mode is to be off again"
        self._set(gpu, what, f"-pm {int(on)}", "nvmlDeviceSetPersistenceMode", mode)

    def _set(self, gpu: Gpu, what: str, option: str, function: str, *arguments: object) -> None:
        """Change a GPU. The driver wants root for it, and a virtual GPU may not have it."""
        by_hand = f"sudo nvidia-smi -i {gpu.index} {option}"
        call = getattr(self._pynvml, function, None)
        if call is None:
            raise GpuSettingError(f"{gpu}: {what}: this nvidia-ml-py has no {function}; upgrade it, or: {by_hand}")
        try:
            call(self._handle(gpu), *arguments)
        except self._pynvml.NVMLError as exc:
            if exc.value in self._gone:
                raise _failed(function, str(gpu), exc) from exc
            why = {
                self._pynvml.NVML_ERROR_NO_PERMISSION: "the driver allows it to root only",
                self._pynvml.NVML_ERROR_NOT_SUPPORTED: "this GPU does not have it",
            }.get(exc.value, f"{function} failed: {printable(str(exc))}")
            raise GpuSettingError(f"{gpu}: {what}: {why}. Set it by hand, once: {by_hand}") from exc

    def memory_used(self, gpu: Gpu) -> int | None:
        """Return the bytes in use, the driver's own included."""
        memory = self._of(gpu, "nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.used)

    def sample(self, gpu: Gpu, at_s: float, is_ours: Callable[[int], bool]) -> GpuSample:
        """Return the state of ``gpu`` now; ``at_s`` is the time on the caller's clock."""
        nvml = self._pynvml
        rows = self._of(gpu, "nvmlDeviceGetRemappedRows")
        processes = self._of(gpu, "nvmlDeviceGetComputeRunningProcesses_v3")
        pids = None if processes is None else {process.pid: is_ours(process.pid) for process in processes}
        return GpuSample(
            at_s=at_s,
            energy_j=_thousandth(self._of(gpu, "nvmlDeviceGetTotalEnergyConsumption")),
            power_w=_thousandth(self._of(gpu, "nvmlDeviceGetPowerUsage")),
            power_limit_w=self.power_limit_w(gpu),
            sm_clock_mhz=self._of(gpu, "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._of(gpu, "nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature_c=self._of(gpu, "nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            ecc_uncorrected=self._of(
                gpu,
                "nvmlDeviceGetTotalEccErrors",
                nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                nvml.NVML_VOLATILE_ECC,
            ),
            remapped_rows=None if rows is None else rows[0] + rows[1],
            clocks_events=self._of(gpu, "nvmlDeviceGetCurrentClocksEventReasons"),
            own_pids=None if pids is None else frozenset(pid for pid, ours in pids.items() if ours),
            foreign_pids=None if pids is None else frozenset(pid for pid, ours in pids.items() if not ours),
        )

    def _described(self, index: int, handle: Any) -> Gpu:
        name = f"GPU {index}"
        memory = self._ask(name, "nvmlDeviceGetMemoryInfo", handle)
        return Gpu(
            index=index,
            uuid=self._must(name, "nvmlDeviceGetUUID", handle),
            name=printable(self._must(name, "nvmlDeviceGetName", handle)),
            memory_total=None if memory is None or memory.total == 0 else memory.total,
            mig_uuids=tuple(self._mig_uuids(name, handle)),
        )

    def _mig_uuids(self, name: str, handle: Any) -> Iterator[str]:
        places = self._ask(name, "nvmlDeviceGetMaxMigDeviceCount", handle)
        for place in () if places is None else range(places):
            part = self._ask(name, "nvmlDeviceGetMigDeviceHandleByIndex", handle, place)
            if part is not None:  # slots may be empty in any order
                yield self._must(name, "nvmlDeviceGetUUID", part)

    def _of(self, gpu: Gpu, function: str, *arguments: object) -> Any | None:
        return self._ask(str(gpu), function, self._handle(gpu), *arguments)

    def _handle(self, gpu: Gpu) -> Any:
        if gpu.uuid not in self._handles:
            self._handles[gpu.uuid] = self._must(str(gpu), "nvmlDeviceGetHandleByUUID", gpu.uuid)
        return self._handles[gpu.uuid]

    def _must(self, of: str, function: str, *arguments: object) -> Any:
        try:
            return _text(getattr(self._pynvml, function)(*arguments))
        except UnicodeDecodeError as exc:
            return printable(exc.object)
        except self._pynvml.NVMLError as exc:
            raise _failed(function, of, exc) from exc

    def _ask(self, of: str, function: str, *arguments: object) -> Any | None:
        call = getattr(self._pynvml, function, None)
        if call is None:  # another version of the package does not have it
            return None
        try:
            return _text(call(*arguments))
        except UnicodeDecodeError as exc:
            return printable(exc.object)
        except self._pynvml.NVMLError as exc:
            if exc.value in self._gone:
                raise _failed(function, of, exc) from exc
            return None


def _text(said: Any) -> Any:
    """Return the value from pynvml. Raises GpuDriverError for bytes, which only the old package returns for text."""
    if isinstance(said, bytes):
        raise GpuDriverError(
            "the module pynvml is that of the old package pynvml, which hides nvidia-ml-py's and gives bytes for text: "
            "pip uninstall pynvml, then pip install --force-reinstall nvidia-ml-py"
        )
    return said


def _thousandth(number: int | None) -> float | None:
    """mW to W, mJ to J."""
    return None if number is None else number / 1000
