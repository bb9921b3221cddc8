"""Which concurrency is measured next: searches over any relation, noisy ones too, and grids."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.search import NO_TARGETS, Grid, Range, Search, SweepTargets, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.errors import InvalidValueError, OutsideSweepError
from tests.published import WORKLOAD, kimi

speeds = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=200).map(lambda found: sorted(found, reverse=True))
targets = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5)


def points_of(levels: Sequence[float]) -> Callable[[int], SweepPoint]:
    """A server whose interactivity at concurrency 1, 2, ... is given, and whose throughput rises with it."""
    return lambda concurrency: SweepPoint(concurrency, 4, levels[concurrency - 1], 10.0 * concurrency)


def searched(levels: Sequence[float], aims: Sequence[float], earlier: Sequence[SweepPoint] = ()) -> list[SweepPoint]:
    return follow(Search(SweepTargets(aims, earlier), 1, len(levels)), points_of(levels))


def most(levels: Sequence[float], aims: Sequence[float]) -> int:
    """Four guesses a target, then halvings and doublings; one point beyond."""
    return len(set(aims)) * (4 + 2 * math.ceil(math.log2(len(levels) + 1))) + 1


@given(speeds, targets, st.lists(st.floats(1e-3, 1e3), max_size=20))
def test_any_monotone_relation_is_searched_to_neighbours_around_every_target(
    levels: list[float], aims: list[float], before: list[float]
) -> None:
    """In a number of points that grows as the logarithm of the range, each measured once, from any known points."""
    points = searched(levels, aims, [points_of(before)(c) for c in range(1, len(before) + 1)])
    measured = [point.concurrency for point in points]
    assert len(set(measured)) == len(measured) <= most(levels, aims)
    for target in aims:
        slower = sum(level >= target for level in levels) + 1
        if slower == 1:
            assert 1 in measured
        elif slower > len(levels):
            assert len(levels) in measured
        else:
            assert {slower - 1, slower} <= set(measured)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=200), targets)
@example([1.0] * 100, [1.0])
def test_pure_noise_ends_too(levels: list[float], aims: list[float]) -> None:
    """Nothing measured twice, as few points, and every target between two neighbours or beyond an end of the range."""
    points = searched(levels, aims)
    speed = {point.concurrency: point.interactivity for point in points}
    assert len(speed) == len(points) <= most(levels, aims)
    for target in aims:
        crossed = any(speed[c] >= target > speed.get(c + 1, math.inf) for c in speed)
        beyond = speed.get(1, math.inf) < target or speed.get(len(levels), -math.inf) >= target
        assert crossed or beyond


def kimi_like(concurrency: int) -> float:
    """1 / tpot of a step that costs 6 ms and a third of a millisecond per request."""
    return 1 / (6e-3 + 3e-4 * concurrency)


KIMI = [kimi_like(concurrency) for concurrency in range(1, 257)]


def test_three_targets_on_a_smooth_curve_take_eight_points() -> None:
    """Six of them are the neighbours; points are shared between the targets."""
    points = searched(KIMI, (55, 73, 91))
    measured = {point.concurrency for point in points}
    assert len(points) <= 8
    for target in (55, 73, 91):
        below = next(c for c in range(1, 257) if kimi_like(c) < target)
        assert {below - 1, below} <= measured


@pytest.mark.parametrize("pace", [0.9, 0.97, 0.99, 1.0, 1.01, 1.03, 1.1])
def test_a_baseline_saves_the_search(pace: float) -> None:
    """Also of a server that has become up to 10% slower or faster: hardly more than the six neighbours."""
    earlier = searched(KIMI, (55, 73, 91))
    points = searched([pace * level for level in KIMI], (55, 73, 91), earlier)
    assert len(points) <= (6 if abs(pace - 1) < 0.02 else 8)


def test_a_baseline_of_another_server_only_costs_points() -> None:
    """Three times slower: the search still ends with neighbours."""
    earlier = searched(KIMI, (55, 73, 91))
    levels = [level / 3 for level in KIMI]
    measured = {point.concurrency for point in searched(levels, (40,), earlier)}
    below = next(c for c in range(1, 257) if levels[c - 1] < 40)
    assert {below - 1, below} <= measured


def test_launch_noise_and_point_noise_do_not_mislead_it() -> None:
    """A percent on every point, a thousand searches: as few points, every target inside the curve."""
    rng = random.Random(1)
    counts = []
    for _ in range(1000):
        levels = [level * math.exp(rng.gauss(0, 0.01)) for level in KIMI]
        points = searched(levels, (55, 73, 91))
        counts.append(len(points))
        curve = Curve(Sweep("fp4", WORKLOAD, "b200", points), HARDWARE["b200"])
        for target in (55, 73, 91):
            curve.at(target)
    assert sum(counts) / len(counts) < 9
    assert max(counts) <= 14


def test_two_neighbours_are_enough_to_interpolate_between() -> None:
    """The curve through six points around three targets is within 0.02% of the one through all of them."""

    def point(concurrency: int) -> SweepPoint:
        speed = 1 / (4e-3 + 1.2e-3 * concurrency**0.66)
        return SweepPoint(concurrency, 4, speed, 1.9 * concurrency * speed / 4)

    def curve(points: Sequence[SweepPoint]) -> Curve:
        return Curve(Sweep("fp4", WORKLOAD, "b200", points), HARDWARE["b200"])

    few = curve(follow(Search(SweepTargets((55, 73, 91)), 1, 256), point))
    all_of_them = curve([point(concurrency) for concurrency in range(1, 257)])
    doubled = curve([point(2**power) for power in range(9)])
    for target in (55, 73, 91):
        truth = all_of_them.at(target).throughput_per_gpu
        assert few.at(target).throughput_per_gpu == pytest.approx(truth, rel=2e-4)
        assert abs(doubled.at(target).throughput_per_gpu / truth - 1) > 1e-3


def test_a_target_out_of_reach_ends_at_the_end_of_the_range() -> None:
    """One point at the limit, and the curve says that it does not hold the target."""
    levels = KIMI[:32]
    for target, limit in ((40, 32), (400, 1)):
        points = searched(levels, (target, 73))
        assert limit in {point.concurrency for point in points}
        curve = Curve(Sweep("fp4", WORKLOAD, "b200", points), HARDWARE["b200"])
        assert curve.at(73)
        with pytest.raises(OutsideSweepError):
            curve.at(target)


def saturated(concurrency: int, noise: dict[int, float]) -> SweepPoint:
    return SweepPoint(concurrency, 4, 4000 / concurrency, 1000 + concurrency * (1 + noise.get(concurrency, 0.0)))


def test_a_plateau_reversed_by_noise_gets_a_point_further_on() -> None:
    """The slower neighbour gave less than the faster one: without a point beyond, the curve would end too soon."""
    points = follow(Search(SweepTargets((39.8,)), 1, 256), lambda c: saturated(c, {101: -0.05}))
    assert [point.concurrency for point in points][-2:] == [101, math.ceil(101 * 1.2)]
    assert Curve(Sweep("fp4", WORKLOAD, "b200", points), HARDWARE["b200"]).at(39.8)


def test_throughput_that_falls_is_not_chased() -> None:
    """One further point shows that the frontier has ended."""
    points = follow(Search(SweepTargets((39.8,)), 1, 256), lambda c: SweepPoint(c, 4, 4000 / c, 1000 - c))
    measured = [point.concurrency for point in points]
    assert measured[-1] == math.ceil(101 * 1.2)
    assert sum(concurrency > 101 for concurrency in measured) == 1


def padded(concurrency: int, step: float = 0.15) -> SweepPoint:
    """A server whose steps take ``step`` longer than the batch explains, for every power of two behind which it is."""
    speed = kimi_like(concurrency) / (1 + step) ** (concurrency - 1).bit_length()
    return SweepPoint(concurrency, 4, speed, concurrency * speed / 2)


def test_a_gap_of_the_frontier_around_a_target_is_closed() -> None:
    """Behind a padded batch of 8 the neighbour delivers less; the first point that delivers more is found."""
    eight, nine = padded(8, 0.3), padded(9, 0.3)
    assert nine.throughput_per_gpu < eight.throughput_per_gpu
    target = (eight.interactivity + nine.interactivity) / 2
    points = follow(Search(SweepTargets((target,)), 1, 256), lambda concurrency: padded(concurrency, 0.3))
    curve = Curve(Sweep("fp4", WORKLOAD, "b200", points), HARDWARE["b200"])
    slower = [point.concurrency for point in curve.frontier if point.interactivity < target]
    assert {8, 9} <= {point.concurrency for point in points}
    assert slower[-1] == next(c for c in range(9, 17) if padded(c, 0.3).throughput_per_gpu > eight.throughput_per_gpu)
    assert len(points) <= 10


@pytest.mark.parametrize("step", [0.05, 0.15, 0.2])
@pytest.mark.parametrize("batch", [16, 32])
def test_a_step_at_the_end_of_the_curve_is_passed(step: float, batch: int) -> None:
    """The lowest target lies behind a power of two: points follow until throughput has risen above the step."""
    target = padded(batch + 1, step).interactivity * 1.02
    points = follow(Search(SweepTargets((target,)), 1, 256), lambda concurrency: padded(concurrency, step))
    assert Curve(Sweep("fp4", WORKLOAD, "b200", points), HARDWARE["b200"]).at(target)


def test_points_that_are_held_come_first_and_are_enough() -> None:
    """Those that served the targets before, from below; a launch that changed little measures no others."""
    before = searched(KIMI, (55, 73, 91))
    held = [point.key for point in before]
    sweep_targets = SweepTargets((55, 73, 91), before, dict.fromkeys((55, 73, 91), held))
    for pace in (0.97, 1.0, 1.03):
        points = follow(Search(sweep_targets, 1, len(KIMI)), points_of([pace * level for level in KIMI]))
        first = [point.concurrency for point in points[: len(held)]]
        assert first == sorted(concurrency for _, _, concurrency in held)
        assert len(points) <= len(held) + 2


def test_a_point_that_is_held_outside_the_range_is_not_measured() -> None:
    """The range is what the settings allow; the gate that lacks the point says so."""
    points = follow(Search(SweepTargets((91,), (), {91: [("default", 4, 200)]}), 1, 64), points_of(KIMI))
    assert 200 not in {point.concurrency for point in points}


def test_what_a_sweep_was_not_searched_for_is_told() -> None:
    """Not what it was, nor what is out of its reach, nor anything of a grid."""
    points = searched(KIMI, (55, 91))
    assert Search(SweepTargets((55, 73, 91)), 1, 256).missed(points) == (73,)
    assert Search(SweepTargets((55, 91)), 1, 256).missed(points) == ()
    assert Search(SweepTargets((400,)), 1, 256).missed(searched(KIMI, (400,))) == ()
    assert Grid([1, 2]).missed(points) == ()


def test_each_configuration_knows_its_own_points() -> None:
    """FP4 on four and on eight GPUs: another configuration's concurrencies say nothing."""
    sweep_targets = SweepTargets((73,), kimi("fp4").points)
    four, eight = sweep_targets.of("vllm-tp4-ep1", 4), sweep_targets.of("vllm-tp8-ep1", 8)
    assert {point.concurrency for point in four.earlier} == {1, 2, 4, 8, 16, 32, 64, 128}
    assert {point.concurrency for point in eight.earlier} == {1, 2, 4}
    assert four.targets == eight.targets == (73,)


def test_each_configuration_is_held_to_its_own_points() -> None:
    """Those of another configuration, or of as many GPUs more, are not measured on it."""
    own, wider, other = ("tp4", 4, 8), ("tp4", 8, 16), ("ep4", 4, 32)
    held = SweepTargets((73,), (), {73: [own, wider, other]}).of("tp4", 4).held
    assert held == {73: [own]}


def test_targets_are_a_value() -> None:
    """Falling, each once, whatever they and the earlier points came in."""
    before = list(kimi("fp4").points)
    one, other = SweepTargets([55, 91, 55], before), SweepTargets((91, 55), tuple(before))
    assert one == other
    assert one.targets == (91, 55)


def test_what_is_measured_is_told_in_a_report_s_words() -> None:
    """A grid by its levels, a range by how it is walked."""
    assert str(Grid([8, 1, 4])) == "1, 4, 8"
    assert Grid([8, 1, 4]).lowest == 1
    assert str(Range(1, 64)) == "searched from 1 to 64"
    assert str(Range(1, 64, "doubling")) == "doubled from 1 to 64"


def test_a_range_of_one_concurrency_is_one_point() -> None:
    """Nothing to search, and nothing beside it."""
    assert Range(4, 4).schedule(NO_TARGETS) == Grid([4])
    points = follow(Range(4, 4).schedule(SweepTargets((400,))), points_of(KIMI))
    assert [point.concurrency for point in points] == [4]


def test_a_search_whose_target_is_out_of_reach_still_draws_a_curve() -> None:
    """One point is none: its neighbour inside the range is measured too, from either end."""
    for target, measured in ((400, [1, 2]), (1, [32, 31])):
        points = follow(Search(SweepTargets((target,), (points_of(KIMI)(measured[0]),)), 1, 32), points_of(KIMI))
        assert [point.concurrency for point in points][-2:] == measured


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=60), targets, st.data())
def test_a_sweep_that_was_interrupted_goes_on_where_it_was(
    levels: list[float], aims: list[float], data: st.DataObject
) -> None:
    """Noisy or not: what comes next depends on the points alone, so it ends with the points of the undisturbed one."""
    undisturbed = searched(levels, aims)
    known = undisturbed[: data.draw(st.integers(0, len(undisturbed)))]
    measured: list[int] = []

    def measure(concurrency: int) -> SweepPoint:
        measured.append(concurrency)
        return points_of(levels)(concurrency)

    assert follow(Search(SweepTargets(aims), 1, len(levels)), measure, known) == undisturbed
    assert measured == [point.concurrency for point in undisturbed[len(known) :]]


def test_a_grid_is_measured_from_below() -> None:
    """In order, each once, for any targets."""
    grid = Grid([8, 1, 4])
    assert [point.concurrency for point in follow(grid.schedule(SweepTargets((55,))), points_of([9.0] * 8))] == [
        1,
        4,
        8,
    ]


@given(st.integers(1, 50), st.integers(0, 500))
def test_doubling_stays_in_its_range(lowest: int, more: int) -> None:
    """The published grid: twice the last one while that is not too many."""
    schedule = Range(lowest, lowest + more, "doubling").schedule(SweepTargets((55,)))
    assert isinstance(schedule, Grid)
    levels = list(schedule.levels)
    assert levels[0] == lowest
    assert all(b == 2 * a for a, b in pairwise(levels))
    assert levels[-1] <= lowest + more < 2 * levels[-1]


def test_a_search_for_nothing_is_the_doubling() -> None:
    """Before a band is known (quartiles without a baseline), there are no targets."""
    assert Range(1, 100).schedule(NO_TARGETS) == Grid([1, 2, 4, 8, 16, 32, 64])


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: Grid([]), "wanted different concurrencies"),
        (lambda: Grid([4, 4]), "wanted different concurrencies"),
        (lambda: Grid([0]), r"Grid\.levels: got 0"),
        (lambda: Range(0, 4), r"Range\.lowest: got 0"),
        (lambda: Range(5, 4), "from 5 to 4, which are none"),
        (lambda: SweepTargets((0.0,)), r"SweepTargets\.targets: got 0\.0"),
    ],
)
def test_nonsense_is_refused_when_built(build: Callable[[], object], why: str) -> None:
    """Nothing to measure, or nowhere to read."""
    with pytest.raises(InvalidValueError, match=why):
        build()


def test_a_range_is_searched_where_something_is_aimed_at() -> None:
    """Unless the doubling is asked for."""
    aims = SweepTargets((55,))
    assert Range(1, 64).schedule(aims) == Search(aims, 1, 64)


@pytest.mark.parametrize("concurrency", [4, 64])
def test_a_point_that_is_held_at_an_end_of_the_range_is_measured(concurrency: int) -> None:
    """The ends belong to it."""
    held = {60.0: [("default", 4, concurrency)]}
    points = follow(Search(SweepTargets((60,), (), held), 4, 64), points_of(KIMI))
    assert points[0].concurrency == concurrency
