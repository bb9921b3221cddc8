"""What of a machine makes the figures of launches scatter: the judgement of ``precgate doctor``.

Input: a machine's values, its load, what the settings ask for. Output: findings. Invariant: what could not be read is
"unknown", never "fine"; judging changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_precgate.analysis.machine.cpus import cpus_text
from pytest_precgate.analysis.machine.host import Asked, Host
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.errors import InvalidValueError

State = Literal["missing", "noisy", "unknown", "fine"]


@dataclass(frozen=True)
class Finding:
    """One property of the machine: what was found, and unless it is fine why it matters.

    It is "missing" where a configured suite cannot run without it, "noisy" where it makes figures scatter. ``fix`` is
    what an operator can do, with its cost; ``setting`` what a suite can set."""

    subject: str
    state: State
    found: str
    why: str = ""
    fix: str = ""
    setting: str = ""

    def __post_init__(self) -> None:
        if self.state != "fine" and not (self.why and (self.fix or self.setting)):
            raise InvalidValueError(f"Finding {self.subject}: {self.state}, and says not why, or not what to do")


def host_findings(host: Host, load: HostLoad | None, asked: Sequence[Asked]) -> tuple[Finding, ...]:
    """Judge everything but the GPUs; ``asked`` are the servers that the settings start, none where there are no
    settings."""
    return (
        _load(load),
        _governor(host),
        _boost(host),
        _siblings(host, asked),
        _nodes(host, asked),
        _virtual(host),
        _quota(host),
        _swap(host),
        _huge_pages(host),
    )


def _load(load: HostLoad | None) -> Finding:
    why = "Work on the cores of server or client delays single steps, and no two launches meet the same."
    fix = "End or move that work, or give the machine to one job at a time."
    setting = "cpus and client_cpus keep server and client apart; load_limit = 0.1 refuses such a launch"
    if load is None:
        return Finding("other load", "unknown", "/proc/stat does not count every core", why, fix, setting)
    return Finding("other load", "noisy" if load.is_busy else "fine", str(load), why, fix, setting)


def _governor(host: Host) -> Finding:
    subject = "CPU governor"
    why = "A core that slows down when idle needs milliseconds to be fast again, and prefill is bound by the host."
    fix = "sudo cpupower frequency-set -g performance (until the next boot; more power when idle)"
    if not host.governors:
        return Finding(
            subject, "unknown", "the kernel sets no frequencies here, as in most VMs", why, f"On the host: {fix}"
        )
    by_name = {name: [c for c, n in host.governors.items() if n == name] for name in sorted({*host.governors.values()})}
    found = ", ".join(f"{name} on {cpus_text(cores)}" for name, cores in by_name.items())
    return Finding(subject, "fine" if set(by_name) == {"performance"} else "noisy", found, why, fix)


def _boost(host: Host) -> Finding:
    subject = "CPU boost"
    why = "The clock above the base clock depends on heat and on how many cores work."
    fix = (
        "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, or echo 0 into .../cpu/cpufreq/boost (until "
        "the next boot; a lower peak clock, so record baselines again)"
    )
    if host.boost is None:
        return Finding(subject, "unknown", "neither intel_pstate nor cpufreq tells", why, f"On the host: {fix}")
    return Finding(subject, "noisy" if host.boost else "fine", "on" if host.boost else "off", why, fix)


def _siblings(host: Host, asked: Sequence[Asked]) -> Finding:
    subject = "SMT siblings"
    why = "Two logical cores of one physical core share its units: each slows the other."
    fix = "echo off | sudo tee /sys/devices/system/cpu/smt/control (until the next boot; less total throughput)"
    setting = "cpus and client_cpus with whole physical cores each"
    if not host.siblings:
        return Finding(subject, "unknown", "the kernel does not tell which cores are siblings", why, fix, setting)
    pairs = [group for group in host.siblings if len(group) > 1]
    if not pairs:
        if host.hypervisor is not False:
            found = "none shown, and a virtual machine's cores may be siblings all the same"
            return Finding(subject, "unknown", found, why, "Ask the provider for whole physical cores.")
        return Finding(subject, "fine", "none")
    placed = [each for each in asked if each.cpus]
    if not placed:
        found = f"cores {' and '.join(map(str, pairs[0]))} are one, {len(pairs)} such; nothing is placed"
        return Finding(subject, "noisy", found, why, fix, setting)
    shared = [(each, group) for each in placed for group in pairs if _are_split(each, group)]
    if not shared:
        return Finding(subject, "fine", f"servers and clients have whole cores of {len(pairs)}")
    each, group = shared[0]
    found = f"{each.what}: not all of {cpus_text(group)}, one physical core, is the same side's"
    return Finding(subject, "noisy", found, why, fix, setting)


def _are_split(asked: Asked, group: Iterable[int]) -> bool:
    """Whether a physical core belongs to the server, or to the client, in part."""
    cores = set(group)
    return any(0 < len(cores & set(side)) < len(cores) for side in (asked.cpus, asked.client))


def _nodes(host: Host, asked: Sequence[Asked]) -> Finding:
    subject, nodes = "NUMA", host.topology.nodes
    why = "Memory of another node is slower, and where it lies differs from launch to launch."
    fix = "numactl --cpunodebind and --membind, where the server is not started by this tool"
    setting = 'numa = "gpu", or the number of a node'
    if not nodes:
        return Finding(subject, "unknown", "the kernel tells no memory node", why, fix, setting)
    if len(nodes) == 1:
        return Finding(subject, "fine", "one node")
    moves = ", and the kernel moves pages between them" if host.numa_balancing else ""
    loose = [each.what for each in asked if not (each.cpus or each.follows_gpus)]
    if loose or not asked:
        found = f"{len(nodes)} nodes{moves}; {', '.join(loose) or 'nothing'} is {'not ' * bool(loose)}placed"
        return Finding(subject, "noisy", found, why, fix, setting)
    spread = [each.what for each in asked if sum(bool(set(each.cpus) & set(cores)) for cores in nodes.values()) > 1]
    if spread:
        return Finding(subject, "noisy", f"{', '.join(spread)} runs on several nodes{moves}", why, fix, setting)
    return Finding(subject, "fine", f"{len(nodes)} nodes, each server on one")


def _virtual(host: Host) -> Finding:
    subject = "virtual machine"
    why = "Other guests of the host take time and memory bandwidth, which nothing here shows."
    fix = "Bare metal, or a dedicated host with pinned cores (costs more). Without: more launches, pairs of launches."
    named = f" ({host.model})" if host.model else ""
    if host.hypervisor is None:
        return Finding(subject, "unknown", f"the processor does not tell{named}", why, fix)
    return Finding(
        subject, "noisy" if host.hypervisor else "fine", f"{'yes' if host.hypervisor else 'no'}{named}", why, fix
    )


def _quota(host: Host) -> Finding:
    subject = "CPU quota"
    why = "At the limit all threads stop until the next period, 0.1 s by default."
    fix = (
        "Lift the limit: docker without --cpus; Kubernetes with whole CPUs and the static CPU manager (reserves them)."
    )
    if host.quota_cpus is None:
        return Finding(subject, "unknown", "the cgroup's limit cannot be read", why, fix)
    if math.isinf(host.quota_cpus):
        return Finding(subject, "fine", "none")
    times = "" if host.throttled is None else f", reached {host.throttled} times since the cgroup began"
    return Finding(subject, "noisy", f"{host.quota_cpus:g} cores{times}", why, fix)


def _swap(host: Host) -> Finding:
    subject = "swap"
    why = "A page that must be read back from a disk stops a step for milliseconds."
    fix = "sudo swapoff -a (needs the memory; a process may be killed where it runs out)"
    if host.swap_total is None or host.swap_used is None:
        return Finding(subject, "unknown", "/proc/meminfo does not tell", why, fix)
    used, total = host.swap_used / 2**20, host.swap_total / 2**20
    found = "none" if not host.swap_total else f"{used:.0f} of {total:.0f} MiB used"
    return Finding(subject, "noisy" if host.swap_used else "fine", found, why, fix)


def _huge_pages(host: Host) -> Finding:
    subject = "huge pages"
    why = "With always the kernel joins pages in the background, at other times in each launch."
    fix = (
        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled (until the next boot; a program that does "
        "not ask for huge pages may be slower)"
    )
    if host.huge_pages is None:
        return Finding(subject, "unknown", "the kernel does not tell", why, fix)
    return Finding(subject, "noisy" if host.huge_pages == "always" else "fine", host.huge_pages, why, fix)
