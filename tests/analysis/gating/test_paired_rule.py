"""Baseline side and candidate launched in turn: the middle pair decides, and what both sides suffer cancels."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.launch_rule import GateRuling
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate

unhurried = settings(deadline=None)
FIVE = LaunchPolicy("pairs", 5)
UNREADABLE = Absent(Verdict.INCONCLUSIVE, "off the curve")
Pair = tuple[float | Absent, float | Absent]


def ruled(pairs: Sequence[Pair], policy: LaunchPolicy = FIVE, metric: Metric = Metric.THROUGHPUT_PER_GPU) -> GateRuling:
    return PairedRule([(gate(metric=metric), 1.0)], policy).judge([[pair] for pair in pairs]).gates[0]


def scattered(seed: int, change: float = 1.0, drift: float = 1.0, sigma: float = 0.003) -> list[Pair]:
    """Five pairs; ``drift`` multiplies both sides of each further pair."""
    draw = random.Random(seed)
    return [
        tuple(1000 * drift**i * math.exp(draw.gauss(0, sigma)) * side for side in (1.0, change))  # type: ignore[misc]
        for i in range(5)
    ]


def verdict(ruling: GateRuling) -> Verdict | None:
    return None if ruling.judged is None else ruling.judged.verdict


@pytest.mark.parametrize(
    ("change", "expected"),
    [(1.0, Verdict.PASS), (0.9, Verdict.REGRESSED), (1.1, Verdict.IMPROVED), (1.4, Verdict.IMPLAUSIBLE)],
)
@pytest.mark.parametrize("metric", [Metric.THROUGHPUT_PER_GPU, Metric.COST])
def test_the_middle_pair_decides(change: float, expected: Verdict, metric: Metric) -> None:
    """Five pairs; a cost is judged by its rise. The value and the baseline shown are those of one pair."""
    turned = change if metric.higher_is_better else 2 - change
    pairs = scattered(1, turned)
    ruling = ruled(pairs, metric=metric)
    assert (verdict(ruling), ruling.launches) == (expected, 5)
    assert ruling.judged is not None
    assert (ruling.judged.baseline, ruling.judged.value) in pairs


def test_every_pair_is_needed() -> None:
    """Sigma comes from the pairs themselves, so four of five decide nothing."""
    pairs = scattered(2)
    assert [verdict(ruled(pairs[:n])) for n in range(6)] == [None] * 5 + [Verdict.PASS]


def test_one_outlier_launch_on_either_side_decides_nothing() -> None:
    """10% low once, in the baseline side or the candidate."""
    for side in (0, 1):
        pairs = scattered(3)
        stray = list(pairs[2])
        stray[side] = 900.0
        pairs[2] = (stray[0], stray[1])
        assert verdict(ruled(pairs)) is Verdict.PASS


def test_what_both_sides_suffer_cancels() -> None:
    """A machine that got 10% slower since yesterday is no regression, and a candidate 10% slower on it is one."""
    suffered = [(0.9 * base, 0.9 * value) for base, value in scattered(4)]  # type: ignore[operator]
    assert verdict(ruled(suffered)) is Verdict.PASS
    slower = [(0.9 * base, 0.9 * value) for base, value in scattered(4, change=0.9)]  # type: ignore[operator]
    assert verdict(ruled(slower)) is Verdict.REGRESSED


def test_what_both_sides_of_a_pair_suffer_is_no_noise_of_the_pair() -> None:
    """A pace that wanders by 5% from pair to pair, and 0.3% of each side's own: a change of 4% is seen, none passes."""
    draw = random.Random(8)
    shared = [math.exp(draw.gauss(0, 0.05)) for _ in range(5)]

    def wandering(change: float) -> list[Pair]:
        return [
            (1000 * pace * math.exp(draw.gauss(0, 0.003)), 1000 * pace * change * math.exp(draw.gauss(0, 0.003)))
            for pace in shared
        ]

    same, slower = ruled(wandering(1.0)), ruled(wandering(0.93))
    assert (verdict(same), verdict(slower)) == (Verdict.PASS, Verdict.REGRESSED)
    assert same.evidence.sigma is not None
    assert same.evidence.sigma < 0.01


def test_pairs_that_scatter_too_much_are_inconclusive_and_say_how_many_it_takes() -> None:
    """Sigma 6% on either side: the smallest drop they catch is beyond what must be detected."""
    judged = ruled(scattered(5, sigma=0.06)).judged
    assert judged is not None
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert " pairs" in judged.reason


@unhurried
@given(st.integers(0, 99), st.integers(0, 4), st.integers(0, 1), st.integers(1, 5))
def test_a_value_that_is_missing_never_passes(seed: int, at: int, side: int, taken: int) -> None:
    """On either side, in any pair, it decides as soon as it is there."""
    pairs = scattered(seed)
    broken = list(pairs[at])
    broken[side] = UNREADABLE
    pairs[at] = (broken[0], broken[1])
    ruling = ruled(pairs[:taken])
    assert verdict(ruling) is (Verdict.INCONCLUSIVE if at < taken else None)


def test_other_gates_are_judged_beside_one_that_is_missing() -> None:
    """The suite's order is kept."""
    pairs = scattered(6)
    rule = PairedRule([(gate(), 1.0), (gate(point=73), 1.0), (gate(point=91), 1.0)], FIVE)
    ruling = rule.judge([[pair, (UNREADABLE, 1.0), pair] for pair in pairs])
    assert [verdict(each) for each in ruling.gates] == [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.PASS]
    assert not ruling.wants_launch


def test_a_single_pair_is_held_to_the_tolerance_itself() -> None:
    """Noise unknown, as with a single baseline launch."""
    one = LaunchPolicy("pairs", 1)
    assert verdict(ruled([(1000.0, 951.0)], one)) is Verdict.PASS
    low = ruled([(1000.0, 949.0)], one)
    assert verdict(low) is Verdict.REGRESSED
    assert low.limits is not None
    assert low.limits.noise is None


def test_pairs_that_do_not_fit_are_refused() -> None:
    """Too many, none to judge, another policy, a value that is none."""
    with pytest.raises(InvalidValueError, match="at most 5"):
        ruled([(1000.0, 1000.0)] * 6)
    with pytest.raises(InvalidValueError, match="no gate"):
        PairedRule([], FIVE)
    with pytest.raises(InvalidValueError, match="wanted pairs"):
        PairedRule([(gate(), 1.0)], LaunchPolicy("median", 5))
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(InvalidValueError):
            ruled([(1000.0, wrong), *scattered(7)[1:]])
