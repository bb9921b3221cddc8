"""GPUs watched: what a watch sees between its two ends, and what it does when the driver fails."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import threading

import psutil
import pytest

from pytest_precgate.analysis.measure.gpu import Gpu, refusals
from pytest_precgate.environment import GpuWatch, visible_gpus
from pytest_precgate.environment import telemetry as watching
from pytest_precgate.errors import GpuDriverError
from tests.environment.conftest import Nvml

NEVER_S = 1e6  # only the first and the last sample are taken


def is_ours(pid: int) -> bool:
    return pid == os.getpid()


def gpus() -> tuple[Gpu, ...]:
    return visible_gpus() or ()


def watched(interval_s: float = NEVER_S) -> GpuWatch:
    return GpuWatch(gpus(), is_ours, interval_s, clock=map(float, itertools.count()).__next__)


def test_a_watch_has_a_sample_before_and_one_after(nvml: Nvml) -> None:
    """However short the point was: counters have two ends. Times are the clock's."""
    nvml(gpus=2)
    with watched() as watch:
        assert [each.samples for each in watch.telemetry] == [1, 1]
    first, second = watch.telemetry
    assert (first.samples, first.duration_s, first.energy_j) == (2, 2.0, 700.0)
    assert (second.gpu.index, second.mean_power_w, second.power_limit_w) == (1, 700.0, 1000.0)
    assert (first.sm_clock_mhz, first.memory_clock_mhz, first.max_temperature_c) == ((1965, 1965), (3996, 3996), 55)
    assert (first.new_ecc_uncorrected, first.new_remapped_rows, first.clocks_events) == (0, 0, 0)
    assert first.foreign_pids == ()
    assert refusals(watch.telemetry) == ()


def test_what_happens_in_between_is_seen(nvml: Nvml) -> None:
    """The sixth sample finds the GPU hot; the watch is held open until it was taken."""
    hot = [0, 0, 0, 0, 0, 0x48, 0]
    nvml(answers={"nvmlDeviceGetCurrentClocksEventReasons": {"0": hot}})
    looks, enough = itertools.count(1), threading.Event()

    def asked(pid: int) -> bool:
        if next(looks) > len(hot):
            enough.set()
        return is_ours(pid)

    with GpuWatch(gpus(), asked, interval_s=0.001) as watch:
        assert enough.wait(60)
    (line,) = refusals(watch.telemetry)
    assert "HW_SLOWDOWN 0x8, HW_THERMAL_SLOWDOWN 0x40" in line


@pytest.mark.parametrize(
    ("function", "answers", "why"),
    [
        ("nvmlDeviceGetCurrentClocksEventReasons", [0x20], "SW_THERMAL_SLOWDOWN 0x20"),
        ("nvmlDeviceGetTotalEccErrors", [4, 6], r"new uncorrected ECC errors: GPU 0 .* \+2"),
        ("nvmlDeviceGetRemappedRows", [[0, 0, 0, 0], [1, 0, 1, 0]], r"rows of memory remapped: GPU 0 .* \+1"),
        ("nvmlDeviceGetRemappedRows", [[0, 0, 0, 0], [0, 2, 0, 0]], r"rows of memory remapped: GPU 0 .* \+2"),
        ("nvmlDeviceGetTotalEnergyConsumption", [9000000, 1000], "energy counter went backwards: GPU 0 .* by 8999 J"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", [["self", 4711]], "not the engine's: GPU 0 .* pid 4711"),
    ],
)
def test_what_the_driver_reports_refuses_the_point(nvml: Nvml, function: str, answers: list[object], why: str) -> None:
    """Each counter and state, through the same calls a real driver gets."""
    nvml(answers={function: {"": answers}})
    with watched() as watch:
        pass
    (line,) = refusals(watch.telemetry)
    assert re.search(why, line)


def test_processes_of_another_namespace_are_not_foreign(nvml: Nvml) -> None:
    """A container whose driver counts as the host does: the engine itself is not among the pids."""
    nvml(answers={"nvmlDeviceGetComputeRunningProcesses_v3": {"": [[645400, 645401]]}})
    with watched() as watch:
        pass
    assert watch.telemetry[0].foreign_pids is None
    assert refusals(watch.telemetry) == ()


def test_a_child_of_ours_is_distinguished_from_another_process(nvml: Nvml) -> None:
    """The predicate decides, with real processes."""
    nvml(answers={"nvmlDeviceGetComputeRunningProcesses_v3": {"": [["self", "children"]]}})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mine = {os.getpid(), *(below.pid for below in psutil.Process().children(recursive=True))}
        with GpuWatch(gpus(), mine.__contains__, NEVER_S) as ours:
            pass
        with GpuWatch(gpus(), is_ours, NEVER_S) as strange:
            pass
        child.communicate(b"\n")
    assert ours.telemetry[0].foreign_pids == ()
    assert child.pid in (strange.telemetry[0].foreign_pids or ())


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlDeviceGetTotalEnergyConsumption", "energy_j"),
        ("nvmlDeviceGetPowerUsage", "mean_power_w"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
        ("nvmlDeviceGetClockInfo", "sm_clock_mhz"),
        ("nvmlDeviceGetTemperature", "max_temperature_c"),
        ("nvmlDeviceGetTotalEccErrors", "new_ecc_uncorrected"),
        ("nvmlDeviceGetRemappedRows", "new_remapped_rows"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "clocks_events"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "foreign_pids"),
    ],
)
@pytest.mark.parametrize("error", ["NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_UNKNOWN"])
def test_a_counter_the_gpu_lacks_is_absent(nvml: Nvml, function: str, field: str, error: str) -> None:
    """And the rest is there."""
    nvml(answers={function: {"": [error]}})
    with watched() as watch:
        pass
    (seen,) = watch.telemetry
    assert getattr(seen, field) is None
    assert seen.samples == 2
    assert refusals([seen]) == ()


def test_a_function_the_package_has_dropped_is_absent(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """nvidia-ml-py marks some as deprecated."""
    monkeypatch.delattr(nvml(), "nvmlDeviceGetTemperature")
    with watched() as watch:
        pass
    assert watch.telemetry[0].max_temperature_c is None


def test_without_gpus_nothing_is_watched(nvml: Nvml) -> None:
    """No thread, no session, no telemetry."""
    nvml(answers={"nvmlInit": {"": ["NVML_ERROR_UNKNOWN"]}})
    threads = threading.active_count()
    with GpuWatch((), is_ours) as watch:
        assert threading.active_count() == threads
    assert watch.telemetry == ()


def test_the_thread_and_the_session_end_with_the_watch(nvml: Nvml) -> None:
    """Also when its body fails, whose exception is the one that is raised."""
    stand_in = nvml()
    threads = threading.active_count()
    watch = watched()
    with pytest.raises(KeyError), watch:
        raise KeyError
    assert threading.active_count() == threads
    assert stand_in._sessions == 0
    assert watch.telemetry[0].samples == 2


@pytest.mark.parametrize("sample", [1, 2])
def test_a_gpu_that_is_lost_is_an_error(nvml: Nvml, sample: int) -> None:
    """At the beginning or while the point ran: its figures are of nothing."""
    answers = [55] * (sample - 1) + ["NVML_ERROR_GPU_IS_LOST"]
    nvml(answers={"nvmlDeviceGetTemperature": {"0": answers}})
    with pytest.raises(GpuDriverError, match=r"GPU 0 \(GPU-.*NVML_ERROR_GPU_IS_LOST"), watched():
        assert sample == 2


def test_a_body_s_own_exception_goes_before_the_driver_s(nvml: Nvml) -> None:
    """A load that failed because the GPU is lost says so itself."""
    nvml(answers={"nvmlDeviceGetTemperature": {"0": [55, "NVML_ERROR_GPU_IS_LOST"]}})
    with pytest.raises(KeyError), watched():
        raise KeyError


def test_a_driver_that_went_away_is_an_error(nvml: Nvml) -> None:
    """It showed the GPUs; watching none of them would look like health."""
    nvml()
    watch = watched()
    nvml(missing="driver")
    with pytest.raises(GpuDriverError, match="is no longer available"), watch:
        pass


def test_a_driver_that_hangs_is_an_error(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that never returns holds the watch, not the run."""
    nvml()
    seen, release = gpus(), threading.Event()
    calls = itertools.count()
    monkeypatch.setattr(watching, "_PATIENCE_S", 0.05)

    def hangs(pid: int) -> bool:
        return pid >= 0 if next(calls) == 0 else release.wait()

    watch = GpuWatch(seen, hangs, NEVER_S)
    try:
        with pytest.raises(GpuDriverError, match=r"has not answered for 0\.05 s"), watch:
            pass
    finally:
        release.set()
        watch._thread.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_ended_early_is_an_error(nvml: Nvml) -> None:
    """An incomplete watch gives no telemetry, for any end."""
    nvml()

    def broken(pid: int) -> bool:
        raise KeyError(pid)

    with pytest.raises(GpuDriverError, match="not watched to the end"), GpuWatch(gpus(), broken, NEVER_S):
        pass
