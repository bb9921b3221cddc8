"""Properties of the Pareto frontier."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.frontier import frontier
from pytest_precgate.analysis.curves.sweep import SweepPoint
from tests import clouds
from tests.published import kimi


@given(clouds.points())
def test_the_frontier_is_strictly_decreasing(points: list[SweepPoint]) -> None:
    """Along the frontier interactivity rises and throughput falls, never standing still."""
    for left, right in pairwise(frontier(points)):
        assert left.interactivity < right.interactivity
        assert left.throughput_per_gpu > right.throughput_per_gpu


@given(clouds.points())
def test_the_frontier_dominates_every_point(points: list[SweepPoint]) -> None:
    """For every measured point the frontier holds one at least as fast and at least as productive."""
    kept = frontier(points)
    for point in points:
        assert any(
            best.interactivity >= point.interactivity and best.throughput_per_gpu >= point.throughput_per_gpu
            for best in kept
        )


@given(clouds.points())
def test_a_kept_point_is_dominated_by_no_other(points: list[SweepPoint]) -> None:
    """Nothing on the frontier is matched in both figures by a different measured point."""
    for best in frontier(points):
        assert not any(
            point.interactivity >= best.interactivity
            and point.throughput_per_gpu >= best.throughput_per_gpu
            and (point.interactivity, point.throughput_per_gpu) != (best.interactivity, best.throughput_per_gpu)
            for point in points
        )


@given(clouds.points(), st.randoms(use_true_random=False))
def test_the_frontier_does_not_depend_on_the_order_of_points(points: list[SweepPoint], random: object) -> None:
    """Shuffled points give the same frontier, ties included."""
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert frontier(shuffled) == frontier(points)


@given(clouds.points())
def test_the_frontier_of_a_frontier_is_itself(points: list[SweepPoint]) -> None:
    """Nothing is lost by asking twice."""
    assert frontier(frontier(points)) == frontier(points)


def test_at_equal_interactivity_the_higher_throughput_stays() -> None:
    """Two configurations equally fast for the user: the operator runs the productive one."""
    low, high = SweepPoint(4, 4, 50.0, 100.0), SweepPoint(8, 4, 50.0, 120.0)
    assert frontier([low, high]) == (high,)


def test_the_recorded_fp4_frontier_runs_over_tp4_and_tp8() -> None:
    """Of 16 recorded FP4 points 9 are on the frontier; only TP8 reaches the fastest users."""
    kept = frontier(kimi("fp4").points)
    assert [(point.configuration, point.concurrency) for point in kept] == [
        *(("vllm-tp4-ep1", concurrency) for concurrency in (128, 64, 32, 16, 8, 4, 2)),
        ("vllm-tp8-ep1", 2),
        ("vllm-tp8-ep1", 1),
    ]
