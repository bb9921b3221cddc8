"""The events of a journal, one value per line: a run opened, a launch opened, a point finished or disturbed, a launch
finished.

Pure values. Their settings and facts decide whether the measurements may be reused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin
from pytest_precgate.analysis.cost import KINDS, Kind
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.quantity import count, one_line, positive
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.text import printable

Setting = str | int | float | bool | None


@dataclass(frozen=True, order=True)
class LaunchKey:
    """Which launch of a suite: precision, number of the configuration from 0, number of the launch from 1."""

    precision: str
    configuration: int
    launch: int

    def __post_init__(self) -> None:
        one_line("LaunchKey", "precision", self.precision)
        if isinstance(self.configuration, bool) or not isinstance(self.configuration, int) or self.configuration < 0:
            raise InvalidValueError(
                f"LaunchKey.configuration: got {self.configuration!r}, wanted a whole number from 0"
            )
        count("LaunchKey", "launch", self.launch, "launches")

    def __str__(self) -> str:
        configuration = f" configuration {self.configuration + 1}" if self.configuration else ""
        return f"{self.precision}{configuration}" + (f" launch {self.launch}" if self.launch > 1 else "")


@dataclass(frozen=True)
class RunOpened:
    """The run of one suite: when, by what, of which commit, and under which settings it measures.

    ``settings`` is flat (``fp4.load.seed``) and holds what decides the figures of an engine, not how they are judged;
    ``configurations`` counts those of each precision. ``salt`` goes into the seed of every prompt, so that no run asks
    what another has asked; empty in a run from before there was one.
    """

    suite: str
    utc: str
    commit: str
    tool_version: str
    hardware: str
    workload: Workload
    configurations: Mapping[str, int]
    settings: Mapping[str, Setting]
    salt: str = ""

    def __post_init__(self) -> None:
        for field in ("suite", "utc", "commit", "tool_version", "hardware"):
            one_line("RunOpened", field, getattr(self, field))
        for precision, number in self.configurations.items():
            count("RunOpened", f"configurations[{precision!r}]", number, "configurations")
        for field in ("configurations", "settings"):
            object.__setattr__(self, field, MappingProxyType(dict(getattr(self, field))))

    def unlike(self, earlier: RunOpened) -> tuple[str, ...]:
        """Return one line per fact in which points of this run and of ``earlier`` would not be of one making."""
        names = ("commit", "tool_version")
        facts, before = ({name: getattr(run, name) for name in names} for run in (self, earlier))
        return (
            *self.unlike_in_kind(earlier),
            *differences(facts, before),
            *differences(self.settings, earlier.settings),
        )

    def unlike_in_kind(self, earlier: RunOpened) -> tuple[str, ...]:
        """Return one line per difference in what was measured at all: hardware, workload, configurations."""
        return tuple(differences(self._kind, earlier._kind))

    @property
    def _kind(self) -> Mapping[str, object]:
        counts = {f"number of {name} configurations": number for name, number in self.configurations.items()}
        return {"suite": self.suite, "hardware": self.hardware, "workload": self.workload, **counts}


_MOMENTARY = ("host.load",)
"""Facts of a moment and not of an engine: a run that was killed on a quiet machine goes on on a busy one."""


@dataclass(frozen=True)
class LaunchOpened:
    """A launch can be measured from here on; ``facts`` are what its engine says of itself, beyond its kind.

    ``starting_gpu_s`` are the GPU seconds its engine took to start, None where that is not known. ``paid`` is what its
    GPU seconds are, None where it takes none.
    ``origin`` says when and where; a launch may go on at another time and on another node, so it is none of the facts
    that must agree.
    """

    key: LaunchKey
    engine: str
    facts: Fingerprint
    starting_gpu_s: float | None = None
    paid: Kind | None = None
    origin: LaunchOrigin = UNKNOWN

    def __post_init__(self) -> None:
        one_line("LaunchOpened", "engine", self.engine)
        if self.paid is not None and self.paid not in KINDS:
            raise InvalidValueError(f"LaunchOpened.paid: got {self.paid!r}, wanted one of {', '.join(KINDS)}, or null")
        if self.starting_gpu_s is not None:
            positive("LaunchOpened", "starting_gpu_s", self.starting_gpu_s, "GPU seconds")

    def unlike(self, earlier: LaunchOpened) -> tuple[str, ...]:
        """Return one line per fact in which this launch's engine is another than that of ``earlier``."""
        lasting = [
            {name: fact for name, fact in each.facts.soft.items() if name not in _MOMENTARY} for each in (self, earlier)
        ]
        return (
            *differences({"engine": self.engine}, {"engine": earlier.engine}),
            *differences(self.facts.hard, earlier.facts.hard),
            *differences(*lasting),
        )


@dataclass(frozen=True)
class PointMeasured:
    """A point of an open launch, measured and believed."""

    key: LaunchKey
    point: MeasuredPoint


@dataclass(frozen=True)
class PointTried:
    """A point of an open launch was run and gave nothing, for a reason outside the engine; it may be run again.

    ``gpu_seconds`` is what it cost.
    """

    key: LaunchKey
    configuration: str
    concurrency: int
    cause: str
    gpu_seconds: float

    def __post_init__(self) -> None:
        one_line("PointTried", "configuration", self.configuration)
        count("PointTried", "concurrency", self.concurrency, "requests")
        one_line("PointTried", "cause", self.cause)
        if not (
            isinstance(self.gpu_seconds, (int, float)) and math.isfinite(self.gpu_seconds) and self.gpu_seconds >= 0
        ):
            raise InvalidValueError(
                f"PointTried.gpu_seconds: got {self.gpu_seconds!r}, wanted finite GPU seconds from 0"
            )


@dataclass(frozen=True)
class LaunchFinished:
    """Every point the launch was to have is there."""

    key: LaunchKey


Event = RunOpened | LaunchOpened | PointMeasured | PointTried | LaunchFinished


def differences(now: Mapping[str, object], then: Mapping[str, object]) -> Iterator[str]:
    """Yield one line per key whose value differs; a key only one side knows differs too."""
    for key in sorted({*now, *then}):
        if key not in now or key not in then or now[key] != then[key]:
            today, before = (printable(str(each.get(key, "not known"))) for each in (now, then))
            yield f"{printable(key)} is {today}, the run's was {before}"
