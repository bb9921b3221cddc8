"""Clocks and persistence mode of GPUs are set, and set back, or refused by name."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.environment import visible_gpus
from pytest_precgate.environment.gpu_settings import GpuChange, apply, planned, restore, undoing
from pytest_precgate.errors import GpuDriverError, GpuSettingError
from tests.environment.conftest import STAND_IN, Nvml

OFF: dict[str, Any] = {"nvmlDeviceGetPersistenceMode": {"": [0]}}
DENIED = {"": ["NVML_ERROR_NO_PERMISSION"]}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def made(record: Path) -> list[str]:
    return record.read_text(encoding="utf-8").splitlines() if record.exists() else []


def gpus() -> tuple[Gpu, ...]:
    return visible_gpus() or ()


def test_clocks_are_locked_and_let_go(nvml: Nvml, record: Path) -> None:
    """Of every GPU; to plan it changes nothing."""
    nvml(gpus=2, record=str(record))
    changes = planned(gpus(), 1500, persistence=True)
    assert made(record) == []
    apply(changes)
    assert made(record) == [f"nvmlDeviceSetGpuLockedClocks {index} 1500 1500" for index in (0, 1)]
    assert restore([word for change in changes for word in change.words]) == ()
    assert made(record)[2:] == [f"nvmlDeviceResetGpuLockedClocks {index}" for index in (0, 1)]


def test_persistence_mode_is_set_only_where_it_is_off_and_set_back_last(nvml: Nvml, record: Path) -> None:
    """Where it was on it stays on; set first and back last, because without it the driver forgets clocks."""
    nvml(gpus=2, record=str(record), answers={"nvmlDeviceGetPersistenceMode": {"0": [1], "1": [0]}})
    changes = planned(gpus(), "max", persistence=True)
    apply(changes)
    restore([word for change in changes for word in change.words])
    assert made(record) == [
        "nvmlDeviceSetGpuLockedClocks 0 1965 1965",
        "nvmlDeviceSetPersistenceMode 1 1",
        "nvmlDeviceSetGpuLockedClocks 1 1965 1965",
        "nvmlDeviceResetGpuLockedClocks 0",
        "nvmlDeviceResetGpuLockedClocks 1",
        "nvmlDeviceSetPersistenceMode 1 0",
    ]


def test_the_command_that_undoes_it_works_in_a_process_of_its_own(
    nvml: Nvml, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a change there is no command."""
    nvml(gpus=1, record=str(record))
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN.parent))
    command = undoing(planned(gpus(), 1500, persistence=False))
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert made(record) == ["nvmlDeviceResetGpuLockedClocks 0"]
    assert undoing(planned(gpus(), None, persistence=True)) == ()


@pytest.mark.parametrize(
    ("answers", "clocks", "persistence", "why"),
    [
        ({}, 2000, False, "GPU 0 .*: lock_clocks = 2000: its highest SM clock is 1965 MHz"),
        (OFF, 1500, False, "persistence mode is off, and the driver forgets locked clocks .* set persistence = true"),
        (
            {"nvmlDeviceGetPersistenceMode": {"": ["NVML_ERROR_NOT_SUPPORTED"]}},
            None,
            True,
            "persistence = true: the driver does not say what the mode is now, .* sudo nvidia-smi -i 0 -pm 1",
        ),
        (
            {"nvmlDeviceGetMaxClockInfo": {"": ["NVML_ERROR_NOT_SUPPORTED"]}},
            "max",
            False,
            'lock_clocks = "max": the driver does not tell its highest clock; give MHz',
        ),
    ],
)
def test_what_cannot_hold_is_refused_before_anything_is_set(
    nvml: Nvml, record: Path, answers: dict[str, Any], clocks: Any, persistence: bool, why: str
) -> None:
    """A clock that is too high, clocks that would be forgotten, a mode that could not be set back."""
    nvml(gpus=1, record=str(record), answers=answers)
    with pytest.raises(GpuSettingError, match=why):
        planned(gpus(), clocks, persistence=persistence)
    assert made(record) == []


@pytest.mark.parametrize("script", [{"missing": "driver"}, {"gpus": 0}])
def test_without_gpus_the_settings_are_refused(nvml: Nvml, script: dict[str, Any]) -> None:
    """They are never ignored."""
    nvml(**script)
    with pytest.raises(GpuSettingError, match="are for GPUs that NVML shows, and there are none for this server"):
        planned((), 1500, persistence=False)


@pytest.mark.parametrize(
    ("function", "error", "why"),
    [
        (
            "nvmlDeviceSetGpuLockedClocks",
            "NVML_ERROR_NO_PERMISSION",
            "lock_clocks = 1500: the driver allows it to root only. Set it by hand, once: "
            "sudo nvidia-smi -i 1 -lgc 1500,1500",
        ),
        ("nvmlDeviceSetGpuLockedClocks", "NVML_ERROR_NOT_SUPPORTED", "lock_clocks = 1500: this GPU does not have it"),
        ("nvmlDeviceSetGpuLockedClocks", "NVML_ERROR_UNKNOWN", "nvmlDeviceSetGpuLockedClocks failed: NVML_ERROR_UNK"),
        (
            "nvmlDeviceSetPersistenceMode",
            "NVML_ERROR_NO_PERMISSION",
            "persistence = true: the driver allows it to root only. .*sudo nvidia-smi -i 1 -pm 1",
        ),
    ],
)
def test_what_the_driver_refuses_is_named_and_what_was_set_is_undone(
    nvml: Nvml, record: Path, function: str, error: str, why: str
) -> None:
    """The first GPU's change does not stay when the second's is refused."""
    nvml(gpus=2, record=str(record), answers={**OFF, function: {"1": [error]}})
    with pytest.raises(GpuSettingError, match=rf"GPU 1 .*: {why}"):
        apply(planned(gpus(), 1500, persistence=True))
    assert "nvmlDeviceResetGpuLockedClocks 0" in made(record)
    assert "nvmlDeviceSetPersistenceMode 0 0" in made(record)


def test_a_first_gpu_that_cannot_be_set_back_is_named_with_the_second_s_refusal(nvml: Nvml) -> None:
    """Both are told: one is to be done by hand."""
    answers = {
        "nvmlDeviceSetGpuLockedClocks": {"1": ["NVML_ERROR_NOT_SUPPORTED"]},
        "nvmlDeviceResetGpuLockedClocks": {"": ["NVML_ERROR_UNKNOWN"]},
    }
    nvml(gpus=2, answers=answers)
    with pytest.raises(
        GpuSettingError, match=r"GPU 1 .*does not have it.*Before that others were set, and GPU 0 .*-rgc"
    ):
        apply(planned(gpus(), 1500, persistence=False))


def test_a_lost_gpu_is_an_error_of_the_driver(nvml: Nvml) -> None:
    """Not a matter of permission."""
    nvml(gpus=1, answers={"nvmlDeviceSetGpuLockedClocks": {"": ["NVML_ERROR_GPU_IS_LOST"]}})
    with pytest.raises(GpuDriverError, match="nvmlDeviceSetGpuLockedClocks"):
        apply(planned(gpus(), 1500, persistence=False))


def test_a_package_without_the_function_is_named(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an old nvidia-ml-py."""
    module = nvml(gpus=1)
    monkeypatch.delattr(module, "nvmlDeviceSetGpuLockedClocks")
    with pytest.raises(GpuSettingError, match="this nvidia-ml-py has no nvmlDeviceSetGpuLockedClocks; upgrade it, or"):
        apply(planned(gpus(), 1500, persistence=False))


def test_what_cannot_be_set_back_is_told_and_the_rest_is(nvml: Nvml, record: Path) -> None:
    """A GPU that is gone does not keep the others locked."""
    nvml(gpus=2, record=str(record), answers={"nvmlDeviceResetGpuLockedClocks": {"0": ["NVML_ERROR_UNKNOWN"]}})
    words = [word for gpu in gpus() for word in GpuChange(gpu, 1500).words]
    gone, failed = restore(["GPU-ffff:clocks", *words])
    assert gone == "GPU-ffff: clocks cannot be set back: the driver does not show this GPU any more"
    assert "its clocks are to be let go again: nvmlDeviceResetGpuLockedClocks failed" in failed
    assert made(record) == [f"nvmlDeviceResetGpuLockedClocks {index}" for index in (0, 1)]
    nvml(missing="driver")
    assert restore(words) == ("the NVIDIA driver is no longer available",)
