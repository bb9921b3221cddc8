"""The cost of the launches of a journal. Pure. A journal holds no failed start and no stop, so their cost is unknown
here."""

from __future__ import annotations

import math

from pytest_precgate.analysis.cost import Kind, KindCost, LaunchCost, known_sum
from pytest_precgate.journal.state import RecordedLaunch


def paid(launch: RecordedLaunch, before: RecordedLaunch | None = None) -> KindCost:
    """Return what a launch cost, or what it cost since it was as ``before``; how long GPUs were held is not known."""
    openings, points = (0, 0) if before is None else (len(before.starts_gpu_s), len(before.points))
    starts = launch.starts_gpu_s[openings:]
    kind = kind_of(launch.opened.engine)
    return KindCost(
        kind=kind,
        launches=0 if kind == "endpoint" else len(starts),
        points=len(launch.points) - points,
        measuring_gpu_s=math.fsum(finished.gpu_seconds for finished in launch.points[points:]),
        starting_gpu_s=None if kind == "endpoint" else known_sum(starts),
        held_gpu_s=None,
    )


def kind_of(engine: str) -> Kind:
    """Return how an engine of a kind, as settings name it, is paid for."""
    if engine in ("endpoint", "simulated"):
        return "endpoint" if engine == "endpoint" else "simulated"
    return "started"


def launch_cost(launch: RecordedLaunch) -> LaunchCost:
    """Return what a launch takes when nothing interrupts it: every point of it, and its last start."""
    return LaunchCost(
        configuration=launch.points[0].configuration,
        points=len(launch.points),
        measuring_gpu_s=math.fsum(finished.gpu_seconds for finished in launch.points),
        starting_gpu_s=launch.starts_gpu_s[-1],
    )
