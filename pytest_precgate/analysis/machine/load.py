"""Other load on a machine before a launch: how busy its cores are, and with what.

Input: two looks at the kernel's counters. Output: the load between them, and whether it disturbs. Invariant: a look
that shows nothing of a core is no look at an idle core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_precgate.analysis.machine.cpus import cpus_text
from pytest_precgate.errors import InvalidValueError

BUSY_SHARE = 0.1
"""Above this share of the cores in use by others a launch is called disturbed. A look of half a second sees steps of 2%
of a core."""
_SHOWN = 3
_LEAST_SHOWN = 0.05


@dataclass(frozen=True)
class CoreTimes:
    """Counters of one core, in seconds since the start of the machine. ``stolen_s`` went to other virtual machines, and
    is a part of ``busy_s``."""

    busy_s: float
    idle_s: float
    stolen_s: float = 0.0


@dataclass(frozen=True)
class ProcessTimes:
    """CPU seconds of one process since its start, and the core it ran on last."""

    name: str
    cpu_s: float
    core: int


@dataclass(frozen=True)
class Look:
    """The counters at one time. ``processes`` are keyed by process id and start time; only those of the own PID
    namespace. ``runnable`` is how many tasks ran or waited for a core, None when unknown."""

    at_s: float
    cores: Mapping[int, CoreTimes]
    processes: Mapping[tuple[int, int], ProcessTimes] = field(default_factory=dict)
    runnable: int | None = None

    def __post_init__(self) -> None:
        for part in ("cores", "processes"):
            object.__setattr__(self, part, MappingProxyType(dict(getattr(self, part))))


@dataclass(frozen=True)
class BusyProcess:
    """A process that ran; ``share`` is of one core, and may exceed 1."""

    pid: int
    name: str
    share: float

    def __str__(self) -> str:
        return f"{self.name} ({self.pid}) {self.share:.0%} of a core"


@dataclass(frozen=True)
class HostLoad:
    """The load of some cores. ``share`` is the busy share of all of them together, ``stolen`` what of it other virtual
    machines took; ``processes`` are the busiest there, the first one first."""

    cores: tuple[int, ...]
    share: float
    stolen: float
    runnable: int | None
    processes: tuple[BusyProcess, ...]

    def __post_init__(self) -> None:
        if not self.cores:
            raise InvalidValueError("HostLoad.cores: got no core, wanted at least one")
        if not 0 <= self.stolen <= self.share <= 1:
            raise InvalidValueError(
                f"HostLoad: got a busy share of {self.share!r}, of it stolen {self.stolen!r}; wanted 0 to 1, and no "
                "more stolen than busy"
            )

    @property
    def is_busy(self) -> bool:
        """Whether a launch is disturbed."""
        return self.share > BUSY_SHARE

    def exceeds(self, limit: float) -> bool:
        """Whether it is above a limit of the settings."""
        return self.share > limit

    @property
    def fact(self) -> str:
        """The word for a fingerprint; a figure would differ between any two launches."""
        return "busy" if self.is_busy else "quiet"

    def __str__(self) -> str:
        with_what = f" ({', '.join(map(str, self.processes))})" if self.processes else ""
        stolen = f", {self.stolen:.0%} taken by other virtual machines" if self.stolen >= 0.01 else ""
        return f"{self.share:.0%} of the cores {cpus_text(self.cores)} are busy with other work{with_what}{stolen}"


def load_between(before: Look, after: Look, cores: tuple[int, ...]) -> HostLoad | None:
    """Return the load of ``cores`` between two looks; None when the kernel does not count one of them, or no time has
    passed."""
    pairs = [(before.cores[core], after.cores[core]) for core in cores if core in before.cores and core in after.cores]
    if not pairs or len(pairs) < len(cores):
        return None
    busy_s = sum(max(0.0, now.busy_s - then.busy_s) for then, now in pairs)
    idle_s = sum(max(0.0, now.idle_s - then.idle_s) for then, now in pairs)
    stolen_s = sum(max(0.0, now.stolen_s - then.stolen_s) for then, now in pairs)
    if busy_s + idle_s <= 0:
        return None
    share = busy_s / (busy_s + idle_s)
    stolen = min(stolen_s / (busy_s + idle_s), share)
    return HostLoad(cores, share, stolen, after.runnable, _busiest(before, after, cores))


def _busiest(before: Look, after: Look, cores: tuple[int, ...]) -> tuple[BusyProcess, ...]:
    elapsed_s = after.at_s - before.at_s
    if elapsed_s <= 0:
        return ()
    found = []
    for key, now in after.processes.items():
        then = before.processes.get(key)
        share = (now.cpu_s - (0.0 if then is None else then.cpu_s)) / elapsed_s
        if now.core in cores and share >= _LEAST_SHOWN:
            found.append(BusyProcess(key[0], now.name, share))
    return tuple(sorted(found, key=lambda each: (-each.share, each.pid))[:_SHOWN])
