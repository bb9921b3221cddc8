"""How uncertain an anchor is, what noise explains of a loss from it, and which state a gate is anchored at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.anchor import (
    AnchorValue,
    anchor_value,
    centre_error,
    drifted,
    held_to_anchors,
    kept_anchors,
)
from pytest_precgate.analysis.accepted.baseline import AnchorState, Baseline, Launch, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.gating.noise import GateNoise
from pytest_precgate.analysis.gating.verdict import Evidence, Verdict, judge
from tests.builders.baselines import B200, FP4, RECORDED, TEST, kimi_baseline, launch, scaled
from tests.builders.gates import gate
from tests.published import kimi

ANCHOR = AnchorValue(100.0, 0.003, "2026-11-24T06:00:00Z (commit abc123)")
INT4 = replace(FP4, precisions=("int4",))


@pytest.mark.parametrize(
    ("own", "error"),
    [
        (GateNoise(100.0, 0.02, 4), 0.01),
        (GateNoise(100.0, 0.02, 5, set_aside=1), 0.01),
        (GateNoise(100.0, 0.02, 16, set_aside=1, worth=4), 0.01),
    ],
)
def test_a_centre_is_as_sure_as_the_launches_it_rests_on(own: GateNoise, error: float) -> None:
    """Sigma over the root of four: those kept, or what the launches of a few days are worth. Another state's noise is
    asked only where there is none."""
    assert centre_error(own, 9, GateNoise(100.0, 0.5, 9)) == pytest.approx(error)
    assert centre_error(None, 4, replace(own, sigma=0.03)) == pytest.approx(0.015)
    assert centre_error(None, 4) is None


@pytest.mark.parametrize(
    ("metric", "limit"),
    [(Metric.THROUGHPUT_PER_GPU, 100 * 0.97 * math.exp(-0.01)), (Metric.COST, 100 * 1.03 * math.exp(0.01))],
)
def test_noise_shifts_what_is_allowed_on_the_logarithm(metric: Metric, limit: float) -> None:
    """Two standard errors, hypot(0.3%, 0.4%) each, beyond 3%: for a cost as for a throughput."""
    held, worse = gate(0.025, metric), 0.9999 if metric.higher_is_better else 1.0001
    for value, verdict in ((limit / worse, Verdict.PASS), (limit * worse, Verdict.DRIFTED)):
        passing = replace(judge(held, value, value), evidence=Evidence(0.004, 0.03, 2))
        assert drifted(passing, ANCHOR).verdict is verdict


def test_what_was_known_of_a_gate_is_kept_beside_its_loss() -> None:
    """Whether it passed or not: reports show the noise, and a waiver has to cover the loss."""
    known = Evidence(0.0001, 0.03, 2, noise_floor=0.01)
    for value, verdict in ((90.0, Verdict.DRIFTED), (80.0, Verdict.REGRESSED)):
        judged = judge(gate(0.025), value, 91.0)
        for evidence, kept in ((known, known), (None, Evidence(None, None, 1))):
            found = drifted(replace(judged, evidence=evidence), ANCHOR)
            assert found.verdict is verdict
            assert found.evidence is not None
            assert found.evidence.anchor_loss == pytest.approx(1 - value / 100)
            assert replace(found.evidence, anchor_loss=None) == kept


def test_an_anchor_is_read_at_today_s_price_under_the_baseline_s_hardware() -> None:
    """One launch is enough, and another name of the hardware changes no figure: a mismatch was ignored."""
    cost = replace(FP4, metric=Metric.COST)
    baseline = replace(kimi_baseline(), launches=[launch(kimi("fp4"))], gates=[RecordedGate(TEST, cost)])
    anchor = anchor_value(baseline, cost, B200, "derived")
    assert isinstance(anchor, AnchorValue)
    other = Hardware("h200", 3.90, 2.17, "twice the price")
    held = replace(gate(0.025, Metric.COST), key=cost)
    for factor, verdict in ((2.05, Verdict.PASS), (2.07, Verdict.DRIFTED)):
        value = factor * anchor.value
        [found] = held_to_anchors([judge(held, value, value)], baseline, other, "derived")
        assert found.verdict is verdict


def told_by(engine: str, *factors: float, name: str = "fp4") -> list[Launch]:
    """Launches on an engine of that kind; every throughput of launch i is multiplied by factor i."""
    sweeps = [scaled(kimi(name), factor) for factor in factors]
    return [Launch(sweep, Fingerprint.of(sweep, (engine,), {})) for sweep in sweeps]


def baseline(launches: Sequence[Launch], keys: Sequence[GateKey], anchors: Sequence[AnchorState]) -> Baseline:
    gates = [RecordedGate(TEST, key) for key in keys]
    return replace(kimi_baseline(), launches=launches, gates=gates, anchors=anchors)


def test_a_gate_whose_own_anchor_is_of_other_facts_begins_anew_though_a_later_state_agrees() -> None:
    """The later state is not its oldest: what sank between the two would be forgotten without a word."""
    vllm, trtllm = told_by("vllm", 1.0), told_by("trtllm", 0.9)
    old = baseline(trtllm, [FP4], [AnchorState(RECORDED, vllm, [FP4])])
    kept = kept_anchors(old, told_by("trtllm", 0.8), [FP4], B200, "derived")
    assert kept.states == ()
    assert kept.renewed == {FP4: "fp4: engine is trtllm, the baseline's is vllm"}


def test_a_fact_that_differs_is_that_of_the_oldest_state() -> None:
    """Of two states that reach a new gate and neither agrees, and of two facts that differ: the first."""
    first, second = told_by("vllm", 1.0), told_by("recorded", 0.9)
    now = [replace(each, fingerprint=each.fingerprint | Fingerprint({"isl": 8})) for each in told_by("trtllm", 0.8)]
    old = baseline(second, [FP4], [AnchorState(RECORDED, first, [FP4])])
    new = replace(FP4, point=56.0)
    assert kept_anchors(old, now, [new], B200, "derived").renewed == {
        new: "fp4: engine is trtllm, the baseline's is vllm"
    }


def test_a_state_without_gates_is_kept_for_those_to_come_while_none_of_its_own_begins_anew() -> None:
    """Through as many updates as there are; a gate whose facts differ takes the state with it."""
    idle = AnchorState(RECORDED, told_by("vllm", 1.0), ())
    late = AnchorState(replace(RECORDED, utc="2026-11-25T06:00:00Z"), told_by("vllm", 0.9), [FP4])
    old = baseline(told_by("vllm", 0.9), [FP4], [idle, late])
    assert kept_anchors(old, told_by("vllm", 0.8), [FP4], B200, "derived").states == (idle, late)
    both = [*told_by("vllm", 1.0), *told_by("vllm", 1.0, name="int4")]
    left = baseline(both, [FP4, INT4], [AnchorState(RECORDED, both, [FP4, INT4])])
    now = [*told_by("trtllm", 0.9), *told_by("vllm", 1.0, name="int4")]
    assert kept_anchors(left, now, [FP4], B200, "derived").states == ()


def test_a_new_target_has_the_anchor_of_its_nearest_neighbour_of_the_same_precision() -> None:
    """FP4 at 80 and INT4 at 79 were lowered for good, FP4 at 55 was not: 79 is like 80, 56 is like 55, and what was
    said of INT4 does not count. Nearest is the smallest ratio of interactivities."""
    first = [*told_by("vllm", 1.0), *told_by("vllm", 1.0, name="int4")]
    later = [*told_by("vllm", 0.9), *told_by("vllm", 0.9, name="int4")]
    far = replace(FP4, point=80.0)
    lowered = AnchorState(replace(RECORDED, utc="2026-11-25T06:00:00Z"), later, [far, replace(INT4, point=79.0)])
    old = baseline(later, [FP4, far, replace(INT4, point=79.0)], [AnchorState(RECORDED, first, [FP4]), lowered])
    near = [replace(FP4, point=point) for point in (56.0, 60.0, 79.0)]
    kept = kept_anchors(old, later, near, B200, "derived")
    anchored = {key.point: state.recorded.utc for state in kept.states for key in state.keys}
    assert anchored == {56.0: RECORDED.utc, 60.0: RECORDED.utc, 79.0: "2026-11-25T06:00:00Z"}
    [beside] = kept_anchors(old, later, [replace(INT4, point=55.0)], B200, "derived").states[-1:]
    assert beside.recorded.utc == "2026-11-25T06:00:00Z"


def test_an_anchor_of_one_launch_reaches_a_new_target() -> None:
    """A state may hold a single launch, of a precision that a gate reads; others do not count."""
    old = baseline(told_by("vllm", 0.9), [FP4], [AnchorState(RECORDED, told_by("vllm", 1.0), [FP4])])
    new = replace(FP4, point=56.0)
    kept = kept_anchors(old, told_by("vllm", 0.8), [new], B200, "derived")
    assert [(state.recorded.utc, state.keys) for state in kept.states] == [(RECORDED.utc, (new,))]
