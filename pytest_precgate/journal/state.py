"""The state of a journal after its events, in order. Pure.

Input: events. Output: launches with their points. Invariant: an event is accepted only where it can occur; reading and
appending use the same rule, so a written journal can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.curves.sweep import PointKey
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.errors import InvalidValueError, JournalCorruptError
from pytest_precgate.journal.events import (
    Event,
    LaunchFinished,
    LaunchKey,
    LaunchOpened,
    PointMeasured,
    PointTried,
    RunOpened,
)
from pytest_precgate.journal.schema import read_line


@dataclass(frozen=True)
class RecordedLaunch:
    """A launch as far as it came: its points in the order they were measured, and how many each opening gave.

    ``starts_gpu_s`` is what the engine took to start at each opening, None where that is not known; ``tries`` are the
    runs of points that gave nothing; ``origins`` is when and where each opening was.
    """

    opened: LaunchOpened
    points: tuple[MeasuredPoint, ...] = ()
    points_per_opening: tuple[int, ...] = (0,)
    is_finished: bool = False
    starts_gpu_s: tuple[float | None, ...] = (None,)
    tries: tuple[PointTried, ...] = ()
    origins: tuple[LaunchOrigin, ...] = ()

    @property
    def origin(self) -> LaunchOrigin:
        """When it began, and where it ran: no node where it went on on another one."""
        return LaunchOrigin.joint(self.origins or (self.opened.origin,))

    @property
    def times_resumed(self) -> int:
        """How often it went on, with points in hand, after a run had ended."""
        return max(sum(number > 0 for number in self.points_per_opening) - 1, 0)


@dataclass(frozen=True)
class Recorded:
    """Everything a journal holds of one suite's run."""

    run: RunOpened
    launches: Mapping[LaunchKey, RecordedLaunch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "launches", MappingProxyType(dict(self.launches)))


class _Launch:
    """A launch that events are still added to."""

    def __init__(self, opened: LaunchOpened) -> None:
        self._opened = opened
        self._points: dict[PointKey, MeasuredPoint] = {}
        self._per_opening = [0]
        self._is_finished = False
        self._starts_gpu_s = [opened.starting_gpu_s]
        self._tries: list[PointTried] = []
        self._origins = [opened.origin]
        self._recorded: RecordedLaunch | None = None

    def refuse(self, event: LaunchOpened | PointMeasured | PointTried | LaunchFinished) -> None:
        """Raise InvalidValueError for an event that cannot come next."""
        if self._is_finished:
            raise InvalidValueError(f"{event.key} was finished before")
        if isinstance(event, LaunchOpened):
            for line in event.unlike(self._opened):
                raise InvalidValueError(f"{event.key} goes on under other facts: {line}")
        if isinstance(event, LaunchFinished) and not self._points:
            raise InvalidValueError(f"{event.key} finished without a point")
        if isinstance(event, PointMeasured) and event.point.key in self._points:
            raise InvalidValueError(f"{event.key} measured concurrency {event.point.point.concurrency} twice")

    def add(self, event: LaunchOpened | PointMeasured | PointTried | LaunchFinished) -> None:
        """Add an event that can come next."""
        self._recorded = None
        if isinstance(event, LaunchOpened):
            self._per_opening.append(0)
            self._starts_gpu_s.append(event.starting_gpu_s)
            self._origins.append(event.origin)
        elif isinstance(event, LaunchFinished):
            self._is_finished = True
        elif isinstance(event, PointTried):
            self._tries.append(event)
        else:
            self._points[event.point.key] = event.point
            self._per_opening[-1] += 1

    def recorded(self) -> RecordedLaunch:
        """Return the launch as far as it came."""
        if self._recorded is None:
            self._recorded = RecordedLaunch(
                self._opened,
                tuple(self._points.values()),
                tuple(self._per_opening),
                self._is_finished,
                tuple(self._starts_gpu_s),
                tuple(self._tries),
                tuple(self._origins),
            )
        return self._recorded


class JournalState:
    """What the events of a journal amount to, added one by one. What an event costs does not grow with those before.

    ``run`` is the run it is of, None before that opened.
    """

    def __init__(self) -> None:
        self.run: RunOpened | None = None
        self._launches: dict[LaunchKey, _Launch] = {}

    def refuse(self, event: Event) -> None:
        """Raise InvalidValueError for an event that cannot come next."""
        if isinstance(event, RunOpened):
            if self.run is not None:
                raise InvalidValueError("a run opens once, at the head of its journal")
            return
        if self.run is None:
            raise InvalidValueError("a journal begins with its run, its suite and settings")
        launch = self._launches.get(event.key)
        if launch is not None:
            launch.refuse(event)
        elif not isinstance(event, LaunchOpened):
            raise InvalidValueError(f"{event.key} was never opened")

    def add(self, event: Event) -> None:
        """Add an event. Raises as ``refuse`` does, and is then as it was."""
        self.refuse(event)
        if isinstance(event, RunOpened):
            self.run = event
        elif event.key in self._launches:
            self._launches[event.key].add(event)
        elif isinstance(event, LaunchOpened):
            self._launches[event.key] = _Launch(event)

    def recorded(self) -> Recorded | None:
        """Return what the journal holds so far, None before its run opened. It does not change with later events."""
        if self.run is None:
            return None
        return Recorded(self.run, {key: launch.recorded() for key, launch in self._launches.items()})

    def launch(self, key: LaunchKey) -> RecordedLaunch | None:
        """Return one launch as far as it came, None where it was never opened."""
        return self._launches[key].recorded() if key in self._launches else None


def parse(lines: Iterable[bytes], source: str) -> tuple[JournalState, int]:
    """Return what the whole lines of a journal amount to, and how many bytes they are.

    Each line has its end; the last may lack it: what a killed run was writing is left out. Raises JournalCorruptError
    with file and line for anything else that does not fit, JournalSchemaError for a newer schema.
    """
    state, size = JournalState(), 0
    for number, raw in enumerate(lines, 1):
        if not raw.endswith(b"\n"):
            break
        try:
            text = raw[:-1].decode("ascii")
        except UnicodeDecodeError as exc:
            raise JournalCorruptError(source, f"line {number}", "is not ASCII text; it is left as it is") from exc
        try:
            state.add(read_line(text, number, source))
        except InvalidValueError as exc:
            raise JournalCorruptError(source, f"line {number}", str(exc)) from exc
        size += len(raw)
    return state, size
