"""Facts of a machine: which are hard, which are soft, and that none is invented."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.environment import gpu_facts, host_facts, in_ci, visible_gpus
from tests.environment.conftest import Nvml

PAGE = Path(__file__).parents[2] / "docs" / "environment.md"
X86 = "processor\t: 0\nmodel name\t: INTEL(R) XEON(R) PLATINUM 8570\nflags\t\t: fpu\n"
GRACE = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"


def of_gpus() -> Fingerprint:
    return gpu_facts(visible_gpus() or ())


def of_host(root: Path, environ: Mapping[str, str] | None = None, *, runs_on_cpu: bool = False) -> Fingerprint:
    return host_facts("abc", environ or {}, runs_on_cpu=runs_on_cpu, root=root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's root directory, with a processor."""
    for path, text in {"proc/cpuinfo": X86}.items():
        write(tmp_path / path, text)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# --- GPUs -------------------------------------------------------------------------------------------------------------


def test_which_gpus_is_hard_and_how_they_are_run_is_soft(nvml: Nvml) -> None:
    """Name, number and MIG mode must agree; versions, limits and which ones exactly are told."""
    nvml(gpus=2)
    facts = of_gpus()
    assert facts.hard == {"gpu.count": 2, "gpu.name": "NVIDIA B200", "gpu.mig": "off"}
    assert facts.soft == {
        "gpu.cuda": "13.0",
        "gpu.driver": "580.95.05",
        "gpu.persistence": "on",
        "gpu.power_limit": "1000 W",
        "gpu.uuids": "GPU-00000000, GPU-00000001",
        "gpu.vbios": "97.00.88.00.0F",
    }


def test_gpus_that_differ_are_all_listed(nvml: Nvml) -> None:
    """In an order that does not depend on theirs."""
    nvml(
        gpus=3,
        answers={
            "nvmlDeviceGetName": {"0": ["NVIDIA H200"]},
            "nvmlDeviceGetMigMode": {"2": [[1, 1]]},
            "nvmlDeviceGetEnforcedPowerLimit": {"1": [700500]},
        },
    )
    facts = of_gpus()
    assert facts.hard["gpu.name"] == "NVIDIA B200, NVIDIA H200"
    assert facts.hard["gpu.mig"] == "off, on"
    assert facts.soft["gpu.power_limit"] == "1000 W, 700.5 W"


@pytest.mark.parametrize(
    "error", ["NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_NO_PERMISSION", "NVML_ERROR_FUNCTION_NOT_FOUND"]
)
def test_what_a_gpu_does_not_say_is_left_out(nvml: Nvml, error: str) -> None:
    """A laptop's GPU has no MIG mode, and that is neither on nor off."""
    unsaid = {
        "nvmlDeviceGetMigMode": "gpu.mig",
        "nvmlSystemGetCudaDriverVersion_v2": "gpu.cuda",
        "nvmlSystemGetDriverVersion": "gpu.driver",
        "nvmlDeviceGetPersistenceMode": "gpu.persistence",
        "nvmlDeviceGetEnforcedPowerLimit": "gpu.power_limit",
        "nvmlDeviceGetVbiosVersion": "gpu.vbios",
    }
    nvml(answers={function: {"": [error]} for function in unsaid})
    facts = of_gpus()
    assert ({*facts.hard}, {*facts.soft}) == ({"gpu.count", "gpu.name"}, {"gpu.uuids"})


def test_without_gpus_there_are_no_facts(nvml: Nvml) -> None:
    """And the driver is not asked."""
    nvml(answers={"nvmlInit": {"": ["NVML_ERROR_UNKNOWN"]}})
    assert gpu_facts(()) == Fingerprint({})


# --- the host ---------------------------------------------------------------------------------------------------------


def test_the_processor_is_hard_only_where_the_engine_runs_on_it(root: Path) -> None:
    """Beside a GPU it is told; without one it is the hardware."""
    beside, alone = of_host(root), of_host(root, runs_on_cpu=True)
    assert beside.soft["cpu.model"] == alone.hard["cpu.model"] == "INTEL(R) XEON(R) PLATINUM 8570"
    assert not beside.hard
    assert {*alone.hard} == {"cpu.model", "cpu.count"}


def test_arm_has_numbers_for_a_name(root: Path) -> None:
    """Grace, beside a GB200, gives its maker's and its part's."""
    write(root / "proc/cpuinfo", GRACE)
    assert of_host(root).soft["cpu.model"] == "ARM implementer 0x41 part 0xd4f"


@pytest.mark.parametrize(("cpu_max", "limit"), [("250000 100000\n", 2.5), ("max 100000\n", None), ("", None)])
def test_a_cgroup_s_limit_on_cpu_time_is_a_fact(root: Path, cpu_max: str, limit: float | None) -> None:
    """A container with 2.5 CPUs' worth of time sees all of the machine's."""
    write(root / "sys/fs/cgroup/cpu.max", cpu_max)
    assert of_host(root, runs_on_cpu=True).hard.get("cpu.limit") == limit


def test_the_cpus_counted_are_those_this_process_may_use(root: Path) -> None:
    """Fewer than the machine has, under taskset or a cpuset."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot bind a process to CPUs")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert of_host(root).soft["cpu.count"] == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_versions_and_the_state_under_test_are_soft(root: Path) -> None:
    """The commit is the one that is given."""
    facts = of_host(root)
    assert facts.soft["commit"] == "abc"
    assert {"kernel", "python", "precgate"} <= {*facts.soft}


def test_a_machine_that_shows_nothing_gives_no_fact(tmp_path: Path) -> None:
    """No processor's name, no container."""
    assert {*of_host(tmp_path).soft} == {"commit", "kernel", "python", "precgate", "cpu.count"}


def test_the_page_names_every_fact(root: Path, nvml: Nvml) -> None:
    """And calls those hard that are."""
    write(root / "sys/fs/cgroup/cpu.max", "250000 100000")
    write(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance")
    write(root / "run/.containerenv", PODMAN)
    nvml()
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    hard = {name for cells in rows if cells[2].strip() for name in re.findall(r"`(\S+)`", cells[1])}
    soft = {name for cells in rows if not cells[2].strip() for name in re.findall(r"`(\S+)`", cells[1])}
    facts = of_gpus() | of_host(root, runs_on_cpu=True)
    assert {*facts.hard} == hard
    assert {*facts.soft} == soft


PODMAN = """\
engine="podman-4.9.3"
name="gate"
id="0123"
image="nvcr.io/nvidia/tensorrt-llm/release:1.2.0"
imageid="53c7deadbeef"
rootless=1
"""


@pytest.mark.parametrize(
    ("files", "environ", "facts"),
    [
        ({".dockerenv": ""}, {}, {"container": "docker"}),
        (
            {".dockerenv": ""},
            {"CI_JOB_IMAGE": "team/gate@sha256:53c7"},
            {"container": "docker", "container.image": "team/gate@sha256:53c7"},
        ),
        ({"run/.containerenv": ""}, {"container": "podman"}, {"container": "podman"}),
        (
            {"run/.containerenv": PODMAN},
            {},
            {
                "container": "podman",
                "container.image": "nvcr.io/nvidia/tensorrt-llm/release:1.2.0",
                "container.image_id": "53c7deadbeef",
            },
        ),
        (
            {},
            {"APPTAINER_CONTAINER": "/images/trtllm.sif"},
            {"container": "apptainer", "container.image": "/images/trtllm.sif"},
        ),
        ({}, {"SINGULARITY_CONTAINER": "/a.sif"}, {"container": "apptainer", "container.image": "/a.sif"}),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"container": "kubernetes"}),
        ({}, {"container": "lxc"}, {"container": "lxc"}),
        ({}, {"CI_JOB_IMAGE": "python:3.13"}, {}),
    ],
)
def test_a_container_is_told_as_far_as_it_can_be_known(
    root: Path, files: dict[str, str], environ: dict[str, str], facts: dict[str, str]
) -> None:
    """Its kind by the marks it leaves; its image only where something names it."""
    for path, text in files.items():
        write(root / path, text)
    got = of_host(root, environ)
    assert {key: fact for key, fact in got.soft.items() if key.startswith("container")} == facts


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"CI": ""}, False),
        ({"CI": "true"}, True),
        ({"CI": "false"}, True),
        ({"BUILD_NUMBER": "17"}, True),
        ({"BUILD_NUMBER": ""}, False),
    ],
)
def test_ci_is_detected_as_pytest_detects_it(environ: dict[str, str], expected: bool) -> None:
    """By the same two variables (_pytest/compat.py): a runner that sets only BUILD_NUMBER is one, too."""
    assert in_ci(environ) is expected
