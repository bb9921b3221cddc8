"""A gate that passes against its baseline and has sunk below the oldest accepted state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.anchor import AnchorValue, anchor_value, drifted, held_to_anchors
from pytest_precgate.analysis.accepted.baseline import AnchorState, Baseline, RecordedGate
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.verdict import Evidence, JudgedGate, Verdict, judge
from pytest_precgate.baselines.schema import dump, parse
from pytest_precgate.errors import InvalidValueError
from tests.builders.baselines import B200, FP4, RATIO, RECORDED, kimi_baseline, launch, scaled
from tests.builders.gates import gate
from tests.published import kimi

ANCHOR = AnchorValue(100.0, 0.0, "2026-11-24T06:00:00Z (commit abc123)")


def judged(value: float, baseline: float = 98.0, tolerance: float = 0.025, sigma: float | None = None) -> JudgedGate:
    found = judge(gate(tolerance), value, baseline)
    return replace(found, evidence=Evidence(sigma, None, 1))


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(98.0, Verdict.PASS), (97.0, Verdict.PASS), (96.9, Verdict.DRIFTED), (95.0, Verdict.REGRESSED)],
)
def test_a_gate_more_than_three_percent_below_its_anchor_has_drifted(value: float, verdict: Verdict) -> None:
    """Though it passes against its baseline; what that fails stays as it was judged."""
    found = drifted(judged(value), ANCHOR)
    assert found.verdict is verdict
    assert not (verdict is Verdict.DRIFTED and found.verdict.passes)
    if verdict is Verdict.DRIFTED:
        assert found.reason == (
            "passes against its baseline and is 3.1% worse than its anchor, the state accepted 2026-11-24T06:00:00Z "
            "(commit abc123); allowed are 3.0%. Small accepted losses have added up; look for them in the history "
            "of the baseline, or accept them for good with pytest --precgate-update --precgate-lower-anchor "
            "--precgate-reason TEXT"
        )


def test_noise_explains_a_part_of_the_loss() -> None:
    """Two standard errors: of one launch, and of the anchor."""
    noisy = replace(ANCHOR, error=0.004)
    assert drifted(judged(96.1, sigma=0.003), noisy).verdict is Verdict.PASS  # 3% and 1%
    found = drifted(judged(95.9, sigma=0.003), noisy)
    assert found.verdict is Verdict.DRIFTED
    assert "allowed are 3.0% and 1.0% that noise explains" in found.reason
    assert drifted(judged(96.5), noisy).verdict is Verdict.DRIFTED  # no sigma: recorded points


def test_a_gate_whose_baseline_is_its_anchor_never_fails_inside_its_tolerance() -> None:
    """Who asked for 10% is not failed at 4%."""
    assert drifted(judged(91.0, 100.0, tolerance=0.1), ANCHOR).verdict is Verdict.PASS
    assert drifted(judged(89.0, 97.0, tolerance=0.1), ANCHOR).verdict is Verdict.DRIFTED


def test_a_higher_cost_is_further_from_its_anchor() -> None:
    """More is worse."""
    cost = gate(metric=Metric.COST)
    assert drifted(judge(cost, 104.0, 102.0), ANCHOR).verdict is Verdict.PASS
    found = drifted(judge(cost, 106.0, 102.0), ANCHOR)
    assert found.verdict is Verdict.DRIFTED
    assert found.reason.startswith("passes against its baseline and is 6.0% worse than its anchor, the state accepted")
    assert drifted(judge(cost, 90.0, 102.0), ANCHOR).verdict is Verdict.IMPROVED


def test_a_gate_without_value_or_anchor_stays_as_it_is() -> None:
    """Nothing is made of what is missing."""
    passing = judged(90.0, 91.0)
    assert drifted(passing, None) is passing
    assert held_to_anchors([passing], None, B200, "derived") == [passing]
    missing = replace(passing, verdict=Verdict.MISSING, value=None)
    assert drifted(missing, ANCHOR) is missing


def test_an_anchor_that_cannot_be_read_lets_nothing_pass() -> None:
    """Its launches do not reach the gate: INCONCLUSIVE, with what to do; what fails already stays as it is."""
    far = replace(FP4, point=400.0)
    state = AnchorState(RECORDED, kimi_baseline().launches, [far])
    baseline = replace(kimi_baseline(), gates=[RecordedGate("t", far)], anchors=[state])
    passing = judge(gate(point=400.0), 91.0, 91.0)
    (found,) = held_to_anchors([passing], baseline, B200, "derived")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason.startswith("its anchor, the state accepted 2026-11-24T06:00:00Z (commit abc123), cannot be re")
    assert found.reason.endswith("; restore the baseline file from version control")
    failing = judge(gate(point=400.0), 50.0, 91.0)
    assert held_to_anchors([failing], baseline, B200, "derived") == [failing]


@given(st.floats(60, 140), st.floats(0, 20), st.floats(90, 110), st.sampled_from([None, 0.002, 0.01]))
def test_a_worse_value_is_never_judged_better(value: float, worse: float, baseline: float, sigma: float | None) -> None:
    """What blocks goes on to block, except an implausible gain that is one no more."""
    first, second = (drifted(judged(each, baseline, sigma=sigma), ANCHOR) for each in (value, value - worse))
    if second.verdict.passes:
        assert first.verdict.passes or first.verdict is Verdict.IMPLAUSIBLE


def test_the_anchor_is_read_from_its_own_launches() -> None:
    """At today's price; its uncertainty is that of its centre, or what the baseline's noise gives it."""
    old = [launch(scaled(kimi("fp4"), factor), "vllm") for factor in (1.0, 1.01, 0.99)]
    new = [launch(scaled(kimi("fp4"), 0.98 * factor), "vllm") for factor in (1.0, 1.01, 0.99)]
    int4 = launch(kimi("int4"))
    state = AnchorState(RECORDED, [*old, int4], [FP4])
    baseline = replace(kimi_baseline(), launches=[*new, int4], anchors=[state])
    found = anchor_value(baseline, FP4, B200, "derived")
    assert isinstance(found, AnchorValue)
    assert found.value == pytest.approx(1028.14, rel=1e-4)
    assert found.error == pytest.approx(0.0104 / 3**0.5, rel=0.05)
    assert found.since == "2026-11-24T06:00:00Z (commit abc123)"
    single = replace(baseline, anchors=[AnchorState(RECORDED, old[:1], [FP4])])
    alone = anchor_value(single, FP4, B200, "derived")
    assert isinstance(alone, AnchorValue)
    assert alone.error == pytest.approx(0.0104, rel=0.2)
    assert anchor_value(baseline, replace(FP4, point=70.0), B200, "derived") is None
    sunk = JudgedGate(replace(gate(0.05), key=FP4), Verdict.PASS, 960.0, 1007.0, "")
    assert [each.verdict for each in held_to_anchors([sunk], baseline, B200, "derived")] == [Verdict.DRIFTED]


def test_a_state_that_lacks_a_launch_is_refused() -> None:
    """As is a gate with two anchors; gates that are gone leave theirs."""
    with pytest.raises(InvalidValueError, match="AnchorState of 2026-11-24T06:00:00Z: has no launch of any precision"):
        AnchorState(RECORDED, [], [])
    with pytest.raises(InvalidValueError, match="has no launch of fp4"):
        AnchorState(RECORDED, [launch(kimi("int4"))], [FP4])
    whole = AnchorState(RECORDED, kimi_baseline().launches, [FP4, RATIO])
    with pytest.raises(InvalidValueError, match="a gate has two anchors"):
        replace(kimi_baseline(), anchors=[whole, AnchorState(RECORDED, kimi_baseline().launches, [FP4])])
    left: Baseline = replace(kimi_baseline(), gates=kimi_baseline().gates[:1])
    assert [state.keys for state in left.anchors] == [(RATIO,)]


def test_a_state_whose_gates_are_gone_stays_while_their_precision_does() -> None:
    """For gates that come back: a test that was renamed and pruned before it was recorded."""
    first = [launch(scaled(kimi(name), 1.05)).rounded() for name in ("fp4", "int4")]
    other = RecordedGate("t.py::t", replace(FP4, point=70.0))
    states = [AnchorState(RECORDED, first, [FP4, RATIO]), AnchorState(RECORDED, kimi_baseline().launches, [other.key])]
    whole = replace(kimi_baseline(), gates=[*kimi_baseline().gates, other], anchors=states)
    pruned = replace(whole, gates=[other], launches=whole.launches_of("fp4"))
    assert [(state.keys, {each.sweep.precision for each in state.launches}) for state in pruned.anchors] == [
        ((), {"fp4"}),
        ((other.key,), {"fp4"}),
    ]
    assert parse(dump(pruned), "kimi.json") == pruned
