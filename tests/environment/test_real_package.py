"""The real pynvml and a driver's library written in C: calls, units and texts are right where nothing stands in."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIBRARY = Path(__file__).parent.parent / "stand_ins" / "nvml.c"
ASK = """
import dataclasses, json, os, pathlib
from pytest_precgate.analysis.measure.gpu import refusals
from pytest_precgate.environment import GpuWatch, gpu_facts, memory_used, visible_gpus
from pytest_precgate.environment.gpu_settings import apply, planned, restore
from pytest_precgate.environment.gpu_state import gpu_states

gpus = visible_gpus()
with GpuWatch(gpus, lambda pid: pid == os.getpid(), 1e6, clock=lambda: 0.0) as watch:
    pass
changes = planned(gpus, 1500, persistence=False)
apply(changes)
numa_node = pathlib.Path("sys/bus/pci/devices/0000:17:00.0/numa_node")
numa_node.parent.mkdir(parents=True)
numa_node.write_text("3\\n")
(state,) = gpu_states(pathlib.Path())
print(json.dumps({
    "gpus": [dataclasses.asdict(gpu) for gpu in gpus],
    "memory": memory_used(["GPU-8932f937"]),
    "facts": {"hard": dict((found := gpu_facts(gpus)).hard), "soft": dict(found.soft)},
    "seen": dataclasses.asdict(watch.telemetry[0]),
    "refusals": refusals(watch.telemetry),
    "state": [state.node, state.persistent, state.max_sm_clock, state.processes],
    "restored": restore([word for change in changes for word in change.words]),
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the product says of a machine whose driver is the library in C."""
    compiler = shutil.which("cc")
    if compiler is None or importlib.util.find_spec("pynvml") is None or sys.platform != "linux":
        pytest.skip("needs Linux, a C compiler and nvidia-ml-py")
    home = tmp_path_factory.mktemp("driver")
    build = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(home / "libnvidia-ml.so.1"), str(LIBRARY)]
    subprocess.run(build, check=True, timeout=120)
    environ = {**os.environ, "LD_LIBRARY_PATH": str(home)}
    run = subprocess.run(
        [sys.executable, "-c", ASK], env=environ, cwd=home, capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_the_driver_s_gpu_is_seen(told: dict[str, Any]) -> None:
    """Texts are texts, bytes are counted in 64 bits."""
    uuid = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
    (gpu,) = told["gpus"]
    assert gpu == {"index": 0, "uuid": uuid, "name": "NVIDIA B200", "memory_total": 192265846784, "mig_uuids": []}
    assert told["memory"] == {"GPU-8932f937": 629145600}


def test_the_driver_s_facts_are_told(told: dict[str, Any]) -> None:
    """Without the MIG mode the GPU does not have and the persistence mode the library lacks."""
    assert told["facts"]["hard"] == {"gpu.count": 1, "gpu.name": "NVIDIA B200"}
    assert told["facts"]["soft"] == {
        "gpu.cuda": "12.8",
        "gpu.driver": "580.95.05",
        "gpu.power_limit": "1000 W",
        "gpu.uuids": "GPU-8932f937",
        "gpu.vbios": "97.00.88",
    }


def test_the_driver_s_counters_are_read_in_their_units(told: dict[str, Any]) -> None:
    """mJ and mW become J and W; a counter beyond 32 bits is whole; the processes are told apart."""
    seen = told["seen"]
    assert (seen["energy_j"], seen["mean_power_w"], seen["power_limit_w"]) == (1.5, 712.345, 1000.0)
    assert (seen["sm_clock_mhz"], seen["memory_clock_mhz"], seen["max_temperature_c"]) == ([1965] * 2, [3996] * 2, 55)
    assert (seen["new_ecc_uncorrected"], seen["new_remapped_rows"]) == (0, 0)
    assert (seen["clocks_events"], seen["foreign_pids"]) == (0x44, [4711])


def test_the_driver_s_events_refuse_the_point(told: dict[str, Any]) -> None:
    """Thermal slowdown from the second sample on, and a process of another program."""
    heat, stranger = told["refusals"]
    assert "HW_THERMAL_SLOWDOWN 0x40" in heat
    assert "pid 4711" in stranger


def test_the_driver_s_gpu_is_set_and_refuses_by_name(told: dict[str, Any]) -> None:
    """Clocks are locked at the MHz asked for; what needs root is said with the command; the node is the device's."""
    assert told["state"] == [3, None, 1980, 2]
    (why,) = told["restored"]
    assert "its clocks are to be let go again: the driver allows it to root only" in why
    assert "sudo nvidia-smi -i 0 -rgc" in why
