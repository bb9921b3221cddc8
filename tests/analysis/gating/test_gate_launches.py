"""The noise of a gate whose baseline holds launches of several days or nodes."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise, noise_of
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule
from pytest_precgate.analysis.gating.limits import LaunchPolicy, suite_limits
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate

KEY = gate().key
TWO_DAYS = ("mon", "mon", "mon", "tue", "tue", "tue")
APART = [1000.0, 1003.0, 997.0, 1040.0, 1043.0, 1037.0]


def noise(values: list[float], groups: tuple[str, ...] | None) -> GateNoise:
    (found,) = noise_of([GateLaunches(KEY, values, groups=groups)])
    return found


def test_what_differs_between_days_is_part_of_sigma_and_leaves_the_centre_less_sure() -> None:
    """Two days 4% apart, 0.3% within each: sigma is 2.8%, and the centre is worth no more than two launches."""
    known = noise(APART, TWO_DAYS)
    assert known.sigma == pytest.approx(0.028, abs=0.001)
    assert known.worth == 2
    assert noise(APART, None).worth is None
    (limits,) = suite_limits([(gate(0.025), GateLaunches(KEY, APART, groups=TWO_DAYS))], LaunchPolicy())
    assert limits.design.baseline == 2


@pytest.mark.parametrize("groups", [TWO_DAYS, tuple("abcdef")])
def test_no_number_of_launches_of_one_day_is_a_remedy_where_days_differ(groups: tuple[str, ...]) -> None:
    """They share the day. Pairs cancel it; also with one launch a day, where what differs between days is not known."""
    (apart,) = suite_limits([(gate(0.025), GateLaunches(KEY, APART, groups=groups))], LaunchPolicy(must_detect=0.03))
    (alike,) = suite_limits([(gate(0.025), GateLaunches(KEY, APART))], LaunchPolicy(must_detect=0.03))
    for text in (apart.refusal, apart.remedies):
        assert text is not None
        assert text.endswith("judge in pairs with the old state (--precgate-paired-with), which share the day")
        assert "median of" not in text
    assert "--precgate-paired-with" not in alike.remedies


@given(st.lists(st.floats(900, 1100), min_size=3, max_size=9), st.data())
def test_knowing_the_days_never_lowers_sigma(values: list[float], data: st.DataObject) -> None:
    """Sigma of the launches alone is the least; one day, or an unknown one, changes nothing."""
    groups = tuple(data.draw(st.sampled_from(["mon", "tue", "wed"])) for _ in values)
    alone, known = noise(values, None), noise(values, groups)
    assert known.sigma >= alone.sigma
    assert known.centre == alone.centre
    assert noise(values, ("mon",) * len(values)) == alone
    if known.worth is not None:
        assert 1 <= known.worth <= len(values)


def test_an_outlier_is_no_difference_between_days() -> None:
    """One launch of six is 10% slow: set aside as without days, and sigma stays that of the others."""
    draw = random.Random(3)
    values = [1000 * math.exp(draw.gauss(0, 0.004)) for _ in range(6)]
    values[4] *= 0.9
    alone, known = noise(values, None), noise(values, TWO_DAYS)
    assert (alone.set_aside, alone.outliers, known.set_aside) == (1, frozenset({4}), 1)
    assert known.sigma < 2 * alone.sigma


def test_more_scatter_of_one_gate_makes_its_centre_worth_no_more() -> None:
    """Its own scatter passes what days make of it; the centre is still that of two days, and its floor only rises."""
    draw, days = random.Random(5), {"mon": 0.01, "tue": -0.01}
    rows = [[days[day] + draw.gauss(0, 0.004) for _ in range(6)] for day in TWO_DAYS]

    def gates_of(factor: float) -> list[GateLaunches]:
        return [
            GateLaunches(
                gate(point=50 + g).key,
                [1000 * math.exp(row[g] * (factor if g == 0 else 1.0)) for row in rows],
                groups=TWO_DAYS,
            )
            for g in range(6)
        ]

    found = [noise_of(gates_of(factor))[0] for factor in (1.0, 1.2, 1.4, 1.7, 2.0, 3.0)]
    assert all(each.worth is not None and each.worth <= 3 for each in found)
    sigmas = [each.sigma for each in found]
    assert sigmas == sorted(sigmas)


def test_a_launch_a_day_is_the_scatter_of_days_itself() -> None:
    """Five launches of five days: their scatter is that of a launch of another day, and the centre is worth five."""
    values = [1000.0, 1010.0, 990.0, 1006.0, 994.0]
    known = noise(values, ("1", "2", "3", "4", "5"))
    assert known.worth is None
    assert known.sigma == pytest.approx(noise(values, None).sigma, rel=0.1)


def test_labels_of_other_launches_are_refused() -> None:
    """One label a launch."""
    with pytest.raises(InvalidValueError, match="has 1 labels for 2 launches"):
        GateLaunches(KEY, [1.0, 2.0], groups=("mon",))


def alarms(groups: tuple[str, ...], runs: int) -> float:
    """The share of unchanged suites that a day effect of one sigma fails, sigma 1%, six gates, tolerance 2.5%."""
    draw, failed = random.Random(11), 0
    keys = [gate(0.025, point=50 + index) for index in range(6)]
    for _ in range(runs):
        days = {label: draw.gauss(0, 0.01) for label in (*groups, "today")}

        def launch(label: str, days: dict[str, float] = days) -> list[float]:
            together = draw.gauss(0, 0.0084)
            return [1000 * math.exp(days[label] + together + draw.gauss(0, 0.0055)) for _ in range(6)]

        recorded = [launch(label) for label in groups]
        each = [GateLaunches(one.key, [row[g] for row in recorded], groups=groups) for g, one in enumerate(keys)]
        held = [GateBaseline(one, launches.values) for one, launches in zip(keys, each, strict=True)]
        rule = SuiteRule(held, LaunchPolicy(), SuiteNoise.of(each))
        launches = [launch("today") for _ in range(3)]
        failed += any(
            ruling.judged is not None and ruling.judged.verdict is Verdict.REGRESSED
            for ruling in rule.judge(launches).gates
        )
    return failed / runs


def test_a_baseline_of_several_days_raises_fewer_false_alarms_on_another_day() -> None:
    """500 suites: 4.6% of a baseline of one day, at most half of that with three days of two launches."""
    one, three = alarms(("mon",) * 6, 500), alarms(("mon", "mon", "tue", "tue", "wed", "wed"), 500)
    assert one > 0.02
    assert three <= one / 2


def test_replacing_a_value_keeps_the_labels() -> None:
    """A frozen value like any other."""
    launches = GateLaunches(KEY, APART, groups=TWO_DAYS)
    assert replace(launches, values=APART[::-1]).groups == TWO_DAYS
