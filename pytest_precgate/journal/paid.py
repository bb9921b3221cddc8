"""The cost of the launches of a journal. Pure. A journal holds no failed start and no stop, so their cost is unknown
here."""

from __future__ import annotations

import math

from pytest_precgate.analysis.cost import KindCost, LaunchCost, known_sum
from pytest_precgate.journal.state import RecordedLaunch


def paid(launch: RecordedLaunch, before: RecordedLaunch | None = None) -> KindCost | None:
    """Return what a launch cost, or what it cost since it was as ``before``; None for one that takes no GPU.

    How long GPUs were held is not known."""
    openings, points = (0, 0) if before is None else (len(before.starts_gpu_s), len(before.points))
    starts = launch.starts_gpu_s[openings:]
    kind = launch.opened.paid
    if kind is None:
        return None
    return KindCost(
        kind=kind,
        launches=0 if kind == "endpoint" else len(starts),
        points=len(launch.points) - points,
        measuring_gpu_s=math.fsum(finished.gpu_seconds for finished in launch.points[points:]),
        starting_gpu_s=None if kind == "endpoint" else known_sum(starts),
        held_gpu_s=None,
    )


def launch_cost(launch: RecordedLaunch) -> LaunchCost | None:
    """Return what a launch takes when nothing interrupts it: every point of it, and its last start.

    None for one that takes no GPU."""
    if launch.opened.paid is None:
        return None
    return LaunchCost(
        configuration=launch.points[0].configuration,
        points=len(launch.points),
        measuring_gpu_s=math.fsum(finished.gpu_seconds for finished in launch.points),
        starting_gpu_s=launch.starts_gpu_s[-1],
    )
