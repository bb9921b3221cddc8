"""Access to the driver: counts, missing values, errors; and a stand-in that agrees with pynvml."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pytest_precgate.analysis.measure.gpu import ClocksEvent, Gpu
from pytest_precgate.environment import memory_used, unread_gpus, visible_gpus
from pytest_precgate.environment import nvml as door
from pytest_precgate.errors import GpuDriverError, InvalidValueError
from tests.environment.conftest import STAND_IN, Nvml
from tests.stand_ins import load

LOST = ["NVML_ERROR_GPU_IS_LOST"]


def uuid(index: int) -> str:
    return f"GPU-{index:08x}-0000-0000-0000-{0:012x}"


def test_the_driver_s_gpus_are_seen(nvml: Nvml) -> None:
    """Index, UUID, name and bytes, as the driver gives them."""
    nvml(gpus=2)
    assert visible_gpus() == tuple(Gpu(index, uuid(index), "NVIDIA B200", 192265846784) for index in range(2))


def test_a_name_that_would_move_the_cursor_is_shown_escaped(nvml: Nvml) -> None:
    """A driver's words are foreign text like any other."""
    nvml(gpus=1, answers={"nvmlDeviceGetName": {"": ["NVIDIA\x1b[2J\nB200"]}})
    (gpu,) = visible_gpus() or ()
    assert gpu.name == r"NVIDIA\x1b[2J\nB200"


def test_the_old_package_is_named(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pynvml gives bytes: the message says what to uninstall."""
    nvml(gpus=1)
    monkeypatch.setattr(sys.modules["pynvml"], "nvmlDeviceGetUUID", lambda _handle: b"GPU-0000")
    with pytest.raises(GpuDriverError, match="pip uninstall pynvml"):
        visible_gpus()


def test_a_name_that_is_no_text_is_readable(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under WSL, where the name's bytes are not UTF-8."""
    nvml(gpus=1)
    monkeypatch.setattr(sys.modules["pynvml"], "nvmlDeviceGetName", lambda _handle: b"NVIDIA\xf8B200".decode())
    (gpu,) = visible_gpus() or ()
    assert gpu.name == r"NVIDIA\xf8B200"


def test_cuda_visible_devices_does_not_narrow_them(nvml: Nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML does not know the variable; the words are looked up among all."""
    nvml(gpus=4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert len(visible_gpus() or ()) == 4


def test_mig_devices_belong_to_their_gpu(nvml: Nvml) -> None:
    """Empty places are passed over."""
    nvml(gpus=1, mig=2)
    (gpu,) = visible_gpus() or ()
    assert gpu.mig_uuids == tuple(f"MIG-00000000-0000-0000-0000-{part:012x}" for part in (1, 2))


def test_a_driver_that_counts_none_says_zero(nvml: Nvml) -> None:
    """That is an answer."""
    nvml(gpus=0)
    assert visible_gpus() == ()


@pytest.mark.parametrize("missing", ["library", "driver"])
def test_without_a_driver_nothing_can_tell(nvml: Nvml, missing: str) -> None:
    """None is no count: a machine of another maker's GPUs looks the same."""
    nvml(missing=missing)
    assert visible_gpus() is None
    assert memory_used(["0"]) is None


def test_without_the_package_nothing_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not required."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert visible_gpus() is None
    assert memory_used(["0"]) is None


def test_this_machine_is_asked_without_harm() -> None:
    """With or without installed packages, and with the real package if it is installed."""
    seen = visible_gpus()
    assert seen is None or all(isinstance(gpu, Gpu) for gpu in seen)
    assert (seen is None) == (memory_used([]) is None)


def test_a_gpu_of_another_user_is_not_ours(nvml: Nvml) -> None:
    """NVML counts what a container may not touch; the others keep their index."""
    nvml(gpus=3, answers={"nvmlDeviceGetHandleByIndex": {"1": ["NVML_ERROR_NO_PERMISSION"]}})
    assert [gpu.index for gpu in visible_gpus() or ()] == [0, 2]


@pytest.mark.parametrize("answer", [["NVML_ERROR_NOT_SUPPORTED"], ["NVML_ERROR_NO_PERMISSION"], [[0, 0]]])
def test_memory_the_driver_does_not_count_is_absent(nvml: Nvml, answer: list[object]) -> None:
    """Unified memory and MIG devices in containers have no total; that is not 0 bytes."""
    nvml(gpus=2, answers={"nvmlDeviceGetMemoryInfo": {"1": answer}})
    assert [gpu.memory_total for gpu in visible_gpus() or ()] == [192265846784, None]


def test_memory_in_use_is_told_per_device(nvml: Nvml) -> None:
    """By the words that named them; a device whose memory is not counted is left out."""
    nvml(
        gpus=3, answers={"nvmlDeviceGetMemoryInfo": {"1": [[10, 7]], "0": [[10, 3]], "2": ["NVML_ERROR_NOT_SUPPORTED"]}}
    )
    assert memory_used(["0", uuid(1), "2"]) == {"0": 3, uuid(1): 7}
    with pytest.raises(InvalidValueError, match="GPU '3' is not here"):
        memory_used(["3"])


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("nvmlInit", "NVML_ERROR_LIB_RM_VERSION_MISMATCH"),
        ("nvmlInit", "NVML_ERROR_UNKNOWN"),
        ("nvmlDeviceGetCount", "NVML_ERROR_UNKNOWN"),
        ("nvmlDeviceGetHandleByIndex", "NVML_ERROR_GPU_IS_LOST"),
        ("nvmlDeviceGetUUID", "NVML_ERROR_UNKNOWN"),
        ("nvmlDeviceGetName", "NVML_ERROR_UNKNOWN"),
        ("nvmlDeviceGetMemoryInfo", "NVML_ERROR_GPU_IS_LOST"),
        ("nvmlDeviceGetMemoryInfo", "NVML_ERROR_RESET_REQUIRED"),
    ],
)
def test_a_driver_that_fails_is_an_error(nvml: Nvml, function: str, error: str) -> None:
    """It is there: what it cannot say of its GPUs is not silence."""
    nvml(answers={function: {"": [error]}})
    with pytest.raises(GpuDriverError, match=rf"does not answer {function}: {error}.*until nvidia-smi works again"):
        visible_gpus()


def test_every_session_is_closed(nvml: Nvml) -> None:
    """Also one that failed, and one that cannot be closed."""
    stand_in = nvml(answers={"nvmlDeviceGetCount": {"": [1, "NVML_ERROR_UNKNOWN"]}})
    visible_gpus()
    with pytest.raises(GpuDriverError):
        visible_gpus()
    assert stand_in._sessions == 0
    nvml(answers={"nvmlShutdown": {"": ["NVML_ERROR_UNKNOWN"]}})
    assert visible_gpus() is not None


# --- GPUs that nothing reads ------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root directory whose /dev shows two GPUs."""
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "null"):
        (tmp_path / "dev" / name).touch()
    return tmp_path


def test_gpus_without_the_package_are_told(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are GPUs, not reading them is a state to be told, with the remedy."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert unread_gpus(machine) == (
        "this machine has NVIDIA GPUs (nvidia0, nvidia1) and they cannot be queried: pip install 'pytest-precgate[gpu]'"
    )


def test_gpus_without_the_driver_s_library_are_told(machine: Path, nvml: Nvml) -> None:
    """A container without the utility capability looks like this."""
    nvml(missing="library")
    assert "libnvidia-ml.so.1 is missing" in (unread_gpus(machine) or "")


def test_gpus_that_are_read_or_not_there_need_no_remedy(machine: Path, tmp_path: Path, nvml: Nvml) -> None:
    """No GPU, no requirement."""
    nvml(gpus=2)
    assert unread_gpus(machine) is None
    nvml(missing="library")
    assert unread_gpus(tmp_path / "elsewhere") is None


# --- is the stand-in true? --------------------------------------------------------------------------------------------


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The installed nvidia-ml-py, under a name of its own beside any stand-in."""
    found = importlib.util.find_spec("pynvml")
    if found is None or found.origin is None:
        pytest.skip("nvidia-ml-py is not installed: nothing to hold the stand-in against")
    return load("real_pynvml", Path(found.origin), monkeypatch)


def named(source: Path) -> set[str]:
    """Every name of NVML in a source file: attributes, and functions called by a text."""
    nodes = list(ast.walk(ast.parse(source.read_text(encoding="utf-8"))))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {name for name in attributes | texts if name.startswith(("nvml", "NVML")) and name.isidentifier()}


def test_the_stand_in_has_every_name_that_the_module_uses(nvml: Nvml) -> None:
    """And the module uses some names: they were found."""
    wanted = named(Path(door.__file__))
    assert {"nvmlInit", "nvmlDeviceGetCurrentClocksEventReasons", "NVML_CLOCK_SM", "NVMLError"} <= wanted
    assert wanted <= set(dir(nvml()))


def test_the_stand_in_s_functions_are_the_package_s(real: ModuleType, nvml: Nvml) -> None:
    """Each exists, and takes the same parameters under the same names."""
    functions = {name: value for name, value in vars(nvml()).items() if name.startswith("nvml")}
    assert len(functions) > 20
    for name, function in functions.items():
        ours, theirs = (inspect.signature(each).parameters.values() for each in (function, getattr(real, name)))
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name


def test_the_stand_in_s_values_are_the_package_s(real: ModuleType, nvml: Nvml) -> None:
    """Error codes and selectors; an error carries its code."""
    stand_in = nvml()
    values = {name: value for name, value in vars(stand_in).items() if name.startswith("NVML_")}
    assert values == {name: getattr(real, name) for name in values}
    for module in (stand_in, real):
        assert module.NVMLError(module.NVML_ERROR_GPU_IS_LOST).value == 15


def test_the_events_are_nvml_s(real: ModuleType) -> None:
    """Every event the header names, under its name and with its bit."""
    for event in ClocksEvent:
        assert event.name is not None
        assert getattr(real, f"nvmlClocksEventReason{event.name.title().replace('_', '')}") == event
    assert real.nvmlClocksEventReasonAll == sum(ClocksEvent)


def test_the_stand_in_is_a_folder_away() -> None:
    """A process with its folder on the path and a script in its environment has the GPUs of the script."""
    count = "from pytest_precgate.environment import visible_gpus; print(len(visible_gpus()))"
    path = os.pathsep.join([str(STAND_IN.parent), *sys.path])
    environ = {**os.environ, "PYTHONPATH": path, "STAND_IN_NVML": '{"gpus": 4}'}
    run = subprocess.run(
        [sys.executable, "-c", count], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.stderr) == ("4\n", "")
