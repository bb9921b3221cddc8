"""Where a search measures next, step by step: guesses, gaps of the frontier, and the end of the curve."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_precgate.analysis.curves.search import Search, SweepTargets
from pytest_precgate.analysis.curves.sweep import SweepPoint

Measured = Sequence[tuple[int, float, float]]


def next_of(target: float, measured: Measured, earlier: Measured = (), highest: int = 256) -> int | None:
    """What is measured after these points (concurrency, interactivity, throughput)."""
    points, before = ([SweepPoint(c, 4, speed, tokens) for c, speed, tokens in each] for each in (measured, earlier))
    return Search(SweepTargets((target,), before), 1, highest).next(points)


@pytest.mark.parametrize(
    ("target", "measured", "expected"),
    [
        # Nothing known: the middle of the range, as a ratio.
        (50, [], 16),
        # One point: interactivity falls as the square root of concurrency does. 16 / 0.6^2 and 16 / 2^2.
        (60, [(16, 100, 160)], 44),
        (200, [(16, 100, 160)], 4),
        # Never more than four times as many requests as were seen to work; downwards as far as it takes.
        (10, [(16, 100, 160)], 64),
        (1600, [(16, 100, 160)], 1),
        # Two points on one side: their own slope, as far as a server can have it. 16 / (90 / 99)^4, 16 * 40 / 20 and
        # 16 / 0.8^(1 / 0.415) at three quarters for twice the requests.
        (90, [(8, 100, 80), (16, 99, 160)], 23),
        (20, [(8, 100, 80), (16, 40, 160)], 32),
        (60, [(8, 100, 80), (16, 75, 160)], 27),
        (130, [(8, 100, 80), (16, 75, 160)], 4),
        # From the nearer end: 8 / 1.2^4.
        (120, [(8, 100, 80), (32, 90, 320)], 3),
        # Between two points: the power law through them. 8 / 0.7^2.
        (70, [(8, 100, 80), (32, 50, 320)], 16),
        # The first and the last concurrency inside a bracket are tried before it is given up.
        (99.9, [(8, 100, 80), (32, 50, 320)], 9),
        (50.1, [(8, 100, 80), (32, 50, 320)], 31),
        # After four guesses the curve is not smooth: twice as many, or halfway.
        (50, [(3, 100, 30), (4, 99, 40), (5, 98, 50), (6, 97, 60)], 14),
        (50, [(1, 100, 10), (2, 99, 20), (3, 98, 30), (100, 40, 1000)], 51),
        (50, [(1, 100, 10), (2, 99, 20), (100, 40, 1000)], 38),
        # Bracketed by neighbours.
        (50, [(15, 51, 150), (16, 49, 160)], None),
        # Too slow at the lowest, too fast at the highest: but one point is no curve.
        (50, [(1, 40, 10), (2, 30, 20)], None),
        (50, [(256, 60, 2560), (255, 61, 2550)], None),
        (50, [(1, 40, 10)], 2),
        (50, [(256, 60, 2560)], 255),
    ],
)
def test_the_next_concurrency_is_where_the_target_should_lie(
    target: float, measured: Measured, expected: int | None
) -> None:
    """By power laws, which a serving engine's steps follow between a weight-bound and a batch-bound one."""
    assert next_of(target, measured) == expected


@pytest.mark.parametrize(
    ("target", "measured", "expected"),
    [
        # Nothing measured yet: where the earlier curve had it. 8 / 0.7^2.
        (70, [], 16),
        # 15% slower than before at 16 requests, where it had 70.7: 8 / 0.589^2.
        (50, [(16, 60, 160)], 23),
        # The measured point that is nearest to the target counts, by its ratio: 40 is as it was.
        (45, [(40, 44.72, 400), (60, 20, 600)], 39),
        (47, [(1, 94, 10), (40, 50, 400)], 45),
        # Inside a bracket of its own points they count alone: 8 / 0.7^(1 / 0.368).
        (70, [(8, 100, 80), (32, 60, 320)], 21),
        # Beyond the earlier points their slope goes on: 32 * (50 / 41)^2.
        (41, [], 47),
        (200, [], 2),
        # As fast as its end was: the curve beyond it, 4 times as fast at half the requests.
        (110, [(4, 141.4, 40)], 6),
    ],
)
def test_an_earlier_sweep_says_where_to_look(target: float, measured: Measured, expected: int) -> None:
    """As much faster or slower as the nearest point turned out to be."""
    assert next_of(target, measured, [(8, 100, 80), (32, 50, 320)]) == expected


@pytest.mark.parametrize(
    ("target", "measured", "earlier", "expected"),
    [
        # Between 8 and 32 requests, where it had 70.7: as above, whatever lies further off.
        (50, (16, 60, 160), [(4, 150, 40), (8, 100, 80), (32, 50, 320), (64, 45, 640)], 23),
        # Beyond its ends by the flattest slope, from the nearer end: 75.7 at 128 requests, 141.4 at 16.
        (60, (128, 70, 999), [(4, 100, 40), (64, 90, 640)], 237),
        (100, (16, 120, 160), [(64, 100, 640), (128, 95, 999)], 33),
        # On one of its points.
        (50, (8, 100, 80), [(8, 100, 80), (32, 50, 320)], 32),
    ],
)
def test_an_earlier_sweep_is_read_where_the_new_one_was_measured(
    target: float, measured: tuple[int, float, float], earlier: Measured, expected: int
) -> None:
    """Its curve between its points and beyond them says how much faster or slower the server has become."""
    assert next_of(target, [measured], earlier) == expected


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        # Nothing between 8 and 32 requests on the frontier: halfway.
        ([(8, 100, 1000), (9, 65, 1001), (10, 60, 1002)], None),
        # Behind a step: as many more requests as it takes for more throughput at this pace, 9 * 2 + 1.
        ([(8, 100, 1000), (9, 65, 500), (32, 50, 2000)], 19),
        ([(8, 100, 1000), (9, 65, 500), (19, 60, 900), (32, 50, 2000)], 22),
        # As much as the fast one is no more.
        ([(8, 100, 1000), (9, 65, 1000), (32, 50, 2000)], 10),
        # Three short ones are not four.
        ([(8, 100, 1000), (9, 65, 500), (12, 62, 501), (14, 61, 502), (32, 50, 2000)], 28),
        # That would be a measured one or further: halfway from the last short one.
        ([(8, 100, 1000), (9, 65, 500), (19, 50, 2000)], 14),
        ([(8, 100, 1000), (9, 65, 500), (11, 50, 2000)], 10),
        ([(8, 100, 1000), (9, 65, 400), (20, 45, 1500), (26, 44, 1600), (32, 50, 2000)], 14),
        ([(8, 100, 1000), (9, 65, 250), (32, 50, 2000)], 20),
        ([(8, 100, 1000), (9, 65, 500), (19, 60, 550), (32, 50, 2000)], 25),
        # Short ones as far as the neighbour of the slow one, or four of them: nothing more to find.
        ([(8, 100, 1000), (9, 65, 500), (31, 51, 900), (32, 50, 2000)], None),
        ([(8, 100, 1000), (9, 65, 500), (12, 62, 501), (14, 61, 502), (19, 60, 503), (32, 50, 2000)], None),
        # A gap of a quarter is none.
        ([(8, 80, 1000), (9, 65, 500), (12, 64, 2000)], None),
        ([(8, 80.1, 1000), (9, 65, 500), (12, 64, 2000)], 10),
    ],
)
def test_a_gap_is_closed_where_the_server_delivers_more_again(measured: Measured, expected: int | None) -> None:
    """Around a target of 70 that 8 and 9 requests bracket."""
    assert next_of(70, measured) == expected


@pytest.mark.parametrize(
    ("measured", "highest", "expected"),
    [
        # 9 delivers less than 8: a fifth further on, or as far as it takes at this pace, but at most four times as far.
        ([(8, 80, 1000), (9, 65, 990)], 256, 11),
        ([(8, 80, 1000), (9, 65, 500)], 256, 19),
        ([(8, 80, 1000), (9, 65, 100)], 256, 36),
        ([(8, 80, 1000), (9, 65, 100)], 30, 30),
        ([(8, 80, 1000), (9, 65, 990)], 9, None),
        # The curve ends with the target itself.
        ([(8, 70, 1000), (9, 65, 990)], 256, None),
        # There it delivers no more: the curve has ended. More, and not enough yet: a tenth further on at least.
        ([(8, 80, 1000), (9, 65, 900), (12, 60, 890)], 256, None),
        ([(8, 80, 1000), (9, 65, 900), (12, 60, 900)], 256, None),
        ([(8, 80, 1000), (9, 65, 900), (12, 60, 999)], 256, 14),
        ([(8, 80, 1000), (9, 65, 900), (11, 60, 999)], 256, 13),
        ([(8, 80, 1000), (9, 65, 500), (19, 60, 600)], 256, 32),
        ([(8, 80, 1000), (9, 65, 500), (19, 60, 600), (32, 55, 700), (46, 50, 800)], 256, 58),
        ([(8, 80, 1000), (9, 65, 500), (19, 60, 600), (32, 55, 700), (46, 50, 800), (58, 45, 900)], 256, None),
    ],
)
def test_a_curve_that_ends_before_its_target_is_followed(
    measured: Measured, highest: int, expected: int | None
) -> None:
    """Where noise or a step put the slower neighbour of the target off the frontier."""
    assert next_of(70, measured, highest=highest) == expected


def test_the_slowest_target_says_where_the_curve_must_reach() -> None:
    """Others lie on it already."""
    points = [SweepPoint(*each) for each in ((4, 4, 95, 700), (5, 4, 85, 800), (8, 4, 80, 1000), (9, 4, 65, 990))]
    assert Search(SweepTargets((90, 70)), 1, 256).next(points) == 11


def test_a_gap_that_cannot_be_closed_keeps_no_other_open() -> None:
    """Between 4 and 5 requests there is nothing; around the slower target there is."""
    rows = ((4, 4, 100, 400), (5, 4, 72, 500), (6, 4, 59, 450), (16, 4, 50, 900))
    assert Search(SweepTargets((90, 60)), 1, 256).next([SweepPoint(*row) for row in rows]) == 7


def test_a_gap_that_the_held_points_had_is_left() -> None:
    """The earlier sweep was read across it; one more point that is held changes nothing."""
    points = [SweepPoint(8, 4, 100, 1000), SweepPoint(32, 4, 50, 2000)]
    keys = [point.key for point in points]
    for held in (keys, [*keys, ("default", 4, 300)]):
        assert Search(SweepTargets((70,), (), {70: held}), 1, 256).next(points) is None
    assert Search(SweepTargets((70,), (), {70: keys[:1]}), 1, 256).next(points) == 16
