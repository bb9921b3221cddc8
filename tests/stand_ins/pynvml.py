"""Stands in for pynvml (nvidia-ml-py) where there is no GPU: put its folder first on sys.path.

It acts out what the variable STAND_IN_NVML says, a JSON object, read when it is imported:

    gpus      how many GPUs there are, NVIDIA B200 by default (1)
    mig       how many MIG devices each is divided into (0)
    missing   "library" or "driver": nvmlInit fails as it does without one
    answers   {function: {GPU index, or "" for all: [answers]}}: the k-th call on a GPU gets the k-th answer, the last
              one over and over. "NVML_ERROR_..." is raised. Processes are lists of pids, where "self" is this process
              and "children" all it has started; memory is [total, used].
    record    a file to which every call that changes a GPU is appended: function, GPU index, arguments, before it fails
              or not. Clocks and persistence mode are not remembered.

Names, signatures and values are those of nvidia-ml-py; a test holds them against the real package."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

NVML_FEATURE_DISABLED = 0
NVML_FEATURE_ENABLED = 1
NVML_DEVICE_MIG_DISABLE = 0
NVML_DEVICE_MIG_ENABLE = 1
NVML_TEMPERATURE_GPU = 0
NVML_VOLATILE_ECC = 0
NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
NVML_CLOCK_SM = 1
NVML_CLOCK_MEM = 2
NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_FUNCTION_NOT_FOUND = 13
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_RESET_REQUIRED = 16
NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18
NVML_ERROR_UNKNOWN = 999

_SCRIPT: dict[str, Any] = json.loads(os.environ.get("STAND_IN_NVML", "{}"))
_GPUS: int = _SCRIPT.get("gpus", 1)
_MIG: int = _SCRIPT.get("mig", 0)
_calls: Counter[tuple[str, str]] = Counter()
_sessions = 0


class NVMLError(Exception):
    """An error of NVML; ``value`` is its code."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return next(name for name, code in globals().items() if name.startswith("NVML_ERROR") and code == self.value)


@dataclass(frozen=True)
class _Handle:
    index: int
    part: int | None = None


@dataclass(frozen=True)
class _Memory:
    total: int
    used: int


@dataclass(frozen=True)
class _PciInfo:
    busId: str  # noqa: N815


@dataclass(frozen=True)
class _Process:
    pid: int


def _answer(function: str, handle: _Handle | None, default: Any) -> Any:
    """The scripted answer of this call, else ``default``; as the real one, an error outside a session."""
    if _sessions < 1:
        raise NVMLError(NVML_ERROR_UNINITIALIZED)
    index = "" if handle is None else str(handle.index)
    by_gpu = _SCRIPT.get("answers", {}).get(function, {})
    answers = by_gpu.get(index, by_gpu.get(""))
    number = _calls[function, index]
    _calls[function, index] += 1
    answer = default if answers is None else answers[min(number, len(answers) - 1)]
    if isinstance(answer, str) and answer.startswith("NVML_ERROR_"):
        raise NVMLError(globals()[answer])
    return answer


def nvmlInit() -> None:
    global _sessions
    if "missing" in _SCRIPT:
        codes = {"library": NVML_ERROR_LIBRARY_NOT_FOUND, "driver": NVML_ERROR_DRIVER_NOT_LOADED}
        raise NVMLError(codes[_SCRIPT["missing"]])
    _sessions += 1
    try:
        _answer("nvmlInit", None, None)
    except NVMLError:
        _sessions -= 1
        raise


def nvmlShutdown() -> None:
    global _sessions
    _answer("nvmlShutdown", None, None)
    _sessions -= 1


def nvmlSystemGetDriverVersion() -> str:
    return str(_answer("nvmlSystemGetDriverVersion", None, "580.95.05"))


def nvmlSystemGetCudaDriverVersion_v2() -> int:
    return int(_answer("nvmlSystemGetCudaDriverVersion_v2", None, 13000))


def nvmlDeviceGetCount() -> int:
    return int(_answer("nvmlDeviceGetCount", None, _GPUS))


def nvmlDeviceGetHandleByIndex(index: int) -> _Handle:
    _answer("nvmlDeviceGetHandleByIndex", _Handle(index), None)
    if not 0 <= index < _GPUS:
        raise NVMLError(NVML_ERROR_INVALID_ARGUMENT)
    return _Handle(index)


def nvmlDeviceGetHandleByUUID(uuid: str) -> _Handle:
    for handle in map(_Handle, range(_GPUS)):
        if uuid == _uuid(handle):
            _answer("nvmlDeviceGetHandleByUUID", handle, None)
            return handle
    raise NVMLError(NVML_ERROR_NOT_FOUND)


def _uuid(handle: _Handle) -> str:
    kind, number = ("GPU", 0) if handle.part is None else ("MIG", handle.part + 1)
    return f"{kind}-{handle.index:08x}-0000-0000-0000-{number:012x}"


def nvmlDeviceGetUUID(handle: _Handle) -> str:
    return str(_answer("nvmlDeviceGetUUID", handle, _uuid(handle)))


def nvmlDeviceGetName(handle: _Handle) -> str:
    return str(_answer("nvmlDeviceGetName", handle, "NVIDIA B200"))


def nvmlDeviceGetMemoryInfo(handle: _Handle, version: int | None = None) -> _Memory:
    assert version is None
    return _Memory(*_answer("nvmlDeviceGetMemoryInfo", handle, [192265846784, 629145600]))


def nvmlDeviceGetMigMode(device: _Handle) -> list[int]:
    mode = NVML_DEVICE_MIG_ENABLE if _MIG else NVML_DEVICE_MIG_DISABLE
    return list(_answer("nvmlDeviceGetMigMode", device, [mode, mode]))


def nvmlDeviceGetMaxMigDeviceCount(device: _Handle) -> int:
    return int(_answer("nvmlDeviceGetMaxMigDeviceCount", device, 7))


def nvmlDeviceGetMigDeviceHandleByIndex(device: _Handle, index: int) -> _Handle:
    _answer("nvmlDeviceGetMigDeviceHandleByIndex", device, None)
    if index >= _MIG:
        raise NVMLError(NVML_ERROR_NOT_FOUND)
    return _Handle(device.index, index)


def nvmlDeviceGetVbiosVersion(handle: _Handle) -> str:
    return str(_answer("nvmlDeviceGetVbiosVersion", handle, "97.00.88.00.0F"))


def nvmlDeviceGetPersistenceMode(handle: _Handle) -> int:
    return int(_answer("nvmlDeviceGetPersistenceMode", handle, NVML_FEATURE_ENABLED))


def _change(function: str, handle: _Handle, *arguments: int) -> None:
    """Write down a call that changes a GPU."""
    if "record" in _SCRIPT:
        with Path(_SCRIPT["record"]).open("a", encoding="utf-8") as file:
            file.write(" ".join(map(str, (function, handle.index, *arguments))) + "\n")
    _answer(function, handle, None)


def nvmlDeviceSetPersistenceMode(handle: _Handle, mode: int) -> None:
    _change("nvmlDeviceSetPersistenceMode", handle, mode)


def nvmlDeviceSetGpuLockedClocks(handle: _Handle, minGpuClockMHz: int, maxGpuClockMHz: int) -> None:
    _change("nvmlDeviceSetGpuLockedClocks", handle, minGpuClockMHz, maxGpuClockMHz)


def nvmlDeviceResetGpuLockedClocks(handle: _Handle) -> None:
    _change("nvmlDeviceResetGpuLockedClocks", handle)


def nvmlDeviceGetMaxClockInfo(handle: _Handle, type: int) -> int:
    assert type == NVML_CLOCK_SM
    return int(_answer("nvmlDeviceGetMaxClockInfo", handle, 1965))


def nvmlDeviceGetPciInfo(handle: _Handle) -> _PciInfo:
    return _PciInfo(_answer("nvmlDeviceGetPciInfo", handle, f"00000000:{0x10 + handle.index:02X}:00.0"))


def nvmlDeviceGetEnforcedPowerLimit(handle: _Handle) -> int:
    return int(_answer("nvmlDeviceGetEnforcedPowerLimit", handle, 1000000))


def nvmlDeviceGetPowerUsage(handle: _Handle) -> int:
    return int(_answer("nvmlDeviceGetPowerUsage", handle, 700000))


def nvmlDeviceGetTotalEnergyConsumption(handle: _Handle) -> int:
    function = "nvmlDeviceGetTotalEnergyConsumption"
    return int(_answer(function, handle, 10**9 + 700000 * _calls[function, str(handle.index)]))


def nvmlDeviceGetClockInfo(handle: _Handle, type: int) -> int:
    return int(_answer("nvmlDeviceGetClockInfo", handle, {NVML_CLOCK_SM: 1965, NVML_CLOCK_MEM: 3996}[type]))


def nvmlDeviceGetTemperature(handle: _Handle, sensor: int) -> int:
    assert sensor == NVML_TEMPERATURE_GPU
    return int(_answer("nvmlDeviceGetTemperature", handle, 55))


def nvmlDeviceGetTotalEccErrors(handle: _Handle, errorType: int, counterType: int) -> int:
    assert (errorType, counterType) == (NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC)
    return int(_answer("nvmlDeviceGetTotalEccErrors", handle, 0))


def nvmlDeviceGetRemappedRows(device: _Handle) -> tuple[int, ...]:
    return tuple(_answer("nvmlDeviceGetRemappedRows", device, [0, 0, 0, 0]))


def nvmlDeviceGetCurrentClocksEventReasons(handle: _Handle) -> int:
    return int(_answer("nvmlDeviceGetCurrentClocksEventReasons", handle, 0))


def nvmlDeviceGetComputeRunningProcesses_v3(handle: _Handle) -> list[_Process]:
    pids: list[int] = []
    for who in _answer("nvmlDeviceGetComputeRunningProcesses_v3", handle, ["self"]):
        if who == "self":
            pids.append(os.getpid())
        elif who == "children":
            pids += [child.pid for child in psutil.Process().children(recursive=True)]
        else:
            pids.append(who)
    return [_Process(pid) for pid in pids]
