"""How long the servers of a run hold their GPUs, and the resulting cost with the points that were kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pytest_precgate.analysis.cost import Kind, KindCost, by_kind
from pytest_precgate.servers.request import ServerRequest, SuiteLaunch


@dataclass
class Start:
    """One start of a server, from its process's start to its end, in seconds of one clock."""

    request: ServerRequest
    began_s: float
    ready_s: float | None = None
    ended_s: float | None = None

    def end(self, at_s: float) -> None:
        """Say that its process is gone; the first time counts."""
        self.ended_s = at_s if self.ended_s is None else self.ended_s

    def starting_gpu_s(self, now_s: float) -> float:
        """Return the GPU-seconds it took to get ready, or had taken when it was given up."""
        return self._gpus * (self._until(now_s) - self.began_s if self.ready_s is None else self.ready_s - self.began_s)

    def held_gpu_s(self, now_s: float) -> float:
        """Return the GPU-seconds from its start to its end, or to now where it is up."""
        return self._gpus * (self._until(now_s) - self.began_s)

    @property
    def _gpus(self) -> int:
        return self.request.engine.settings.gpus

    def _until(self, now_s: float) -> float:
        return now_s if self.ended_s is None else self.ended_s


def by_suite(started: Iterable[Start]) -> dict[str, list[Start]]:
    """Return the starts of each suite, in order."""
    found: dict[str, list[Start]] = {}
    for start in started:
        found.setdefault(start.request.suite, []).append(start)
    return found


def started_again(started: Sequence[Start]) -> Iterator[str]:
    """Name the servers a run had to start more than once."""
    first: dict[SuiteLaunch, ServerRequest] = {}
    for start in started:
        first.setdefault(start.request.key, start.request)
    for key, starts in Counter(start.request.key for start in started).items():
        if starts > 1:
            request = first[key]
            yield (
                f"suite {request.suite}: {request.what} was started {starts} times: tests asked for it after it had "
                "made room for another; let those that use one engine stand together"
            )


@dataclass
class Loads:
    """How long servers that this run did not start were loaded for each suite, failed points included."""

    clock: Callable[[], float]
    _gpu_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, suite: str, gpus: int) -> Iterator[None]:
        """Count the time of the block."""
        since_s = self.clock()
        try:
            yield
        finally:
            self._gpu_s[suite] = self._gpu_s.get(suite, 0.0) + gpus * (self.clock() - since_s)

    def gpu_s(self, suite: str) -> float | None:
        """Return the GPU-seconds under load; None where none was loaded."""
        return self._gpu_s.get(suite)


def costs(
    recorded: Iterable[KindCost], starts: Sequence[Start], loaded_gpu_s: float | None, now_s: float
) -> tuple[KindCost, ...]:
    """Return what a run cost by kind: the points of its journal, within the time its servers held their GPUs.

    ``loaded_gpu_s`` is that of servers this run did not start, None where none was loaded.
    """
    found = {each.kind: each for each in by_kind(recorded)}
    if starts:
        found["started"] = replace(
            found.get("started", _no_points("started")),
            launches=len(starts),
            starting_gpu_s=math.fsum(start.starting_gpu_s(now_s) for start in starts),
            held_gpu_s=math.fsum(start.held_gpu_s(now_s) for start in starts),
        )
    if loaded_gpu_s is not None:
        found["endpoint"] = replace(found.get("endpoint", _no_points("endpoint")), held_gpu_s=loaded_gpu_s)
    return by_kind(found.values())


def _no_points(kind: Kind) -> KindCost:
    return KindCost(kind, 0, 0, 0.0, None, None)
