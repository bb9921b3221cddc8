"""The Pareto frontier of a sweep: a point stays if no other point has at least its interactivity and at least its
throughput per GPU.

Input: points. Output: the points of the frontier, sorted. Method: InferenceX's upper-left Pareto front over all
configurations."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_precgate.analysis.curves.sweep import SweepPoint


def frontier(points: Iterable[SweepPoint]) -> tuple[SweepPoint, ...]:
    """Return the points that no other point equals or exceeds in both interactivity and throughput per GPU.

    The result rises strictly in interactivity (tok/s/user) and falls strictly in throughput (tok/s/GPU). At equal
    interactivity the higher throughput stays; of equal points the first by key."""
    fastest_first = sorted(points, key=lambda point: (-point.interactivity, -point.throughput_per_gpu, point.key))
    kept: list[SweepPoint] = []
    for point in fastest_first:
        if not kept or point.throughput_per_gpu > kept[-1].throughput_per_gpu:
            kept.append(point)
    return tuple(reversed(kept))
