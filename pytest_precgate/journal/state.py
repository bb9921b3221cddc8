"""What a journal amounts to: its events in order, each allowed only where it can have happened. Pure.

The same rule reads a file and guards every append, so that no journal is written that would not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

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
    runs of points that gave nothing.
    """

    opened: LaunchOpened
    points: tuple[MeasuredPoint, ...] = ()
    points_per_opening: tuple[int, ...] = (0,)
    is_finished: bool = False
    starts_gpu_s: tuple[float | None, ...] = (None,)
    tries: tuple[PointTried, ...] = ()

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


def advanced(state: Recorded | None, event: Event) -> Recorded:
    """Return the state after one more event. Raises InvalidValueError for an event that cannot come next."""
    if isinstance(event, RunOpened):
        if state is not None:
            raise InvalidValueError("a run opens once, at the head of its journal")
        return Recorded(event)
    if state is None:
        raise InvalidValueError("a journal begins with its run, its suite and settings")
    launch = _advanced_launch(state.launches.get(event.key), event)
    return replace(state, launches={**state.launches, event.key: launch})


def _advanced_launch(
    launch: RecordedLaunch | None, event: LaunchOpened | PointMeasured | PointTried | LaunchFinished
) -> RecordedLaunch:
    if launch is None:
        if isinstance(event, LaunchOpened):
            return RecordedLaunch(event, starts_gpu_s=(event.starting_gpu_s,))
        raise InvalidValueError(f"{event.key} was never opened")
    if launch.is_finished:
        raise InvalidValueError(f"{event.key} was finished before")
    if isinstance(event, LaunchOpened):
        for line in event.unlike(launch.opened):
            raise InvalidValueError(f"{event.key} goes on under other facts: {line}")
        return replace(
            launch,
            points_per_opening=(*launch.points_per_opening, 0),
            starts_gpu_s=(*launch.starts_gpu_s, event.starting_gpu_s),
        )
    if isinstance(event, LaunchFinished):
        if not launch.points:
            raise InvalidValueError(f"{event.key} finished without a point")
        return replace(launch, is_finished=True)
    if isinstance(event, PointTried):
        return replace(launch, tries=(*launch.tries, event))
    if event.point.point.key in {known.point.key for known in launch.points}:
        raise InvalidValueError(f"{event.key} measured concurrency {event.point.point.concurrency} twice")
    *before, last = launch.points_per_opening
    return replace(launch, points=(*launch.points, event.point), points_per_opening=(*before, last + 1))


def whole_lines(data: bytes) -> int:
    """Return how many bytes of a journal are whole lines; a killed run may have left the beginning of one more."""
    return data.rfind(b"\n") + 1


def parse(data: bytes, source: str) -> Recorded | None:
    """Return what a journal's bytes hold, None for one that was killed within its first line.

    Raises JournalCorruptError with file and line for anything but a last line without an end, JournalSchemaError for
    a newer schema.
    """
    state: Recorded | None = None
    for number, raw in enumerate(data[: whole_lines(data)].split(b"\n")[:-1], 1):
        try:
            text = raw.decode("ascii")
        except UnicodeDecodeError as exc:
            raise JournalCorruptError(source, f"line {number}", "is not ASCII text; it is left as it is") from exc
        try:
            state = advanced(state, read_line(text, number, source))
        except InvalidValueError as exc:
            raise JournalCorruptError(source, f"line {number}", str(exc)) from exc
    return state
