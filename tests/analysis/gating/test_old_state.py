"""What keeps a launch from passing by itself, and a gate beside launches of the old state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.anchor import AnchorValue, drifted, drifts_beyond
from pytest_precgate.analysis.gating.gates import Gate, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, GateRuling, Launched, SuiteRule, Unsure
from pytest_precgate.analysis.gating.limits import SCREENED, GateLimits, LaunchPolicy
from pytest_precgate.analysis.gating.old_state import beside_old_state, is_settled, wants_old_state
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from tests.builders.gates import gate

QUIET = (1000.0, 1002.0, 998.0, 1001.0, 999.0)  # sigma 0.2%: a noise floor of 0.3%
ANCHOR = AnchorValue(1008.0, 0.001, "2026-11-24T06:00:00Z (commit abc123)")  # from 974 on it is too far below
THREE, MEDIAN = LaunchPolicy(), LaunchPolicy("median", 3)
unhurried = settings(deadline=None)


def rule(
    policy: LaunchPolicy = THREE, *, anchored: bool = False, screens: bool = False, held: Gate | None = None
) -> SuiteRule:
    held = held or gate(0.05)
    at = drifts_beyond(held, ANCHOR, 0.002) if anchored else None
    baseline = QUIET if held.key.metric.higher_is_better else [1e6 / value for value in QUIET]
    return SuiteRule([GateBaseline(held, baseline, drifts_beyond=at)], policy, screens=screens)


def ruled(launches: Sequence[Launched], made: SuiteRule) -> GateRuling:
    return made.judge([[each] for each in launches]).gates[0]


def judged(launches: Sequence[Launched], made: SuiteRule) -> JudgedGate:
    """The gate as a run judges it, its anchor included."""
    found = ruled(launches, made).verdict
    assert found is not None
    return drifted(found, ANCHOR) if made.held[0].drifts_beyond is not None else found


def beside(launches: Sequence[Launched], made: SuiteRule, old: Sequence[float]) -> JudgedGate:
    """The same beside launches of the old state, taken one by one as a run takes them."""
    found, (limits,) = judged(launches, made), made.gate_limits
    if not wants_old_state(found, limits, screens=made.screens):
        return found
    assert limits is not None
    after = found
    for number in range(1, len(old) + 1):
        after = beside_old_state(found, limits, old[:number], "side")
        if is_settled(found, after, old[:number]):
            break
    return after


def test_a_launch_that_is_too_far_below_the_anchor_takes_another_one() -> None:
    """Inside its tolerance of 5% and 5.6% below the anchor: as one outside the tolerance does. The best one decides."""
    made = rule(anchored=True)
    assert made.held[0].drifts_beyond == pytest.approx(953, abs=1)
    low, good = 951.0, 975.0
    assert ruled([low], made).judged is None
    assert judged([low, good], made).verdict is Verdict.PASS
    assert judged([low, low, 952.0], made).verdict is Verdict.DRIFTED
    assert judged([low, 940.0, 940.0], made).verdict is Verdict.DRIFTED
    assert judged([940.0, 940.0, 940.0], made).verdict is Verdict.REGRESSED


def test_a_launch_whose_points_ended_early_takes_another_one() -> None:
    """It may fail the gate, and passes none; where no launch passes, the reason is why it is not known."""
    made, early = rule(), Unsure(1000.0, "its points ended early")
    assert ruled([early], made).judged is None
    assert judged([early, 990.0], made).verdict is Verdict.PASS
    found = judged([early, early, 900.0], made)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "its points ended early")
    worse = [Unsure(900.0, "its points ended early")] * 3
    assert judged(worse, made).verdict is Verdict.REGRESSED


@pytest.mark.parametrize(
    ("launches", "verdict", "taken"),
    [
        ((1000.0, 1000.0), Verdict.PASS, 2),
        ((1000.0, Unsure(1000.0, "early")), None, 2),
        ((1000.0, Unsure(1000.0, "early"), 1000.0), Verdict.PASS, 3),
        ((1000.0, Unsure(1000.0, "early"), Unsure(1000.0, "early")), Verdict.INCONCLUSIVE, 3),
        ((1000.0, Unsure(1000.0, "early"), 900.0), Verdict.INCONCLUSIVE, 3),
        ((900.0, Unsure(1000.0, "early"), 900.0), Verdict.REGRESSED, 3),
    ],
)
def test_a_median_counts_only_launches_that_pass_by_themselves(
    launches: Sequence[Launched], verdict: Verdict | None, taken: int
) -> None:
    """Two of three good ones end it; one that is not known well enough is none."""
    found = ruled(launches, rule(MEDIAN))
    assert (None if found.judged is None else found.judged.verdict, found.launches) == (verdict, taken)


def test_what_lost_a_good_part_of_its_tolerance_is_measured_beside_the_old_state() -> None:
    """Where that can be started: 4.2% of 5%. Three such launches pass against the baseline; what decides is the loss
    beside the old state."""
    assert SCREENED == 0.8
    plain, made = rule(), rule(screens=True)
    assert judged([958.0], plain).verdict is Verdict.PASS
    assert ruled([958.0], made).judged is None
    assert judged([958.0, 970.0], made).verdict is Verdict.PASS
    low = [956.0, 958.0, 956.0]
    assert judged(low, made).verdict is Verdict.PASS
    assert not wants_old_state(judged(low, made), made.gate_limits[0], screens=False)
    shared = beside(low, made, [985.0, 990.0, 980.0])
    assert (shared.verdict, shared.reason) == (
        Verdict.PASS,
        "only 3.2% worse than the old state, measured now (side); 4.2% worse than its baseline",
    )
    worse = beside(low, made, [1000.0, 1015.0, 1000.0])
    assert worse.verdict is Verdict.REGRESSED
    assert worse.reason == (
        "5.6% worse than the old state, measured now (side), beyond the tolerance (5%); 4.2% worse than its baseline: "
        "the machine was slower when that was recorded, or is faster now"
    )
    assert worse.evidence is not None
    assert worse.evidence.old_values == (1000.0, 1015.0)
    assert worse.evidence.beside_loss == pytest.approx(0.056, abs=0.001)


def test_an_unchanged_gate_takes_one_launch_of_the_old_state_and_a_regression_all_of_them() -> None:
    """Half of the tolerance is settled; what regressed against the baseline may have met a slow launch of the old
    state."""
    made = rule(screens=True)
    low = judged([956.0, 958.0, 956.0], made)
    (limits,) = made.gate_limits
    assert limits is not None
    for old, settled in ((982.0, True), (986.0, False), (1015.0, True)):
        assert is_settled(low, beside_old_state(low, limits, [old], "side"), [old]) is settled
    regressed = judged([940.0] * 3, made)
    changed = beside_old_state(regressed, limits, [940.0], "side")
    assert changed.verdict is Verdict.ENVIRONMENT_CHANGED
    assert not is_settled(regressed, changed, [940.0])


def test_a_loss_inside_the_noise_floor_is_settled_beside_the_old_state() -> None:
    """A tolerance of 0.1%; nine tenths of the floor is INCONCLUSIVE against the baseline, half is not screened."""
    made = rule(screens=True, held=gate(0.001))
    (limits,) = made.gate_limits
    assert limits is not None
    floor = limits.fails_beyond
    assert floor > 0.002
    near, far = ([limits.centre * (1 - share * floor)] * 3 for share in (0.5, 0.9))
    assert not wants_old_state(judged(near, made), limits, screens=True)
    assert judged(far, made).verdict is Verdict.INCONCLUSIVE
    assert beside(far, made, [limits.centre]).verdict is Verdict.INCONCLUSIVE
    found = beside(far, made, [limits.centre * (1 + 0.2 * floor)])
    assert found.verdict is Verdict.REGRESSED
    assert "beyond the tolerance (0.1%) and the noise floor (0." in found.reason


def test_nothing_is_measured_beside_the_old_state_that_is_inconclusive_for_another_cause() -> None:
    """A gate that noise lets nothing pass, and one that is not known well enough."""
    made = rule(screens=True)
    early = judged([Unsure(960.0, "early")] * 3, made)
    assert not wants_old_state(early, made.gate_limits[0], screens=True)
    loud = SuiteRule([GateBaseline(gate(), (1000.0, 1068.0, 938.0, 1042.0, 956.0))], THREE, screens=True)
    found = ruled([], loud).judged
    assert found is not None
    assert not wants_old_state(replace(found, value=900.0), loud.gate_limits[0], screens=True)


values = st.floats(900, 1060)
launched = values | st.builds(Unsure, values, st.just("early"))
worsenings = st.lists(st.just(0.0) | st.floats(0, 0.1), min_size=3, max_size=3)


@st.composite
def rules(draw: st.DrawFn) -> SuiteRule:
    policy = draw(st.sampled_from([THREE, MEDIAN, LaunchPolicy("first-good", 1)]))
    metric = draw(st.sampled_from([Metric.THROUGHPUT_PER_GPU, Metric.COST]))
    screens = draw(st.booleans()) and policy.kind == "first-good"
    anchored = draw(st.booleans()) and metric.higher_is_better
    held = gate(draw(st.sampled_from([0.025, 0.05])), metric)
    return rule(policy, anchored=anchored, screens=screens, held=held)


def taken(launches: Sequence[Launched], made: SuiteRule) -> Sequence[Launched]:
    """The launches that a run takes."""
    for number in range(1, made.policy.launches):
        if not made.judge([[each] for each in launches[:number]]).wants_launch:
            return launches[:number]
    return launches[: made.policy.launches]


def of_metric(launched: Launched, made: SuiteRule, loss: float = 0.0, *, early: bool = False) -> Launched:
    """A launch, worse by ``loss`` and perhaps no longer known, in the unit of the gate."""
    value = (launched.value if isinstance(launched, Unsure) else float(launched)) * (1 - loss)  # type: ignore[arg-type]
    value = value if made.held[0].gate.key.metric.higher_is_better else 1e6 / value
    return Unsure(value, "early") if early or isinstance(launched, Unsure) else value


@unhurried
@given(
    rules(),
    st.lists(launched, min_size=3, max_size=3),
    worsenings,
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.floats(940, 1040), min_size=3, max_size=3),
)
def test_a_launch_that_is_worse_or_less_well_known_makes_no_verdict_better(
    made: SuiteRule,
    launches: Sequence[Launched],
    losses: Sequence[float],
    early: Sequence[bool],
    old: Sequence[float],
) -> None:
    """With an anchor, screened or not, by the best launch or the median: what blocks goes on blocking."""
    beside_it = [float(of_metric(each, made)) for each in old]  # type: ignore[arg-type]
    before = [of_metric(each, made) for each in launches]
    after = [
        of_metric(each, made, loss, early=is_early)
        for each, loss, is_early in zip(launches, losses, early, strict=True)
    ]
    first, second = (beside(taken(each, made), made, beside_it) for each in (before, after))
    if not first.verdict.passes:
        assert not second.verdict.passes, (first, second)


@unhurried
@given(rules(), st.lists(values, min_size=3, max_size=3), st.lists(values, min_size=3, max_size=3))
def test_no_gate_fails_that_is_inside_its_tolerance_against_baseline_and_old_state(
    made: SuiteRule, launches: Sequence[float], old: Sequence[float]
) -> None:
    """REGRESSED needs a loss beyond the tolerance against one of them, and against the old state wherever it is
    measured."""
    here = [of_metric(each, made) for each in launches]
    there = [float(of_metric(each, made)) for each in old]  # type: ignore[arg-type]
    found = beside(taken(here, made), made, there)
    if found.verdict is Verdict.REGRESSED:
        assert found.evidence is not None
        assert found.value is not None
        held: GateLimits | None = made.gate_limits[0]
        assert held is not None
        assert (
            held.gate.gain(found.value, max(there, key=lambda each: held.gate.gain(each, held.centre)))
            < -held.gate.tolerance
        )
