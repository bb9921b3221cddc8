"""Sums of accepted states, facts, origins, ages and remarks, at their edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.baseline import Launch, RecordedGate
from pytest_precgate.analysis.accepted.cusum import AcceptedState, sinking
from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.launch_curves import LaunchCurves
from pytest_precgate.analysis.accepted.matching import (
    AFTER_A_RENAME,
    RECORD_NEW,
    JudgingContext,
    how_old,
    match_baseline,
)
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.accepted.remarks import days_told, remarks
from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, Verdict, judge
from pytest_precgate.errors import InvalidValueError
from tests.builders.baselines import B200, FP4, NOW, RATIO, TEST, kimi_baseline, scaled
from tests.published import kimi

COST = replace(FP4, metric=Metric.COST)
TODAY = JudgingContext(NOW, B200, "derived")


def states(
    scores: Sequence[float], sigma: float | None = 0.01, anchored: str = "first", key: GateKey = FP4
) -> list[AcceptedState]:
    """States that lie so many sigma below their anchor, on the logarithm."""
    sign = -1 if key.metric.higher_is_better else 1
    scale = 0.01 if sigma is None else sigma
    return [
        AcceptedState(f"2026-11-{day:02}", f"c{day}", 100 * math.exp(sign * score * scale), 100.0, sigma, anchored)
        for day, score in enumerate(scores, 1)
    ]


@pytest.mark.parametrize(
    ("scores", "total"),
    [
        ((9, 9, 9, 9), None),  # three sigma each, less 1.5: exactly 6
        ((9, 9, 9, 9, 1.6), 6.1),
        ((2.9, 9, 9, 9, 2.9, 2.5), 8.3),
        ((9, 9, 9, 9, 9, 1.5), 7.5),
        ((9, 9, 9, 9, 9, 1.0), 7.0),
        ((9, 9, 9, 9, 9, -99, 9, 9), None),  # three sigma better take 4.5 away
        ((9, 9, 9, 9, 9, -99, 9, 9, 9), 7.5),
        ((-99, 9, 9, 9, 9, 9), 7.5),  # what was better before does not count
    ],
)
@pytest.mark.parametrize("key", [FP4, COST], ids=["throughput", "cost"])
def test_the_sum_is_page_s_with_one_and_a_half_sigma_allowed(
    scores: Sequence[float], total: float | None, key: GateKey
) -> None:
    """Each state cut to three sigma on either side; more than six is an alarm."""
    found = sinking(key, states(scores, key=key))
    if total is None:
        assert found is None
    else:
        assert found is not None
        assert found.total == pytest.approx(total)


def test_states_sink_since_the_sum_was_last_zero() -> None:
    """Those are counted, the last is told; another anchor begins anew, and a state of unknown noise is none of them."""
    found = sinking(FP4, [*states((9, 9, -9, 9)), *states((9,), None), *states((0.0, 9, 9, 9, 9, 9, 1.5))])
    assert found is not None
    assert (found.since.commit, found.states) == ("c2", 6)
    assert found.below == pytest.approx(1 - math.exp(-0.015))
    cost = sinking(COST, states((9, 9, 9, 9, 9, 1.5), key=COST))
    assert cost is not None
    assert cost.below == pytest.approx(math.exp(0.015) - 1)
    assert sinking(FP4, [*states((9,) * 5), *states((9,) * 4, anchored="second")]) is None
    moved = sinking(FP4, [*states((9,) * 5), *states((9,) * 5, anchored="second")])
    assert moved is not None
    assert (moved.states, moved.since.anchored) == (5, "second")


def test_the_noise_of_a_state_is_that_of_all_up_to_it() -> None:
    """Root mean square: of 1% and 7% five percent. A new anchor forgets it."""
    quiet, loud = states((9,) * 4, 0.01), states((1.0,), 0.07)
    found = sinking(FP4, [*quiet, *loud, *states((9,), 0.01)])
    sigma = math.sqrt((4 * 0.01**2 + 0.07**2) / 5)
    last = math.sqrt((5 * 0.01**2 + 0.07**2) / 6)
    assert found is not None
    assert found.total == pytest.approx(6 + min(3, 0.07 / sigma) - 1.5 + 0.09 / last - 1.5)


def test_a_sigma_of_nothing_is_a_billionth() -> None:
    """Any fall beyond rounding is one of three sigma, and rounding is none."""
    below = [replace(state, value=100 * (1 - 5e-9)) for state in states((1,) * 5, 0.0)]
    assert sinking(FP4, below) is not None
    assert sinking(FP4, [replace(state, value=100 * (1 - 1.4e-9)) for state in below]) is None


@pytest.mark.parametrize("field", ["value", "anchor"])
def test_a_state_is_a_number_above_zero_at_a_time(field: str) -> None:
    """Both numbers, and a line of text."""
    [state] = states((1,))
    with pytest.raises(InvalidValueError, match=rf"AcceptedState\.{field}: got 0"):
        replace(state, **{field: 0.0})  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=r"AcceptedState\.utc: got ''"):
        replace(state, utc="")


def test_facts_of_two_fingerprints_are_those_of_the_later_one_where_both_know_one() -> None:
    """Hard and soft; kinds of engines once each, in order."""
    one, other = Fingerprint({"a": 1, "b": 1}, {"s": "x"}), Fingerprint({"b": 2}, {"s": "y", "t": "z"})
    assert one | other == Fingerprint({"a": 1, "b": 2}, {"s": "y", "t": "z"})
    both = Fingerprint.of(kimi("fp4"), ("vllm", "trtllm", "vllm"), {}, {"model": "kimi", "isl": 5})
    assert both.engines == ("trtllm", "vllm")
    assert dict(both.hard) == {
        "model": "kimi",
        "engine": "trtllm+vllm",
        "hardware": "b200",
        "isl": 1024,
        "osl": 1024,
        "range_ratio": 0.8,
    }
    assert "model" not in Fingerprint.of(kimi("fp4"), ("vllm",), {}).hard


@pytest.mark.parametrize("fact", [True, None, ["a"]])
@pytest.mark.parametrize("part", ["hard", "soft"])
def test_a_fact_is_a_text_or_a_number(part: str, fact: object) -> None:
    """A yes or no is neither."""
    with pytest.raises(InvalidValueError, match=rf"Fingerprint\.{part}\['gpus'\]: got .*, wanted a text or a number"):
        Fingerprint(**{"hard": {}, part: {"gpus": fact}})  # type: ignore[arg-type]


def test_facts_that_differ_are_told_in_order_but_for_the_commit() -> None:
    """That of each configuration too; a fact of one side alone differs."""
    hard: dict[str, Fact] = {"b": 1, "a": 1}
    now = Fingerprint(hard, {"commit": "x", "commit.2": "x", "committed": "x", "z": 1})
    then = Fingerprint({"a": 2, "c": 3}, {"commit": "y", "commit.2": "y", "committed": "y", "z": 1})
    lines = ("a is 1, WHOSE is 2", "b is 1, WHOSE is not known", "c is not known, WHOSE is 3")
    soft = "committed is x, WHOSE is y"
    assert now.mismatches(then) == tuple(line.replace("WHOSE", "the baseline's") for line in lines)
    assert now.drifts(then) == (soft.replace("WHOSE", "the baseline's"),)
    assert now.unlike(then, "main's") == tuple(line.replace("WHOSE", "main's") for line in (*lines, soft))


def test_the_origin_of_several_is_what_all_of_them_know() -> None:
    """The first time where each has one, the node where it is one."""
    early, late = (LaunchOrigin(f"2026-11-24T{hour}:00:00Z", "n", ("g",)) for hour in ("11", "12"))
    assert LaunchOrigin.joint([late, early]) == early
    assert LaunchOrigin.joint([late, replace(early, utc=None)]) == LaunchOrigin(None, "n", ("g",))
    assert LaunchOrigin.joint([late, replace(early, node="m")]) == replace(early, node=None)
    assert LaunchOrigin.joint([late, replace(early, node=None)]) == replace(early, node=None)


@pytest.mark.parametrize(
    ("age", "is_too_old"), [(-1.01, True), (-1.0, False), (0.0, False), (30.0, False), (30.01, True), (None, True)]
)
def test_a_baseline_may_be_a_day_in_the_future_because_clocks_differ(age: float | None, is_too_old: bool) -> None:
    """And as old as the suite allows, to the day; without a limit it may be of any age."""
    today = replace(TODAY, age_days=age, max_age_days=30)
    assert today.is_too_old is is_too_old
    assert not replace(today, max_age_days=None).is_too_old
    told = "of unknown age" if age is None else f"{age:.1f} days old"
    assert how_old(kimi_baseline(), today) == (
        f"the baseline of 2026-11-24T06:00:00Z is {told}, max_baseline_age_days is 30"
    )


def test_an_old_baseline_and_another_state_are_used_all_the_same_where_that_is_asked() -> None:
    """Neither its age nor a fact makes a mismatch then."""
    other = {name: Fingerprint({**facts.hard, "isl": 8}) for name, facts in NOW.items()}
    today = JudgingContext(other, B200, "derived", 30, 31, ignore_mismatch=True)
    for context, is_absent in ((today, False), (replace(today, ignore_mismatch=False), True)):
        found = match_baseline(kimi_baseline(), TEST, [Gate(FP4, 0.05)], context)
        assert isinstance(found.held[0].baseline, Absent) is is_absent
        assert (found.noise is None) is is_absent
    half = match_baseline(kimi_baseline(), TEST, [Gate(FP4, 0.05), Gate(replace(FP4, point=56), 0.05)], TODAY)
    assert [isinstance(each.baseline, Absent) for each in half.held] == [False, True]
    assert half.noise is not None


@pytest.mark.parametrize(
    ("tests", "owners"),
    [(1, "t0"), (3, "t0, t1, t2"), (4, "t0, t1, t2 and 1 more tests"), (6, "t0, t1, t2 and 3 more tests")],
)
def test_who_checks_a_gate_is_told_with_three_names(tests: int, owners: str) -> None:
    """The others are a number; of a gate that nobody checks there is nothing to tell."""
    found = replace(kimi_baseline(), gates=[RecordedGate(f"t{number}", FP4) for number in range(tests)])
    for key, why, remedy in (
        (FP4, f"the baseline has the same gate of {owners}, none of this test", AFTER_A_RENAME),
        (RATIO, "the baseline has no such gate of this test", f"record it with {RECORD_NEW}"),
    ):
        [held] = match_baseline(found, "new", [Gate(key, 0.05)], TODAY).held
        assert held.baseline == Absent(Verdict.MISSING, why, remedy)


def live(name: str, number: int, *, repeatable: bool = True, day: int = 24) -> list[Launch]:
    origin = LaunchOrigin(f"2026-11-{day}T06:00:00Z", "n")
    return [
        Launch(scaled(kimi(name), 1 + 0.001 * n), NOW[name], origin=origin, is_repeatable=repeatable)
        for n in range(number)
    ]


def test_too_few_launches_are_remarked_of_what_can_be_launched() -> None:
    """Three are enough; recorded points are one launch and stay one."""

    def of(fp4: list[Launch], int4: list[Launch]) -> tuple[str, ...]:
        return remarks(replace(kimi_baseline(), launches=[*fp4, *int4]))

    one_day = "all launches are of one day (2026-11-24): sigma holds nothing of what differs between days; add"
    [enough] = of(live("fp4", 3), live("int4", 3))
    assert enough.startswith(one_day)
    few, _ = of(live("fp4", 3), live("int4", 2))
    assert few.startswith("holds 3 of fp4, 2 of int4 launches: sigma is not known before it holds 3 of each; add")
    assert of(live("fp4", 3), live("int4", 1, repeatable=False)) == (enough,)
    few, _ = of(live("fp4", 2), live("int4", 1, repeatable=False))
    assert few.startswith("holds 2 of fp4 launches")
    assert of(live("fp4", 1, repeatable=False), live("int4", 1, repeatable=False)) == ()
    assert of(live("fp4", 3), live("int4", 3, day=25)) == ()
    base = replace(kimi_baseline(), launches=[*live("fp4", 3), *live("int4", 3)])
    known, unknown = (
        replace(judge(Gate(FP4, 0.05), 1.0, 1.0), evidence=evidence)
        for evidence in (Evidence(0.01, 0.03, 1), Evidence(None, None, 1))
    )
    assert days_told(base, [unknown, known]) == (f"baseline: {enough}",)
    assert days_told(base, [unknown, replace(known, evidence=None)]) == ()


def curves_of(numbers: tuple[int, int], read_once: Sequence[str], **groups: Sequence[str | None]) -> LaunchCurves:
    drawn = {
        name: [Curve(scaled(kimi(name), 1 + 0.01 * n), B200) for n in range(number)]
        for name, number in zip(("fp4", "int4"), numbers, strict=True)
    }
    return LaunchCurves(drawn, read_once, [FP4, RATIO], groups)


def test_launches_are_paired_in_turn_and_their_days_with_them() -> None:
    """A label of both; recorded points stand beside every launch and have no day. One without a partner is left out."""
    days: dict[str, list[str | None]] = {"fp4": ["a", "b", "c"], "int4": ["a", None]}
    found = curves_of((3, 2), (), **days).gate_launches(RATIO)
    assert found.groups == ("a a", "b None")
    assert found.values == pytest.approx([found.values[0]] * 2)
    once = curves_of((3, 1), ("int4",), **days).gate_launches(RATIO)
    assert once.groups == ("a", "b", "c")
    assert once.values == pytest.approx([once.values[0] * factor for factor in (1, 1.01, 1.02)])
    assert curves_of((3, 3), (), fp4=["a", "b"], int4=["a", "b"]).gate_launches(RATIO).groups is None
    assert curves_of((2, 2), (), fp4=[None, None], int4=[None, None]).gate_launches(RATIO).groups is None
    assert curves_of((2, 2), (), fp4=[None, "a"]).gate_launches(FP4).groups == ("None", "a")
    assert curves_of((2, 2), ()).gate_launches(FP4).groups is None


def test_each_gate_is_read_once() -> None:
    """Asked again, the same object; its value is the median of few launches."""
    curves = curves_of((2, 2), ())
    assert curves.gate_launches(FP4) is curves.gate_launches(FP4)
    assert curves.served(FP4) is curves.served(FP4)
    assert curves.noise is curves.noise
    assert curves.values([FP4, FP4]) == {FP4: pytest.approx(1.005 * curves.gate_launches(FP4).values[0])}
    assert [each.key for each in curves.all_gate_launches] == [FP4, RATIO]
