"""What the kernel says of this machine, from /proc and /sys below a ``root`` that tests replace.

Invariant: a file that is missing or says something unexpected is unknown (None, or left out), never a default."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pytest_precgate.analysis.machine.cpus import cpus_of
from pytest_precgate.analysis.machine.host import Host
from pytest_precgate.analysis.machine.placement import Topology
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.text import printable

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"


def allowed_cpus() -> tuple[int, ...]:
    """Return the cores this process may use, by its affinity, which a cgroup's cpuset narrows too."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def topology(root: Path = ROOT, allowed: tuple[int, ...] | None = None) -> Topology:
    """Return the cores and nodes of the machine; ``allowed`` is asked of the kernel where it is None."""
    usable = allowed_cpus() if allowed is None else allowed
    nodes = {int(path.name[4:]): _cpus(path / "cpulist") for path in _numbered(root / _NODES, "node")}
    return Topology(usable, _cpus(root / _CPUS / "online"), nodes)


def governors(root: Path = ROOT) -> dict[int, str]:
    """Return the frequency governor of each core; empty where the kernel does not set frequencies (most virtual
    machines)."""
    found = {int(path.name[3:]): _text(path / "cpufreq/scaling_governor") for path in _numbered(root / _CPUS, "cpu")}
    return {core: printable(name) for core, name in found.items() if name}


def pci_node(bus: str, root: Path = ROOT) -> int | None:
    """Return the memory node of a PCI device, ``00000000:17:00.0``; None when the kernel does not tell (-1, or no such
    device here). On a machine with one node it is that one."""
    match = re.fullmatch(r"[0-9A-Fa-f]*([0-9A-Fa-f]{4}):([0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])", bus.strip())
    said = "" if match is None else _text(root / f"sys/bus/pci/devices/{match[1]}:{match[2]}".lower() / "numa_node")
    if said.isdecimal():
        return int(said)
    nodes = [int(path.name[4:]) for path in _numbered(root / _NODES, "node")]
    return nodes[0] if len(nodes) == 1 else None


def host(root: Path = ROOT, allowed: tuple[int, ...] | None = None) -> Host:
    """Return what the kernel says of the machine."""
    memory = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text(root / "proc/meminfo"), re.MULTILINE))
    total, free = (int(memory[key]) * 1024 if key in memory else None for key in ("SwapTotal", "SwapFree"))
    huge = re.search(r"\[(\w+)\]", _text(root / "sys/kernel/mm/transparent_hugepage/enabled"))
    quota, throttled = _quota(root)
    return Host(
        topology=topology(root, allowed),
        governors=governors(root),
        boost=_boost(root),
        siblings=_siblings(root),
        hypervisor=_hypervisor(root),
        model=_model(root),
        quota_cpus=quota,
        throttled=throttled,
        swap_total=total,
        swap_used=None if total is None or free is None else total - free,
        huge_pages=None if huge is None else huge[1],
        numa_balancing=_flag(root / "proc/sys/kernel/numa_balancing"),
    )


def _boost(root: Path) -> bool | None:
    no_turbo = _flag(root / _CPUS / "intel_pstate/no_turbo")
    return _flag(root / _CPUS / "cpufreq/boost") if no_turbo is None else not no_turbo


def _siblings(root: Path) -> tuple[tuple[int, ...], ...]:
    groups = {_cpus(path / "topology/thread_siblings_list") for path in _numbered(root / _CPUS, "cpu")}
    return tuple(sorted(group for group in groups if group))


def _hypervisor(root: Path) -> bool | None:
    """By the processor's flag on x86; elsewhere by what Xen and device trees say, else unknown."""
    flags = re.search(r"^flags\s*: (.+)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    if flags is not None:
        return "hypervisor" in flags[1].split()
    return True if _text(root / "sys/hypervisor/type") or (root / "proc/device-tree/hypervisor").exists() else None


def _model(root: Path) -> str | None:
    words = [_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    return printable(" ".join(word for word in words if word)) or None


def _quota(root: Path) -> tuple[float | None, int | None]:
    """The limit on CPU time in cores and how often it stopped something, of the own cgroup: version 2, else 1.

    A limit of a cgroup above counts too; the lowest is in force."""
    lines = [line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines() if line.count(":") >= 2]
    limits: list[float] = []
    stopped: int | None = None
    for _, controllers, path in lines:
        is_cpu = controllers == "" or "cpu" in controllers.split(",")
        if not is_cpu:
            continue
        mounts = ("sys/fs/cgroup", "sys/fs/cgroup/unified") if controllers == "" else ("sys/fs/cgroup/cpu",)
        for mount in mounts:
            for folder in _upwards(root / mount, path):
                limit = _limit_of(folder)
                limits += [] if limit is None else [limit]
                counted = re.search(r"^nr_throttled (\d+)$", _text(folder / "cpu.stat"), re.MULTILINE)
                if counted is not None and stopped is None:
                    stopped = int(counted[1])
    return (min(limits) if limits else None), stopped


def _upwards(mount: Path, path: str) -> Iterable[Path]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:length]) for length in range(len(parts), -1, -1)]


def _limit_of(folder: Path) -> float | None:
    second = re.fullmatch(r"(\d+|max) (\d+)", _text(folder / "cpu.max"))
    if second is not None:
        return math.inf if second[1] == "max" else int(second[1]) / int(second[2])
    quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    if re.fullmatch(r"-?\d+", quota) and period.isdecimal() and int(period):
        return math.inf if int(quota) < 0 else int(quota) / int(period)
    return None


def _numbered(folder: Path, prefix: str) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if re.fullmatch(rf"{prefix}\d+", path.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: int(path.name[len(prefix) :]))


def _cpus(path: Path) -> tuple[int, ...]:
    """The cores a file lists; a node of memory alone lists none."""
    try:
        return cpus_of(_text(path))
    except InvalidValueError:
        return ()


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(_text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
