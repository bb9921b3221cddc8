"""Facts of a machine for a fingerprint; the hard ones must agree with a baseline.

Input: the host and its GPUs. Output: hard and soft facts. A fact is hard when it identifies what was measured and no
change under test alters it: model and number of GPUs, MIG mode; for an engine on the CPU the CPU model and its share.
All other facts are soft and are reported when they differ: versions (driver, CUDA, kernel, Python), because a team
gates upgrades; VBIOS, power cap, persistence and CPU governor, because they explain a drift; UUIDs, container and
commit, because they identify machine and state. Invariant: a fact that cannot be determined is left out."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.environment.host import governors
from pytest_precgate.environment.nvml import opened
from pytest_precgate.environment.origin import tool_version
from pytest_precgate.text import printable

_ON = {True: "on", False: "off", None: None}
_UUID_BEGINNING = len("GPU-8932f937")  # a valid word of CUDA_VISIBLE_DEVICES; eight whole UUIDs are too long to read


def gpu_facts(gpus: Sequence[Gpu]) -> Fingerprint:
    """Return the facts of the GPUs of an engine, empty when there are none. Differing values are listed, each once.

    Raises GpuDriverError."""
    if not gpus:
        return Fingerprint({})
    hard: dict[str, Fact | None] = {"gpu.count": len(gpus), "gpu.name": _listed(gpu.name for gpu in gpus)}
    soft: dict[str, Fact | None] = {
        "gpu.uuids": _listed(gpu.uuid[:_UUID_BEGINNING] for gpu in gpus),
    }
    with opened() as driver:
        if driver is not None:
            limits = [driver.power_limit_w(gpu) for gpu in gpus]
            hard["gpu.mig"] = _listed(_ON[driver.is_divided(gpu)] for gpu in gpus)
            soft |= {
                "gpu.cuda": driver.cuda_version(),
                "gpu.driver": driver.version(),
                "gpu.persistence": _listed(_ON[driver.is_persistent(gpu)] for gpu in gpus),
                "gpu.power_limit": _listed(None if limit is None else f"{limit:g} W" for limit in limits),
                "gpu.vbios": _listed(driver.vbios(gpu) for gpu in gpus),
            }
    return Fingerprint(_known(hard), _known(soft))


def host_facts(commit: str, environ: Mapping[str, str], *, runs_on_cpu: bool, root: Path = Path("/")) -> Fingerprint:
    """Return the facts of this machine, and the ``commit`` under test.

    ``runs_on_cpu`` says that the engine uses no GPU: its CPU is then a hard fact. ``root`` is the directory in which
    /proc, /sys and the files of container runtimes are looked up.
    """
    processor = _known(
        {
            "cpu.model": _cpu_model(_text(root / "proc/cpuinfo")),
            "cpu.count": _usable_cpus(),
            "cpu.limit": _cpu_limit(_text(root / "sys/fs/cgroup/cpu.max")),
        }
    )
    soft = _known(
        {
            "commit": commit,
            "cpu.governor": _listed(governors(root).values()),
            "kernel": f"{platform.system()} {platform.release()}",
            "precgate": tool_version(),
            "python": platform.python_version(),
            **_container(environ, root),
        }
    )
    return Fingerprint(processor, soft) if runs_on_cpu else Fingerprint({}, {**soft, **processor})


def node_name() -> str | None:
    """Return the name of this machine on its network, None when it has none."""
    return printable(platform.node()).strip() or None


def _usable_cpus() -> int | None:
    """The CPUs that this process may use; a machine may have more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu_model(cpuinfo: str) -> str | None:
    """The name that x86 reports; ARM has none and reports the numbers of its implementer and part."""
    fields = dict(re.findall(r"^(model name|CPU implementer|CPU part)\s*: (.+)$", cpuinfo, re.MULTILINE))
    if "model name" in fields:
        return str(fields["model name"])
    if "CPU implementer" in fields and "CPU part" in fields:
        return f"ARM implementer {fields['CPU implementer']} part {fields['CPU part']}"
    return None


def _cpu_limit(cpu_max: str) -> float | None:
    """The CPU limit of a cgroup (v2), from ``quota period`` in microseconds; None without a limit."""
    limit = re.fullmatch(r"(\d+) (\d+)\s*", cpu_max)
    return None if limit is None else int(limit[1]) / int(limit[2])


def _container(environ: Mapping[str, str], root: Path) -> dict[str, Fact | None]:
    """What a process can find out about its container.

    Apptainer sets a variable to its image. Podman creates a file, with image and image id in it when the container is
    privileged. Docker creates an empty file and Kubernetes sets variables; neither names the image. GitLab's runner
    names the image of a job, in a variable that it also sets when it uses no container."""
    apptainer = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER")
    podman = dict(re.findall(r'^(\w+)="(.+)"$', _text(root / "run/.containerenv"), re.MULTILINE))
    signs = (
        ("apptainer", apptainer),
        ("podman", (root / "run/.containerenv").exists()),
        ("docker", (root / ".dockerenv").exists()),
        ("kubernetes", environ.get("KUBERNETES_SERVICE_HOST")),
        (environ.get("container"), environ.get("container")),
    )
    kind = next((name for name, sign in signs if sign), None)
    if kind is None:
        return {}
    return {
        "container": kind,
        "container.image": apptainer or podman.get("image") or environ.get("CI_JOB_IMAGE"),
        "container.image_id": podman.get("imageid"),
    }


def _text(path: Path) -> str:
    """The text of a file, empty when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _listed(values: Iterable[str | None]) -> str | None:
    return ", ".join(sorted({value for value in values if value is not None})) or None


def _known(facts: Mapping[str, Fact | None]) -> dict[str, Fact]:
    """The facts found. Names of drivers, kernels and containers are foreign text."""
    found = {key: printable(fact) if isinstance(fact, str) else fact for key, fact in facts.items()}
    return {key: fact for key, fact in found.items() if fact not in (None, "")}
