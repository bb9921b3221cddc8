"""GPUs as the driver describes them, their telemetry during a point, and the events that make a point invalid.

Input: samples of a GPU. Output: telemetry and refusal reasons. Invariant: a quantity that the driver does not report is
None, never zero, and refuses nothing; an invalid point is measured again and never counts as a slow one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TypeVar

from pytest_precgate.analysis.quantity import count, one_line
from pytest_precgate.errors import InvalidValueError

T = TypeVar("T")


@dataclass(frozen=True)
class Gpu:
    """One GPU. ``index`` is the driver's (nvidia-smi's), ``mig_uuids`` name the MIG devices it is divided into.

    ``memory_total`` is in bytes, None when the driver reports none: unified memory, or a MIG device in a container."""

    index: int
    uuid: str
    name: str
    memory_total: int | None = None
    mig_uuids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.index, bool) or not isinstance(self.index, int) or self.index < 0:
            raise InvalidValueError(f"Gpu.index: got {self.index!r}, wanted a whole number from 0 on")
        one_line("Gpu", "uuid", self.uuid)
        one_line("Gpu", "name", self.name)
        if self.memory_total is not None:
            count("Gpu", "memory_total", self.memory_total, "bytes")

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.uuid})"


def gpus_named(words: Sequence[str], gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Return the GPUs that words of CUDA_VISIBLE_DEVICES name, each once, in their order.

    A word is an index, a UUID or a unique prefix of one, or the UUID of a MIG device, which means the GPU that contains
    it. Raises InvalidValueError for a word that names none or several, and for a repeated one."""
    found: list[Gpu] = []
    for word in words:
        if words.count(word) > 1:
            raise InvalidValueError(f"devices: GPU {word!r} is named twice")
        named = [gpu for gpu in gpus if names(word, gpu)]
        if len(named) != 1:
            here = ", ".join(str(gpu) for gpu in gpus) or "none"
            what = "is not here" if not named else f"may be any of {len(named)}"
            raise InvalidValueError(f"devices: GPU {word!r} {what}; the GPUs of this machine: {here}")
        found += [gpu for gpu in named if gpu not in found]
    return tuple(found)


def names(word: str, gpu: Gpu) -> bool:
    """Whether a word of CUDA_VISIBLE_DEVICES or ``devices`` names a GPU, or a MIG device that is a part of it."""
    if word.isdecimal():
        return int(word) == gpu.index
    return word in gpu.mig_uuids or (word.startswith("GPU-") and len(word) > 4 and gpu.uuid.startswith(word))


class ClocksEvent(IntFlag):
    """Why clocks are below their maximum: the bits ``nvmlClocksEventReason...`` of nvml.h, by its names."""

    GPU_IDLE = 0x1
    APPLICATIONS_CLOCKS_SETTING = 0x2
    SW_POWER_CAP = 0x4
    HW_SLOWDOWN = 0x8
    SYNC_BOOST = 0x10
    SW_THERMAL_SLOWDOWN = 0x20
    HW_THERMAL_SLOWDOWN = 0x40
    HW_POWER_BRAKE_SLOWDOWN = 0x80
    DISPLAY_CLOCK_SETTING = 0x100

    def names(self) -> str:
        """Return the name of each bit that is set, with its value; a bit without a name in nvml.h by its value."""
        known = [event for event in ClocksEvent if event & self]
        rest = int(self) & ~sum(known)
        return ", ".join([f"{event.name} {event:#x}" for event in known] + ([f"{rest:#x}"] if rest else []))


# External causes. The power cap is not among them: it is the usual state under load, and part of what the GPU can do.
SLOWDOWNS = (
    ClocksEvent.HW_SLOWDOWN
    | ClocksEvent.SW_THERMAL_SLOWDOWN
    | ClocksEvent.HW_THERMAL_SLOWDOWN
    | ClocksEvent.HW_POWER_BRAKE_SLOWDOWN
)


# A brake asserted from outside the board; drivers set the general bit for hardware beside it.
_BY_THE_NODE = ClocksEvent.HW_POWER_BRAKE_SLOWDOWN | ClocksEvent.HW_SLOWDOWN


@dataclass(frozen=True)
class GpuSample:
    """One sample of one GPU; counters start at an arbitrary earlier time.

    ``own_pids`` are the engine's processes on the GPU, ``foreign_pids`` the others."""

    at_s: float
    energy_j: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature_c: int | None = None
    ecc_uncorrected: int | None = None
    remapped_rows: int | None = None
    clocks_events: int | None = None
    own_pids: frozenset[int] | None = None
    foreign_pids: frozenset[int] | None = None


@dataclass(frozen=True)
class GpuTelemetry:
    """The telemetry of one GPU during a point. None is what the driver does not report.

    ``energy_j`` is the energy used; None also when its counter fell, at most by ``energy_fall_j`` between two samples.
    Clocks are the minimum and the maximum, ``power_limit_w`` the lowest cap, ``clocks_events`` every event of any
    sample; ``new_ecc_uncorrected`` and ``new_remapped_rows`` are the increase of their counters."""

    gpu: Gpu
    samples: int
    duration_s: float
    energy_j: float | None
    energy_fall_j: float | None
    mean_power_w: float | None
    power_limit_w: float | None
    sm_clock_mhz: tuple[int, int] | None
    memory_clock_mhz: tuple[int, int] | None
    max_temperature_c: int | None
    new_ecc_uncorrected: int | None
    new_remapped_rows: int | None
    clocks_events: ClocksEvent | None
    foreign_pids: tuple[int, ...] | None

    def line(self) -> str:
        """Return the known quantities, and the refusal reasons that could not be checked, on one line."""
        parts = [f"{self.gpu}: {self.samples} samples in {self.duration_s:.1f} s"]
        if self.energy_j is not None:
            parts.append(f"{self.energy_j:.0f} J")
        if self.mean_power_w is not None:
            cap = "" if self.power_limit_w is None else f" of {self.power_limit_w:.0f} W"
            parts.append(f"mean {self.mean_power_w:.0f} W{cap}")
        for what, clock in (("SM", self.sm_clock_mhz), ("memory", self.memory_clock_mhz)):
            if clock is not None:
                parts.append(f"{what} {clock[0]} to {clock[1]} MHz")
        if self.max_temperature_c is not None:
            parts.append(f"at most {self.max_temperature_c} °C")
        if self.clocks_events:
            parts.append(self.clocks_events.names())
        grounds = {
            "energy": self.energy_fall_j,
            "ECC errors": self.new_ecc_uncorrected,
            "remapped rows": self.new_remapped_rows,
            "clocks events": self.clocks_events,
            "other processes": self.foreign_pids,
        }
        if unknown := [what for what, value in grounds.items() if value is None]:
            parts.append(f"not known: {', '.join(unknown)}")
        return ", ".join(parts)


@dataclass(frozen=True)
class GpuPower:
    """What the GPUs of a point drew and how they were clocked during its window: means over them, None if unknown."""

    mean_power_w: float | None = None
    sm_clock_mhz: float | None = None


def power_of(samples: Mapping[Gpu, Sequence[GpuSample]], start_s: float, end_s: float) -> GpuPower:
    """Return the mean power and SM clock of GPUs between two times, from samples in order of time.

    Power is the rise of the energy counter, read between the samples around either end; without a counter the mean of
    the power samples in between. Unknown where one GPU reports neither, or its samples do not reach both ends."""
    powers = [_power_of(each, start_s, end_s) for each in samples.values()]
    clocks = [_mean(_within(each, start_s, end_s, lambda sample: sample.sm_clock_mhz)) for each in samples.values()]
    return GpuPower(_mean(powers), _mean(clocks))


def _power_of(samples: Sequence[GpuSample], start_s: float, end_s: float) -> float | None:
    energy = [(sample.at_s, sample.energy_j) for sample in samples if sample.energy_j is not None]
    if energy and energy[0][0] <= start_s < end_s <= energy[-1][0]:
        used_j = _energy_at(energy, end_s) - _energy_at(energy, start_s)
        return used_j / (end_s - start_s) if used_j > 0 else None  # a counter that stands still or fell counts nothing
    if not (samples and samples[0].at_s <= start_s < end_s <= samples[-1].at_s):
        return None
    return _mean(_within(samples, start_s, end_s, lambda sample: sample.power_w))


def _energy_at(energy: Sequence[tuple[float, float]], at_s: float) -> float:
    """The counter at a time between its samples, on the straight line between the two around it."""
    right = max(1, min(bisect_left(energy, at_s, key=lambda each: each[0]), len(energy) - 1))
    (before_s, before_j), (after_s, after_j) = energy[right - 1], energy[right]
    return (
        before_j if after_s == before_s else before_j + (after_j - before_j) * (at_s - before_s) / (after_s - before_s)
    )


def _within(
    samples: Sequence[GpuSample], start_s: float, end_s: float, figure: Callable[[GpuSample], float | None]
) -> list[float | None]:
    return [figure(sample) for sample in samples if start_s <= sample.at_s <= end_s]


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None of none, and where one is unknown."""
    known = _known(values)
    return sum(known) / len(known) if known and len(known) == len(values) else None


def telemetry_of(samples: Mapping[Gpu, Sequence[GpuSample]]) -> tuple[GpuTelemetry, ...]:
    """Fold the samples of each GPU, at least one and in order of time, into its telemetry.

    A driver lists processes of a PID namespace that may differ from ours, and may hide those of others. The engine
    under load uses its GPUs, so other processes count only if one of its own processes was seen."""
    told = any(sample.own_pids for each in samples.values() for sample in each)
    return tuple(_folded(gpu, each, told) for gpu, each in samples.items())


def _folded(gpu: Gpu, samples: Sequence[GpuSample], told: bool) -> GpuTelemetry:
    if not samples:
        raise InvalidValueError(f"telemetry_of: no sample of {gpu}, wanted at least one")
    energy = _known(sample.energy_j for sample in samples)
    fall = max((before - after for before, after in pairwise(energy)), default=None)
    power = _known(sample.power_w for sample in samples)
    events = _known(sample.clocks_events for sample in samples)
    foreign = _known(sample.foreign_pids for sample in samples)
    return GpuTelemetry(
        gpu=gpu,
        samples=len(samples),
        duration_s=samples[-1].at_s - samples[0].at_s,
        energy_j=None if fall is None or fall > 0 else energy[-1] - energy[0],
        energy_fall_j=None if fall is None else max(fall, 0.0),
        mean_power_w=sum(power) / len(power) if power else None,
        power_limit_w=min(_known(sample.power_limit_w for sample in samples), default=None),
        sm_clock_mhz=_range(_known(sample.sm_clock_mhz for sample in samples)),
        memory_clock_mhz=_range(_known(sample.memory_clock_mhz for sample in samples)),
        max_temperature_c=max(_known(sample.temperature_c for sample in samples), default=None),
        new_ecc_uncorrected=_rise(_known(sample.ecc_uncorrected for sample in samples)),
        new_remapped_rows=_rise(_known(sample.remapped_rows for sample in samples)),
        clocks_events=ClocksEvent(reduce(or_, events)) if events else None,
        foreign_pids=tuple(sorted(frozenset().union(*foreign))) if told and foreign else None,
    )


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]


def _range(values: Sequence[int]) -> tuple[int, int] | None:
    return (min(values), max(values)) if values else None


def _rise(counts: Sequence[int]) -> int | None:
    return counts[-1] - counts[0] if len(counts) > 1 else None


def is_outside(watched: Sequence[GpuTelemetry]) -> bool:
    """Whether the cause that makes a point on these GPUs invalid is outside the engine and may pass.

    Other processes, the heat they cause, and a power brake of the node. Heat without other processes may be the
    engine's own; memory errors and a reset belong to the GPU."""
    own = any(each.new_ecc_uncorrected or each.new_remapped_rows or each.energy_fall_j for each in watched)
    slowed = reduce(or_, (each.clocks_events for each in watched if each.clocks_events), ClocksEvent(0)) & SLOWDOWNS
    shared = any(each.foreign_pids for each in watched)
    braked = bool(slowed & ClocksEvent.HW_POWER_BRAKE_SLOWDOWN) and not slowed & ~_BY_THE_NODE
    return not own and (shared or braked)


def refusals(watched: Sequence[GpuTelemetry]) -> tuple[str, ...]:
    """Return why a point measured on these GPUs is invalid, one line per kind of cause; empty when there was no event.

    An error counter that changed at all counts, also downwards: the GPU was reset."""
    kinds = (
        (
            "slowed down by heat or power brake",
            "check cooling and power supply, and",
            [(each.gpu, (each.clocks_events & SLOWDOWNS).names()) for each in watched if each.clocks_events],
        ),
        (
            "new uncorrected ECC errors",
            "check the GPU if they recur, and",
            [(each.gpu, f"{each.new_ecc_uncorrected:+d}") for each in watched if each.new_ecc_uncorrected],
        ),
        (
            "rows of memory remapped",
            "check the GPU if they recur, and",
            [(each.gpu, f"{each.new_remapped_rows:+d}") for each in watched if each.new_remapped_rows],
        ),
        (
            "processes that are not the engine's",
            "keep the GPU to one run and",
            [(each.gpu, f"pid {', '.join(map(str, each.foreign_pids))}") for each in watched if each.foreign_pids],
        ),
        (
            "the energy counter went backwards",
            "the GPU or its driver was reset;",
            [(each.gpu, f"by {each.energy_fall_j:.0f} J") for each in watched if each.energy_fall_j],
        ),
    )
    return tuple(
        f"{what}: {'; '.join(f'{gpu} {seen}' for gpu, seen in hit)}. This is no regression: {remedy} measure again"
        for what, remedy, cases in kinds
        if (hit := [(gpu, seen) for gpu, seen in cases if seen])
    )
