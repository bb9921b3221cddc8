"""When and where a launch was measured: UTC, node, GPUs.

Input: what the run that measured it knew. Output: frozen values. Invariant: what is not known is None or empty; it is
never guessed, and no comparison depends on it. A node and its GPUs may differ from launch to launch of one state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pytest_precgate.analysis.quantity import one_line
from pytest_precgate.errors import InvalidValueError

UTC_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
SAME_DAY_GAP = timedelta(hours=6)
"""Launches that begin further apart are not of one run: loading and sweeping a large model takes two hours."""


def utc_text(time: datetime) -> str:
    """Return a time as files have it: UTC, whole seconds."""
    return time.astimezone(timezone.utc).strftime(UTC_FORMAT)


@dataclass(frozen=True)
class LaunchOrigin:
    """``utc`` is when the measurement of a launch began, ``node`` the host its engine ran on, ``gpus`` their UUIDs.

    A server that this tool did not start has no known node. Raises InvalidValueError for a time in another format."""

    utc: str | None = None
    node: str | None = None
    gpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "gpus", tuple(self.gpus))
        if self.utc is not None:
            try:
                datetime.strptime(one_line("LaunchOrigin", "utc", self.utc), UTC_FORMAT).replace(tzinfo=timezone.utc)
            except ValueError:
                raise InvalidValueError(
                    f"LaunchOrigin.utc: got {self.utc!r}, wanted a time like 2026-11-24T06:29:02Z"
                ) from None
        if self.node is not None:
            one_line("LaunchOrigin", "node", self.node)
        for gpu in self.gpus:
            one_line("LaunchOrigin", "gpus", gpu)

    @property
    def time(self) -> datetime | None:
        """When it began; None when that is not known."""
        return None if self.utc is None else datetime.strptime(self.utc, UTC_FORMAT).replace(tzinfo=timezone.utc)

    @staticmethod
    def joint(origins: Sequence[LaunchOrigin]) -> LaunchOrigin:
        """Return the origin of a launch made of several: the first time, the node where it is one, all GPUs."""
        times = [each.utc for each in origins if each.utc is not None]
        nodes = {each.node for each in origins}
        return LaunchOrigin(
            min(times) if len(times) == len(origins) and times else None,
            nodes.pop() if len(nodes) == 1 else None,
            tuple(dict.fromkeys(gpu for each in origins for gpu in each.gpus)),
        )


UNKNOWN = LaunchOrigin()
"""The origin of points that were read from a file, and of launches from before origins were kept."""


def days_of(origins: Sequence[LaunchOrigin]) -> list[str | None]:
    """Return the day of each launch, as ``2026-11-24``; None where its time is not known.

    Launches of one run are of one day, that on which the run began, also beyond midnight UTC: launches that follow each
    other by less than SAME_DAY_GAP, and that began less than a day after the first of them."""
    times = [each.time for each in origins]
    began: dict[datetime, datetime] = {}
    first = before = None
    for time in sorted({time for time in times if time is not None}):
        if before is None or first is None or time - before >= SAME_DAY_GAP or time - first >= timedelta(days=1):
            first = time
        began[time], before = first, time
    return [None if time is None else f"{began[time]:%Y-%m-%d}" for time in times]
