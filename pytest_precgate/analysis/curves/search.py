"""Chooses the next concurrency to measure, or ends the search: a pure function of the points measured so far.

Input: targets, bounds and measured points. Output: the next concurrency, or none. Interactivity falls as concurrency
rises, so the two neighbouring concurrencies around a target are found by a bracketing root search. Then gaps of the
frontier around a target are closed: behind a padded batch size the slower neighbour may deliver less than the faster
one. Invariant: no concurrency is measured twice and every step narrows a bracket of integers, so the search ends for
any sequence of measurements, also noisy ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pytest_precgate.analysis.curves.frontier import frontier
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError

# The slope of log interactivity over log concurrency: assumed before two points are known, and the range used to
# continue a curve beyond its points. 0 is a step limited by weights, -1 one limited by the batch.
_ASSUMED_SLOPE = -0.5
_STEEPEST_SLOPE, _FLATTEST_SLOPE = -1.0, -0.25
# Interpolation beats bisection on a smooth curve; after this many points per target the curve is not smooth.
_GUESSES_PER_TARGET = 4
# An estimate beyond the points may be far off, and a concurrency far too high is the most expensive point.
_WIDEST_STEP = 4
_FURTHER = 1.2
_FURTHER_AGAIN = 1.1
# A curve spans a frontier gap of at most this ratio of interactivities while there are concurrencies in between; after
# this many points in the gap that are not on the frontier, the gap is taken for a step of the server.
_WIDEST_GAP = 1.25
_POINTS_PER_GAP = 4

Walk = Literal["search", "doubling"]


@dataclass(frozen=True)
class SweepTargets:
    """The ``targets`` of a sweep: the interactivities that will be read from its curve, tok/s/user.

    The points of an ``earlier`` sweep (a baseline's) are the starting position. ``held`` are, by target, its serving
    points (configuration, GPUs, concurrency): each is compared pointwise, so they are measured before anything is
    searched. Without targets the interactivities are not known yet."""

    targets: Collection[float] = ()
    earlier: Sequence[SweepPoint] = ()
    held: Mapping[float, Collection[tuple[str, int, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        targets = {positive("SweepTargets", "targets", target, "tok/s/user") for target in self.targets}
        object.__setattr__(self, "targets", tuple(sorted(targets, reverse=True)))
        object.__setattr__(self, "earlier", tuple(self.earlier))

    def of(self, configuration: str, gpus: int) -> SweepTargets:
        """Return the targets of one configuration, which uses only its own points."""
        own = (configuration, gpus)
        return replace(
            self,
            earlier=[point for point in self.earlier if (point.configuration, point.gpus) == own],
            held={target: [key for key in keys if key[:2] == own] for target, keys in self.held.items()},
        )


NO_TARGETS = SweepTargets()


def follow(
    schedule: Grid | Search, measure: Callable[[int], SweepPoint], known: Sequence[SweepPoint] = ()
) -> list[SweepPoint]:
    """Measure what ``schedule`` asks for after ``known``, one point after the other; return all points in that
    order."""
    points = [*known]
    while (concurrency := schedule.next(points)) is not None:
        points.append(measure(concurrency))
    return points


@dataclass(frozen=True)
class Grid:
    """Fixed concurrencies, lowest first. Raises InvalidValueError for none, or for a repeated one."""

    levels: Sequence[int]

    def __post_init__(self) -> None:
        levels = [count("Grid", "levels", level, "requests") for level in self.levels]
        if not levels or len(set(levels)) != len(levels):
            raise InvalidValueError(
                f"Grid.levels: got {levels}, wanted different concurrencies, at least two for a curve"
            )
        object.__setattr__(self, "levels", tuple(sorted(levels)))

    @property
    def lowest(self) -> int:
        """The lowest level."""
        return self.levels[0]

    def __str__(self) -> str:
        """The name in reports."""
        return ", ".join(str(level) for level in self.levels)

    def schedule(self, sweep_targets: SweepTargets) -> Grid | Search:
        """Return the grid itself, for any targets."""
        del sweep_targets
        return self

    def next(self, points: Sequence[SweepPoint]) -> int | None:
        """Return the lowest level that was not measured."""
        measured = {point.concurrency for point in points}
        return next((level for level in self.levels if level not in measured), None)

    def missed(self, points: Sequence[SweepPoint]) -> Sequence[float]:
        """Return nothing: a grid does not search for targets."""
        del points
        return ()


@dataclass(frozen=True)
class Range:
    """Concurrencies from ``lowest`` to ``highest``: a search for the targets, or doublings as published.

    Raises InvalidValueError for an empty range."""

    lowest: int
    highest: int
    walk: Walk = "search"

    def __post_init__(self) -> None:
        count("Range", "lowest", self.lowest, "requests")
        if not self.lowest <= self.highest:
            raise InvalidValueError(f"Range: got concurrencies from {self.lowest} to {self.highest}, which are none")

    def __str__(self) -> str:
        """The name in reports."""
        return f"{'searched' if self.walk == 'search' else 'doubled'} from {self.lowest} to {self.highest}"

    def schedule(self, sweep_targets: SweepTargets) -> Grid | Search:
        """Return the search, or the grid of doublings when that is asked for or there are no targets."""
        if self.walk == "search" and sweep_targets.targets:
            return Search(sweep_targets, self.lowest, self.highest)
        return Grid([self.lowest << power for power in range((self.highest // self.lowest).bit_length())])


@dataclass(frozen=True)
class Search:
    """Finds for each target of ``sweep_targets`` the neighbouring concurrencies in [lowest, highest] whose
    interactivities bracket it.

    The search for a target ends when even ``lowest`` is too slow for it, or even ``highest`` too fast: the curve will
    not contain it."""

    sweep_targets: SweepTargets
    lowest: int
    highest: int

    def next(self, points: Sequence[SweepPoint]) -> int | None:
        """Return the concurrency to measure after ``points``.

        None when the serving points are measured, and every target is bracketed on the frontier or out of reach."""
        speed = {point.concurrency: point.interactivity for point in points}
        held = {concurrency for keys in self.sweep_targets.held.values() for _, _, concurrency in keys}
        for concurrency in sorted(held - {*speed}):
            if self.lowest <= concurrency <= self.highest:
                return concurrency
        for target in self.missed(points):
            return self._inside(speed, target, *_bracket(speed, target))
        if len(speed) == 1 and self.lowest < self.highest:  # no target is in reach, and a curve needs two points
            (only,) = speed
            return only + 1 if only < self.highest else only - 1
        further = self._beyond(points)
        return self._across(points) if further is None else further

    def missed(self, points: Sequence[SweepPoint]) -> Sequence[float]:
        """Return the targets that are neither bracketed by neighbours nor out of reach.

        When an earlier sweep's points are compared pointwise, a frontier without a gap at the target is enough."""
        speed = {point.concurrency: point.interactivity for point in points}
        return tuple(
            target
            for target in self.sweep_targets.targets
            if not self._is_closed(*_bracket(speed, target)) and not self._is_held(points, target)
        )

    def _is_closed(self, above: int | None, below: int | None) -> bool:
        if above is None or below is None:
            return above == self.highest or below == self.lowest
        return below - above == 1

    def _inside(self, speed: Mapping[int, float], target: float, above: int | None, below: int | None) -> int:
        """Return a concurrency strictly inside the bracket: the estimated position of the target, or halfway."""
        first = self.lowest if above is None else above + 1
        last = self.highest if below is None else below - 1
        if above is not None and below is None:
            last = min(last, _WIDEST_STEP * above)
        if len(speed) < _GUESSES_PER_TARGET * len(self.sweep_targets.targets):
            wanted = math.floor(self._guess(speed, target, above, below))
        else:
            wanted = 2 * first if below is None else (first + last) // 2
        return min(max(wanted, first), last)

    def _guess(self, speed: Mapping[int, float], target: float, above: int | None, below: int | None) -> float:
        earlier = {point.concurrency: point.interactivity for point in self.sweep_targets.earlier}
        if above is not None and below is not None:
            return _crossing({above: speed[above], below: speed[below]}, target)
        if earlier and speed:
            # The earlier curve, scaled by the ratio of the nearest new point to the earlier one.
            nearest = min(speed, key=lambda concurrency: abs(math.log(speed[concurrency] / target)))
            return _crossing(earlier, target * _at(earlier, nearest) / speed[nearest])
        if earlier or speed:
            return _crossing(earlier or speed, target)
        return math.sqrt(self.lowest * self.highest)

    def _beyond(self, points: Sequence[SweepPoint]) -> int | None:
        """Return one further point when the curve would end before a target that was bracketed.

        When throughput hardly rises, noise may push the slower end of a bracket off the frontier. So does a step of the
        server, behind which throughput rises again: then further points follow. When throughput falls, they are off the
        frontier too, and the curve ends there."""
        speed = {point.concurrency: point.interactivity for point in points}
        bracketed = [target for target in self.sweep_targets.targets if target > min(speed.values())]
        if not bracketed or frontier(points)[0].interactivity <= min(bracketed):
            return None
        _, below = _bracket(speed, min(bracketed))
        assert below is not None
        beyond = sorted((point.concurrency, point.throughput_per_gpu) for point in points if point.concurrency >= below)
        (concurrency, throughput), most = beyond[-1], max(point.throughput_per_gpu for point in points)
        first = math.ceil(_FURTHER * below)
        if concurrency >= first and (throughput <= beyond[-2][1] or len(beyond) > _POINTS_PER_GAP):
            return None
        least = first if concurrency < first else math.ceil(_FURTHER_AGAIN * concurrency)
        further = min(self.highest, max(least, _past_step(concurrency, throughput, most)), _WIDEST_STEP * concurrency)
        return further if further > concurrency else None

    def _is_held(self, points: Sequence[SweepPoint], target: float) -> bool:
        """Whether serving points exist for ``target``, and the frontier has no gap around it."""
        if not self.sweep_targets.held.get(target):
            return False
        fast, slow = _around(frontier(points), target)
        return fast is not None and slow is not None and self._is_gap_closed(fast, slow, target)

    def _is_gap_closed(self, fast: SweepPoint, slow: SweepPoint, target: float) -> bool:
        """Whether two neighbours of the frontier are close, or are those of the earlier sweep, which were not
        closer."""
        held = {concurrency for _, _, concurrency in self.sweep_targets.held.get(target, ())}
        return fast.interactivity <= _WIDEST_GAP * slow.interactivity or {fast.concurrency, slow.concurrency} <= held

    def _across(self, points: Sequence[SweepPoint]) -> int | None:
        """Return a concurrency inside a gap of the frontier around a target, None when there is no gap."""
        on_frontier = frontier(points)
        for target in self.sweep_targets.targets:
            fast, slow = _around(on_frontier, target)
            if fast is not None and slow is not None and not self._is_gap_closed(fast, slow, target):
                found = _inside_gap(points, fast, slow)
                if found is not None:
                    return found
        return None


def _around(on_frontier: Sequence[SweepPoint], target: float) -> tuple[SweepPoint | None, SweepPoint | None]:
    """Return the neighbours of ``target`` on a frontier, the faster one first; None when there is none."""
    faster = next((point for point in on_frontier if point.interactivity >= target), None)
    slower = next((point for point in reversed(on_frontier) if point.interactivity < target), None)
    return faster, slower


def _inside_gap(points: Sequence[SweepPoint], fast: SweepPoint, slow: SweepPoint) -> int | None:
    """Return the concurrency between two neighbours of the frontier that may be its next point, None for no other.

    Points in between that deliver no more than the fast one lie behind a step of the server. Throughput is higher again
    where the number of requests has grown as much as each request slowed down; when that is not enough, halfway to the
    slow one."""
    inside = sorted(
        (point for point in points if fast.concurrency < point.concurrency < slow.concurrency),
        key=lambda point: point.concurrency,
    )
    short = [point for point in inside if point.throughput_per_gpu <= fast.throughput_per_gpu]
    first = short[-1].concurrency if short else fast.concurrency
    last = min((point.concurrency for point in inside if point.concurrency > first), default=slow.concurrency)
    if last - first < 2 or len(inside) >= _POINTS_PER_GAP:
        return None
    halfway = (first + last) // 2
    if not short:
        return halfway
    wanted = _past_step(first, short[-1].throughput_per_gpu, fast.throughput_per_gpu)
    return wanted if wanted < last else halfway


def _past_step(concurrency: int, throughput: float, wanted: float) -> int:
    """Return the concurrency that delivers more than ``wanted`` if each request keeps its present speed."""
    return math.floor(concurrency * wanted / throughput) + 1


def _bracket(speed: Mapping[int, float], target: float) -> tuple[int | None, int | None]:
    """Return the lowest concurrency slower than ``target`` and the one measured before it, which is not slower."""
    below = min((concurrency for concurrency, measured in speed.items() if measured < target), default=None)
    above = max((concurrency for concurrency in speed if below is None or concurrency < below), default=None)
    return above, below


def _crossing(speed: Mapping[int, float], target: float) -> float:
    """Return where interactivity crosses ``target``, in requests, by power laws between and beyond the points."""
    above, below = _bracket(speed, target)
    if above is not None and below is not None:
        slope = math.log(speed[below] / speed[above]) / math.log(below / above)
        return float(above * (target / speed[above]) ** (1 / slope))
    end = max(speed) if below is None else min(speed)
    return float(end * (target / speed[end]) ** (1 / _slope_beyond(speed)))


def _slope_beyond(speed: Mapping[int, float]) -> float:
    first, last = min(speed), max(speed)
    if first == last:
        return _ASSUMED_SLOPE
    slope = math.log(speed[last] / speed[first]) / math.log(last / first)
    return min(max(slope, _STEEPEST_SLOPE), _FLATTEST_SLOPE)


def _at(speed: Mapping[int, float], concurrency: int) -> float:
    """Return the interactivity at ``concurrency``, by power laws between and beyond the points."""
    before = max((level for level in speed if level <= concurrency), default=None)
    after = min((level for level in speed if level >= concurrency), default=None)
    if before is None or after is None:
        end = min(speed) if before is None else max(speed)
        return speed[end] * float((concurrency / end) ** _slope_beyond(speed))
    if before == after:
        return speed[before]
    slope = math.log(speed[after] / speed[before]) / math.log(after / before)
    return speed[before] * float((concurrency / before) ** slope)
