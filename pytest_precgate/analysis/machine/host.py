"""What a machine is set to: the values that ``precgate doctor`` judges.

Invariant: None, or an empty mapping, is what could not be read; nothing here stands for "fine"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_precgate.analysis.machine.placement import Topology
from pytest_precgate.analysis.measure.gpu import Gpu


@dataclass(frozen=True)
class Host:
    """A machine as its kernel describes it.

    ``governors`` are by core; ``boost`` says whether cores may exceed their base clock; ``siblings`` are the groups of
    logical cores that share a physical one; ``hypervisor`` is whether the processor says that it is virtual, ``model``
    the name of the (virtual) board. ``quota_cpus`` is the limit on CPU time of the own cgroup in cores, infinite
    without one; ``throttled`` how often that limit stopped its processes. ``huge_pages`` is the setting of transparent
    huge pages; ``numa_balancing`` whether the kernel moves pages between nodes."""

    topology: Topology
    governors: Mapping[int, str] = field(default_factory=dict)
    boost: bool | None = None
    siblings: tuple[tuple[int, ...], ...] = ()
    hypervisor: bool | None = None
    model: str | None = None
    quota_cpus: float | None = None
    throttled: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None
    huge_pages: str | None = None
    numa_balancing: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "governors", MappingProxyType(dict(self.governors)))


@dataclass(frozen=True)
class GpuState:
    """One GPU now. ``node`` is the memory node it is attached to; ``processes`` how many use it; clocks are in MHz."""

    gpu: Gpu
    node: int | None = None
    persistent: bool | None = None
    sm_clock: int | None = None
    max_sm_clock: int | None = None
    clocks_events: int | None = None
    processes: int | None = None


@dataclass(frozen=True)
class Asked:
    """What the settings ask of a server: its placement, and whether clocks and persistence are set.

    ``follows_gpus`` says that it runs on the node of its GPUs, whichever that is."""

    what: str
    cpus: tuple[int, ...] = ()
    client: tuple[int, ...] = ()
    uses_gpus: bool = True
    follows_gpus: bool = False
    locks_clocks: bool = False
    sets_persistence: bool = False
