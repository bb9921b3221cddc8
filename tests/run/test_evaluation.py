"""A check without pytest, engines or files: what launches read, held against a baseline, and what can never pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.anchor import held_to_anchors
from pytest_precgate.analysis.accepted.baseline import (
    AnchorState,
    Baseline,
    Launch,
    Provenance,
    RecordedGate,
    targets_at,
)
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.matching import JudgingContext, match_baseline
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.search import Grid, Range, SweepTargets, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.gating.gates import Gate, Metric, Tolerance, gates_of
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.run.checked_gates import CheckedGates
from pytest_precgate.run.evaluation import AgainstBaseline, InPairs
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings.suite import Suite
from tests.builders.launches import OF_THROUGHPUT
from tests.published import WORKLOAD, kimi

B200 = HARDWARE["b200"]
SUITE = Suite("kimi", B200, WORKLOAD, (55.0,), {})
TEST = "test_kimi.py::test_fp4"
FACTS = Fingerprint({"engine": "stand-in"}, {})
FIRST_GOOD, MEDIAN, PAIRS = LaunchPolicy(), LaunchPolicy("median", 3), LaunchPolicy("pairs", 3)
RULES = ((1, FIRST_GOOD), (3, FIRST_GOOD), (3, MEDIAN))
TOLERANCES = dict.fromkeys(OF_THROUGHPUT, Tolerance())
unhurried = settings(deadline=None)

Points = Sequence[SweepPoint]
Worse = Callable[[SweepPoint], SweepPoint | None]


@dataclass
class Measured:
    """Launches that were made before: ``sweeps`` by suite and precision, in order; ``asked`` is who was asked for."""

    sweeps: Mapping[str, Mapping[str, Sequence[Sweep]]]
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def can_repeat(self, suite: Suite, precision: str) -> bool:
        return len(self.sweeps[suite.name][precision]) > 1

    def held(self, suite: Suite, precision: str) -> None:
        del suite, precision

    def of(self, suite: Suite, precision: str, attempt: int = 1) -> Launch:
        self.asked.append((suite.name, precision, attempt))
        return Launch(self.sweeps[suite.name][precision][attempt - 1], FACTS)


def sweep(precision: str, points: Points) -> Sweep:
    return Sweep(precision, WORKLOAD, "b200", points)


INT4 = sweep("int4", [SweepPoint(c, 8, 1000 / (c + 4), 20.0 * c**0.7) for c in (1, 2, 4, 8, 16, 64, 200)])


def judged(
    before: Sequence[Points],
    after: Sequence[Points],
    targets: Collection[float],
    policy: LaunchPolicy = FIRST_GOOD,
    oldest: Sequence[Points] | None = None,
) -> Sequence[JudgedGate]:
    """The gates of FP4 and of its ratio to an INT4 that never changes: launches ``after`` held against those before,
    and to those that were accepted ``oldest``."""
    gates = gates_of("fp4", "int4", [*targets], TOLERANCES)
    baseline = _baseline(gates, before)
    if oldest is not None:
        state = _baseline(gates, oldest)
        anchor = AnchorState(state.recorded, state.launches, [gate.key for gate in gates])
        baseline = replace(baseline, anchors=[anchor])
    sweeps = {"fp4": [sweep("fp4", points) for points in after], "int4": [INT4] * len(after)}
    checked = CheckedGates(cast("Launches", Measured({SUITE.name: sweeps})), SUITE, ("fp4", "int4"), gates)
    context = JudgingContext({"fp4": FACTS, "int4": FACTS}, B200, "derived")
    found = AgainstBaseline(checked, match_baseline(baseline, TEST, gates, context), policy).judge()
    return held_to_anchors(found, baseline, B200, "derived")


def beside(before: Sequence[Points], after: Sequence[Points], targets: Collection[float]) -> Sequence[JudgedGate]:
    """The gates of FP4 and of its ratio to an INT4 that never changes: pairs of a launch before and one ``after``."""
    return paired(before, after, targets)[0].judge()


def paired(
    before: Sequence[Points], after: Sequence[Points], targets: Collection[float]
) -> tuple[InPairs, Sequence[tuple[str, str, int]]]:
    """The same not judged yet, and the launches that are asked for by then."""
    gates = gates_of("fp4", "int4", [*targets], TOLERANCES)
    old = replace(SUITE, name="old")
    sides = {
        suite.name: {"fp4": [sweep("fp4", points) for points in launches], "int4": [INT4] * len(launches)}
        for suite, launches in ((SUITE, after), (old, before))
    }
    measured = Measured(sides)
    checked = CheckedGates(cast("Launches", measured), SUITE, ("fp4", "int4"), gates)
    return InPairs(checked, old, PAIRS), measured.asked


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
    """What fails before fails after, but for a gate of which some launch was too good to be true.

    Such a launch is a broken measurement: a median asks for one more in its place, and one that is less so counts
    again.
    """
    for one, other in zip(before, after, strict=True):
        if not one.verdict.passes and not _is_too_good(one):
            assert not other.verdict.passes, (one, other)


def _is_too_good(judged: JudgedGate) -> bool:
    if judged.verdict is Verdict.IMPLAUSIBLE:
        return True
    if judged.evidence is None or judged.baseline is None:
        return False
    gains = [judged.gate.gain(value, judged.baseline) for value in judged.evidence.values]
    return any(gain > judged.gate.implausible for gain in gains)


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


@dataclass(frozen=True)
class Worsened:
    """A point with shares of its speed and throughput, or gone."""

    factors: tuple[float, float] | None

    def __call__(self, point: SweepPoint) -> SweepPoint | None:
        return None if self.factors is None else scaled(point, *self.factors)


kept = st.just((1.0, 1.0))
less = st.floats(0.9, 1.0) | st.floats(0.01, 1.0)
worse_points = st.one_of(st.tuples(less, less), st.tuples(st.just(1.0), less), st.none())
any_worse = st.lists(st.one_of(kept, kept, kept, kept, worse_points).map(Worsened), min_size=1, max_size=12)


@st.composite
def one_worse(draw: st.DrawFn) -> list[Worse]:
    """One point of a few, the others as they are: what bridges a hole, and lifts the curve of a server that lost."""
    found: list[Worse] = [Worsened((1.0, 1.0))] * draw(st.integers(1, 10))
    found[draw(st.integers(0, len(found) - 1))] = Worsened(draw(worse_points))
    return found


worsenings = any_worse | one_worse()


def only(number: int, factors: tuple[float, float] | None, of: int = 5) -> list[Worse]:
    """One of so many points made worse, by its number."""
    return [Worsened(factors if each == number else (1.0, 1.0)) for each in range(of)]


ROWS = [
    SweepPoint(concurrency, 4, speed, throughput)
    for concurrency, speed, throughput in ((1, 120, 60), (4, 100, 190), (16, 75, 560), (64, 45, 1300), (128, 30, 1700))
]
COLLAPSED: tuple[list[Points], list[Points]] = (
    [ROWS],
    [[replace(each, throughput_per_gpu=900) if each.concurrency == 64 else each for each in ROWS]],
)
"""Concurrency 64 lost a third, and the gate at 60 fails; where it falls further, it leaves the frontier."""
quiet = st.floats(0.999, 1.001)
small = st.floats(0.98, 1.02)
changes = st.one_of(small, small, st.floats(0.7, 1.3))
losses = st.floats(1.02, 1.15)


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
    # The candidate changes anyhow, or loses a little throughout: what a bridge over one of its points makes up for.
    for is_new, (paces, each) in enumerate(
        ((quiet, quiet), draw(st.sampled_from([(changes, changes), (losses, quiet)])))
    ):
        side: list[Points] = []
        for _ in range(launches):
            pace = 1 / draw(paces)
            points = [scaled(point, pace * draw(quiet), pace * draw(each)) for point in first]
            side.append([point for point in points if not is_new or draw(st.integers(0, 40))])
        sides.append(side)
    extra = [SweepPoint(100 + number, 4, *place) for number, place in enumerate(draw(st.lists(places, max_size=2)))]
    return sides[0], [[*points, *extra] for points in sides[1]]


@settings(unhurried, max_examples=60)
@given(
    st.one_of(*(st.tuples(clouds(launches), st.just(policy)) for launches, policy in RULES)),
    worsenings,
    st.floats(0, 1),
)
@example((COLLAPSED, FIRST_GOOD), only(3, None), 1 / 3)
@example((COLLAPSED, FIRST_GOOD), only(3, (1.0, 1 / 3)), 1 / 3)
def test_no_recorded_cloud_passes_by_becoming_worse(
    measured: tuple[tuple[list[Points], list[Points]], LaunchPolicy], worse: Sequence[Worse], share: float
) -> None:
    """Any points anywhere, of one launch or three: lower, slower or gone, they turn no failing gate into a pass."""
    (before, after), policy = measured
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


Server = tuple[float, float, float, list[float]]
Measure = Callable[[int], SweepPoint]
servers = st.tuples(
    st.floats(2e-3, 2e-2),  # seconds of a step
    st.floats(1e-5, 1e-3),  # more of it per request
    st.floats(0, 1),  # of what a padded batch adds
    st.lists(changes, min_size=1, max_size=8) | losses.map(lambda loss: [loss]),  # how much longer, by turns
)


def served(server: Server, concurrency: int) -> SweepPoint:
    """A closed loop at a server whose step time jumps where a batch is padded to the next power of two."""
    constant, per_request, padded, longer = server
    batch = concurrency + padded * ((1 << (concurrency - 1).bit_length()) - concurrency)
    step = (constant + per_request * batch) * longer[concurrency % len(longer)]
    return SweepPoint(concurrency, 4, 1 / step, 2 * concurrency / step / 4)


def _even(server: Server) -> Server:
    return (*server[:3], [1.0])


def at_pace(server: Server, pace: float) -> Measure:
    """The server in a launch each of whose steps takes ``pace`` times as long."""
    return lambda concurrency: stretched([served(server, concurrency)], pace)[0]


SWEPT: Mapping[str, Grid | Range] = {
    "coarse grid": Grid([1, 4, 10]),
    "grid": Grid([2, 3, 8, 24, 64]),
    "doubling": Range(1, 128, "doubling"),
    "searched": Range(1, 128, "search"),
}
EVEN = (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)
THREE = st.tuples(*[quiet] * 3), st.tuples(*[quiet | small] * 3)


def first_baseline(
    swept: Grid | Range, even: Server, paces: Sequence[float], share: float
) -> tuple[list[Points], SweepTargets]:
    """Launches of an even server and what later ones aim at: a target that all of them can read."""
    target = reach([[served(even, concurrency) for concurrency in (1, 10, 128)]], share)
    first = follow(swept.schedule(SweepTargets((target,))), at_pace(even, paces[0]))
    if isinstance(swept, Grid) or swept.walk == "doubling":
        target = reach([first], share)
    gates = gates_of("fp4", "int4", [target], TOLERANCES)
    sweep_targets = targets_at([(target,)], _baseline(gates, [first]), "fp4")
    launches: list[Points] = [
        first,
        *(follow(swept.schedule(sweep_targets), at_pace(even, pace)) for pace in paces[1:]),
    ]
    assume(all(low <= target <= high for low, high in (Curve(sweep("fp4", each), B200).span for each in launches)))
    return launches, targets_at([(target,)], _baseline(gates, launches), "fp4")


def _slower(measure: Measure, worse: Sequence[Worse]) -> Measure:
    """The server with each concurrency as ``worse`` leaves it; what would be gone is slowed down to a hundredth."""

    def slower(concurrency: int) -> SweepPoint:
        point = worse[concurrency % len(worse)](measure(concurrency))
        return scaled(measure(concurrency), 0.01, 0.01) if point is None else point

    assume(max(slower(concurrency).interactivity for concurrency in range(1, 129)) == slower(1).interactivity)
    return slower


@pytest.mark.parametrize("kind", SWEPT)
@settings(unhurried, max_examples=30)
@given(
    servers,
    st.sampled_from(RULES),
    st.tuples(*THREE),
    worsenings,
    st.floats(0, 1),
    st.booleans(),
)
@example((0.004, 0.0004, 0.0, [1.03]), RULES[0], EVEN, only(0, (1.0, 0.1), 3), 0.25, False)
@example((0.015625, 0.0008501414341556269, 1.0, [1.03125]), RULES[0], EVEN, only(0, (1.0, 0.5), 3), 0.0, False)
@example((0.004, 0.0009, 0.0, [1.03]), RULES[0], EVEN, only(0, (1.0, 0.1), 8), 0.75, False)
@example(
    (0.009765625, 0.0008910447221822818, 0.0, [1.0, 1.0, 1.0, 1.0, 1.0, 1.125]),
    RULES[0],
    EVEN,
    only(2, None, 3),
    0.75,
    True,
)
def test_no_sweep_passes_by_becoming_worse(
    kind: str,
    server: Server,
    rule: tuple[int, LaunchPolicy],
    paces: tuple[tuple[float, ...], tuple[float, ...]],
    worse: Sequence[Worse],
    share: float,
    searches_again: bool,
) -> None:
    """Grids, doublings and searches, of servers with padded steps: nor where the search goes other ways by it."""
    swept, (launches, policy) = SWEPT[kind], rule
    candidate = [at_pace(server, pace) for pace in paces[1][:launches]]
    try:
        before, sweep_targets = first_baseline(swept, _even(server), paces[0][:launches], share)
        after: list[Points] = [follow(swept.schedule(sweep_targets), measure) for measure in candidate]
        first = judged(before, after, sweep_targets.targets, policy)
    except InvalidValueError:  # one point beats all others: no curve, and too good to be true
        assume(False)
    again = worsened(after, worse)
    if searches_again:
        again = [follow(swept.schedule(sweep_targets), _slower(measure, worse)) for measure in candidate]
    _refuse_helped_by(lambda: judged(before, again, sweep_targets.targets, policy), first)


def test_the_sides_of_a_pair_take_turns_to_be_first() -> None:
    """A machine that warms up from launch to launch slows neither side more than the other."""
    points = [replace(point, throughput_per_gpu=1.1 * point.throughput_per_gpu) for point in INT4.points]
    in_pairs, asked = paired([points] * 3, [points] * 3, [55.0])
    in_pairs.judge()
    first = list(dict.fromkeys(asked))
    for precision in ("fp4", "int4"):
        later = [(side, number) for side, name, number in first if name == precision and number > 1]
        assert later == [("kimi", 2), ("old", 2), ("old", 3), ("kimi", 3)]


@pytest.mark.parametrize("kind", SWEPT)
@settings(unhurried, max_examples=15)
@given(servers, st.tuples(*THREE), worsenings, st.floats(0, 1))
def test_no_pair_of_launches_passes_by_its_candidate_becoming_worse(
    kind: str,
    server: Server,
    paces: tuple[tuple[float, ...], tuple[float, ...]],
    worse: Sequence[Worse],
    share: float,
) -> None:
    """The old state is launched beside it each time, and its own points are what the candidate's are held to.

    Pairs take their noise from the launches they judge: a gate that is refused for noise alone may be judged when they
    agree better, also on less (docs/noise.md says so)."""
    swept = SWEPT[kind]
    try:
        before, sweep_targets = first_baseline(swept, _even(server), paces[0], share)
        after = [follow(swept.schedule(sweep_targets), at_pace(server, pace)) for pace in paces[1]]
        first = beside(before, after, sweep_targets.targets)
    except InvalidValueError:  # one point beats all others: no curve, and too good to be true
        assume(False)
    try:
        second = beside(before, worsened(after, worse), sweep_targets.targets)
    except InvalidValueError:  # too few points are left for a curve: the test fails by that
        return
    # Of the suite as a whole: its noise is that of the pairs of all its gates, those of INT4 among them.
    if any(not each.verdict.passes and not _is_too_good(each) and each.refusal is None for each in first):
        assert any(not each.verdict.passes for each in second), (first, second)


@pytest.mark.parametrize("kind", SWEPT)
@settings(unhurried, max_examples=10)
@given(servers, st.tuples(quiet, quiet, quiet), st.floats(0.05, 0.95))
def test_a_server_that_did_not_change_has_no_hole_and_passes(
    kind: str, server: Server, paces: tuple[float, float, float], share: float
) -> None:
    """Padded steps push neighbours off the frontier, and a search may go other ways: the same points are read."""
    swept, even = SWEPT[kind], _even(server)
    try:
        before, sweep_targets = first_baseline(swept, even, paces, share)
        alone, aim_alone = first_baseline(swept, even, [1.0], share)
    except InvalidValueError:  # one point beats all others
        assume(False)
    for pace in paces:  # a steep curve makes noise of a thousandth, which may be too much, but never a hole
        found = judged(before, [follow(swept.schedule(sweep_targets), at_pace(even, pace))] * 3, sweep_targets.targets)
        assert not [each for each in found if "not measured" in each.reason]
    found = judged(alone, [follow(swept.schedule(aim_alone), at_pace(even, 1.0))], aim_alone.targets)
    assert {each.verdict for each in found} == {Verdict.PASS}


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
def test_an_outlier_baseline_launch_determines_no_serving_points(strayed: int) -> None:
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


@pytest.mark.parametrize("error", [0.2, 1.0])
@pytest.mark.parametrize("early", ["before", "after"])
def test_a_pair_whose_points_ended_early_on_either_side_does_not_pass(early: str, error: float) -> None:
    """An old state that reads low by its own error hides a regression."""
    points = kimi("fp4").points
    short = [replace(point, short_error=error) for point in points]
    sides = [[short] * 3 if early == side else [points] * 3 for side in ("before", "after")]
    found = paired(sides[0], sides[1], [55.0])[0].judge()
    assert {each.verdict for each in found if "fp4" in each.gate.key.precisions} == {Verdict.INCONCLUSIVE}


STEADY = [stretched(kimi("fp4").points, pace) for pace in (1.0, 1.001, 0.999)]


@pytest.mark.parametrize("first", [1.02, 1.006, 1.0])
def test_a_launch_that_is_slower_than_the_anchor_allows_is_one_of_three(first: float) -> None:
    """Beyond its tolerance, only beyond its anchor, or good: the next one is good, so the gate passes in any case."""
    points = kimi("fp4").points
    oldest = [stretched(each, 0.985) for each in STEADY]
    after = [stretched(points, pace) for pace in (first, 0.995, 0.995)]
    found = judged(STEADY, after, [55], oldest=oldest)
    assert {each.verdict for each in found} == {Verdict.PASS}
    every = judged(STEADY, [stretched(points, 1.006)] * 3, [55], oldest=oldest)
    assert Verdict.DRIFTED in {each.verdict for each in every}


@pytest.mark.parametrize("first", [1.03, 1.0])
def test_a_launch_whose_points_ended_early_is_one_of_three(first: float) -> None:
    """Slow or not, it passes no gate and takes another launch; where all ended early the gate is INCONCLUSIVE."""
    points = kimi("fp4").points
    early = [replace(point, short_error=0.2) for point in stretched(points, first)]
    assert {each.verdict for each in judged(STEADY, [early, points, points], [55])} == {Verdict.PASS}
    if first == 1.0:
        found = judged(STEADY, [early] * 3, [55])
        assert {each.verdict for each in found if "fp4" in each.gate.key.precisions} == {Verdict.INCONCLUSIVE}
        assert "ended before they reached point_error" in found[0].reason


@settings(unhurried, max_examples=40)
@given(
    st.lists(st.floats(0.99, 1.03), min_size=3, max_size=3),
    st.lists(st.none() | st.floats(0.001, 0.3), min_size=3, max_size=3),
    st.lists(st.floats(1.0, 1.03), min_size=3, max_size=3),
    st.lists(st.floats(1.0, 3.0), min_size=3, max_size=3),
    st.sampled_from([FIRST_GOOD, MEDIAN]),
    st.floats(0.97, 1.0),
)
@example([1.006, 0.995, 0.995], [None] * 3, [1.02, 1.0, 1.0], [1.0] * 3, FIRST_GOOD, 0.985)
@example([1.0, 1.0, 1.0], [0.2, None, None], [1.03, 1.0, 1.0], [1.0] * 3, FIRST_GOOD, 1.0)
def test_no_gate_passes_by_launches_that_are_slower_or_end_earlier(
    paces: Sequence[float],
    errors: Sequence[float | None],
    slower: Sequence[float],
    earlier: Sequence[float],
    policy: LaunchPolicy,
    sunk: float,
) -> None:
    """Of a baseline that sank below its anchor, or did not."""
    points, oldest = kimi("fp4").points, [stretched(each, sunk) for each in STEADY]

    def measured(factors: Sequence[float], longer: Sequence[float]) -> list[Points]:
        return [
            [
                replace(point, short_error=None if error is None else min(error * more, 1.0))
                for point in stretched(points, pace * factor)
            ]
            for pace, factor, error, more in zip(paces, factors, errors, longer, strict=True)
        ]

    before = judged(STEADY, measured([1.0] * 3, [1.0] * 3), [55], policy, oldest)
    refuse_helped(before, judged(STEADY, measured(slower, earlier), [55], policy, oldest))


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
