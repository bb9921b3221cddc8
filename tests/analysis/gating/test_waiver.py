"""An accepted regression passes as WAIVED, within its ceiling and its days, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, JudgedGate, Verdict, judge
from pytest_precgate.analysis.gating.waiver import Waiver, WaiverBook, loss_of, waived
from pytest_precgate.errors import InvalidValueError

KEY = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 91)
GATE = Gate(KEY, 0.05)
TODAY = date(2026, 11, 24)
WAIVER = Waiver("kimi", Metric.THROUGHPUT_PER_GPU, (91,), 0.12, "kernel rewritten", TODAY)


@given(st.floats(0.5, 1.5), st.floats(0.01, 0.9))
def test_only_a_loss_beyond_the_tolerance_and_within_the_ceiling_is_waived(value: float, ceiling: float) -> None:
    """A pass stays a pass; beyond the ceiling the gate is REGRESSED all the same."""
    judged = judge(GATE, value, 1.0)
    left, needed = waived("kimi", judged, [replace(WAIVER, ceiling=ceiling)], TODAY)
    if judged.verdict is not Verdict.REGRESSED:
        assert (left, needed) == (judged, None)
    else:
        assert left.verdict is (Verdict.WAIVED if 1 - value <= ceiling + 1e-9 else Verdict.REGRESSED)
        assert "kernel rewritten" in left.reason
        assert needed is not None


def test_a_loss_inside_the_noise_floor_is_waived_like_a_larger_one() -> None:
    """Or a worse measurement would have the better verdict; noise that hides what must be detected is not waived."""
    judged = judge(GATE, 0.93, 1.0, 0.08)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert waived("kimi", judged, [WAIVER], TODAY)[0].verdict is Verdict.WAIVED
    assert waived("kimi", judged, [replace(WAIVER, ceiling=0.06)], TODAY)[0].verdict is Verdict.INCONCLUSIVE
    doubted = replace(judge(GATE, 0.99, 1.0), verdict=Verdict.INCONCLUSIVE)
    assert waived("kimi", doubted, [WAIVER], TODAY) == (doubted, WAIVER)


def test_a_waiver_covers_the_loss_from_the_anchor_too() -> None:
    """A gate that drifted is waived like one that regressed, or a slower launch would have the better verdict; one that
    regressed needs a ceiling that covers both losses."""
    drifted = JudgedGate(GATE, Verdict.DRIFTED, 0.96, 1.0, "", Evidence(None, None, 1, anchor_loss=0.08))
    assert waived("kimi", drifted, [WAIVER], TODAY)[0].verdict is Verdict.WAIVED
    assert waived("kimi", drifted, [replace(WAIVER, ceiling=0.06)], TODAY)[0].verdict is Verdict.DRIFTED
    regressed = replace(judge(GATE, 0.93, 1.0), evidence=Evidence(None, None, 1, anchor_loss=0.11))
    assert waived("kimi", regressed, [WAIVER], TODAY)[0].verdict is Verdict.WAIVED
    assert waived("kimi", regressed, [replace(WAIVER, ceiling=0.1)], TODAY)[0].verdict is Verdict.REGRESSED


def test_a_gate_whose_loss_is_waived_is_not_measured_beside_the_old_state() -> None:
    """Also where it passes, or a slower launch, which is waived, would be told more mildly; the waiver is needed."""
    book, passing = WaiverBook([WAIVER], TODAY), judge(GATE, 0.955, 1.0)
    assert book.apply("kimi", passing) == passing
    assert [*book.problems(["kimi"])]
    assert book.exempts("kimi", passing)
    assert [*book.problems(["kimi"])] == []
    assert not book.exempts("kimi", judge(GATE, 0.87, 1.0))
    assert not book.exempts("other", passing)
    assert not WaiverBook([WAIVER], TODAY + timedelta(days=1)).exempts("kimi", passing)
    beside = replace(passing, verdict=Verdict.REGRESSED, evidence=Evidence(None, None, 1, beside_loss=0.08))
    assert loss_of(beside) == 0.08


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.MISMATCH, Verdict.INCONCLUSIVE])
def test_what_is_absent_is_never_waived(verdict: Verdict) -> None:
    """A waiver is for a number that is worse, not for one that is not there."""
    judged = judge(GATE, 0.9, Absent(verdict, "gone"))
    assert waived("kimi", judged, [WAIVER], TODAY) == (judged, WAIVER)  # nor is it known to be unneeded


def test_a_gate_held_against_another_side_does_not_make_a_waiver_unneeded() -> None:
    """Both sides may share the regression from the baseline; an expired waiver is named all the same."""
    book = WaiverBook([WAIVER], TODAY)
    assert book.apply("kimi", judge(GATE, 1.0, 1.0), of_baseline=False).verdict is Verdict.PASS
    assert list(book.problems(["kimi"])) == []
    late = WaiverBook([WAIVER], TODAY + timedelta(days=1))
    late.apply("kimi", judge(GATE, 1.0, 1.0), of_baseline=False)
    assert any("expired" in line for line in late.problems(["kimi"]))


def test_nothing_is_waived_where_the_noise_lets_nothing_pass() -> None:
    """The waiver is not called unneeded either: whether the regression is still there is unknown."""
    noisy = Evidence(0.06, 0.2, 3, refusal="scatters too much")
    for verdict in (Verdict.REGRESSED, Verdict.INCONCLUSIVE):
        judged = JudgedGate(GATE, verdict, 0.9, 1.0, "low", noisy)
        assert waived("kimi", judged, [WAIVER], TODAY) == (judged, WAIVER)


@pytest.mark.parametrize(("value", "needed"), [(0.96, WAIVER), (0.97, None), (1.0, None)])
def test_a_waiver_is_needed_until_noise_cannot_bring_the_regression_back(value: float, needed: Waiver | None) -> None:
    """A gate that passes by less than two sigma may fail tomorrow; one that passes by more holds without it."""
    judged = replace(judge(GATE, value, 1.0, 0.03), evidence=Evidence(0.007, 0.04, 1, noise_floor=0.01))
    assert judged.verdict is Verdict.PASS
    assert waived("kimi", judged, [WAIVER], TODAY) == (judged, needed)


def test_a_waiver_holds_through_its_last_day() -> None:
    """The day after, the gate is REGRESSED again."""
    judged = judge(GATE, 0.9, 1.0)
    assert waived("kimi", judged, [WAIVER], TODAY)[0].verdict is Verdict.WAIVED
    assert waived("kimi", judged, [WAIVER], TODAY + timedelta(days=1))[0].verdict is Verdict.REGRESSED


@pytest.mark.parametrize(
    "other",
    [
        replace(WAIVER, suite="another"),
        replace(WAIVER, metric=Metric.COST),
        replace(WAIVER, points=(73,)),
        replace(WAIVER, precisions=("int4",)),
    ],
)
def test_a_waiver_covers_its_own_gate_alone(other: Waiver) -> None:
    """Another suite, metric, point or precision is another gate."""
    assert waived("kimi", judge(GATE, 0.9, 1.0), [other], TODAY)[1] is None


def problems(waiver: Waiver, value: float | None, today: date = TODAY, whole: tuple[str, ...] = ("kimi",)) -> list[str]:
    book = WaiverBook([waiver], today)
    if value is not None:
        book.apply("kimi", judge(GATE, value, 1.0))
    return list(book.problems(whole))


def test_a_waiver_that_was_needed_is_no_problem() -> None:
    """Neither within its ceiling nor when the loss went beyond it: there the gate says so."""
    assert problems(WAIVER, 0.9) == []
    assert problems(WAIVER, 0.8) == []


def test_expired_unneeded_and_misdirected_waivers_are_problems() -> None:
    """Each is said with its reason and what to do."""
    (expired,) = problems(WAIVER, 0.9, TODAY + timedelta(days=1))
    assert "fp4" not in expired
    assert "throughput_per_gpu at 91 tok/s/user (kernel rewritten): expired on 2026-11-24; remove it" in expired
    (unneeded,) = problems(replace(WAIVER, precisions=("fp4",)), 1.0)
    assert "fp4 throughput_per_gpu at 91 tok/s/user (kernel rewritten): not needed" in unneeded
    (nowhere,) = problems(replace(WAIVER, points=(92,)), 1.0)
    assert "no gate of its suite matches it" in nowhere


def test_a_run_that_did_not_hold_the_gate_says_nothing_of_its_waiver() -> None:
    """A narrowed run cannot know whether it is needed."""
    assert problems(WAIVER, None, whole=()) == []
    assert problems(WAIVER, None, TODAY + timedelta(days=1), whole=()) == []


def checked(points: dict[float, float], *waivers: Waiver, whole: tuple[str, ...] = ("kimi",)) -> list[str]:
    """The problems of a run that judged the metric at ``points``, each with its value; the baseline is 1."""
    book = WaiverBook(waivers, TODAY)
    for point, value in points.items():
        book.apply("kimi", judge(Gate(replace(KEY, point=point), 0.05), value, 1.0))
    return list(book.problems(whole))


def test_a_waiver_without_a_point_covers_every_point_and_is_needed_while_one_of_them_is() -> None:
    """It says so; where every point holds without it, it goes."""
    every = replace(WAIVER, points=None)
    for point in (55.0, 91.0):
        low = judge(Gate(replace(KEY, point=point), 0.05), 0.9, 1.0)
        assert waived("kimi", low, [every], TODAY)[0].verdict is Verdict.WAIVED
    assert checked({55.0: 0.9, 91.0: 1.0}, every) == []
    (line,) = checked({55.0: 1.0, 91.0: 1.0}, every)
    assert "throughput_per_gpu at every point (kernel rewritten): not needed" in line


def test_each_point_that_a_waiver_lists_must_be_needed_and_there() -> None:
    """A listed point that holds by itself would hide a later regression; one that no gate has is a mistake."""
    listed = replace(WAIVER, points=(55.0, 91.0))
    assert checked({55.0: 0.9, 91.0: 0.9}, listed) == []
    (unneeded,) = checked({55.0: 0.9, 91.0: 1.0}, listed)
    assert unneeded.endswith("not needed at 91 tok/s/user: the gate passes without it; remove that point")
    (unknown,) = checked({55.0: 0.9}, listed)
    assert unknown.endswith("no gate of its suite matches it at 91 tok/s/user; remove that point")
    assert checked({55.0: 0.9}, listed, whole=()) == []
    (whole,) = checked({55.0: 1.0, 91.0: 1.0}, listed)
    assert whole.endswith("not needed: the gate passes without it; remove it")


@pytest.mark.parametrize(
    "change",
    [
        {"ceiling": 0.0},
        {"ceiling": 1.0},
        {"reason": ""},
        {"points": (-1.0,)},
        {"points": ()},
        {"points": (55.0, 55.0)},
        {"suite": "a\nb"},
    ],
)
def test_nonsense_is_refused(change: dict[str, object]) -> None:
    """A waiver without a reason or with a ceiling of everything is none."""
    with pytest.raises(InvalidValueError, match="Waiver"):
        replace(WAIVER, **change)  # type: ignore[arg-type]
