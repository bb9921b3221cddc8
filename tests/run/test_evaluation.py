"""A check without pytest, engines or files: what launches read, held against a baseline, and what can never pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate, targets_at
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.matching import JudgingContext, match_baseline
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.search import Grid, Range, SweepTargets, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, Metric, gates_of
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.run.evaluation import GateEvaluation
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings.suite import Suite
from tests.published import WORKLOAD, kimi

B200 = HARDWARE["b200"]
SUITE = Suite("kimi", B200, WORKLOAD, (55.0,), {})
TEST = "test_kimi.py::test_fp4"
FACTS = Fingerprint({"engine": "stand-in"}, {})
FIRST_GOOD, MEDIAN = LaunchPolicy(), LaunchPolicy("median", 3)
unhurried = settings(deadline=None)

Points = Sequence[SweepPoint]
Worse = Callable[[SweepPoint], SweepPoint | None]


@dataclass
class Measured:
    """Launches that were made before: ``sweeps`` by precision, in order."""

    sweeps: Mapping[str, Sequence[Sweep]]

    def can_repeat(self, suite: Suite, precision: str) -> bool:
        del suite
        return len(self.sweeps[precision]) > 1

    def held(self, suite: Suite, precision: str) -> None:
        del suite, precision

    def of(self, suite: Suite, precision: str, attempt: int = 1) -> Launch:
        del suite
        return Launch(self.sweeps[precision][attempt - 1], FACTS)


def sweep(precision: str, points: Points) -> Sweep:
    return Sweep(precision, WORKLOAD, "b200", points)


INT4 = sweep("int4", [SweepPoint(c, 8, 1000 / (c + 4), 20.0 * c**0.7) for c in (1, 2, 4, 8, 16, 64, 200)])


def judged(
    before: Sequence[Points], after: Sequence[Points], targets: Sequence[float], policy: LaunchPolicy = FIRST_GOOD
) -> Sequence[JudgedGate]:
    """The gates of FP4 and of its ratio to an INT4 that never changes: launches ``after`` held against those before."""
    gates = gates_of("fp4", "int4", targets, {Metric.THROUGHPUT_RATIO: 0.03, Metric.THROUGHPUT_PER_GPU: 0.05})
    baseline = _baseline(gates, before)
    sweeps = {"fp4": [sweep("fp4", points) for points in after], "int4": [INT4] * len(after)}
    trial = GateEvaluation(cast("Launches", Measured(sweeps)), SUITE, ("fp4", "int4"), gates)
    return trial.against(
        match_baseline(baseline, TEST, gates, JudgingContext({"fp4": FACTS, "int4": FACTS}, B200, "derived")), policy
    )


def _baseline(gates: Sequence[Gate], launches: Sequence[Points]) -> Baseline:
    sweeps = [*(sweep("fp4", points) for points in launches), *[INT4] * len(launches)]
    recorded = [RecordedGate(TEST, gate.key) for gate in gates]
    return Baseline("kimi", [Launch(each, FACTS) for each in sweeps], recorded, Provenance("c", "u", "t", ""), B200)


def reach(launches: Sequence[Points], share: float) -> float:
    """A target inside the curve of every launch, and of INT4's."""
    spans = [Curve(sweep("fp4", points), B200).span for points in launches] + [Curve(INT4, B200).span]
    low, high = max(span[0] for span in spans), min(span[1] for span in spans)
    assume(low < high)
    return low + share * (high - low)


def refuse_helped(before: Sequence[JudgedGate], after: Sequence[JudgedGate]) -> None:
    """What fails before, and is not too good to be true, fails after."""
    for one, other in zip(before, after, strict=True):
        if not one.verdict.passes and one.verdict is not Verdict.IMPLAUSIBLE:
            assert not other.verdict.passes, (one, other)


def worsened(launches: Sequence[Points], worse: Sequence[Worse]) -> list[Points]:
    """Every launch with each of its points as ``worse`` leaves it, by turns."""
    turns, found = 0, list[Points]()
    for points in launches:
        left = []
        for point in points:
            new = worse[turns % len(worse)](point)
            turns += 1
            left += [] if new is None else [new]
        found.append(left)
    return found


def scaled(point: SweepPoint, speed: float, throughput: float) -> SweepPoint:
    return replace(
        point,
        interactivity=point.interactivity * speed,
        throughput_per_gpu=point.throughput_per_gpu * throughput,
    )


def _worse(factors: tuple[float, float] | None) -> Worse:
    return lambda point: None if factors is None else scaled(point, *factors)


kept = st.just((1.0, 1.0))
less = st.floats(0.9, 1.0) | st.floats(0.01, 1.0)
worsenings = st.lists(
    st.one_of(kept, kept, kept, kept, st.tuples(less, less), st.tuples(st.just(1.0), less), st.none()).map(_worse),
    min_size=1,
    max_size=12,
)
quiet = st.floats(0.999, 1.001)
small = st.floats(0.98, 1.02)
changes = st.one_of(small, small, st.floats(0.7, 1.3))


@st.composite
def clouds(draw: st.DrawFn, launches: int) -> tuple[list[Points], list[Points]]:
    """Launches of a baseline and of a candidate: points anywhere, most of them at the same concurrencies."""
    places = st.tuples(st.floats(4.5, 210), st.floats(10, 3000))
    anywhere = st.lists(places, min_size=3, max_size=8)
    on_frontier = st.lists(st.floats(4.5, 210), min_size=3, max_size=8, unique=True).map(
        lambda speeds: [(speed, 3e4 * speed**-1.2) for speed in speeds]
    )
    first = [
        SweepPoint(number, 4, *place, configuration=draw(st.sampled_from(["tp4", "tp8"])))
        for number, place in enumerate(draw(anywhere | on_frontier), 1)
    ]
    sides = []
    for size in (quiet, changes):
        side: list[Points] = []
        for _ in range(launches):
            pace = draw(size)
            points = [scaled(point, pace * draw(quiet), pace * draw(size)) for point in first]
            side.append([point for point in points if size is quiet or draw(st.integers(0, 40))])
        sides.append(side)
    extra = [SweepPoint(100 + number, 4, *place) for number, place in enumerate(draw(st.lists(places, max_size=2)))]
    return sides[0], [[*points, *extra] for points in sides[1]]


@unhurried
@given(st.data(), st.sampled_from([(1, FIRST_GOOD), (3, FIRST_GOOD), (3, MEDIAN)]), worsenings, st.floats(0, 1))
def test_no_recorded_cloud_passes_by_becoming_worse(
    data: st.DataObject, rule: tuple[int, LaunchPolicy], worse: Sequence[Worse], share: float
) -> None:
    """Any points anywhere, of one launch or three: lower, slower or gone, they turn no failing gate into a pass."""
    launches, policy = rule
    before, after = data.draw(clouds(launches))
    try:
        target = reach(before, share)
        first = judged(before, after, [target], policy)
    except InvalidValueError:  # one point beats all others: no curve, and too good to be true
        assume(False)
    _refuse_helped_by(lambda: judged(before, worsened(after, worse), [target], policy), first)


def _refuse_helped_by(again: Callable[[], Sequence[JudgedGate]], before: Sequence[JudgedGate]) -> None:
    try:
        after = again()
    except InvalidValueError:  # too few points are left for a curve: the test fails by that
        return
    refuse_helped(before, after)


servers = st.tuples(
    st.floats(2e-3, 2e-2),  # seconds of a step
    st.floats(1e-5, 1e-3),  # more of it per request
    st.floats(0, 1),  # of what a padded batch adds
    st.lists(changes, min_size=1, max_size=8),  # how much longer, by turns of concurrency
)


def served(server: tuple[float, float, float, list[float]], concurrency: int) -> SweepPoint:
    """A closed loop at a server whose step time jumps where a batch is padded to the next power of two."""
    constant, per_request, padded, longer = server
    batch = concurrency + padded * ((1 << (concurrency - 1).bit_length()) - concurrency)
    step = (constant + per_request * batch) * longer[concurrency % len(longer)]
    return SweepPoint(concurrency, 4, 1 / step, 2 * concurrency / step / 4)


def _even(server: tuple[float, float, float, list[float]]) -> tuple[float, float, float, list[float]]:
    return (*server[:3], [1.0])


SWEPT = [Grid([1, 4, 10]), Grid([2, 3, 8, 24, 64]), Range(1, 128, "doubling"), Range(1, 128, "search")]


@unhurried
@given(servers, st.sampled_from(SWEPT), worsenings, st.floats(0, 1), st.booleans())
def test_no_sweep_passes_by_becoming_worse(
    server: tuple[float, float, float, list[float]],
    swept: Grid | Range,
    worse: Sequence[Worse],
    share: float,
    searches_again: bool,
) -> None:
    """Grids, doublings and searches, of servers with padded steps: nor where the search goes other ways by it."""
    even = _even(server)
    ends = [served(even, 1), served(even, 10), served(even, 128)]
    target = reach([ends], share)
    before = follow(swept.schedule(SweepTargets((target,))), lambda concurrency: served(even, concurrency))
    try:
        target = reach([before], share) if isinstance(swept, Grid) or swept.walk == "doubling" else target
        gates = gates_of("fp4", "int4", [target], {Metric.THROUGHPUT_PER_GPU: 0.05, Metric.THROUGHPUT_RATIO: 0.03})
        sweep_targets = targets_at([(target,)], _baseline(gates, [before]), "fp4")
        after = follow(swept.schedule(sweep_targets), lambda concurrency: served(server, concurrency))
        first = judged([before], [after], [target])
    except InvalidValueError:  # one point beats all others: no curve, and too good to be true
        assume(False)

    def again() -> Sequence[JudgedGate]:
        if not searches_again:
            return judged([before], worsened([after], worse), [target])

        def slower(concurrency: int) -> SweepPoint:
            point = worse[concurrency % len(worse)](served(server, concurrency))
            return scaled(served(server, concurrency), 0.01, 0.01) if point is None else point

        assume(max(slower(concurrency).interactivity for concurrency in range(1, 129)) == slower(1).interactivity)
        return judged([before], [follow(swept.schedule(sweep_targets), slower)], [target])

    _refuse_helped_by(again, first)


def stretched(points: Points, pace: float) -> Points:
    """The same points of a server each of whose steps takes ``pace`` times as long."""
    return [scaled(point, 1 / pace, 1 / pace) for point in points]


@unhurried
@given(st.floats(0.8, 1.2), st.floats(0.05, 0.95))
def test_a_server_that_is_slower_throughout_reads_what_its_curve_reads(pace: float, share: float) -> None:
    """Held point by point, the value agrees with the curve through the new points."""
    before = kimi("fp4").points
    target = reach([before, stretched(before, pace)], share)
    throughput = next(
        each
        for each in judged([before], [stretched(before, pace)], [target])
        if each.gate.key.metric is Metric.THROUGHPUT_PER_GPU and each.gate.key.precisions == ("fp4",)
    )
    assert throughput.value == pytest.approx(Curve(sweep("fp4", stretched(before, pace)), B200).throughput(target))


@pytest.mark.parametrize("strayed", [0, 1, 2])
def test_a_baseline_launch_that_strayed_serves_nobody(strayed: int) -> None:
    """The median of three launches says which points serve a target, so an unchanged launch passes."""
    points = kimi("fp4").points
    before = [stretched(points, 1.15 if launch == strayed else 1 + 0.001 * launch) for launch in range(3)]
    assert {each.verdict for each in judged(before, [points] * 3, [55, 73, 91])} == {Verdict.PASS}


def test_a_hole_in_one_launch_costs_another_one() -> None:
    """Decided over the launches like anything else: one launch of three may have a point that collapsed."""
    points = kimi("fp4").points
    hole = [scaled(p, 1, 0.1) if p.concurrency == 64 and p.configuration == "vllm-tp4-ep1" else p for p in points]
    before = [stretched(points, pace) for pace in (1.0, 1.002, 0.998)]
    assert {each.verdict for each in judged(before, [hole, points, hole], [55])} == {Verdict.PASS}
    found = judged(before, [hole] * 3, [55])
    assert {each.verdict for each in found if "fp4" in each.gate.key.precisions} == {Verdict.REGRESSED}
    assert all("fp4 vllm-tp4-ep1 concurrency 64 is 90% below its baseline" in each.reason for each in found[:2])
    assert {
        each.verdict for each in judged(before, [hole, points, hole], [55], MEDIAN) if "fp4" in each.gate.key.precisions
    } == {Verdict.REGRESSED}


def test_points_that_nearly_tie_may_change_places() -> None:
    """On the frontier in the baseline, dominated by a hair now: a point counts by its own reading, and that is fine."""
    rows = ((1, 120, 60), (4, 100, 190), (16, 75, 560), (64, 45, 1300), (72, 44.9, 1303), (128, 30, 1700))
    before = [SweepPoint(c, 4, speed, throughput) for c, speed, throughput in rows]
    after = [scaled(point, 1.004, 1.0) if point.concurrency == 72 else point for point in before]
    kept = {point.concurrency for point in Curve(sweep("fp4", after), B200).frontier}
    assert {point.concurrency for point in after} - kept == {64}
    assert {each.verdict for each in judged([before], [after], [44.95, 60])} == {Verdict.PASS}
    lower = [scaled(point, 1.0, 0.5) if point.concurrency == 64 else point for point in after]
    found = judged([before], [lower], [60])
    assert {each.verdict for each in found if "fp4" in each.gate.key.precisions} == {Verdict.REGRESSED}
