"""Waivers, verdicts and gates at their edges, and what they say to the letter."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric, Tolerance, gates_of
from pytest_precgate.analysis.gating.proposed_waivers import proposed
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, JudgedGate, Verdict, decide, judge
from pytest_precgate.analysis.gating.waiver import Waiver, WaiverBook, loss_of, waived
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate
from tests.published import kimi

KEY = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 91)
GATE = Gate(KEY, 0.05)
TODAY = date(2026, 11, 24)
YESTERDAY = TODAY - timedelta(days=1)
WAIVER = Waiver("kimi", Metric.THROUGHPUT_PER_GPU, (91,), 0.12, "kernel rewritten", TODAY)
INSTEAD = "remove it, or give it a later day and a reason"


def test_a_waived_gate_says_until_when_and_up_to_what() -> None:
    """Beyond its ceiling the verdict stays, with both reasons. The ceiling itself is covered."""
    left, _ = waived("kimi", judge(GATE, 0.88, 1.0), [WAIVER], TODAY)
    assert (left.verdict, left.reason) == (Verdict.WAIVED, "waived until 2026-11-24 up to 12.0%: kernel rewritten")
    kept, needed = waived("kimi", judge(GATE, 0.8799, 1.0), [WAIVER], TODAY)
    assert (kept.verdict, needed) == (Verdict.REGRESSED, WAIVER)
    assert kept.reason == (
        "12.0% worse than its baseline, beyond the tolerance (5%), and by more than its waiver allows "
        "(12.0%: kernel rewritten)"
    )


def test_of_several_waivers_the_first_that_covers_the_loss_is_needed() -> None:
    """Where none does, the first one is named; one that has expired does not count."""
    small, large = replace(WAIVER, ceiling=0.06), replace(WAIVER, ceiling=0.2)
    low = judge(GATE, 0.9, 1.0)
    assert waived("kimi", low, [small, WAIVER, large], TODAY)[1] is WAIVER
    lower, needed = waived("kimi", judge(GATE, 0.7, 1.0), [small, WAIVER], TODAY)
    assert needed is small
    assert "(6.0%: kernel rewritten)" in lower.reason
    assert waived("kimi", low, [replace(WAIVER, expires=YESTERDAY), large], TODAY)[1] is large


@pytest.mark.parametrize(
    ("value", "verdict", "evidence", "is_needed"),
    [
        (0.95, Verdict.INCONCLUSIVE, None, True),  # not for its loss
        (0.9499, Verdict.INCONCLUSIVE, None, True),
        (1.5, Verdict.IMPLAUSIBLE, None, False),
        (1.0, Verdict.PASS, None, False),
        (0.96, Verdict.PASS, Evidence(None, None, 1), False),
        (0.96, Verdict.PASS, Evidence(None, None, 1, noise_floor=0.01), False),
        (0.96, Verdict.PASS, Evidence(0.01, None, 1), False),
        (0.96, Verdict.PASS, Evidence(0.006, None, 1, noise_floor=0.01), True),
        (0.96, Verdict.PASS, Evidence(0.0049, None, 1, noise_floor=0.01), False),
        (0.96, Verdict.PASS, Evidence(0.0101, None, 1, noise_floor=0.06), True),
        (0.96, Verdict.PASS, Evidence(0.0099, None, 1, noise_floor=0.06), False),
        (0.9, Verdict.ENVIRONMENT_CHANGED, None, True),
    ],
)
def test_whether_a_waiver_is_needed_of_a_gate_that_does_not_fail_by_its_loss(
    value: float, verdict: Verdict, evidence: Evidence | None, is_needed: bool
) -> None:
    """A gate that passes needs it while two sigma would take it beyond its tolerance or its noise floor, the larger;
    one whose loss is not known is not known to go without."""
    judged = replace(judge(GATE, value, 1.0), verdict=verdict, reason="", evidence=evidence)
    left, needed = waived("kimi", judged, [WAIVER], TODAY)
    assert needed is (WAIVER if is_needed else None)
    is_waived = verdict is Verdict.INCONCLUSIVE and value < 0.95
    assert left.verdict is (Verdict.WAIVED if is_waived else verdict)


def test_nothing_absent_has_a_loss_and_the_worst_of_the_others_counts() -> None:
    """A serving point that collapsed, or the loss from the anchor."""
    assert loss_of(judge(GATE, Absent(Verdict.MISSING, "gone"), 1.0)) is None
    assert loss_of(judge(GATE, 1.0, Absent(Verdict.MISSING, "gone"))) is None
    judged = judge(GATE, 0.9, 1.0)
    assert loss_of(judged) == pytest.approx(0.1)
    assert loss_of(judge(GATE, 1.1, 1.0)) == pytest.approx(-0.1)
    for evidence, loss in (
        (Evidence(None, None, 1), 0.1),
        (Evidence(None, None, 1, lowest=0.7), 0.3),
        (Evidence(None, None, 1, lowest=0.95), 0.1),
        (Evidence(None, None, 1, anchor_loss=0.2), 0.2),
        (Evidence(None, None, 1, anchor_loss=0.05), 0.1),
        (Evidence(None, None, 1, lowest=0.7, anchor_loss=0.2), 0.3),
    ):
        assert loss_of(replace(judged, evidence=evidence)) == pytest.approx(loss)


def problems(waiver: Waiver, *judged: tuple[float, float], whole: tuple[str, ...] = ("kimi",)) -> list[str]:
    """The problems of a run that judged these points with these values; the baseline is 1."""
    book = WaiverBook([waiver], TODAY)
    for point, value in judged:
        book.apply("kimi", judge(Gate(replace(KEY, point=point), 0.05), value, 1.0))
    return list(book.problems(whole))


def test_what_is_wrong_with_a_waiver_is_said_to_the_letter() -> None:
    """Which one, with its reason, and what to do; all points of one kind in one line."""
    who = "waiver of suite kimi, throughput_per_gpu at"
    expired = replace(WAIVER, expires=YESTERDAY)
    assert problems(expired) == [f"{who} 91 tok/s/user (kernel rewritten): expired on 2026-11-23; {INSTEAD}"]
    assert problems(expired, (91.0, 0.9), whole=()) == problems(expired)
    assert problems(expired, (73.0, 0.9), whole=()) == []
    two = replace(WAIVER, points=(55.0, 91.0, 73.0), precisions=("fp4",))
    who = "waiver of suite kimi, fp4 throughput_per_gpu at 55, 91, 73 tok/s/user (kernel rewritten)"
    assert problems(two) == [f"{who}: no gate of its suite matches it; correct or remove it"]
    assert problems(two, (55.0, 0.9), (91.0, 1.0), (73.0, 1.0)) == [
        f"{who}: not needed at 91, 73 tok/s/user: the gate passes without it; remove that point"
    ]
    assert problems(two, (55.0, 0.9), (91.0, 1.0)) == [
        f"{who}: not needed at 91 tok/s/user: the gate passes without it; remove that point",
        f"{who}: no gate of its suite matches it at 73 tok/s/user; remove that point",
    ]
    assert problems(two, (55.0, 0.9), (91.0, 1.0), whole=()) == [
        f"{who}: not needed at 91 tok/s/user: the gate passes without it; remove that point"
    ]
    assert problems(two, (91.0, 1.0), whole=()) == [f"{who}: not needed: the gate passes without it; remove it"]


def test_what_one_waiver_is_needed_for_says_nothing_of_another() -> None:
    """Two of one gate: the wider one was not needed."""
    book = WaiverBook([WAIVER, replace(WAIVER, ceiling=0.2)], TODAY)
    book.apply("kimi", judge(GATE, 0.9, 1.0))
    [line] = book.problems([])
    assert "not needed" in line
    other = WaiverBook([WAIVER], TODAY)
    other.apply("another", judge(GATE, 0.9, 1.0))
    assert list(other.problems([])) == []


def test_a_gate_that_is_not_held_against_the_baseline_needs_the_waivers_that_cover_it() -> None:
    """Those alone."""
    book = WaiverBook([WAIVER, replace(WAIVER, metric=Metric.COST)], TODAY)
    book.apply("kimi", judge(GATE, 1.0, 1.0), of_baseline=False)
    [line] = book.problems(["kimi"])
    assert "cost at 91 tok/s/user" in line


def test_a_point_of_a_waiver_is_a_number_of_its_own() -> None:
    """A list that changes later changes no waiver; a ceiling just below everything is one."""
    given = [91]
    held = replace(WAIVER, points=given, ceiling=0.999)  # type: ignore[arg-type]
    given.append(55)
    assert held.points == (91.0,)
    with pytest.raises(InvalidValueError, match=r"Waiver\.ceiling: got 1\.5, wanted a share below 1 \(0\.1 is 10%\)"):
        replace(WAIVER, ceiling=1.5)
    with pytest.raises(InvalidValueError, match=r"Waiver\.reason"):
        replace(WAIVER, reason=" ")
    with pytest.raises(InvalidValueError, match=r"Waiver\.ceiling: got -0\.1, wanted a finite number above 0"):
        replace(WAIVER, ceiling=-0.1)


@pytest.mark.parametrize(("value", "ceiling"), [(0.9301, 0.07), (0.93, 0.07), (0.9299, 0.08), (0.0101, 0.99)])
def test_a_proposed_ceiling_is_the_loss_in_whole_percents_rounded_up(value: float, ceiling: float) -> None:
    """A loss beyond 99% has none; nor has a gate that did not regress."""
    [waiver] = proposed("kimi", [judge(GATE, value, 1.0)], TODAY)
    assert (waiver.ceiling, waiver.expires, waiver.reason) == (ceiling, TODAY + timedelta(days=14), "...")
    assert proposed("kimi", [judge(GATE, 0.0099, 1.0)], TODAY) == ()
    for verdict in (Verdict.INCONCLUSIVE, Verdict.DRIFTED, Verdict.ENVIRONMENT_CHANGED):
        assert proposed("kimi", [replace(judge(GATE, value, 1.0), verdict=verdict)], TODAY) == ()


def test_each_quantity_has_a_proposed_waiver_of_its_own() -> None:
    """Its points in order, up to the largest loss."""
    gates = [replace(KEY, point=91.0), replace(KEY, point=55.0), replace(KEY, precisions=("int4",))]
    found = proposed("kimi", [judge(Gate(key, 0.05), 0.9 - 0.1 * n, 1.0) for n, key in enumerate(gates)], TODAY)
    assert [(each.precisions, each.points, each.ceiling) for each in found] == [
        (("fp4",), (55.0, 91.0), 0.2),
        (("int4",), (91.0,), 0.3),
    ]


@pytest.mark.parametrize(
    ("value", "beyond", "verdict", "reason"),
    [
        (95.0, None, Verdict.PASS, ""),
        (94.9, None, Verdict.REGRESSED, "5.1% worse than its baseline, beyond the tolerance (5%)"),
        (94.9, 0.05, Verdict.REGRESSED, "5.1% worse than its baseline, beyond the tolerance (5%)"),
        (
            91.9,
            0.08,
            Verdict.REGRESSED,
            "8.1% worse than its baseline, beyond the tolerance (5%) and the noise floor (8.0%)",
        ),
        (
            92.1,
            0.08,
            Verdict.INCONCLUSIVE,
            "7.9% worse than its baseline, beyond the tolerance (5%) and inside the noise floor (8.0%)",
        ),
        (105.1, None, Verdict.IMPROVED, "better than its baseline by more than the tolerance: the baseline is stale"),
        (
            125.1,
            0.08,
            Verdict.IMPLAUSIBLE,
            "better by more than 25%: check the measurement; if it is real, update the baseline",
        ),
        (math.nan, None, Verdict.INCONCLUSIVE, "value nan against baseline 100.0 cannot be compared"),
    ],
)
def test_a_verdict_says_by_how_much_and_beyond_what(
    value: float, beyond: float | None, verdict: Verdict, reason: str
) -> None:
    """In percent; a pass says nothing."""
    assert decide(gate(0.05), value, 100.0, beyond) == (verdict, reason)


@pytest.mark.parametrize(("gain", "verdict"), [(-0.05, Verdict.PASS), (0.05, Verdict.PASS), (0.25, Verdict.IMPROVED)])
def test_a_bound_has_room_for_the_last_bits_and_no_more(gain: float, verdict: Verdict) -> None:
    """A billionth: half of it changes nothing, twice does."""
    beyond = {-0.05: Verdict.REGRESSED, 0.05: Verdict.IMPROVED, 0.25: Verdict.IMPLAUSIBLE}[gain]
    outward = math.copysign(1e-9, gain)
    assert decide(gate(0.05), 1 + gain + outward / 2, 1.0)[0] is verdict
    assert decide(gate(0.05), 1 + gain + 2 * outward, 1.0)[0] is beyond
    if gain < 0:
        assert decide(gate(0.03), 1 + gain + outward / 2, 1.0, 0.05)[0] is Verdict.INCONCLUSIVE
        assert decide(gate(0.03), 1 + gain + 2 * outward, 1.0, 0.05)[0] is Verdict.REGRESSED


def test_a_change_is_plain_and_a_refusal_that_of_the_evidence() -> None:
    """Whatever direction is better."""
    judged = judge(gate(metric=Metric.COST), 110.0, 100.0)
    assert judged.change == pytest.approx(0.1)
    assert judged.refusal is None
    assert replace(judged, evidence=Evidence(0.1, 0.2, 1, refusal="too noisy")).refusal == "too noisy"
    assert JudgedGate(gate(), Verdict.MISSING, None, 100.0, "").change is None
    assert JudgedGate(gate(), Verdict.MISSING, 100.0, None, "").change is None


def test_a_gate_reads_its_own_figure() -> None:
    """A ratio is the first precision over the second."""
    curves = {name: Curve(kimi(name), hardware_named("b200")) for name in ("fp4", "int4")}
    fp4, int4 = (curves[name].at(55) for name in ("fp4", "int4"))
    for metric, precisions, value in (
        (Metric.THROUGHPUT_PER_GPU, ("fp4",), fp4.throughput_per_gpu),
        (Metric.COST, ("fp4",), fp4.cost),
        (Metric.THROUGHPUT_RATIO, ("fp4", "int4"), fp4.throughput_per_gpu / int4.throughput_per_gpu),
        (Metric.COST_RATIO, ("fp4", "int4"), fp4.cost / int4.cost),
        (Metric.COST_RATIO, ("int4", "fp4"), int4.cost / fp4.cost),
    ):
        assert GateKey(metric, precisions, 55).read(curves) == value


def test_gates_are_in_a_fixed_order() -> None:
    """Ratios first, then by precision, by metric as they are listed, by point."""
    metrics = (Metric.COST, Metric.THROUGHPUT_RATIO, Metric.THROUGHPUT_PER_GPU)
    found = gates_of("int4", "fp4", (91.0, 55.0), dict.fromkeys(metrics, Tolerance(0.03)), 0.4)
    assert [(each.key.quantity, each.key.point) for each in found] == [
        (quantity, point)
        for quantity in (
            "int4/fp4 throughput_ratio",
            "fp4 throughput_per_gpu",
            "fp4 cost",
            "int4 throughput_per_gpu",
            "int4 cost",
        )
        for point in (55.0, 91.0)
    ]
    assert {each.implausible for each in found} == {0.4}


@pytest.mark.parametrize(
    ("tolerance", "implausible", "why"),
    [
        (1.0, 2.0, r"Gate: got tolerance 1\.0 and implausible 2\.0, wanted a tolerance below 1"),
        (0.1, 0.1, r"Gate: got tolerance 0\.1 and implausible 0\.1, wanted"),
        (0.1, math.inf, r"Gate\.implausible: got inf"),
        (-0.1, 0.5, r"Gate\.tolerance: got -0\.1"),
    ],
)
def test_a_gate_s_bounds_are_shares_in_order(tolerance: float, implausible: float, why: str) -> None:
    """A tolerance of everything, and a gain that is implausible before it is an improvement."""
    with pytest.raises(InvalidValueError, match=f"^{why}"):
        Gate(KEY, tolerance, implausible)
    assert Gate(KEY, 0.99, 2.0).tolerance == 0.99


def test_a_point_is_a_number_above_zero() -> None:
    """And a precision is read once."""
    assert GateKey(Metric.COST, ("fp4",), 55).point == 55.0
    with pytest.raises(InvalidValueError, match=r"GateKey\.point: got 0"):
        replace(KEY, point=0)
    with pytest.raises(InvalidValueError, match=r"reads 2 precision\(s\), got fp4/int4/fp8"):
        GateKey(Metric.COST_RATIO, ("fp4", "int4", "fp8"), 55)
