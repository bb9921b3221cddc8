"""A launch's log in memory, for sweeps without a journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_precgate.analysis.measure.point import MeasuredPoint


@dataclass
class Kept:
    """What a sweep keeps, in memory."""

    seeds: list[str] = field(default_factory=list)
    points: list[MeasuredPoint] = field(default_factory=list)
    tries: list[tuple[int, str, float]] = field(default_factory=list)

    def seed(self, concurrency: int) -> str:
        return f"salt/{concurrency}/{sum(each[0] == concurrency for each in self.tries)}"

    def add(self, point: MeasuredPoint) -> None:
        self.points.append(point)

    def tried(self, configuration: str, concurrency: int, cause: str, gpu_seconds: float) -> None:  # noqa: ARG002
        self.tries.append((concurrency, cause, gpu_seconds))
